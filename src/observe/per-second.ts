/** Knows how often something happens a second, over the last minute. */

/** Seconds that are looked back on. */
const WINDOW = 60;

export class PerSecond {
  /** Of each second, at its number modulo the window; the one that is under way has a place beside them. */
  readonly #counts = new Uint32Array(WINDOW + 1);
  /** Number of the newest second that has a place. */
  #newest = 0;

  /** @param now - monotonic milliseconds; never earlier than before */
  add(now: number): void {
    const second = Math.floor(now / 1000);
    if (second !== this.#newest) this.#advance(second);
    this.#counts[second % (WINDOW + 1)]!++;
  }

  /**
   * A second, over the last minute, or since `since` where that is later; the first second counts as a whole one.
   * @param now - monotonic milliseconds
   */
  rate(now: number, since: number): number {
    this.#advance(Math.floor(now / 1000));
    let sum = 0;
    for (const count of this.#counts) sum += count;
    // The oldest second has a part in it, as far as the newest has gone.
    const covered = WINDOW + (now / 1000 - Math.floor(now / 1000));
    return sum / Math.min(covered, Math.max(1, (now - since) / 1000));
  }

  /** Takes in what another has counted. */
  join(other: PerSecond): void {
    const newest = Math.max(this.#newest, other.#newest);
    this.#advance(newest);
    other.#advance(newest);
    for (const [i, count] of other.#counts.entries()) this.#counts[i]! += count;
  }

  #advance(second: number): void {
    if (second <= this.#newest) return;
    if (second - this.#newest > WINDOW) this.#counts.fill(0);
    else for (let gone = this.#newest + 1; gone <= second; gone++) this.#counts[gone % (WINDOW + 1)] = 0;
    this.#newest = second;
  }
}
