/** Knows the requests that are under way on one channel, by the ids that it gives them. */

/** Places for this many at first, always a power of two, and at least twice as many as are taken. */
const FEWEST = 16;

/**
 * Not a Map: V8's, when it grows or is cleared of what was deleted, leaves its old table pointing to the new one, with
 * the entries of that moment still in it. Once one such table has become old, none that follows dies young, and about
 * half of all requests, each with its answer, was left to the slow collection.
 */
export class OpenRequests<T extends { readonly id: string }> {
  #places: (T | undefined)[] = new Array(FEWEST).fill(undefined);
  #size = 0;
  #next = 0;

  get size(): number {
    return this.#size;
  }

  /** Between the ids that were given so far and those that follow. */
  get mark(): number {
    return this.#next;
  }

  /** Is any under way whose id was given before `mark`? */
  anyBefore(mark: number): boolean {
    return this.#places.some((request) => request !== undefined && numberOf(request.id) < mark);
  }

  /** An id that was never given before, for the request that is added next. */
  newId(): string {
    if (this.#size * 2 >= this.#places.length) this.#grow();
    while (this.#places[this.#placeOf(this.#next)] !== undefined) this.#next++;
    return `c${this.#next++}`;
  }

  /** @param request - its id is the one that `newId` gave last */
  add(request: T): void {
    this.#places[this.#placeOf(numberOf(request.id))] = request;
    this.#size++;
  }

  /** @param id - what came in may name any */
  get(id: unknown): T | undefined {
    if (typeof id !== 'string') return undefined;
    const request = this.#places[this.#placeOf(numberOf(id))];
    return request?.id === id ? request : undefined;
  }

  /** False where it was not under way. */
  delete(request: T): boolean {
    const place = this.#placeOf(numberOf(request.id));
    if (this.#places[place] !== request) return false;
    this.#places[place] = undefined;
    this.#size--;
    return true;
  }

  /** All of them, the oldest first. */
  all(): T[] {
    const all = this.#places.filter((request) => request !== undefined);
    return all.sort((a, b) => numberOf(a.id) - numberOf(b.id));
  }

  #placeOf(number: number): number {
    return number & (this.#places.length - 1);
  }

  #grow(): void {
    const all = this.all();
    this.#places = new Array(this.#places.length * 2).fill(undefined);
    // Those that had places of their own before do so in twice as many.
    for (const request of all) this.#places[this.#placeOf(numberOf(request.id))] = request;
  }
}

/** NaN, which leads to the first place, for what is none of ours. */
function numberOf(id: string): number {
  return Number(id.slice(1));
}
