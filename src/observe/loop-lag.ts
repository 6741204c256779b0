/** Knows how late the event loop runs its timers, while somebody wants to know. */

import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

/** Its timer fires so often, and each time between two of them counts. Milliseconds. */
const RESOLUTION_MS = 20;

export interface Lag {
  /** Milliseconds. */
  meanMs: number;
  maxMs: number;
}

export class LoopLag {
  #histogram: IntervalHistogram | undefined;

  start(): void {
    if (this.#histogram) return;
    this.#histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    this.#histogram.enable();
  }

  stop(): void {
    this.#histogram?.disable();
    this.#histogram = undefined;
  }

  /** Since the look before; undefined where it does not run, or has only just begun. */
  read(): Lag | undefined {
    const histogram = this.#histogram;
    if (histogram === undefined || histogram.count === 0) return undefined;
    const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
    const lag = { meanMs: late(histogram.mean), maxMs: late(histogram.max) };
    histogram.reset();
    return lag;
  }
}
