/**
 * Knows how the global timers, clocks and random source of this process become the simulation's. The store's own time
 * comes from its `Clock`; this is for the SDK, undici and lru-cache, which take Node's. Only for a process of its own.
 */

import { createRequire, syncBuiltinESMExports } from 'node:module';
import type { Loop } from './loop.js';
import type { Random } from './random.js';

/** Node's own, whatever the globals are by now. */
export const realImmediate = setImmediate;

type Task = (...args: unknown[]) => void;

/** What `setTimeout` gives back, as far as anybody here uses it. */
class SimTimeout {
  readonly #arm: () => { cancel(): void };
  #timer: { cancel(): void };

  constructor(arm: () => { cancel(): void }) {
    this.#arm = arm;
    this.#timer = arm();
  }

  cancel(): void {
    this.#timer.cancel();
  }

  refresh(): this {
    this.#timer.cancel();
    this.#timer = this.#arm();
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  hasRef(): boolean {
    return true;
  }
}

interface Now {
  loop: Loop;
  random: Random;
}

let current: Now | undefined;

/** From now on this process's time is `now`'s. */
export function enter(now: Now): void {
  current = now;
}

/** Takes the globals over; once, before the SDK and undici are loaded. */
export function install(): void {
  const loop = (): Loop => current!.loop;
  const cancel = (timer: SimTimeout | undefined): void => timer?.cancel?.();
  Object.assign(globalThis, {
    setTimeout: (fn: Task, ms = 0, ...args: unknown[]) =>
      new SimTimeout(() => loop().after(Number(ms) || 1, () => fn(...args), 'store')),
    clearTimeout: cancel,
    setInterval: () => {
      throw new Error('the simulation knows no intervals');
    },
    clearInterval: cancel,
    setImmediate: (fn: Task, ...args: unknown[]) => {
      const entry = loop().immediate(() => fn(...args));
      return Object.assign(entry, { ref: () => entry, unref: () => entry, hasRef: () => true });
    },
    clearImmediate: (entry: { fn: unknown } | undefined) => {
      if (entry) entry.fn = undefined;
    },
  });
  Object.defineProperty(Date, 'now', { value: () => loop().wall() });
  Object.defineProperty(performance, 'now', { value: () => loop().now });
  Object.defineProperty(Math, 'random', { value: () => current!.random.next() });
  // How many processes start at a time depends on the machine; a replay must not.
  const os = createRequire(import.meta.url)('node:os') as { availableParallelism: () => number };
  os.availableParallelism = () => 2;
  syncBuiltinESMExports();
}
