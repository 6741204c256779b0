/** Knows the figures of some calls: how many ended how, how fast, and how often of late. */

import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import type { CallRecord, Outcome } from '../call.js';
import type { ErrorCode } from '../errors.js';
import { PerSecond } from './per-second.js';

/**
 * Figures of some calls since the store was opened. Latencies are of whole calls, in milliseconds; percentiles are exact
 * to 1 %, and no more than 24 hours.
 */
export interface CallStats {
  calls: number;
  ok: number;
  /** Results with `isError`. */
  toolErrors: number;
  /** Answered with an error. */
  failed: number;
  /** Sent, and no answer came. */
  unknown: number;
  /** Never sent. */
  notSent: number;
  attempts: number;
  /** Attempts after the first of a call. */
  retries: number;
  cacheHits: number;
  /** Calls that failed on their way and that a fallback answered; they count by their own outcome. */
  fallbacks: number;
  /** How many calls ended with each error code. */
  errorCodes: Partial<Record<ErrorCode, number>>;
  /** Over the last minute, or the life of a younger store. */
  callsPerSecond: number;
  /** The same of those that did not end well, results with `isError` included. */
  errorsPerSecond: number;
  /** Waiting for a permit of the service, over all calls. */
  queueMeanMs: number;
  queueMaxMs: number;
  /** Waiting for a connection, over all calls. */
  connectMeanMs: number;
  connectMaxMs: number;
  meanMs: number;
  p50Ms: number;
  p90Ms: number;
  p95Ms: number;
  p99Ms: number;
  p999Ms: number;
  maxMs: number;
}

const COUNTED: Record<Outcome, 'ok' | 'toolErrors' | 'failed' | 'unknown' | 'notSent'> = {
  ok: 'ok',
  tool_error: 'toolErrors',
  failed: 'failed',
  unknown: 'unknown',
  not_sent: 'notSent',
};

const COUNTS = [
  'ok',
  'toolErrors',
  'failed',
  'unknown',
  'notSent',
  'attempts',
  'retries',
  'cacheHits',
  'fallbacks',
] as const;

function none(): Record<(typeof COUNTS)[number], number> {
  return {
    ok: 0,
    toolErrors: 0,
    failed: 0,
    unknown: 0,
    notSent: 0,
    attempts: 0,
    retries: 0,
    cacheHits: 0,
    fallbacks: 0,
  };
}

/** Upper bounds of the buckets that Prometheus is told, in milliseconds; a last one takes the rest. */
export const BUCKETS_MS: readonly number[] = [
  0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000,
];

/** In microseconds. */
const LONGEST = 24 * 3_600_000_000;

class Waits {
  sumMs = 0;
  maxMs = 0;

  add(ms: number): void {
    this.sumMs += ms;
    if (ms > this.maxMs) this.maxMs = ms;
  }

  join({ sumMs, maxMs }: Waits): void {
    this.sumMs += sumMs;
    this.maxMs = Math.max(this.maxMs, maxMs);
  }
}

export class Counter {
  readonly #counts = none();
  readonly #codes = new Map<ErrorCode, number>();
  // Two figures: 32 KB for each tool, where three take 240.
  readonly #micros: RecordableHistogram = createHistogram({ lowest: 1, highest: LONGEST, figures: 2 });
  readonly #total = new Waits();
  readonly #queue = new Waits();
  readonly #connect = new Waits();
  readonly #calls = new PerSecond();
  readonly #errors = new PerSecond();
  /** Calls up to each bound of `BUCKETS_MS`, and the rest; not cumulative. */
  readonly buckets: number[] = new Array<number>(BUCKETS_MS.length + 1).fill(0);

  /** @param now - when the call settled, in monotonic milliseconds */
  add(record: CallRecord, now: number): void {
    const counts = this.#counts;
    const { outcome, attempts, cache, code, totalMs } = record;
    counts[COUNTED[outcome]]++;
    counts.attempts += attempts;
    if (attempts > 1) counts.retries += attempts - 1;
    if (cache === 'hit' || cache === 'joined') counts.cacheHits++;
    if (record.fallback !== undefined) counts.fallbacks++;
    if (code !== undefined) this.#codes.set(code, (this.#codes.get(code) ?? 0) + 1);
    this.#total.add(totalMs);
    this.#queue.add(record.queueMs);
    this.#connect.add(record.connectMs);
    this.#calls.add(now);
    if (outcome !== 'ok') this.#errors.add(now);
    // The histogram takes whole numbers from 1 on; a microsecond is fine enough for a call.
    this.#micros.record(Math.min(Math.max(1, Math.round(totalMs * 1000)), LONGEST));
    let bucket = 0;
    while (bucket < BUCKETS_MS.length && totalMs > BUCKETS_MS[bucket]!) bucket++;
    this.buckets[bucket]!++;
  }

  /** Takes in what another has counted. */
  join(other: Counter): void {
    for (const key of COUNTS) this.#counts[key] += other.#counts[key];
    for (const [code, count] of other.#codes) this.#codes.set(code, (this.#codes.get(code) ?? 0) + count);
    this.#micros.add(other.#micros);
    this.#total.join(other.#total);
    this.#queue.join(other.#queue);
    this.#connect.join(other.#connect);
    this.#calls.join(other.#calls);
    this.#errors.join(other.#errors);
    for (const [i, count] of other.buckets.entries()) this.buckets[i]! += count;
  }

  /** Of all calls, in milliseconds. */
  get sumMs(): number {
    return this.#total.sumMs;
  }

  /**
   * @param now - monotonic milliseconds
   * @param since - when counting began
   */
  stats(now: number, since: number): CallStats {
    const { ok, toolErrors, failed, unknown, notSent } = this.#counts;
    const calls = ok + toolErrors + failed + unknown + notSent;
    const mean = ({ sumMs }: Waits): number => (calls === 0 ? 0 : sumMs / calls);
    const percentile = (share: number): number => (calls === 0 ? 0 : this.#micros.percentile(share) / 1000);
    return {
      calls,
      ...this.#counts,
      errorCodes: Object.fromEntries(this.#codes),
      callsPerSecond: this.#calls.rate(now, since),
      errorsPerSecond: this.#errors.rate(now, since),
      queueMeanMs: mean(this.#queue),
      queueMaxMs: this.#queue.maxMs,
      connectMeanMs: mean(this.#connect),
      connectMaxMs: this.#connect.maxMs,
      meanMs: mean(this.#total),
      p50Ms: percentile(50),
      p90Ms: percentile(90),
      p95Ms: percentile(95),
      p99Ms: percentile(99),
      p999Ms: percentile(99.9),
      maxMs: this.#total.maxMs,
    };
  }
}
