/** Knows a line of waiters: the oldest is served first, each with its own deadline and signal, leaving in O(1). */

import { onAbort } from './abort.js';
import type { Clock, Timer } from './clock.js';

/** What bounds one wait. */
export interface WaitLimits {
  /** Monotonic milliseconds. */
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
}

class Waiter<T> {
  timer: Timer | undefined = undefined;
  offAbort: (() => void) | undefined = undefined;
  after: Waiter<T> | undefined = undefined;

  constructor(
    readonly resolve: (value: T) => void,
    readonly reject: (error: unknown) => void,
    public before: Waiter<T> | undefined,
  ) {}
}

export class WaitQueue<T> {
  readonly #clock: Clock;
  #first: Waiter<T> | undefined;
  #last: Waiter<T> | undefined;
  #size = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#size;
  }

  /** @param refuse - makes the error of a wait that ends without a value */
  wait(limits: WaitLimits, refuse: (why: 'timeout' | 'cancelled') => Error): Promise<T> {
    return new Promise((resolve, reject) => {
      if (limits.signal?.aborted) return reject(refuse('cancelled'));
      const waiter = new Waiter<T>(resolve, reject, this.#last);
      if (this.#last) this.#last.after = waiter;
      else this.#first = waiter;
      this.#last = waiter;
      this.#size++;
      const leave = (why: 'timeout' | 'cancelled'): void => {
        this.#remove(waiter);
        reject(refuse(why));
      };
      const expire = (): void => {
        const left = limits.deadline - this.#clock.now();
        if (left > 0) waiter.timer = this.#clock.after(left, expire, true);
        else leave('timeout');
      };
      // A caller waits: the process must not end before it has its answer.
      waiter.timer = this.#clock.after(limits.deadline - this.#clock.now(), expire, true);
      if (limits.signal) waiter.offAbort = onAbort(limits.signal, () => leave('cancelled'));
    });
  }

  /** Hands `value` to the oldest waiter; false where nobody waits. */
  give(value: T): boolean {
    const waiter = this.#first;
    if (waiter === undefined) return false;
    this.#remove(waiter);
    waiter.resolve(value);
    return true;
  }

  /** Ends every wait; each gets an error of its own, since the hops above write into it. */
  failAll(error: () => Error): void {
    for (let waiter = this.#first; waiter !== undefined; waiter = this.#first) {
      this.#remove(waiter);
      waiter.reject(error());
    }
  }

  #remove(waiter: Waiter<T>): void {
    if (waiter.before) waiter.before.after = waiter.after;
    else this.#first = waiter.after;
    if (waiter.after) waiter.after.before = waiter.before;
    else this.#last = waiter.before;
    // A link that stays makes each waiter that the collector took for old keep all that came after it.
    waiter.before = undefined;
    waiter.after = undefined;
    this.#size--;
    waiter.timer?.cancel();
    waiter.offAbort?.();
  }
}
