/** Knows what the figures of memory mean: those of a sample against the system's own, those of a summary by arithmetic. */

import { totalmem } from 'node:os';
import { describe, expect, it } from 'vitest';
import { childOf, type MemorySample, sampleOf, summaryOf, usedMb } from '../../src/observe/memory-figures.js';

const MB = 1024 * 1024;

it('a sample has what the system says, in megabytes', () => {
  const before = process.memoryUsage();
  const children = [childOf('a', 1, 3 * MB), childOf('b', 2, 1.5 * MB)];
  const sample = sampleOf(42, children, { meanMs: 1.234, maxMs: 5 });
  expect(sample).toMatchObject({ at: 42, loopLagMs: 1.23, loopLagMaxMs: 5, children, childrenMb: 4.5 });
  expect(Math.abs(sample.rssMb - before.rss / MB)).toBeLessThan(32);
  expect(Math.abs(sample.heapUsedMb - before.heapUsed / MB)).toBeLessThan(32);
  expect(sample.heapUsedMb).toBeLessThanOrEqual(sample.heapTotalMb);
  expect(sample.heapTotalMb).toBeLessThan(sample.heapLimitMb);
  expect(sample.arrayBuffersMb).toBeLessThanOrEqual(sample.externalMb);
  expect(sample.usedMb).toBe(sample.rssMb);
  // A container's bound may be lower than what the machine has, never higher.
  expect(sample.machineShare).toBeGreaterThanOrEqual(Math.floor((before.rss / totalmem()) * 100) / 100);
  expect(sample.machineShare).toBeLessThanOrEqual(1);
});

it('a buffer that is written to shows in every figure that has it', () => {
  const before = sampleOf(0, [], undefined);
  const buffer = Buffer.alloc(64 * MB, 1);
  const after = sampleOf(0, [], undefined, before);
  expect(buffer[0]).toBe(1);
  for (const key of ['rssMb', 'externalMb', 'arrayBuffersMb', 'usedMb'] as const)
    expect(after[key] - before[key], key).toBeGreaterThan(50);
  expect(after).toMatchObject({ childrenMb: 0, loopLagMs: undefined });
});

const at = (minutes: number, rssMb: number, childrenMb?: number): { now: number; sample: MemorySample } => ({
  now: 60_000 * minutes,
  sample: { ...sampleOf(0, undefined, undefined), rssMb, childrenMb },
});

it('a summary has the last figure, the mean, the greatest and the slope a minute', () => {
  expect(summaryOf([])).toBeUndefined();
  expect(summaryOf([at(3, 100)])).toMatchObject({
    samples: 1,
    rssMb: { current: 100, mean: 100, max: 100, trendPerMinute: undefined },
    childrenMb: undefined,
  });
  const rising = summaryOf([at(0, 100), at(1, 120), at(2, 110), at(3, 130)]);
  // Least squares by hand: Σ(x−1.5)(y−115) = 40, Σ(x−1.5)² = 5.
  expect(rising).toMatchObject({ samples: 4, rssMb: { current: 130, mean: 115, max: 130, trendPerMinute: 8 } });
  const level = summaryOf([at(0, 100, 7), at(1, 100), at(5, 100, 7)]);
  expect(level).toMatchObject({ rssMb: { trendPerMinute: 0 }, childrenMb: { current: 7, mean: 7, trendPerMinute: 0 } });
});

describe('what is in use', () => {
  const held = (rssMb: number, heapUsedMb: number, externalMb = 0) => ({ rssMb, heapUsedMb, externalMb });

  it('is RSS at first', () => {
    expect(usedMb(held(100, 40, 5))).toBe(100);
  });

  it('falls by what a collection frees, also where RSS stays, and rises again with what takes its place', () => {
    const before = { ...held(200, 100, 20), usedMb: 200 };
    const after = usedMb(held(200, 40, 10), before);
    expect(after).toBe(130);
    expect(usedMb(held(200, 70, 10), { ...held(200, 40, 10), usedMb: after })).toBe(160);
    expect(usedMb(held(260, 150, 10), { ...held(200, 40, 10), usedMb: after })).toBe(240);
  });

  it('rises with RSS where no object or buffer does, as with a library of the system', () => {
    const before = { ...held(200, 40), usedMb: 130 };
    expect(usedMb(held(230, 40), before)).toBe(160);
    expect(usedMb(held(230, 20), before)).toBe(140);
    expect(usedMb(held(230, 50), before)).toBe(160);
  });

  it('is never more than RSS, nor less than objects and buffers', () => {
    expect(usedMb(held(100, 40), { ...held(200, 40), usedMb: 180 })).toBe(100);
    expect(usedMb(held(200, 60), { ...held(200, 100), usedMb: 90 })).toBe(60);
  });
});
