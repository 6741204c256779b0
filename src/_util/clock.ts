/** Knows where time and randomness come from, so that a whole store can run on a simulated clock. */

/** A running timer; `cancel` is idempotent. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Monotonic milliseconds since an arbitrary start; never jumps with the wall clock. */
  now(): number;
  /** Wall-clock milliseconds since the epoch: for records and files only, never for deadlines. */
  wall(): number;
  /** Runs `fn` once after `ms`. Keeps the process alive only where somebody waits for it (`keepAlive`). */
  after(ms: number, fn: () => void, keepAlive?: boolean): Timer;
  /** Uniform in [0, 1). */
  random(): number;
}

/** setTimeout fires at once for more than 2^31 - 1 ms, so longer waits are cut: whoever waits looks again. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

class SystemTimer implements Timer {
  readonly #handle: NodeJS.Timeout;

  constructor(handle: NodeJS.Timeout) {
    this.#handle = handle;
  }

  cancel(): void {
    clearTimeout(this.#handle);
  }
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(ms, fn, keepAlive = false) {
    const handle = setTimeout(fn, Math.min(Math.max(ms, 0), MAX_TIMEOUT_MS));
    if (!keepAlive) handle.unref();
    return new SystemTimer(handle);
  },
  random: () => Math.random(),
};
