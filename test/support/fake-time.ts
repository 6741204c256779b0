/** Knows how a load runs on time that only a test moves, and moves it until something has settled. */

import type { LoadTime } from '../../src/benchmark/load.js';
import { type FakeClock, watch } from './fake-clock.js';

/** Exact: its timers come neither early nor late. */
export const fakeTime = (clock: FakeClock): LoadTime => ({
  clock,
  until: (at) => new Promise((resolve) => void clock.after(at - clock.now(), resolve)),
});

/** Moves `clock` by a millisecond at a time until `promise` has settled, and gives what it did. */
export async function drive<T>(clock: FakeClock, promise: Promise<T>, mostMs = 100_000): Promise<T> {
  const seen = watch(promise);
  for (let ms = 0; !seen.settled && ms < mostMs; ms++) await clock.advance(1);
  if (!seen.settled) throw new Error(`it has not settled after ${mostMs} ms`);
  return promise;
}
