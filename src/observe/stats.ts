/** Knows counts and latencies per service, made from the records of settled calls. */

import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import type { CallRecord, Outcome } from '../call.js';

/** Calls of one service, or of all. Latencies in milliseconds, of whole calls, over the life of the store. */
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
  cacheHits: number;
  meanMs: number;
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
  maxMs: number;
}

const COUNTED: Record<Outcome, 'ok' | 'toolErrors' | 'failed' | 'unknown' | 'notSent'> = {
  ok: 'ok',
  tool_error: 'toolErrors',
  failed: 'failed',
  unknown: 'unknown',
  not_sent: 'notSent',
};

class Counter {
  readonly counts = { ok: 0, toolErrors: 0, failed: 0, unknown: 0, notSent: 0, attempts: 0, cacheHits: 0 };
  readonly #micros: RecordableHistogram = createHistogram();

  add(record: CallRecord): void {
    this.counts[COUNTED[record.outcome]]++;
    this.counts.attempts += record.attempts;
    if (record.cache === 'hit' || record.cache === 'joined') this.counts.cacheHits++;
    // The histogram takes whole numbers from 1 on; a microsecond is fine enough for a call.
    this.#micros.record(Math.max(1, Math.round(record.totalMs * 1000)));
  }

  /** Takes in what another has counted. */
  join(other: Counter): void {
    for (const key of Object.keys(this.counts) as (keyof typeof this.counts)[]) this.counts[key] += other.counts[key];
    this.#micros.add(other.#micros);
  }

  get stats(): CallStats {
    const { ok, toolErrors, failed, unknown, notSent } = this.counts;
    const histogram = this.#micros;
    const calls = ok + toolErrors + failed + unknown + notSent;
    const ms = (micros: number): number => (calls === 0 ? 0 : micros / 1000);
    return {
      calls,
      ...this.counts,
      meanMs: ms(histogram.mean),
      p50Ms: ms(histogram.percentile(50)),
      p95Ms: ms(histogram.percentile(95)),
      p99Ms: ms(histogram.percentile(99)),
      maxMs: ms(histogram.max),
    };
  }
}

export class Stats {
  readonly #services = new Map<string, Counter>();

  add(record: CallRecord): void {
    let counter = this.#services.get(record.service);
    if (counter === undefined) {
      counter = new Counter();
      this.#services.set(record.service, counter);
    }
    counter.add(record);
  }

  /** Joined when somebody asks: a call is counted once. */
  get total(): CallStats {
    const total = new Counter();
    for (const counter of this.#services.values()) total.join(counter);
    return total.stats;
  }

  /** Services that were called. */
  get services(): Record<string, CallStats> {
    return Object.fromEntries([...this.#services].map(([name, counter]) => [name, counter.stats]));
  }
}
