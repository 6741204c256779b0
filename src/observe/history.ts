/** Knows the last calls of a store, in a ring: what is kept of each, and which of them somebody asks for. */

import type { Clock } from '../_util/clock.js';
import type { Call } from '../call.js';
import type { ResolvedPerformance } from '../options.js';
import { beganAt, entryOf, fits, type HistoryEntry, Kept, type Wanted } from './history-entry.js';
import { HistoryFile } from './history-file.js';
import { jsonBytes } from './json-bytes.js';

type Options = Pick<ResolvedPerformance['monitoring'], 'enabled' | 'historySize' | 'historyFile' | 'historyArguments'>;

export interface HistoryParts {
  clock: Clock;
  options: Options;
  /** Where the file is; undefined: nothing is written. */
  folder: string | undefined;
  /** A call's arguments, which are plain data, without secrets. */
  redact: (call: Call, args: unknown) => unknown;
  /** The file could not be written; told once until it can be again. */
  onProblem: (error: Error) => void;
}

/** Longest JSON of arguments that is kept. */
const MAX_ARGUMENT_BYTES = 16 * 1024;

export class CallHistory {
  readonly #clock: Clock;
  readonly #redact: HistoryParts['redact'];
  readonly #file: HistoryFile | undefined;
  #options: Options;
  /** No longer than what was kept so far: `historySize` may be any number. */
  #ring: Kept[] = [];
  /** Where the next one goes: before it stands the newest, at it the oldest. */
  #next = 0;

  constructor({ clock, options, folder, redact, onProblem }: HistoryParts) {
    this.#clock = clock;
    this.#redact = redact;
    this.#file = folder === undefined ? undefined : new HistoryFile({ folder, clock, onProblem });
    this.#options = options;
  }

  /** Other options, from now on; of what is kept, a smaller ring takes the newest. */
  configure(options: Options): void {
    if (options.historySize !== this.#options.historySize) {
      const kept = [...this.#newestFirst()].slice(0, options.historySize).reverse();
      this.#ring = kept;
      this.#next = kept.length === options.historySize ? 0 : kept.length;
    }
    this.#options = options;
  }

  add(call: Call): void {
    const { record, params, method } = call;
    const { enabled, historySize, historyFile, historyArguments } = this.#options;
    if (!enabled) return;
    const args = method === 'tools/call' ? params['arguments'] : params;
    record.argumentBytes = jsonBytes(args);
    if (historySize === 0 && !historyFile) return;
    const text = historyArguments === 'size' ? undefined : this.#textOf(call, args, historyArguments);
    const kept = new Kept(record, this.#clock.wall(), text);
    if (historySize > 0) {
      this.#ring[this.#next] = kept;
      this.#next = this.#next + 1 === historySize ? 0 : this.#next + 1;
    }
    if (historyFile) this.#file?.add(kept);
  }

  /** Those that are kept in memory, the newest first. */
  *entries(wanted: Wanted): Generator<HistoryEntry> {
    // Whoever reads may take his time: calls that settle meanwhile move the ring.
    for (const kept of [...this.#newestFirst()]) if (fits(kept.record, beganAt(kept), wanted)) yield entryOf(kept);
  }

  /** Those of the file, of all processes that write to it, the newest first; undefined where there is none. */
  fileEntries(wanted: Wanted): AsyncGenerator<HistoryEntry> | undefined {
    return this.#file?.entries(wanted.since, (entry) => fits(entry, entry.at, wanted));
  }

  /** Writes what is still to be written. Never rejects. */
  async close(): Promise<void> {
    await this.#file?.close();
  }

  *#newestFirst(): Generator<Kept> {
    const size = this.#ring.length;
    for (let i = 1; i <= size; i++) yield this.#ring[(this.#next - i + size) % size]!;
  }

  #textOf(call: Call, args: unknown, how: 'redacted' | 'full'): string | undefined {
    const { argumentBytes } = call.record;
    // Undefined: JSON cannot carry them, which the call itself has failed for, or they are nested too deeply.
    if (argumentBytes === undefined || argumentBytes > MAX_ARGUMENT_BYTES) return undefined;
    try {
      const text = JSON.stringify(args);
      return how === 'full' || text === undefined ? text : JSON.stringify(this.#redact(call, JSON.parse(text)));
    } catch {
      // A getter or `toJSON` of the caller's own threw.
      return undefined;
    }
  }
}
