/** Knows time that only a test moves: timers fire in order, randomness repeats, and what is still armed is counted. */

import type { Clock, Timer } from '../../src/_util/clock.js';

interface Armed {
  readonly at: number;
  readonly order: number;
  fn: (() => void) | undefined;
}

/** Not 0: a time of 0 reads as "never" in some data structures. */
const START_MS = 1_000_000;

export class FakeClock implements Clock {
  #now = START_MS;
  #order = 0;
  #armed = 0;
  #state: number;
  /** A binary heap by time, then by order; what was cancelled stays until its turn. */
  readonly #heap: Armed[] = [];
  /** Values that `random` gives first, before its own sequence. */
  readonly randoms: number[] = [];

  constructor(seed = 1) {
    this.#state = seed;
  }

  /** Timers that were neither fired nor cancelled. */
  get timers(): number {
    return this.#armed;
  }

  now(): number {
    return this.#now;
  }

  wall(): number {
    return 1_700_000_000_000 + this.#now;
  }

  after(ms: number, fn: () => void): Timer {
    const timer: Armed = { at: this.#now + Math.max(ms, 0), order: this.#order++, fn };
    this.#armed++;
    this.#push(timer);
    return {
      cancel: () => {
        if (timer.fn === undefined) return;
        timer.fn = undefined;
        this.#armed--;
      },
    };
  }

  /** Mulberry32: the same sequence for the same seed. */
  random(): number {
    const next = this.randoms.shift();
    if (next !== undefined) return next;
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** Moves time and fires what comes due, without letting promises run in between. */
  jump(ms: number): void {
    const end = this.#now + ms;
    while (this.#fireNext(end));
    this.#now = end;
  }

  /** Moves time step by step: after each timer everything that it set going has its turn. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    while (this.#fireNext(end)) await settle();
    this.#now = end;
    await settle();
  }

  #fireNext(end: number): boolean {
    for (let top = this.#heap[0]; top !== undefined && top.at <= end; top = this.#heap[0]) {
      this.#pop();
      const { fn } = top;
      if (fn === undefined) continue;
      top.fn = undefined;
      this.#armed--;
      this.#now = Math.max(this.#now, top.at);
      fn();
      return true;
    }
    return false;
  }

  #push(timer: Armed): void {
    const heap = this.#heap;
    let i = heap.push(timer) - 1;
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (!before(heap[i]!, heap[up]!)) return;
      [heap[i], heap[up]] = [heap[up]!, heap[i]!];
      i = up;
    }
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    heap[0] = last;
    for (let i = 0; ; ) {
      const left = 2 * i + 1;
      const right = left + 1;
      let least = i;
      if (left < heap.length && before(heap[left]!, heap[least]!)) least = left;
      if (right < heap.length && before(heap[right]!, heap[least]!)) least = right;
      if (least === i) return;
      [heap[i], heap[least]] = [heap[least]!, heap[i]!];
      i = least;
    }
  }
}

function before(a: Armed, b: Armed): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** Lets every promise that is ready run, and those that these make ready. */
export async function settle(turns = 3): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** What became of a promise so far, without waiting for it. */
export function watch<T>(promise: Promise<T>): { value?: T; error?: unknown; settled: boolean } {
  const seen: { value?: T; error?: unknown; settled: boolean } = { settled: false };
  promise.then(
    (value) => {
      seen.value = value;
      seen.settled = true;
    },
    (error: unknown) => {
      seen.error = error;
      seen.settled = true;
    },
  );
  return seen;
}

/** The error of a promise that has to reject. */
export async function failure(promise: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  try {
    await promise;
  } catch (error) {
    return error as Error & Record<string, unknown>;
  }
  throw new Error('it was expected to fail');
}
