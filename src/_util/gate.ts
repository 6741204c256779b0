/** Knows how many things may begin at a time, such as processes, and that a slow one does not hold up the rest. */

import type { Clock } from './clock.js';

/** A place is held for at most so long: what hangs must not keep others from starting. */
const HOLD_MS = 2_000;

export class Gate {
  readonly #places: number;
  readonly #clock: Clock;
  readonly #line: (() => void)[] = [];
  #taken = 0;

  constructor(places: number, clock: Clock) {
    this.#places = places;
    this.#clock = clock;
  }

  /** Runs `fn` when a place is free, first come first served; the place is given back when it ends or after 2 s. */
  async run<T>(fn: () => Promise<T>): Promise<T> {
    if (this.#taken >= this.#places) await new Promise<void>((resolve) => this.#line.push(resolve));
    else this.#taken++;
    let held = true;
    const leave = (): void => {
      if (!held) return;
      held = false;
      const waiting = this.#line.shift();
      if (waiting) waiting();
      else this.#taken--;
    };
    const timer = this.#clock.after(HOLD_MS, leave);
    try {
      return await fn();
    } finally {
      timer.cancel();
      leave();
    }
  }
}
