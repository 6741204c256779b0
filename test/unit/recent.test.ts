/** Knows what the figures of late have to say: those of the last five minutes alone, of the scope that asks. */

import { expect, it } from 'vitest';
import { NewRecord } from '../../src/call.js';
import { Recent } from '../../src/observe/recent.js';

function record(service: string, endedAt: number, totalMs: number, fields: Partial<NewRecord> = {}): NewRecord {
  const made = new NewRecord(fields.scope ?? '', service, 'tool', endedAt - totalMs);
  return Object.assign(made, { totalMs, outcome: 'ok' }, fields);
}

it('counts calls, errors and latencies; what a caller cancelled is no error', () => {
  const recent = new Recent();
  expect(recent.of('a', undefined, 0)).toEqual({ calls: 0, errors: 0, meanMs: 0, p95Ms: 0, lastAt: undefined });
  recent.add(record('a', 10, 4));
  recent.add(record('a', 20, 8, { outcome: 'tool_error' }));
  recent.add(record('a', 30, 0, { outcome: 'failed', code: 'TIMEOUT' }));
  recent.add(record('a', 40, 0, { outcome: 'unknown', code: 'CANCELLED' }));
  recent.add(record('b', 50, 1));
  expect(recent.of('a', undefined, 60)).toMatchObject({ calls: 4, errors: 2, meanMs: 3, lastAt: 40 });
});

it('gives the percentile within 10 %, for a microsecond and for an hour', () => {
  const recent = new Recent();
  for (let i = 1; i <= 10_000; i++) recent.add(record('a', 1_000, i / 10));
  expect(Math.abs(recent.of('a', undefined, 1_000).p95Ms / 950 - 1)).toBeLessThan(0.1);
  for (const ms of [0.01, 0.7, 33, 4_000, 400_000]) {
    const one = new Recent();
    one.add(record('a', 500_000, ms));
    expect(Math.abs(one.of('a', undefined, 500_000).p95Ms / ms - 1), String(ms)).toBeLessThan(0.1);
  }
  const ends = new Recent();
  for (const ms of [0, 3_600_000]) ends.add(record('a', 3_600_000, ms));
  expect(ends.of('a', undefined, 3_600_000).p95Ms).toBeGreaterThan(400_000);
});

it('looks back five minutes, to the minute, and remembers the last call', () => {
  const recent = new Recent();
  const minute = 60_000;
  for (let i = 0; i < 20; i++) {
    recent.add(record('a', i * minute, i));
    const { calls, meanMs } = recent.of('a', undefined, i * minute);
    expect(calls).toBe(Math.min(i + 1, 6));
    expect(meanMs).toBe(i < 6 ? i / 2 : i - 2.5);
  }
  const end = 19 * minute;
  expect(recent.of('a', undefined, end + 5 * minute + minute - 1).calls).toBe(1);
  expect(recent.of('a', undefined, end + 6 * minute)).toMatchObject({ calls: 0, errors: 0, p95Ms: 0, lastAt: end });
});

it('keeps scopes apart', () => {
  const recent = new Recent();
  recent.add(record('a', 10, 1));
  recent.add(record('a', 20, 3, { scope: 'one', outcome: 'failed' }));
  expect(recent.of('a', undefined, 30)).toMatchObject({ calls: 2, errors: 1, meanMs: 2 });
  expect(recent.of('a', 'one', 30)).toMatchObject({ calls: 1, errors: 1, meanMs: 3, lastAt: 20 });
  expect(recent.of('a', 'two', 30)).toMatchObject({ calls: 0, lastAt: undefined });
});

it('is bounded: of 20,000 agents some count for the service alone, and the idle ones give way', () => {
  const recent = new Recent();
  for (let i = 0; i < 20_000; i++) recent.add(record('a', 1_000, 1, { scope: `agent${i}` }));
  expect(recent.of('a', undefined, 1_000).calls).toBe(20_000);
  expect(recent.of('a', 'agent19999', 1_000).calls).toBe(0);
  const later = 10 * 60_000;
  recent.add(record('a', later, 1, { scope: 'agent19999' }));
  expect(recent.of('a', 'agent19999', later).calls).toBe(1);
  expect(recent.of('a', 'agent0', later).lastAt).toBeUndefined();
});
