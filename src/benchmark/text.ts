/** Knows how the figures of a run look as text: a few lines, and a histogram of latencies. */

import { exact } from '../_util/exact.js';
import { safeLine } from '../_util/terminal-safe.js';
import type { BenchmarkResult } from './benchmark.js';
import type { LatencyBucket } from './sample.js';

/** Most lines of a histogram, and columns of its longest bar. */
const MOST_ROWS = 16;
const BAR = 40;

/** One run for people. What comes from outside is made safe for a terminal. */
export function reportOf(result: BenchmarkResult): string {
  const { p50IntervalMs, iterations, errors, toolErrors } = result;
  const [low, high] = p50IntervalMs;
  const codes = Object.entries(result.errorCodes).map(([code, count]) => `${safeLine(code)} ${count}`);
  const rows: [string, string][] = [
    ['calls', `${iterations}: ${iterations - errors - toolErrors} ok, ${toolErrors} tool errors, ${errors} errors`],
    ...(codes.length > 0 ? [['errors', codes.join(', ')] as [string, string]] : []),
    ['success', `${exact(100 * result.successRate)} %`],
    ['throughput', `${exact(result.callsPerSecond)} calls/s over ${exact(result.durationMs / 1000)} s`],
    ['mean', `${ms(result.meanMs)}, from ${ms(result.minMs)} to ${ms(result.maxMs)}`],
    ['p50', `${ms(result.p50Ms)}${Number.isNaN(low) ? '' : `, 95 % interval ${exact(low)}–${ms(high)}`}`],
    ['p95', ms(result.p95Ms)],
    ['p99', ms(result.p99Ms)],
  ];
  const lines = rows.map(([label, text]) => `  ${label.padEnd(11)}${text}\n`).join('');
  const drawn = drawHistogram(result.histogram);
  return `${safeLine(result.name)} (${loadOf(result)})\n${lines}${drawn === '' ? '' : `\n${drawn}`}`;
}

/** How the calls were driven, in words. */
export function loadOf({ concurrency, ratePerSecond, warmup }: BenchmarkResult): string {
  const how =
    ratePerSecond === undefined
      ? `closed loop, ${concurrency} at a time`
      : `open loop, ${exact(ratePerSecond)} calls/s`;
  return `${how}, ${warmup} before to warm up`;
}

/** A line for each range of latencies; neighbours are joined until there are few enough. */
export function drawHistogram(buckets: readonly LatencyBucket[]): string {
  let rows = [...buckets];
  while (rows.length > MOST_ROWS) rows = joined(rows);
  const most = Math.max(...rows.map(({ count }) => count));
  const labels = rows.map(({ fromMs, toMs }) => `${exact(fromMs)}–${ms(toMs)}`);
  const width = Math.max(...labels.map(({ length }) => length));
  return rows
    .map(({ count }, i) => {
      const length = Math.round((BAR * count) / most);
      const bar = count === 0 ? '' : '█'.repeat(length) || '▏';
      return `  ${labels[i]!.padStart(width)} │${bar}${count === 0 ? '' : ` ${count}`}\n`;
    })
    .join('');
}

function joined(rows: readonly LatencyBucket[]): LatencyBucket[] {
  const out: LatencyBucket[] = [];
  for (let i = 0; i < rows.length; i += 2) {
    const [a, b] = [rows[i]!, rows[i + 1] ?? rows[i]!];
    out.push({ fromMs: a.fromMs, toMs: b.toMs, count: a === b ? a.count : a.count + b.count });
  }
  return out;
}

function ms(value: number): string {
  return Number.isNaN(value) ? '–' : `${exact(value)} ms`;
}
