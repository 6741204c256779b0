/** Knows a line of waiters: the oldest is served first, each with its own deadline and signal, leaving in O(1). */

import { onAbort } from './abort.js';
import type { Clock, Timer } from './clock.js';

/** What bounds one wait. */
export interface WaitLimits {
  /** Monotonic milliseconds. */
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
}

type Refuse = (why: 'timeout' | 'cancelled') => Error;

class Waiter<T> {
  offAbort: (() => void) | undefined = undefined;
  after: Waiter<T> | undefined = undefined;

  constructor(
    readonly deadline: number,
    readonly refuse: Refuse,
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
  /** One for all, at the earliest deadline or before it: who waits behind a busy service mostly does not time out. */
  #timer: Timer | undefined;
  #timerAt = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#size;
  }

  /** @param refuse - makes the error of a wait that ends without a value */
  wait({ deadline, signal }: WaitLimits, refuse: Refuse): Promise<T> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(refuse('cancelled'));
      const waiter = new Waiter<T>(deadline, refuse, resolve, reject, this.#last);
      if (this.#last) this.#last.after = waiter;
      else this.#first = waiter;
      this.#last = waiter;
      this.#size++;
      this.#arm(deadline);
      if (signal)
        waiter.offAbort = onAbort(signal, () => {
          this.#remove(waiter);
          reject(refuse('cancelled'));
        });
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
    waiter.offAbort?.();
    if (this.#size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(deadline: number): void {
    if (this.#timer !== undefined && deadline >= this.#timerAt) return;
    this.#timer?.cancel();
    this.#timerAt = deadline;
    // A caller waits: the process must not end before it has its answer.
    this.#timer = this.#clock.after(deadline - this.#clock.now(), () => this.#sweep(), true);
  }

  #sweep(): void {
    this.#timer = undefined;
    const now = this.#clock.now();
    let next = Number.POSITIVE_INFINITY;
    for (let waiter = this.#first; waiter !== undefined; ) {
      const { after } = waiter;
      if (waiter.deadline > now) next = Math.min(next, waiter.deadline);
      else {
        this.#remove(waiter);
        waiter.reject(waiter.refuse('timeout'));
      }
      waiter = after;
    }
    if (this.#size > 0) this.#arm(next);
  }
}
