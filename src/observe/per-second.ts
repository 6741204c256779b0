/** Knows how often something happens a second, over the last minute or a longer while. */

export class PerSecond {
  /** Of each second, at its number modulo the window; the one that is under way has a place beside them. */
  readonly #counts: Uint32Array;
  /** Number of the newest second that has a place. */
  #newest = 0;

  /** @param window - seconds that are looked back on */
  constructor(window = 60) {
    this.#counts = new Uint32Array(window + 1);
  }

  /** @param now - monotonic milliseconds; never earlier than before */
  add(now: number): void {
    const second = Math.floor(now / 1000);
    if (second !== this.#newest) this.#advance(second);
    this.#counts[second % this.#counts.length]!++;
  }

  /**
   * A second, over the whole window, or since `since` where that is later; the first second counts as a whole one.
   * @param now - monotonic milliseconds
   */
  rate(now: number, since: number): number {
    this.#advance(Math.floor(now / 1000));
    let sum = 0;
    for (const count of this.#counts) sum += count;
    // The oldest second has a part in it, as far as the newest has gone.
    const covered = this.#counts.length - 1 + (now / 1000 - Math.floor(now / 1000));
    return sum / Math.min(covered, Math.max(1, (now - since) / 1000));
  }

  /**
   * How many in the seconds that lie back so far; the one that is under way counts as 0.
   * @param now - monotonic milliseconds
   * @param from - the newest of them
   * @param to - the oldest of them, within the window
   */
  count(now: number, from: number, to: number): number {
    this.#advance(Math.floor(now / 1000));
    let sum = 0;
    for (let back = from; back <= to; back++) {
      const second = this.#newest - back;
      if (second >= 0) sum += this.#counts[second % this.#counts.length]!;
    }
    return sum;
  }

  /** Takes in what another of the same window has counted. */
  join(other: PerSecond): void {
    const newest = Math.max(this.#newest, other.#newest);
    this.#advance(newest);
    other.#advance(newest);
    for (const [i, count] of other.#counts.entries()) this.#counts[i]! += count;
  }

  #advance(second: number): void {
    if (second <= this.#newest) return;
    const { length } = this.#counts;
    if (second - this.#newest >= length) this.#counts.fill(0);
    else for (let gone = this.#newest + 1; gone <= second; gone++) this.#counts[gone % length] = 0;
    this.#newest = second;
  }
}
