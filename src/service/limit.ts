/** Knows how many calls of one service run at a time, and keeps its one line of waiting calls. */

import type { Clock } from '../_util/clock.js';
import { WaitQueue } from '../_util/wait-queue.js';
import type { Call } from '../call.js';
import { StoreError } from '../errors.js';

export interface LimitOptions {
  maxConcurrentCalls: number;
  queueLimit: number;
  clock: Clock;
}

export class Limit {
  #options: LimitOptions;
  readonly #line: WaitQueue<void>;
  #running = 0;

  constructor(options: LimitOptions) {
    this.#options = options;
    this.#line = new WaitQueue(options.clock);
  }

  /** Other bounds, from now on: who waits and fits is let in; who runs beyond a smaller bound runs on. */
  configure({ maxConcurrentCalls, queueLimit }: Omit<LimitOptions, 'clock'>): void {
    this.#options = { ...this.#options, maxConcurrentCalls, queueLimit };
    while (this.#running < maxConcurrentCalls && this.#line.give()) this.#running++;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#line.size;
  }

  /** Ends every wait, when the service is closed. */
  refuse(error: () => Error): void {
    this.#line.failAll(error);
  }

  /**
   * Takes a permit: at once (`undefined`), or after a place in the line.
   * @throws StoreError `LIMIT_EXCEEDED` where the line is full; the wait rejects with `TIMEOUT` or `CANCELLED`
   */
  enter(call: Call): Promise<void> | undefined {
    if (this.#running >= this.#options.maxConcurrentCalls) return this.#wait(call);
    this.#running++;
    return undefined;
  }

  /** Gives the permit back: straight to the oldest waiter, so nobody can overtake it. */
  leave(): void {
    if (this.#running > this.#options.maxConcurrentCalls || !this.#line.give()) this.#running--;
  }

  #wait(call: Call): Promise<void> {
    if (this.#line.size >= this.#options.queueLimit) throw this.#full();
    return this.#line.wait(call, (why) =>
      why === 'cancelled'
        ? new StoreError('CANCELLED', 'cancelled by the caller', { cause: call.signal?.reason })
        : this.#timedOut(call),
    );
  }

  #full(): StoreError {
    const { running, waiting, maxConcurrentCalls, queueLimit } = this.#figures;
    const run = running === 1 ? '1 call runs' : `${running} calls run`;
    const wait = waiting === 1 ? '1 waits' : `${waiting} wait`;
    const message = `${run} (max ${maxConcurrentCalls}) and ${wait} (queueLimit ${queueLimit})`;
    return new StoreError('LIMIT_EXCEEDED', message, {
      figures: this.#figures,
      hint: 'Call less at a time, or raise calls.queueLimit.',
    });
  }

  #timedOut({ timeoutMs }: Call): StoreError {
    const { running, waiting, maxConcurrentCalls } = this.#figures;
    const where = `running ${running}, max ${maxConcurrentCalls}, waiting ${waiting}`;
    return new StoreError('TIMEOUT', `timed out after ${timeoutMs} ms in the queue (${where})`, {
      figures: { ...this.#figures, timeoutMs },
    });
  }

  get #figures(): { running: number; waiting: number; maxConcurrentCalls: number; queueLimit: number } {
    const { maxConcurrentCalls, queueLimit } = this.#options;
    return { running: this.#running, waiting: this.#line.size, maxConcurrentCalls, queueLimit };
  }
}
