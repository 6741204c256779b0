/** Knows how the calls of each service went of late: counts, mean and percentile over the last minutes. */

import { type CallRecord, didFail } from '../call.js';

const SLICE_MS = 60_000;
/** The minute that is under way, and the five before it. */
const SLICES = 6;
/** A call counts no longer than that. */
export const RECENT_MS = SLICES * SLICE_MS;

/** Buckets of latencies, four an octave: a percentile is exact to 9 %. From a microsecond to nine minutes. */
const PER_OCTAVE = 4;
const BUCKETS = 30 * PER_OCTAVE;
/** Pairs of a scope and a service with figures of their own: at most 3 KB each. */
const MAX_PAIRS = 5_000;

/** Figures of the calls that settled within the last minutes. */
export interface RecentFigures {
  calls: number;
  errors: number;
  meanMs: number;
  p95Ms: number;
  /** Monotonic time of the last call's end, however long ago. */
  lastAt: number | undefined;
}

class Slice {
  minute = -1;
  calls = 0;
  errors = 0;
  sumMs = 0;
  readonly buckets = new Uint32Array(BUCKETS);

  begin(minute: number): void {
    this.minute = minute;
    this.calls = 0;
    this.errors = 0;
    this.sumMs = 0;
    this.buckets.fill(0);
  }
}

class Pair {
  lastAt = 0;
  /** By the minute modulo their number; made when they are needed. */
  readonly slices: (Slice | undefined)[] = new Array<Slice | undefined>(SLICES).fill(undefined);

  add(record: CallRecord, now: number): void {
    this.lastAt = now;
    const minute = Math.floor(now / SLICE_MS);
    let slice = this.slices[minute % SLICES];
    if (slice === undefined) {
      slice = new Slice();
      this.slices[minute % SLICES] = slice;
    }
    if (slice.minute !== minute) slice.begin(minute);
    slice.calls++;
    if (didFail(record)) slice.errors++;
    slice.sumMs += record.totalMs;
    slice.buckets[bucketOf(record.totalMs)]!++;
  }
}

export class Recent {
  /** By service, then by scope. */
  readonly #services = new Map<string, Map<string, Pair>>();
  #pairs = 0;

  add(record: CallRecord): void {
    const now = record.startedAt + record.totalMs;
    const scopes = this.#services.get(record.service);
    const pair = scopes?.get(record.scope) ?? this.#newPair(record, now);
    pair.add(record, now);
  }

  /** @param scope - undefined: the calls of all scopes */
  of(service: string, scope: string | undefined, now: number): RecentFigures {
    const scopes = this.#services.get(service);
    const pairs = scopes === undefined ? [] : scope === undefined ? [...scopes.values()] : [scopes.get(scope)];
    const first = Math.floor(now / SLICE_MS) - SLICES + 1;
    const buckets = new Uint32Array(BUCKETS);
    let [calls, errors, sumMs] = [0, 0, 0];
    let lastAt: number | undefined;
    for (const pair of pairs) {
      if (pair === undefined) continue;
      lastAt = Math.max(lastAt ?? 0, pair.lastAt);
      for (const slice of pair.slices) {
        if (slice === undefined || slice.minute < first) continue;
        calls += slice.calls;
        errors += slice.errors;
        sumMs += slice.sumMs;
        for (let i = 0; i < BUCKETS; i++) buckets[i]! += slice.buckets[i]!;
      }
    }
    return { calls, errors, meanMs: calls === 0 ? 0 : sumMs / calls, p95Ms: percentile(buckets, calls, 0.95), lastAt };
  }

  #newPair(record: CallRecord, now: number): Pair {
    if (this.#pairs >= MAX_PAIRS) this.#forgetIdle(now);
    const scopes = this.#services.get(record.service) ?? new Map<string, Pair>();
    this.#services.set(record.service, scopes);
    // Where there are too many, what agents do counts for the service alone.
    const scope = this.#pairs >= MAX_PAIRS ? '' : record.scope;
    const known = scopes.get(scope);
    if (known) return known;
    const pair = new Pair();
    scopes.set(scope, pair);
    this.#pairs++;
    return pair;
  }

  #forgetIdle(now: number): void {
    for (const [service, scopes] of this.#services) {
      for (const [scope, { lastAt }] of scopes) if (now - lastAt > RECENT_MS && scopes.delete(scope)) this.#pairs--;
      if (scopes.size === 0) this.#services.delete(service);
    }
  }
}

function bucketOf(ms: number): number {
  // In microseconds; what takes less is a microsecond, what takes more than the last bucket is in it.
  return ms <= 0.001 ? 0 : Math.min(BUCKETS - 1, Math.floor(Math.log2(ms * 1_000) * PER_OCTAVE));
}

function percentile(buckets: Uint32Array, calls: number, share: number): number {
  let left = Math.ceil(calls * share);
  if (left === 0) return 0;
  let i = 0;
  while (left > buckets[i]!) left -= buckets[i++]!;
  // The middle of its bucket, by ratio.
  return 2 ** ((i + 0.5) / PER_OCTAVE) / 1_000;
}
