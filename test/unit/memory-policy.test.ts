/** Knows which step follows when too much memory is in use: the order, what each waits for, and when there is none. */

import { expect, it } from 'vitest';
import { CALM, cooled, type MemoryLook, nextStep, type Pressure } from '../../src/observe/memory-policy.js';

const look = (usedMb: number, more: Partial<MemoryLook> = {}): MemoryLook => ({
  now: 1_000,
  usedMb,
  thresholdMb: 500,
  judged: true,
  ...more,
});

it('does nothing at the threshold or below', () => {
  for (const usedMb of [0, 450, 499, 500]) expect(nextStep(CALM, look(usedMb))).toEqual({ pressure: CALM });
});

it('trims, clears and closes what is idle, one after the other, and then says that nothing is left', () => {
  let pressure: Pressure = CALM;
  const done: unknown[] = [];
  for (let i = 0; i < 6; i++) {
    const next = nextStep(pressure, look(600));
    pressure = next.pressure;
    done.push(next.step ?? next.news);
  }
  expect(done).toEqual(['trim', 'clear', 'idle', 'spent', undefined, undefined]);
});

it('takes no step before the last one can be judged, nor before it has cooled down', () => {
  const { pressure } = nextStep(CALM, look(600));
  const waiting = cooled(pressure, 5_000);
  expect(nextStep(waiting, look(600, { now: 9_000, judged: false }))).toEqual({ pressure: waiting });
  expect(nextStep(waiting, look(600, { now: 4_999 }))).toEqual({ pressure: waiting });
  expect(nextStep(waiting, look(600, { now: 5_000 })).step).toBe('clear');
});

it('goes on below the threshold, until a tenth of it is free', () => {
  const { pressure } = nextStep(CALM, look(501));
  expect(nextStep(pressure, look(450)).step).toBe('clear');
  expect(nextStep(pressure, look(449))).toEqual({ pressure: CALM, news: 'relieved' });
});

it('keeps cool after it was relieved: no step follows at once on the next rise', () => {
  const { pressure } = nextStep(cooled(nextStep(CALM, look(600)).pressure, 5_000), look(400));
  expect(nextStep(pressure, look(600, { now: 4_999 })).step).toBeUndefined();
  expect(nextStep(pressure, look(600, { now: 5_000 })).step).toBe('trim');
});

it('does not repeat a round in vain while nothing changes: the program is big, and the store is not why', () => {
  const spent: Pressure = { ...CALM, spentMb: 800 };
  for (const usedMb of [800, 500, 450, 850]) expect(nextStep(spent, look(usedMb))).toEqual({ pressure: spent });
  expect(nextStep(spent, look(851)).step).toBe('trim');
  expect(nextStep(spent, look(449))).toEqual({ pressure: CALM, news: 'relieved' });
});
