/** Knows how many calls run together: bounded, in input order, each on its own, under one deadline. */

import { onAbort } from './_util/abort.js';
import type { Clock } from './_util/clock.js';
import type { CacheMode, CallRecord, CallToolResult, Outcome } from './call.js';
import { asError, isStoreError, StoreError } from './errors.js';
import { canonicalArguments } from './service/cache.js';

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

interface Parts {
  clock: Clock;
  run: BatchRunner;
  concurrency: number;
}

/**
 * Runs the calls with a fixed number of workers: a slow call holds up its own worker and nobody else.
 * @yields entries as they finish, each once
 */
export async function* batchStream(
  calls: readonly BatchCall[],
  options: BatchOptions,
  parts: Parts,
): AsyncGenerator<BatchEntry & { index: number }, void, undefined> {
  const done: (BatchEntry & { index: number })[] = [];
  let wake: (() => void) | undefined;
  const batch = new Batch(calls, options, parts, (entry) => {
    done.push(entry);
    wake?.();
  });
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
    await batch.finished;
  }
}

/** Always resolves, also on abort and deadline. */
export async function batchCall(
  calls: readonly BatchCall[],
  options: BatchOptions,
  parts: Parts,
): Promise<BatchResult> {
  const since = parts.clock.now();
  const results: BatchEntry[] = new Array(calls.length);
  const totals: BatchTotals = {
    calls: calls.length,
    ok: 0,
    tool_error: 0,
    failed: 0,
    unknown: 0,
    not_sent: 0,
    fromCache: 0,
  };
  const batch = new Batch(calls, options, parts, ({ index, ...entry }) => {
    results[index] = entry;
    totals[entry.status]++;
    if (entry.fromCache) totals.fromCache++;
  });
  await batch.finished;
  return { results, totals, durationMs: parts.clock.now() - since };
}

class Batch {
  readonly finished: Promise<void>;
  readonly #calls: readonly BatchCall[];
  readonly #options: BatchOptions;
  readonly #parts: Parts;
  readonly #emit: (entry: BatchEntry & { index: number }) => void;
  readonly #abort = new AbortController();
  readonly #deadline: number;
  /** Keyed calls under way or done, by tool, arguments and key. */
  readonly #keyed = new Map<string, Promise<BatchEntry>>();
  #next = 0;
  #stopped: StoreError | undefined;

  constructor(
    calls: readonly BatchCall[],
    options: BatchOptions,
    parts: Parts,
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
    const timer =
      timeoutMs === undefined
        ? undefined
        : clock.after(timeoutMs, () => {
            this.#stopped ??= new StoreError('TIMEOUT', `the batch timed out after ${timeoutMs} ms`, {
              figures: { timeoutMs },
            });
          });
    if (signal?.aborted) abort();
    const offAbort = signal && !signal.aborted ? onAbort(signal, abort) : undefined;
    const workers = Array.from({ length: Math.min(parts.concurrency, calls.length) }, () => this.#work());
    this.finished = Promise.all(workers).then(() => {
      timer?.cancel();
      offAbort?.();
    });
  }

  /** Begins nothing more and cancels what runs. */
  stop(why: StoreError): void {
    this.#stopped ??= why;
    this.#abort.abort(why);
  }

  async #work(): Promise<void> {
    for (let index = this.#next++; index < this.#calls.length; index = this.#next++) {
      const entry = this.#stopped ? notSent(this.#stopped) : await this.#one(this.#calls[index]!);
      if (this.#options.stopOnError && entry.status !== 'ok') this.#stopped ??= stoppedByEntry();
      this.#emit({ index, ...entry });
      this.#report(index, entry);
    }
  }

  async #one(call: BatchCall): Promise<BatchEntry> {
    const key = call?.cacheKey === undefined ? undefined : keyOf(call);
    if (key === undefined) return this.#run(call);
    const first = this.#keyed.get(key);
    if (first === undefined) {
      const running = this.#run(call);
      this.#keyed.set(key, running);
      return running;
    }
    const entry = await first;
    if (entry.status === 'ok') return { ...entry, fromCache: true, attempts: 0, durationMs: 0 };
    // Errors are nobody's to share: an equal call that failed runs again, while the batch goes on.
    const stopped = this.#stopped ?? (this.#options.stopOnError ? stoppedByEntry() : undefined);
    return stopped ? notSent(stopped) : this.#run(call);
  }

  #run(call: BatchCall): Promise<BatchEntry> {
    return this.#parts.run(call, { deadline: this.#deadline, signal: this.#abort.signal });
  }

  #report(index: number, entry: BatchEntry): void {
    try {
      this.#options.onResult?.({ index, ...entry });
    } catch (error) {
      // A listener that fails ends the batch: going on would repeat its failure for every entry.
      this.stop(new StoreError('CANCELLED', `onResult failed: ${asError(error).message}`, { cause: error }));
    }
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

/** The entry of a call that has settled. */
export function entryOf(record: CallRecord, settled: { result: CallToolResult } | { error: unknown }): BatchEntry {
  const entry: BatchEntry = {
    status: record.outcome,
    durationMs: record.totalMs,
    fromCache: record.cache === 'hit' || record.cache === 'joined',
    attempts: record.attempts,
  };
  if ('result' in settled) entry.result = settled.result;
  else
    entry.error = isStoreError(settled.error)
      ? settled.error
      : new StoreError('PROTOCOL_ERROR', asError(settled.error).message, { cause: settled.error });
  return entry;
}
