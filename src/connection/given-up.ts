/** Knows who gave up a request that its server may still be working on, and asking for. */

import type { Clock } from '../_util/clock.js';
import type { Asker } from '../call.js';

/** So long after it was given up, a request may still be asked for. Milliseconds. */
const GIVEN_UP_MS = 60_000;

export class GivenUp {
  readonly #clock: Clock;
  /** In the order of their times. */
  readonly #last = new Map<Asker, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(asker: Asker): void {
    const now = this.#clock.now();
    this.#last.delete(asker);
    this.#last.set(asker, now);
    for (const [old, at] of this.#last) {
      if (now - at <= GIVEN_UP_MS) break;
      this.#last.delete(old);
    }
  }

  /** Did anyone else give up a request, not long ago? */
  otherThan(asker: Asker): boolean {
    const since = this.#clock.now() - GIVEN_UP_MS;
    for (const [other, at] of this.#last) if (other !== asker && at >= since) return true;
    return false;
  }
}
