/** Knows randomness that a seed decides: one stream for each purpose, so that a draw more in one leaves the others alone. */

export class Random {
  #state: number;
  readonly #seed: number;

  constructor(seed: number, label = '') {
    let hash = 2_166_136_261 ^ seed;
    for (let i = 0; i < label.length; i++) hash = Math.imul(hash ^ label.charCodeAt(i), 16_777_619);
    this.#seed = seed;
    this.#state = Math.imul(hash ^ (hash >>> 15), 2_246_822_507);
  }

  /** Another stream of the same seed. */
  fork(label: string): Random {
    return new Random(this.#seed, label);
  }

  /** Uniform in [0, 1) (Mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** A whole number from `low` to `high`, both included. */
  int(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.next() * list.length)]!;
  }

  /** One of the keys, as often as its weight says; undefined with what is left to 1. */
  weighted<K extends string>(weights: Readonly<Partial<Record<K, number>>>): K | undefined {
    let left = this.next();
    for (const key in weights) {
      left -= weights[key]!;
      if (left < 0) return key;
    }
    return undefined;
  }
}
