/** Knows how fast an endpoint answers: a moving mean that forgets. */

/** Share of the newest sample in the mean. */
const NEWEST = 0.2;
/** With no sample the mean sinks to 1/e in so long: an endpoint that was slow is tried again. */
const FORGET_MS = 10_000;

export class Latency {
  #mean = 0;
  #at = 0;

  observe(ms: number, now: number): void {
    this.#mean = this.#at === 0 ? ms : this.at(now) * (1 - NEWEST) + ms * NEWEST;
    this.#at = now;
  }

  /** Milliseconds; 0 where nothing is known. */
  at(now: number): number {
    return this.#mean === 0 ? 0 : this.#mean * Math.exp((this.#at - now) / FORGET_MS);
  }
}
