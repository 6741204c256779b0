/** Knows what the figures of calls have to say: every outcome counted once, latencies within a hundredth, rates of late. */

import { describe, expect, it } from 'vitest';
import { NewRecord, type Outcome } from '../../src/call.js';
import { OTHER_TOOLS, Stats } from '../../src/observe/stats.js';

function record(service: string, outcome: Outcome, totalMs: number, fields: object = {}): NewRecord {
  return { ...new NewRecord('', service, 'tool', 0), outcome, totalMs, attempts: 1, ...fields };
}

const NONE = { calls: 0, ok: 0, toolErrors: 0, failed: 0, unknown: 0, notSent: 0, attempts: 0, cacheHits: 0 };

describe('figures of calls', () => {
  it('are zeros where there was none', () => {
    const { errorCodes, ...total } = new Stats(0).total(1_000);
    expect(total).toMatchObject(NONE);
    expect([...new Set(Object.values(total))]).toEqual([0]);
    expect(errorCodes).toEqual({});
    expect(new Stats(0).services(1_000)).toEqual({});
    expect(new Stats(0).batches).toEqual({ batches: 0, calls: 0, meanSize: 0, maxSize: 0 });
  });

  it('count every outcome, attempt, retry, error code and cache hit, per tool, per service and in all', () => {
    const stats = new Stats(0);
    stats.add(record('a', 'ok', 1));
    stats.add(record('a', 'ok', 1, { cache: 'hit', attempts: 0 }));
    stats.add(record('a', 'ok', 1, { cache: 'joined', attempts: 0, tool: 'other' }));
    stats.add(record('a', 'ok', 1, { cache: 'miss', tool: 'other' }));
    stats.add(record('a', 'tool_error', 1));
    stats.add(record('b', 'failed', 1, { attempts: 3, code: 'RPC_ERROR' }));
    stats.add(record('b', 'unknown', 1, { code: 'TIMEOUT' }));
    stats.add(record('b', 'not_sent', 1, { attempts: 0, code: 'TIMEOUT' }));
    expect(stats.total(0)).toMatchObject({
      calls: 8,
      ok: 4,
      toolErrors: 1,
      failed: 1,
      unknown: 1,
      notSent: 1,
      attempts: 7,
      retries: 2,
      cacheHits: 2,
      errorCodes: { RPC_ERROR: 1, TIMEOUT: 2 },
    });
    const { a, b } = stats.services(0);
    expect(a).toMatchObject({ ...NONE, calls: 5, ok: 4, toolErrors: 1, attempts: 3, cacheHits: 2, errorCodes: {} });
    expect(b).toMatchObject({ ...NONE, calls: 3, failed: 1, unknown: 1, notSent: 1, attempts: 4, retries: 2 });
    expect(a!.tools['tool']).toMatchObject({ calls: 3, toolErrors: 1, cacheHits: 1 });
    expect(a!.tools['other']).toMatchObject({ calls: 2, toolErrors: 0, cacheHits: 1 });
  });

  it('give latencies in milliseconds, within a hundredth, and their mean and maximum exactly', () => {
    const stats = new Stats(0);
    for (let i = 1; i <= 10_000; i++) stats.add(record('a', 'ok', i / 10));
    const { meanMs, p50Ms, p90Ms, p95Ms, p99Ms, p999Ms, maxMs } = stats.total(0);
    for (const [value, expected] of [
      [p50Ms, 500],
      [p90Ms, 900],
      [p95Ms, 950],
      [p99Ms, 990],
      [p999Ms, 999],
    ] as const)
      expect(Math.abs(value / expected - 1)).toBeLessThan(0.01);
    expect(meanMs).toBeCloseTo(500.05);
    expect(maxMs).toBe(1_000);
  });

  it('give waits for a permit and for a connection', () => {
    const stats = new Stats(0);
    stats.add(record('a', 'ok', 10, { queueMs: 4, connectMs: 1 }));
    stats.add(record('a', 'ok', 10, { queueMs: 0, connectMs: 3 }));
    const { queueMeanMs, queueMaxMs, connectMeanMs, connectMaxMs } = stats.total(0);
    expect([queueMeanMs, queueMaxMs, connectMeanMs, connectMaxMs]).toEqual([2, 4, 2, 3]);
  });

  it('give rates of the last minute', () => {
    const stats = new Stats(0);
    for (let second = 0; second < 200; second++) {
      for (let i = 0; i < 10; i++) stats.add(record('a', i < 3 ? 'failed' : 'ok', 0, { startedAt: second * 1_000 }));
      // A young store has no minute to look back on.
      const { callsPerSecond, errorsPerSecond } = stats.total(second * 1_000 + 999);
      expect(Math.abs(callsPerSecond / 10 - 1)).toBeLessThan(0.01);
      expect(Math.abs(errorsPerSecond / 3 - 1)).toBeLessThan(0.01);
    }
    expect(stats.total(230_000).callsPerSecond).toBeLessThan(6);
    expect(stats.services(300_000)['a']).toMatchObject({ calls: 2_000, callsPerSecond: 0, errorsPerSecond: 0 });
  });

  it('count sizes of batches', () => {
    const stats = new Stats(0);
    for (const size of [1, 200, 3]) stats.addBatch(size);
    expect(stats.batches).toEqual({ batches: 3, calls: 204, meanSize: 68, maxSize: 200 });
  });

  it('take calls of no time at all and of days', () => {
    const stats = new Stats(0);
    stats.add(record('a', 'ok', 0));
    stats.add(record('a', 'ok', 3 * 86_400_000));
    const { calls, maxMs, p50Ms, p99Ms } = stats.total(0);
    expect([calls, maxMs]).toEqual([2, 3 * 86_400_000]);
    expect(p50Ms).toBeLessThan(0.01);
    expect(Math.abs(p99Ms / 86_400_000 - 1)).toBeLessThan(0.01);
  });

  it('A1: keep a service and a tool of any name', () => {
    const stats = new Stats(0);
    stats.add(record('constructor', 'ok', 1, { tool: '__proto__' }));
    const { tools, calls } = stats.services(0)['constructor']!;
    expect([calls, Object.keys(tools)]).toEqual([1, ['__proto__']]);
  });

  it('keep figures of a thousand tools, and count what others do for their service', () => {
    const stats = new Stats(0);
    for (let i = 0; i < 1_500; i++) stats.add(record(`s${i % 2}`, 'ok', 1, { tool: `t${i}` }));
    const { s0, s1 } = stats.services(0);
    expect([s0!.calls, s1!.calls, stats.total(0).calls]).toEqual([750, 750, 1_500]);
    expect([Object.keys(s0!.tools).length, s0!.tools[OTHER_TOOLS]!.calls]).toEqual([501, 250]);
  });
});

describe('errors', () => {
  const bad = (service: string, at: number, fields: object = {}): NewRecord => ({
    ...record(service, 'not_sent', 0, { code: 'SERVICE_DOWN', ...fields }),
    startedAt: at,
  });

  it('are counted by code and by service, with those that a fallback answered', () => {
    const stats = new Stats(0);
    stats.add(record('a', 'ok', 1));
    stats.add(bad('a', 10));
    stats.add(bad('a', 20, { fallback: 'cached' }));
    stats.add(record('b', 'tool_error', 1));
    stats.add(record('b', 'unknown', 1, { code: 'TIMEOUT' }));
    const { services, ...all } = stats.errors.stats(1_000);
    const byCode = { SERVICE_DOWN: 2, TOOL_ERROR: 1, TIMEOUT: 1 };
    const now = { lastMinute: 4, minuteBefore: 0, trend: 'steady' };
    expect(all).toEqual({ total: 4, byCode, fallbacks: 1, ...now });
    expect(services['a']).toMatchObject({ total: 2, byCode: { SERVICE_DOWN: 2 }, fallbacks: 1, lastMinute: 2 });
    expect(services['b']).toMatchObject({ total: 2, fallbacks: 0 });
    expect(stats.services(1_000)['a']).toMatchObject({ fallbacks: 1, notSent: 2 });
    expect(new Stats(0).errors.stats(0)).toMatchObject({ total: 0, byCode: {}, trend: 'steady', services: {} });
  });

  it('have a trend: the last minute against the one before', () => {
    const stats = new Stats(0);
    const at = (second: number): unknown => {
      const { lastMinute, minuteBefore, trend } = stats.errors.stats(second * 1_000 + 999);
      return [lastMinute, minuteBefore, trend];
    };
    for (let second = 0; second < 120; second++) stats.add(bad('a', second * 1_000));
    expect(at(119)).toEqual([60, 60, 'steady']);
    for (let second = 120; second < 150; second++) for (let i = 0; i < 3; i++) stats.add(bad('a', second * 1_000));
    expect(at(149)).toEqual([120, 60, 'rising']);
    expect(at(209)).toEqual([0, 120, 'falling']);
    expect(at(400)).toEqual([0, 0, 'steady']);
    // Four in a minute after none may be chance, five hardly.
    for (let i = 0; i < 4; i++) stats.add(bad('a', 500_000));
    expect(at(500)).toEqual([4, 0, 'steady']);
    stats.add(bad('a', 500_000));
    expect(at(500)).toEqual([5, 0, 'rising']);
  });
});
