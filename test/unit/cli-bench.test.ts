/** Knows what the flags of `mcpstore bench` come to, what a baseline has to be, and that a report can be opened safely. */

import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type BenchFlags, runsOf, timeOf } from '../../src/cli/bench-flags.js';
import { htmlReport } from '../../src/cli/bench-html.js';
import { type BenchReport, compared, readBaseline } from '../../src/cli/bench-report.js';
import type { BenchmarkResult } from '../../src/index.js';
import { failure } from '../support/fake-clock.js';
import { cleanUpAfterEach, temporaryPath } from '../support/harness.js';

cleanUpAfterEach();

const HOSTILE = `</title><script>alert("1")</script><img src='x'>&amp;`;

const result = (more: Partial<BenchmarkResult> = {}): BenchmarkResult => ({
  ...{ name: 's__echo', warmup: 1, concurrency: 1, ratePerSecond: undefined, iterations: 10, meanMs: 2, minMs: 1 },
  ...{ maxMs: 9, p50Ms: 2, p95Ms: 8, p99Ms: 9, p50IntervalMs: [1, 3], callsPerSecond: 500, errors: 0, toolErrors: 0 },
  ...{ successRate: 1, durationMs: 20, errorCodes: {}, histogram: [{ fromMs: 1, toMs: 2, count: 10 }] },
  ...more,
});

const report = (more: Partial<BenchReport> = {}): BenchReport => ({
  ...{ tool: 'echo', at: '2026-01-02T03:04:05.000Z', cache: false, results: [result()] },
  machine: { cpu: 'cpu', cores: 2, node: '20.0.0', platform: 'linux x64' },
  ...more,
});

describe('flags', () => {
  it.each([
    ['10s', 10_000],
    ['500ms', 500],
    ['2m', 120_000],
    ['1.5s', 1_500],
    ['3', 3_000],
  ])('a time of %s is %d ms', (text, ms) => expect(timeOf(text)).toBe(ms));

  it.each(['', 's', '-1s', '3h', '0', '0s', '1e9s', 'x'])('a time of "%s" is refused', (text) => {
    expect(() => timeOf(text)).toThrow('--duration: expected a time');
  });

  it.each<[BenchFlags, object[]]>([
    [{}, [{}]],
    [
      { iterations: 5, concurrency: 2, warmup: 0, cache: true },
      [{ iterations: 5, concurrency: 2, warmup: 0, cache: true }],
    ],
    [{ duration: 500, rate: 20 }, [{ durationMs: 500, ratePerSecond: 20 }]],
    [
      { iterations: 5, sweep: [1, 4] },
      [
        { iterations: 5, concurrency: 1 },
        { iterations: 5, concurrency: 4 },
      ],
    ],
  ])('%j come to %j', (flags, runs) => expect(runsOf(flags)).toEqual(runs));

  it.each<[BenchFlags, string]>([
    [{ iterations: 1, duration: 1 }, '--iterations: does not go with --duration'],
    [{ rate: 1, concurrency: 1 }, '--rate: does not go with --concurrency'],
    [{ rate: 1, sweep: [1] }, '--rate: does not go with --sweep'],
    [{ sweep: [1], concurrency: 1 }, '--sweep: does not go with --concurrency'],
    [{ maxSlower: 1 }, '--max-slower: goes with --baseline'],
  ])('%j contradict each other', (flags, message) => expect(() => runsOf(flags)).toThrow(message));
});

describe('a baseline', () => {
  const load = { concurrency: 1, ratePerSecond: undefined };
  const open = { concurrency: undefined, ratePerSecond: 50 };
  const saved = (value: unknown): string => {
    const file = `${temporaryPath('folder')}.json`;
    writeFileSync(file, typeof value === 'string' ? value : JSON.stringify(value));
    return file;
  };

  it('is compared run by run with the same load', async () => {
    const before = report({ results: [result({ ...open, p50Ms: 4 }), result()] });
    const baseline = await readBaseline(saved(before), 'echo', [load, open]);
    const now = [result({ p50Ms: 2.2, p99Ms: 18, callsPerSecond: 400 }), result({ ...open, p50Ms: 5 })];
    const comparison = compared(now, baseline, 10);
    expect(comparison).toMatchObject({ baselineAt: before.at, maxSlowerPercent: 10, slower: true });
    const [first, second] = comparison.runs;
    expect(first).toMatchObject({ ...load, baselineP50Ms: 2, p50Ms: 2.2, p99ChangePercent: 100 });
    expect(first!.p50ChangePercent).toBeCloseTo(10, 9);
    expect(first!.callsPerSecondChangePercent).toBeCloseTo(-20, 9);
    expect(second).toMatchObject({ ...open, baselineP50Ms: 4, p50ChangePercent: 25, slower: true });
    expect(compared(now, baseline, 25).slower).toBe(false);
    // Where nothing succeeded, nothing was fast enough.
    expect(compared([result({ p50Ms: Number.NaN })], baseline, 25).slower).toBe(true);
  });

  it.each<[unknown, string]>([
    ['{', 'this is not JSON'],
    [null, 'it is no report'],
    [{ results: [] }, 'it is no report'],
    [report({ tool: 'other' }), 'it is of the tool other, not of echo'],
    [report({ results: [] }), 'it has no run with 1 at a time'],
    [report({ results: [null as never] }), 'it has no run with 1 at a time'],
    [report({ results: [result({ p50Ms: Number.NaN })] }), 'its run with 1 at a time has no p50Ms'],
  ])('of %j is refused', async (value, message) => {
    const error = await failure(readBaseline(saved(value), 'echo', [load]));
    expect(error).toMatchObject({ code: 'OPTION_INVALID', exitCode: 2 });
    expect(error.message).toMatch(/^--baseline: /);
    expect(error.message).toContain(message);
  });

  it('that is not there is refused', async () => {
    const error = await failure(readBaseline(`${temporaryPath('folder')}.json`, 'echo', [load]));
    expect(error).toMatchObject({ code: 'OPTION_INVALID', message: expect.stringContaining('cannot read') });
  });
});

describe('a report in HTML', () => {
  it('has the figures, a chart of latencies, and for several loads charts by concurrency', () => {
    const one = htmlReport(report());
    expect(one).toContain('<td>500</td>');
    expect(one.match(/<svg/g)).toHaveLength(1);
    const two = htmlReport(
      report({ results: [result(), result({ concurrency: 8, callsPerSecond: 1_000, p99Ms: 18 })] }),
    );
    expect(two.match(/<svg/g)).toHaveLength(4);
    expect(two).toContain('By concurrency');
    // Twice the throughput is a bar of twice the length.
    expect(two).toMatch(/width="280\.0"[\s\S]*width="560\.0"/);
  });

  it('loads nothing from elsewhere, and runs nothing', () => {
    const page = htmlReport(report({ results: [result(), result({ concurrency: 8 })] }));
    expect(page).not.toMatch(/https?:|src=|href=|url\(|@import|<script|<link|<iframe| on\w+=/i);
    expect(page).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`);
  });

  it('escapes whatever came from outside', () => {
    const hostile = report({
      tool: HOSTILE,
      at: HOSTILE,
      machine: { cpu: HOSTILE, cores: 2, node: HOSTILE, platform: HOSTILE },
      results: [result({ name: HOSTILE, errorCodes: { [HOSTILE]: 2 } })],
      comparison: { ...compared([], { file: '', at: HOSTILE, results: [] }, 10) },
    });
    const page = htmlReport(hostile);
    expect(page).not.toMatch(/<script|<img/);
    expect(page).toContain('&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&lt;img src=&#39;x&#39;&gt;&amp;amp;');
    expect(page.match(/<title>/g)).toHaveLength(1);
  });

  it('draws nothing where nothing succeeded', () => {
    const none = { meanMs: Number.NaN, p50Ms: Number.NaN, p99Ms: Number.NaN, callsPerSecond: 0, histogram: [] };
    const page = htmlReport(report({ results: [result(none), result({ ...none, concurrency: 2 })] }));
    expect(page).not.toMatch(/NaN|Infinity/);
  });
});
