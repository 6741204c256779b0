/** Knows simulated time: it stands still while anything can run, then goes to the next timer. Nothing here waits. */

import type { Clock, Timer } from '../../src/_util/clock.js';
import { realImmediate } from './globals.js';
import type { Random } from './random.js';

/** Whose timer: the store's own (also those of the SDK and undici), or the simulated world's around it. */
export type Owner = 'store' | 'world';

interface Armed {
  at: number;
  order: number;
  fn: (() => void) | undefined;
  owner: Owner;
}

/** Not 0: a time of 0 reads as "never" in some data structures. */
const START_MS = 1_000_000;
/** Steps without a step of time after which a run counts as stuck, and the longest run. */
const MAX_AT_ONCE = 20_000;
const MAX_STEPS = 400_000;

export class Loop {
  now = START_MS;
  readonly armed: Record<Owner, number> = { store: 0, world: 0 };
  readonly #heap: Armed[] = [];
  #order = 0;
  #immediates: { fn: (() => void) | undefined }[] = [];
  #steps = 0;

  /** @param random - what `Clock.random` gives */
  clock(random: Random): Clock {
    return {
      now: () => this.now,
      wall: () => this.wall(),
      after: (ms, fn) => this.after(ms, fn, 'store'),
      random: () => random.next(),
    };
  }

  wall(): number {
    return 1_700_000_000_000 + Math.floor(this.now);
  }

  after(ms: number, fn: () => void, owner: Owner = 'world'): Timer {
    const timer: Armed = { at: this.now + Math.max(ms, 0), order: this.#order++, fn, owner };
    this.armed[owner]++;
    this.#push(timer);
    return {
      cancel: () => {
        if (timer.fn === undefined) return;
        timer.fn = undefined;
        this.armed[owner]--;
      },
    };
  }

  /** Runs in the next turn of the event loop, at the same time. */
  immediate(fn: () => void): { fn: (() => void) | undefined } {
    const entry = { fn };
    this.#immediates.push(entry);
    return entry;
  }

  /** Milliseconds of simulated time that a wait takes. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** Runs until `done`, or until nothing is left to run; false: the latter. @throws Error where it is stuck */
  async run(done: () => boolean): Promise<boolean> {
    let atOnce = 0;
    for (;;) {
      // One real turn: every promise and tick that is ready runs, and those that they make ready. No real time passes.
      await new Promise<void>((resolve) => realImmediate(resolve));
      if (done()) return true;
      if (++this.#steps > MAX_STEPS) throw new Error(`the run did not end within ${MAX_STEPS} steps`);
      if (++atOnce > MAX_AT_ONCE) throw new Error(`time stands still: ${MAX_AT_ONCE} steps at ${this.now}`);
      if (this.#immediates.length > 0) {
        const batch = this.#immediates;
        this.#immediates = [];
        for (const entry of batch) entry.fn?.();
        continue;
      }
      const before = this.now;
      if (!this.#fire()) return false;
      if (this.now > before) atOnce = 0;
    }
  }

  #fire(): boolean {
    for (let top = this.#pop(); top !== undefined; top = this.#pop()) {
      const { fn } = top;
      if (fn === undefined) continue;
      top.fn = undefined;
      this.armed[top.owner]--;
      this.now = Math.max(this.now, top.at);
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

  #pop(): Armed | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (heap.length === 0 || last === undefined) return top;
    heap[0] = last;
    for (let i = 0; ; ) {
      const left = 2 * i + 1;
      let least = i;
      if (left < heap.length && before(heap[left]!, heap[least]!)) least = left;
      if (left + 1 < heap.length && before(heap[left + 1]!, heap[least]!)) least = left + 1;
      if (least === i) return top;
      [heap[i], heap[least]] = [heap[least]!, heap[i]!];
      i = least;
    }
  }
}

function before(a: Armed, b: Armed): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
