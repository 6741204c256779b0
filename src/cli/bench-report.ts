/** Knows what is kept of a benchmark, and how one kept earlier is read and compared with. */

import { cpus } from 'node:os';
import type { BenchmarkResult } from '../index.js';
import { readText } from './args.js';
import { notJson, UsageError } from './usage.js';

/** What `--json` prints and `--save` writes. */
export interface BenchReport {
  /** The server's own name of the tool. */
  tool: string;
  /** Wall clock, ISO 8601. */
  at: string;
  machine: { cpu: string; cores: number; node: string; platform: string };
  /** Could the result cache answer? */
  cache: boolean;
  results: BenchmarkResult[];
  comparison?: Comparison;
}

/** Runs of the same load, then and now. Changes are in percent of what was. */
export interface Comparison {
  baselineAt: string;
  maxSlowerPercent: number;
  /** Is p50 of any run slower than that allows? */
  slower: boolean;
  runs: ComparedRun[];
}

export interface ComparedRun {
  concurrency: number | undefined;
  ratePerSecond: number | undefined;
  baselineP50Ms: number;
  p50Ms: number;
  p50ChangePercent: number;
  p99ChangePercent: number;
  callsPerSecondChangePercent: number;
  slower: boolean;
}

/** A run of a baseline, as far as it is compared. */
export interface Baseline {
  file: string;
  at: string;
  results: Pick<BenchmarkResult, 'concurrency' | 'ratePerSecond' | 'p50Ms' | 'p99Ms' | 'callsPerSecond'>[];
}

type Load = Pick<BenchmarkResult, 'concurrency' | 'ratePerSecond'>;

export function machine(): BenchReport['machine'] {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    node: process.version.slice(1),
    platform: `${process.platform} ${process.arch}`,
  };
}

/** @throws UsageError for a file that cannot be read, or that `--save` has not written for this tool and these loads */
export async function readBaseline(file: string, tool: string, loads: readonly Load[]): Promise<Baseline> {
  const text = await readText(file, '--baseline');
  const refuse = (why: string): UsageError =>
    new UsageError(`--baseline: ${file}: ${why}`, 'A baseline is what mcpstore bench --save has written.');
  let value: Partial<BenchReport> | null;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw refuse(notJson(error));
  }
  const { tool: of, at, results } = value ?? {};
  if (typeof of !== 'string' || typeof at !== 'string' || !Array.isArray(results))
    throw refuse('it is no report of a benchmark');
  if (of !== tool) throw refuse(`it is of the tool ${of}, not of ${tool}`);
  for (const load of loads) {
    const run = results.find((result) => sameLoad(result ?? {}, load));
    if (run === undefined) throw refuse(`it has no run with ${loadText(load)}`);
    for (const key of ['p50Ms', 'p99Ms', 'callsPerSecond'] as const)
      if (!(typeof run[key] === 'number' && run[key] > 0)) throw refuse(`its run with ${loadText(load)} has no ${key}`);
  }
  return { file, at, results };
}

/** @param maxSlowerPercent - how much slower p50 may be */
export function compared(
  results: readonly BenchmarkResult[],
  baseline: Baseline,
  maxSlowerPercent: number,
): Comparison {
  const runs = results.map((result): ComparedRun => {
    const before = baseline.results.find((run) => sameLoad(run, result))!;
    const change = (key: 'p50Ms' | 'p99Ms' | 'callsPerSecond'): number => 100 * (result[key] / before[key] - 1);
    const p50ChangePercent = change('p50Ms');
    return {
      concurrency: result.concurrency,
      ratePerSecond: result.ratePerSecond,
      baselineP50Ms: before.p50Ms,
      p50Ms: result.p50Ms,
      p50ChangePercent,
      p99ChangePercent: change('p99Ms'),
      callsPerSecondChangePercent: change('callsPerSecond'),
      // Where nothing succeeded there is no p50, and nothing that was fast enough.
      slower: !(p50ChangePercent <= maxSlowerPercent),
    };
  });
  return { baselineAt: baseline.at, maxSlowerPercent, slower: runs.some(({ slower }) => slower), runs };
}

function sameLoad(a: Partial<Load>, b: Partial<Load>): boolean {
  return a.concurrency === b.concurrency && a.ratePerSecond === b.ratePerSecond;
}

/** A load in a few words. */
export function loadText({ concurrency, ratePerSecond }: Load): string {
  return ratePerSecond === undefined ? `${concurrency} at a time` : `${ratePerSecond} calls/s`;
}
