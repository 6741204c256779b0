/** Knows what the iterations of one run became: counts, latencies, and the figures that are made of them. */

import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { fallbackOf } from '../call.js';
import { isStoreError } from '../errors.js';
import { medianRanks } from './interval.js';
import type { Ended } from './load.js';

/** Latencies of one range: `fromMs` and above, below `toMs`. */
export interface LatencyBucket {
  fromMs: number;
  toMs: number;
  count: number;
}

/** Figures of the calls of one run. Latencies are of those that succeeded, NaN (`null` in JSON) where none did. */
export interface Figures {
  /** Calls measured, however they ended. */
  iterations: number;
  meanMs: number;
  minMs: number;
  maxMs: number;
  /** Percentiles to three significant digits. */
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
  /** 95 % confidence interval of `p50Ms`, by order statistics; NaN below 6 calls. Takes calls for independent. */
  p50IntervalMs: readonly [low: number, high: number];
  /** Calls that succeeded, by the time from the first one's begin to the last one's end. */
  callsPerSecond: number;
  /** Calls that threw, or that a fallback answered. */
  errors: number;
  /** Calls whose result has `isError`. */
  toolErrors: number;
  /** Calls that succeeded ÷ `iterations`, from 0 to 1. */
  successRate: number;
  /** Time from the first call's begin to the last one's end, in milliseconds. */
  durationMs: number;
  /** How often each error came: by `code` of a StoreError, else by the error's name. */
  errorCodes: Record<string, number>;
  /** How latencies are spread; each range is 19 % wide (a quarter of a doubling), from the least to the greatest. */
  histogram: LatencyBucket[];
}

/** Ranges of the histogram for each doubling. */
const STEPS = 4;
const NS_PER_MS = 1_000_000;

export class Sample {
  readonly #ns: RecordableHistogram = createHistogram();
  readonly #buckets = new Map<number, number>();
  readonly #codes: Record<string, number> = {};
  #sum = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = 0;
  #ok = 0;
  #errors = 0;
  #toolErrors = 0;

  add(latencyMs: number, ended: Ended): void {
    // What a fallback answered, the service did not.
    const code = 'thrown' in ended ? codeOf(ended.thrown) : fallbackOf(ended.result)?.code;
    if (code !== undefined) {
      this.#errors++;
      this.#codes[code] = (this.#codes[code] ?? 0) + 1;
    } else if ('result' in ended && isToolError(ended.result)) this.#toolErrors++;
    else {
      this.#ok++;
      this.#sum += latencyMs;
      this.#min = Math.min(this.#min, latencyMs);
      this.#max = Math.max(this.#max, latencyMs);
      // The histogram takes whole numbers from 1 on.
      const ns = Math.max(1, Math.round(latencyMs * NS_PER_MS));
      this.#ns.record(ns);
      const bucket = Math.floor(Math.log2(ns / NS_PER_MS) * STEPS);
      this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + 1);
    }
  }

  /** @param durationMs - from the first call's begin to the last one's end */
  figures(durationMs: number): Figures {
    const iterations = this.#ok + this.#errors + this.#toolErrors;
    const none = this.#ok === 0;
    const ranks = medianRanks(this.#ok);
    return {
      iterations,
      meanMs: none ? Number.NaN : this.#sum / this.#ok,
      minMs: none ? Number.NaN : this.#min,
      maxMs: none ? Number.NaN : this.#max,
      p50Ms: this.#percentile(50),
      p95Ms: this.#percentile(95),
      p99Ms: this.#percentile(99),
      p50IntervalMs: ranks ? [this.#ranked(ranks[0]), this.#ranked(ranks[1])] : [Number.NaN, Number.NaN],
      callsPerSecond: this.#ok / (durationMs / 1000),
      errors: this.#errors,
      toolErrors: this.#toolErrors,
      successRate: this.#ok / iterations,
      durationMs,
      errorCodes: { ...this.#codes },
      histogram: this.#histogram(),
    };
  }

  /** The histogram gives the end of the range in which a value lies, which may be beyond all values. */
  #percentile(percent: number): number {
    if (this.#ok === 0) return Number.NaN;
    return Math.min(this.#max, Math.max(this.#min, this.#ns.percentile(percent) / NS_PER_MS));
  }

  /** The value of a rank, from 1 on. */
  #ranked(rank: number): number {
    return this.#percentile((100 * rank) / this.#ok);
  }

  #histogram(): LatencyBucket[] {
    const indexes = [...this.#buckets.keys()].sort((a, b) => a - b);
    const buckets: LatencyBucket[] = [];
    for (let i = indexes[0] ?? 0; i <= (indexes.at(-1) ?? -1); i++)
      buckets.push({ fromMs: 2 ** (i / STEPS), toMs: 2 ** ((i + 1) / STEPS), count: this.#buckets.get(i) ?? 0 });
    return buckets;
  }
}

function codeOf(thrown: unknown): string {
  if (isStoreError(thrown)) return thrown.code;
  return thrown instanceof Error ? thrown.name : 'Error';
}

/** A result with `isError`, or a batch of which not every call succeeded. */
function isToolError(result: unknown): boolean {
  if (typeof result !== 'object' || result === null) return false;
  const { isError, totals, results } = result as Record<string, unknown>;
  if (isError === true) return true;
  const ok = (totals as Record<string, unknown> | undefined)?.['ok'];
  return Array.isArray(results) && typeof ok === 'number' && ok < results.length;
}
