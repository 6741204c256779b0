/** Knows what the figures of calls have to say: every outcome counted once, latencies within a thousandth. */

import { describe, expect, it } from 'vitest';
import { NewRecord, type Outcome } from '../../src/call.js';
import { Stats } from '../../src/observe/stats.js';

function record(service: string, outcome: Outcome, totalMs: number, fields: object = {}): NewRecord {
  return { ...new NewRecord('', service, 'tool', 0), outcome, totalMs, attempts: 1, ...fields };
}

const NONE = { calls: 0, ok: 0, toolErrors: 0, failed: 0, unknown: 0, notSent: 0, attempts: 0, cacheHits: 0 };

describe('figures of calls', () => {
  it('are zeros where there was none', () => {
    const stats = new Stats();
    expect(stats.total).toEqual({ ...NONE, meanMs: 0, p50Ms: 0, p95Ms: 0, p99Ms: 0, maxMs: 0 });
    expect(stats.services).toEqual({});
  });

  it('count every outcome, attempt and cache hit, per service and in all', () => {
    const stats = new Stats();
    stats.add(record('a', 'ok', 1));
    stats.add(record('a', 'ok', 1, { cache: 'hit', attempts: 0 }));
    stats.add(record('a', 'ok', 1, { cache: 'joined', attempts: 0 }));
    stats.add(record('a', 'ok', 1, { cache: 'miss' }));
    stats.add(record('a', 'tool_error', 1));
    stats.add(record('b', 'failed', 1, { attempts: 3 }));
    stats.add(record('b', 'unknown', 1));
    stats.add(record('b', 'not_sent', 1, { attempts: 0 }));
    expect(stats.total).toMatchObject({
      calls: 8,
      ok: 4,
      toolErrors: 1,
      failed: 1,
      unknown: 1,
      notSent: 1,
      attempts: 7,
      cacheHits: 2,
    });
    expect(stats.services['a']).toMatchObject({ ...NONE, calls: 5, ok: 4, toolErrors: 1, attempts: 3, cacheHits: 2 });
    expect(stats.services['b']).toMatchObject({ ...NONE, calls: 3, failed: 1, unknown: 1, notSent: 1, attempts: 4 });
  });

  it('give latencies in milliseconds', () => {
    const stats = new Stats();
    for (let i = 1; i <= 1_000; i++) stats.add(record('a', 'ok', i / 10));
    const { meanMs, p50Ms, p95Ms, p99Ms, maxMs } = stats.total;
    const near = (value: number, expected: number): void => {
      expect(value).toBeGreaterThan(expected * 0.998);
      expect(value).toBeLessThan(expected * 1.002);
    };
    near(meanMs, 50.05);
    near(p50Ms, 50);
    near(p95Ms, 95);
    near(p99Ms, 99);
    near(maxMs, 100);
  });

  it('take calls of no time at all and of days', () => {
    const stats = new Stats();
    stats.add(record('a', 'ok', 0));
    stats.add(record('a', 'ok', 3 * 86_400_000));
    expect(stats.total.calls).toBe(2);
    expect(stats.total.maxMs).toBeGreaterThan(2.9 * 86_400_000);
    expect(stats.total.p50Ms).toBeLessThan(0.01);
  });

  it('A1: keep a service of any name', () => {
    const stats = new Stats();
    stats.add(record('constructor', 'ok', 1));
    expect(stats.services['constructor']).toMatchObject({ calls: 1 });
  });
});
