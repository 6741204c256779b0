/** Knows whether V8 has collected what was let go: it does so in its own time, and nothing here hurries it. */

/**
 * An object that was held for a while has moved where the results of a cache are by then. Let go together with them, it
 * is collected with them, while the many small collections of what is young pass both by.
 */
export class Collection {
  #held: object = {};
  #waiting = 0;
  #collected = 0;
  readonly #registry = new FinalizationRegistry<number>((number) => {
    this.#collected = Math.max(this.#collected, number);
  });

  /** From now on `done` tells of what is let go now. */
  await(): void {
    this.#registry.register(this.#held, ++this.#waiting);
    this.#held = {};
  }

  get done(): boolean {
    return this.#collected === this.#waiting;
  }
}
