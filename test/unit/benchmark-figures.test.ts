/** Knows that the figures of a run are those of its calls: percentiles, interval, counts, and how they look as text. */

import { expect, it } from 'vitest';
import type { BenchmarkResult } from '../../src/benchmark/benchmark.js';
import { medianRanks } from '../../src/benchmark/interval.js';
import { Sample } from '../../src/benchmark/sample.js';
import { drawHistogram, reportOf } from '../../src/benchmark/text.js';
import { StoreError } from '../../src/errors.js';
import { FakeClock } from '../support/fake-clock.js';

const OK = { result: { content: [] } };

function sampleOf(latencies: readonly number[]): Sample {
  const sample = new Sample();
  for (const ms of latencies) sample.add(ms, OK);
  return sample;
}

it('has exact means and bounds, and percentiles to three digits', () => {
  const latencies = Array.from({ length: 1_000 }, (_, i) => (i + 1) / 10);
  const figures = sampleOf(latencies.reverse()).figures(2_000);
  expect(figures).toMatchObject({ iterations: 1_000, minMs: 0.1, maxMs: 100, errors: 0, successRate: 1 });
  expect(figures.meanMs).toBeCloseTo(50.05, 9);
  expect(figures.callsPerSecond).toBe(500);
  for (const [actual, expected] of [
    [figures.p50Ms, 50],
    [figures.p95Ms, 95],
    [figures.p99Ms, 99],
    [figures.p50IntervalMs[0], 46.9],
    [figures.p50IntervalMs[1], 53.2],
  ])
    expect(Math.abs(actual! / expected! - 1)).toBeLessThan(0.002);
});

it('never has a percentile beyond its values', () => {
  const figures = sampleOf(new Array(100).fill(1_234.567_89)).figures(1);
  expect([figures.minMs, figures.p50Ms, figures.p99Ms, figures.maxMs]).toEqual(new Array(4).fill(1_234.567_89));
});

it('keeps errors, results with isError, and failed batches apart, and their latencies out', () => {
  const sample = sampleOf([1, 1]);
  sample.add(900, { result: { isError: true, content: [] } });
  sample.add(900, { result: { results: [{}, {}], totals: { ok: 1 } } });
  sample.add(1, { result: { results: [{}, {}], totals: { ok: 2 } } });
  sample.add(900, { thrown: new StoreError('TIMEOUT', 'x') });
  sample.add(900, { thrown: new StoreError('TIMEOUT', 'x') });
  sample.add(900, { thrown: new TypeError('x') });
  sample.add(900, { thrown: 'x' });
  const figures = sample.figures(1_000);
  expect(figures).toMatchObject({ iterations: 9, toolErrors: 2, errors: 4, maxMs: 1, callsPerSecond: 3 });
  expect(figures.successRate).toBe(3 / 9);
  expect(figures.errorCodes).toEqual({ TIMEOUT: 2, TypeError: 1, Error: 1 });
});

it('has no latency to tell where nothing succeeded', () => {
  const sample = new Sample();
  sample.add(5, { thrown: new Error('x') });
  const figures = sample.figures(5);
  for (const key of ['meanMs', 'minMs', 'maxMs', 'p50Ms', 'p99Ms'] as const) expect(figures[key]).toBeNaN();
  expect(figures).toMatchObject({ successRate: 0, callsPerSecond: 0, errors: 1, histogram: [] });
  expect(JSON.parse(JSON.stringify(figures))).toMatchObject({ meanMs: null, p50IntervalMs: [null, null] });
});

it('holds the median at least 95 times in a hundred, by the binomial distribution', () => {
  expect(medianRanks(5)).toBeUndefined();
  for (let n = 6; n <= 400; n++) {
    const [low, high] = medianRanks(n)!;
    // The interval misses where fewer than `low` values, or `high` or more, lie below the median.
    let term = 0.5 ** n;
    let inside = 0;
    for (let below = 0; below <= n; below++) {
      if (below >= low && below < high) inside += term;
      term *= (n - below) / (below + 1);
    }
    expect(inside, `of ${n}`).toBeGreaterThanOrEqual(0.95);
    if (n > 30) expect(inside, `of ${n}`).toBeLessThan(0.99);
  }
});

it('holds the median of drawn latencies about that often', () => {
  const clock = new FakeClock(7);
  let held = 0;
  for (let run = 0; run < 300; run++) {
    const latencies = Array.from({ length: 50 }, () => -Math.log(1 - clock.random()));
    const [low, high] = sampleOf(latencies).figures(1).p50IntervalMs;
    if (low <= Math.LN2 && Math.LN2 <= high) held++;
  }
  expect(held / 300).toBeGreaterThan(0.93);
});

it('counts every call in the range that holds its latency', () => {
  const latencies = [0.09, 0.1, 0.5, 0.51, 3, 3, 3];
  const { histogram } = sampleOf(latencies).figures(1);
  expect(histogram.reduce((sum, { count }) => sum + count, 0)).toBe(7);
  for (const [i, { fromMs, toMs, count }] of histogram.entries()) {
    expect(count).toBe(latencies.filter((ms) => ms >= fromMs && ms < toMs).length);
    expect(toMs / fromMs).toBeCloseTo(2 ** 0.25, 9);
    if (i > 0) expect(fromMs).toBe(histogram[i - 1]!.toMs);
  }
});

it('draws a histogram: bars by count, few lines, none too short to be seen', () => {
  const { histogram } = sampleOf([...new Array(1_000).fill(1), 64, 900]).figures(1);
  const drawn = drawHistogram(histogram);
  const lines = drawn.trimEnd().split('\n');
  expect(lines.length).toBeLessThanOrEqual(16);
  expect(lines[0]).toMatch(/│█{40} 1000$/);
  expect(lines.at(-1)).toMatch(/│▏ 1$/);
  expect(lines.map((line) => Number(/ (\d+)$/.exec(line)?.[1] ?? 0)).reduce((a, b) => a + b)).toBe(1_002);
  expect(drawHistogram([])).toBe('');
});

it('is told in text that drives no terminal', () => {
  const figures = sampleOf([1, 2, 3, 4, 5, 6]).figures(2_000);
  const result: BenchmarkResult = {
    name: 'a\u001b[2Jb',
    warmup: 3,
    concurrency: 2,
    ratePerSecond: undefined,
    ...figures,
  };
  const text = reportOf(result);
  expect(text).toContain('a\\x1b[2Jb (closed loop, 2 at a time, 3 before to warm up)');
  expect(text).toContain('6: 6 ok, 0 tool errors, 0 errors');
  expect(text).toContain('3 calls/s over 2 s');
  expect(text).toMatch(/p50 +3 ms, 95 % interval 1–6 ms/);
  expect(text).not.toContain('\u001b');
  expect(reportOf({ ...result, concurrency: undefined, ratePerSecond: 50 })).toContain('open loop, 50 calls/s');
});
