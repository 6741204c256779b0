/** Knows how many lines on stdout were no messages, per service, and which of them a log needs. */

/** So many at first, then each that makes a power of ten: a server that prints all day does not fill the log. */
const FIRST = 3;

export class Noise {
  readonly #counts = new Map<string, number>();

  /** Counts a line of this service. Gives its number where it is to be logged. */
  count(service: string): number | undefined {
    const count = (this.#counts.get(service) ?? 0) + 1;
    this.#counts.set(service, count);
    return count <= FIRST || /^10+$/.test(String(count)) ? count : undefined;
  }
}
