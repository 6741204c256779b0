/** Knows what `mcpstore bench` takes, and the runs that this comes to. */

import type { Command } from 'commander';
import type { BenchmarkRunOptions } from '../index.js';
import { describeTarget } from './target.js';
import { describeToolCall, type ToolFlags } from './tool-call.js';
import { UsageError, wholeNumber } from './usage.js';

export interface BenchFlags extends ToolFlags {
  iterations?: number;
  concurrency?: number;
  /** Milliseconds. */
  duration?: number;
  rate?: number;
  sweep?: number[];
  warmup?: number;
  cache?: boolean;
  save?: string;
  baseline?: string;
  maxSlower?: number;
  html?: string;
}

export function describeBench(command: Command): void {
  describeToolCall(command);
  command
    .option(
      '-n, --iterations <n>',
      'calls to measure; default: benchmark.iterations (100)',
      wholeNumber('--iterations'),
    )
    .option('--duration <time>', 'calls that begin within a time, such as 10s, 500ms or 2m, in place of -n', timeOf)
    .option(
      '-c, --concurrency <n>',
      'calls under way at a time; default: benchmark.concurrency (1)',
      wholeNumber('--concurrency'),
    )
    .option('--rate <n>', 'begin so many calls a second whatever becomes of them (open loop), in place of -c', rateOf)
    .option('--sweep <list>', 'one run for each of these in place of -c, such as 1,2,4,8', sweepOf)
    .option('--warmup <n>', 'calls before, in no figure; default: benchmark.warmup (10)', wholeNumber('--warmup', 0))
    .option('--cache', 'let calls meet the result cache, where that is switched on')
    .option('--baseline <file>', 'compare with figures that --save has written')
    .option('--max-slower <percent>', 'how much slower than the baseline p50 may be; default: 10', percentOf)
    .option('--save <file>', 'write the figures as JSON; not where they are too slow for --baseline')
    .option('--html <file>', 'write a report with charts, complete in one file');
  describeTarget(command);
}

/** One set of options for each run. @throws UsageError for flags that contradict each other */
export function runsOf(flags: BenchFlags): BenchmarkRunOptions[] {
  const { iterations, duration, concurrency, rate, sweep, warmup, cache } = flags;
  for (const [a, b, why] of [
    ['iterations', 'duration', 'each says when a run ends'],
    ['rate', 'concurrency', 'an open loop begins calls by the clock alone'],
    ['rate', 'sweep', 'an open loop begins calls by the clock alone'],
    ['sweep', 'concurrency', 'each says how many calls are under way'],
  ] as const)
    if (flags[a] !== undefined && flags[b] !== undefined)
      throw new UsageError(`--${a}: does not go with --${b}: ${why}`);
  if (flags.maxSlower !== undefined && flags.baseline === undefined)
    throw new UsageError('--max-slower: goes with --baseline');
  const shared: BenchmarkRunOptions = {
    ...(iterations !== undefined && { iterations }),
    ...(duration !== undefined && { durationMs: duration }),
    ...(rate !== undefined && { ratePerSecond: rate }),
    ...(warmup !== undefined && { warmup }),
    ...(cache && { cache }),
  };
  const widths = sweep ?? (concurrency === undefined ? [] : [concurrency]);
  return widths.length === 0 ? [shared] : widths.map((width) => ({ ...shared, concurrency: width }));
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000 };

/** `10s`, `500ms`, `2m`; a bare number is seconds. Milliseconds. */
export function timeOf(text: string): number {
  const [, number, unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text.trim()) ?? [];
  const value = Number(number) * UNITS[unit]!;
  if (!(value > 0 && Number.isFinite(value)))
    throw new UsageError(`--duration: expected a time such as 10s, 500ms or 2m, got "${text}"`);
  return value;
}

function rateOf(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!(value > 0 && Number.isFinite(value)))
    throw new UsageError(`--rate: expected a number of calls a second above 0, got "${text}"`);
  return value;
}

function sweepOf(text: string): number[] {
  return text.split(',').map(wholeNumber('--sweep'));
}

function percentOf(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!(value >= 0 && Number.isFinite(value)))
    throw new UsageError(`--max-slower: expected a percentage from 0 on, got "${text}"`);
  return value;
}
