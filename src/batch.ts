/** Knows how many calls run together: bounded, in input order, each on its own, under one deadline. */

import { onAbort } from './_util/abort.js';
import type { Clock, Timer } from './_util/clock.js';
import type { CacheMode, CallToolResult, FallbackSource, Outcome } from './call.js';
import { asError, StoreError } from './errors.js';
import { canonicalArguments } from './service/cache-keys.js';

export interface BatchCall {
  /** `service__tool`, or a bare name that one service has. */
  tool: string;
  arguments?: Record<string, unknown>;
  /**
   * Equal calls (tool, arguments, key) with a key share one execution within the batch, and one cache entry across
   * batches while the result cache is on.
   */
  cacheKey?: string;
  /** Service of a bare name. */
  service?: string;
}

export interface BatchEntry {
  /**
   * `ok`; `tool_error`: a result with `isError`; `failed`: answered with an error; `unknown`: sent, and no answer came;
   * `not_sent`: it did not run, for whatever reason.
   */
  status: Outcome;
  result?: CallToolResult;
  error?: StoreError;
  durationMs: number;
  fromCache: boolean;
  /** Where its result is a fallback: what it is. */
  fallback?: FallbackSource;
  attempts: number;
}

export interface BatchOptions {
  /** Calls at a time. Default: `calls.batchConcurrency` (20). */
  concurrency?: number;
  /** Bounds the whole batch; what has not run by then is `not_sent`. Milliseconds; default: none but the calls' own. */
  timeoutMs?: number;
  /** Bounds each call. Milliseconds; default: the service's `callTimeoutMs`. */
  callTimeoutMs?: number;
  /** After the first entry that is not `ok`, calls that have not begun are `not_sent`. Default false. */
  stopOnError?: boolean;
  signal?: AbortSignal;
  /** Called as each entry is finished. */
  onResult?: (entry: BatchEntry & { index: number }) => void;
  cache?: CacheMode;
}

export interface BatchTotals {
  calls: number;
  ok: number;
  tool_error: number;
  failed: number;
  unknown: number;
  not_sent: number;
  fromCache: number;
}

export interface BatchResult {
  /** In input order. */
  results: BatchEntry[];
  totals: BatchTotals;
  durationMs: number;
}

/** One call of the batch as the scope makes it; never rejects. */
export type BatchRunner = (call: BatchCall, limits: { deadline: number; signal: AbortSignal }) => Promise<BatchEntry>;

export interface BatchParts {
  clock: Clock;
  run: BatchRunner;
  concurrency: number;
  /** Hears its size once it is over. */
  observe: (size: number) => void;
}

/**
 * Runs the calls with a fixed number of workers: a slow call holds up its own worker and nobody else.
 * @yields entries as they finish, each once
 */
export async function* batchStream(
  calls: readonly BatchCall[],
  options: BatchOptions,
  parts: BatchParts,
): AsyncGenerator<BatchEntry & { index: number }, void, undefined> {
  const done: (BatchEntry & { index: number })[] = [];
  let wake: (() => void) | undefined;
  const batch = new Batch(calls, options, parts, (entry) => {
    done.push(entry);
    wake?.();
  });
  batch.release();
  try {
    for (let given = 0; given < calls.length; given++) {
      if (done.length === 0)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      yield done.shift()!;
    }
  } finally {
    // Whoever stops reading wants no more calls.
    batch.stop(new StoreError('CANCELLED', 'the batch was abandoned'));
    await batch.finish();
  }
}

/** Always resolves, also on abort and deadline. */
export async function batchCall(
  calls: readonly BatchCall[],
  options: BatchOptions,
  parts: BatchParts,
): Promise<BatchResult> {
  const since = parts.clock.now();
  const gathered = new Gathered();
  const batch = new Batch(calls, options, parts, gathered.take);
  batch.release();
  await batch.finish();
  return gathered.result(parts.clock.now() - since);
}

/** The entries of a batch, put in input order and counted. */
export class Gathered {
  readonly #results: BatchEntry[] = [];
  readonly #totals: BatchTotals = { calls: 0, ok: 0, tool_error: 0, failed: 0, unknown: 0, not_sent: 0, fromCache: 0 };

  readonly take = ({ index, ...entry }: BatchEntry & { index: number }): void => {
    this.#results[index] = entry;
    this.#totals.calls++;
    this.#totals[entry.status]++;
    if (entry.fromCache) this.#totals.fromCache++;
  };

  result(durationMs: number): BatchResult {
    return { results: this.#results, totals: this.#totals, durationMs };
  }
}

/** Runs what is released of a growing list of calls; `finish` once no more comes. */
export class Batch {
  readonly #calls: readonly BatchCall[];
  readonly #options: BatchOptions;
  readonly #parts: BatchParts;
  readonly #emit: (entry: BatchEntry & { index: number }) => void;
  readonly #abort = new AbortController();
  readonly #deadline: number;
  /** Keyed calls under way or done, by tool, arguments and key. */
  readonly #keyed = new Map<string, Promise<BatchEntry>>();
  readonly #workers = new Set<Promise<void>>();
  readonly #followers = new Set<Promise<void>>();
  readonly #again: number[] = []; // whose equal failed, so that they run themselves
  readonly #timer: Timer | undefined;
  readonly #offAbort: (() => void) | undefined;
  #active = 0;
  #next = 0;
  #released = 0;
  #stopped: StoreError | undefined;

  constructor(
    calls: readonly BatchCall[],
    options: BatchOptions,
    parts: BatchParts,
    emit: (entry: BatchEntry & { index: number }) => void,
  ) {
    this.#calls = calls;
    this.#options = options;
    this.#parts = parts;
    this.#emit = emit;
    const { clock } = parts;
    const { timeoutMs, signal } = options;
    this.#deadline = timeoutMs === undefined ? Number.POSITIVE_INFINITY : clock.now() + timeoutMs;
    const abort = (): void =>
      this.stop(new StoreError('CANCELLED', 'the batch was cancelled', { cause: signal?.reason }));
    if (timeoutMs !== undefined)
      this.#timer = clock.after(timeoutMs, () => {
        this.#stopped ??= new StoreError('TIMEOUT', `the batch timed out after ${timeoutMs} ms`, {
          figures: { timeoutMs },
        });
      });
    if (signal?.aborted) abort();
    else if (signal) this.#offAbort = onAbort(signal, abort);
  }

  /** Calls that have begun or may begin. */
  get released(): number {
    return this.#released;
  }

  /** Lets all calls begin that the list has now. */
  release(): void {
    this.#released = this.#calls.length;
    this.#staff();
  }

  /** Settles when all that was released is over. */
  async finish(): Promise<void> {
    while (this.#workers.size + this.#followers.size > 0) await Promise.all([...this.#workers, ...this.#followers]);
    this.#timer?.cancel();
    this.#offAbort?.();
    this.#parts.observe(this.#calls.length);
  }

  /** Begins nothing more and cancels what runs. */
  stop(why: StoreError): void {
    this.#stopped ??= why;
    this.#abort.abort(why);
  }

  /** As many workers as there is work for. */
  #staff(): void {
    const waiting = this.#released - this.#next + this.#again.length;
    const more = Math.min(this.#parts.concurrency - this.#active, waiting);
    for (let n = 0; n < more; n++) {
      const worker: Promise<void> = this.#work().finally(() => this.#workers.delete(worker));
      this.#workers.add(worker);
    }
  }

  async #work(): Promise<void> {
    this.#active++;
    for (;;) {
      const again = this.#again.shift();
      if (again === undefined && this.#next >= this.#released) break;
      const index = again ?? this.#next++;
      const call = this.#calls[index]!;
      const key = call?.cacheKey === undefined ? undefined : keyOf(call);
      const first = key === undefined || again !== undefined ? undefined : this.#keyed.get(key);
      if (this.#stopped) this.#done(index, notSent(this.#stopped));
      else if (first !== undefined) this.#follow(index, first);
      else {
        const running = this.#run(call);
        if (key !== undefined && again === undefined) this.#keyed.set(key, running);
        this.#done(index, await running);
      }
    }
    // Not when its promise settles: more calls may be added before.
    this.#active--;
  }

  /** Waits for the result of an equal call, without a worker of its own. */
  #follow(index: number, first: Promise<BatchEntry>): void {
    const follower: Promise<void> = first
      .then((entry) => {
        if (entry.status === 'ok') return this.#done(index, { ...entry, fromCache: true, attempts: 0, durationMs: 0 });
        // Errors are nobody's to share: an equal call that failed runs again, while the batch goes on.
        const stopped = this.#stopped ?? (this.#options.stopOnError ? stoppedByEntry() : undefined);
        if (stopped) return this.#done(index, notSent(stopped));
        this.#again.push(index);
        this.#staff();
      })
      .finally(() => this.#followers.delete(follower));
    this.#followers.add(follower);
  }

  #done(index: number, entry: BatchEntry): void {
    if (this.#options.stopOnError && entry.status !== 'ok') this.#stopped ??= stoppedByEntry();
    this.#emit({ index, ...entry });
    try {
      this.#options.onResult?.({ index, ...entry });
    } catch (error) {
      // A listener that fails ends the batch: going on would repeat its failure for every entry.
      this.stop(new StoreError('CANCELLED', `onResult failed: ${asError(error).message}`, { cause: error }));
    }
  }

  #run(call: BatchCall): Promise<BatchEntry> {
    return this.#parts.run(call, { deadline: this.#deadline, signal: this.#abort.signal });
  }
}

function keyOf(call: BatchCall): string | undefined {
  const args = canonicalArguments(call.arguments ?? {});
  return args === undefined ? undefined : JSON.stringify([call.service, call.tool, call.cacheKey, args]);
}

function stoppedByEntry(): StoreError {
  return new StoreError('CANCELLED', 'the batch was stopped by an earlier entry (stopOnError)');
}

function notSent(error: StoreError): BatchEntry {
  return { status: 'not_sent', error, durationMs: 0, fromCache: false, attempts: 0 };
}
