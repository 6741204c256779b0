/** Knows the result cache: what may be stored, how long, that equal misses run once, and each call's last good result. */

import { LRUCache } from 'lru-cache';
import type { Clock } from '../_util/clock.js';
import { frozenSize } from '../_util/frozen.js';
import { WaitQueue } from '../_util/wait-queue.js';
import type { Call, CallResult, Handler } from '../call.js';
import { isStoreError, StoreError } from '../errors.js';
import type { ResolvedPerformance } from '../options.js';
import { canonicalArguments, field } from './cache-keys.js';

/** A larger result is passed on and never stored. */
const MAX_RESULT_BYTES = 1024 * 1024;
/** Entries live within ± this share of their ttl, so that those stored together do not expire together. */
const TTL_SPREAD = 0.1;

/** Figures of the store's cache. */
export interface CacheStats {
  hits: number;
  misses: number;
  /** Calls that waited for an equal one already under way. */
  joined: number;
  evictions: number;
  entries: number;
  bytes: number;
}

type CacheBounds = Pick<ResolvedPerformance['resultCache'], 'maxEntries' | 'maxBytes'>;

/** What `clearCache` drops; no field: everything. */
export interface CacheFilter {
  service?: string;
  tool?: string;
}

interface Entry {
  readonly result: CallResult;
  readonly scope: string;
  readonly service: string;
  readonly tool: string;
  readonly bytes: number;
  /** Of a last good result, when it came, in monotonic milliseconds; undefined for what answers equal calls. */
  readonly lastAt?: number;
}

/**
 * One execution that equal calls wait for. A waiter gets its result, or the lead where the leader failed. Once dropped,
 * it goes on for those that wait already, and is neither joined nor stored: it was asked for before the drop.
 */
interface Flight {
  readonly scope: string;
  readonly service: string;
  readonly tool: string;
  readonly joiners: WaitQueue<CallResult | 'lead'>;
}

export class ResultCache {
  readonly #clock: Clock;
  #entries: LRUCache<string, Entry>;
  #bounds: CacheBounds;
  readonly #flights = new Map<string, Flight>();
  #hits = 0;
  #misses = 0;
  #joined = 0;
  #evictions = 0;
  /** Who wants every call to reach its server. */
  #suspended = 0;
  /** When results were last dropped by `clear`, in monotonic milliseconds. */
  #clearedAt = Number.NEGATIVE_INFINITY;

  constructor(bounds: CacheBounds, clock: Clock) {
    this.#clock = clock;
    this.#bounds = bounds;
    this.#entries = this.#made(bounds);
  }

  /** Other bounds, from now on; what does not fit goes, the least used first. */
  configure({ maxEntries, maxBytes }: CacheBounds): void {
    if (maxEntries === this.#bounds.maxEntries && maxBytes === this.#bounds.maxBytes) return;
    this.#bounds = { maxEntries, maxBytes };
    const kept = this.#entries.dump();
    this.#entries = this.#made(this.#bounds);
    this.#entries.load(kept);
  }

  #made({ maxEntries, maxBytes }: CacheBounds): LRUCache<string, Entry> {
    return new LRUCache<string, Entry>({
      max: maxEntries,
      maxSize: maxBytes,
      sizeCalculation: (entry) => entry.bytes,
      perf: this.#clock,
      ttl: 1,
      ttlResolution: 0,
      dispose: (_entry, _key, reason) => {
        if (reason === 'evict') this.#evictions++;
      },
    });
  }

  stats(): CacheStats {
    return {
      hits: this.#hits,
      misses: this.#misses,
      joined: this.#joined,
      evictions: this.#evictions,
      entries: this.#entries.size,
      bytes: this.#entries.calculatedSize,
    };
  }

  /** Drops what `filter` names; returns how many. */
  clear(filter: CacheFilter & { scope?: string } = {}): number {
    this.#clearedAt = this.#clock.now();
    const named = ({ scope, service, tool }: Entry | Flight): boolean =>
      (filter.scope === undefined || filter.scope === scope) &&
      (filter.service === undefined || filter.service === service) &&
      (filter.tool === undefined || filter.tool === tool);
    return this.#drop(named, named);
  }

  /** Nothing of this service answers calls any more, but as a last good result: that one says how old it is. */
  outdate(service: string, except?: Flight): void {
    this.#drop(
      (entry) => entry.service === service && entry.lastAt === undefined,
      (flight) => flight.service === service && flight !== except,
    );
  }

  #drop(entries: (entry: Entry) => boolean, flights: (flight: Flight) => boolean): number {
    let dropped = 0;
    for (const [key, entry] of this.#entries.entries()) {
      if (!entries(entry)) continue;
      this.#entries.delete(key);
      dropped++;
    }
    for (const [key, flight] of this.#flights) if (flights(flight)) this.#flights.delete(key);
    return dropped;
  }

  /**
   * Keeps the result of a call that went well as its last good one, in place of the one before. What may not be stored,
   * such as a failed result or that of a call with `meta`, is not kept here either; nor is what was asked for before
   * somebody cleared the cache.
   */
  keep(call: Call, result: CallResult): void {
    const { scope, service, tool, cache, asked, startedAt } = call.record;
    const key = this.#keyOf(call);
    if (key === undefined || startedAt < this.#clearedAt) return;
    if (asked > 0 || cache === 'hit' || cache === 'joined') return;
    const bytes = frozenSize(result);
    if (bytes === undefined || !storable(result, bytes)) return;
    this.#entries.set(lastKey(key), { result, scope, service, tool, bytes, lastAt: this.#clock.now() }, { ttl: 0 });
  }

  /** The last good result of an equal call, and how old it is in milliseconds. */
  last(call: Call): { result: CallResult; ageMs: number } | undefined {
    const key = this.#keyOf(call);
    const entry = key === undefined ? undefined : this.#entries.get(lastKey(key));
    return entry && { result: entry.result, ageMs: this.#clock.now() - entry.lastAt! };
  }

  /** Drops the least used results until those that are left have at most `maxBytes`; what is under way goes on. */
  trim(maxBytes: number): { entries: number; bytes: number } {
    const { size, calculatedSize } = this.#entries;
    while (this.#entries.calculatedSize > maxBytes) this.#entries.pop();
    return { entries: size - this.#entries.size, bytes: calculatedSize - this.#entries.calculatedSize };
  }

  /** Until the returned function is called, every call is as one with `'bypass'`; what is kept stays. */
  suspend(): () => void {
    this.#suspended++;
    let resumed = false;
    return () => {
      if (!resumed) this.#suspended--;
      resumed = true;
    };
  }

  /** `next` behind the cache. `ttlMs` is the service's own. */
  around(next: Handler, ttlMs: number): Handler {
    return (call) => {
      const mode = call.cache;
      const own = typeof mode === 'object' ? mode : undefined;
      const key = call.cacheable || own?.key !== undefined ? this.#keyOf(call) : undefined;
      if (key === undefined) return this.#past(next, call);
      if (mode !== 'refresh') {
        const hit = this.#entries.get(key);
        if (hit !== undefined) {
          this.#hits++;
          call.record.cache = 'hit';
          return Promise.resolve(hit.result);
        }
      }
      const flight = mode === 'refresh' ? undefined : this.#flights.get(key);
      return flight
        ? this.#join(flight, key, next, call, own?.ttlMs ?? ttlMs)
        : this.#lead(key, next, call, own?.ttlMs ?? ttlMs);
    };
  }

  /** Where equal calls meet; undefined for a call that wants nothing of it, or of which equality cannot be told. */
  #keyOf({ cache, cachePrefix, params }: Call): string | undefined {
    if (cache === 'bypass' || this.#suspended > 0 || cachePrefix === '') return undefined;
    const args = canonicalArguments(params['arguments']);
    if (args === undefined || params['_meta'] !== undefined) return undefined;
    const own = typeof cache === 'object' ? cache.key : undefined;
    return `${cachePrefix}${own === undefined ? '' : field(own)}|${args}`;
  }

  /** Runs a call that is not answered from here; where it may have changed something, its service's results go. */
  async #past(next: Handler, call: Call, flight?: Flight): Promise<CallResult> {
    if (call.readOnly) return next(call);
    let changed = true;
    try {
      return await next(call);
    } catch (error) {
      changed = !(isStoreError(error) && error.executed === 'no');
      throw error;
    } finally {
      if (changed && this.#entries.size + this.#flights.size > 0) this.outdate(call.record.service, flight);
    }
  }

  async #lead(key: string, next: Handler, call: Call, ttlMs: number): Promise<CallResult> {
    const { scope, service, tool } = call.record;
    const flight: Flight = { scope, service, tool, joiners: new WaitQueue(this.#clock) };
    this.#flights.set(key, flight);
    return this.#fly(flight, key, next, call, ttlMs);
  }

  async #fly(flight: Flight, key: string, next: Handler, call: Call, ttlMs: number): Promise<CallResult> {
    this.#misses++;
    call.record.cache = 'miss';
    const { scope, service, tool } = flight;
    try {
      const { asked } = call.record;
      const result = await this.#past(next, call, flight);
      const bytes = frozenSize(result);
      if (call.record.asked > asked) {
        // What its caller answered is nobody else's.
        if (!flight.joiners.give('lead')) this.#landed(key, flight);
        return result;
      }
      if (this.#flights.get(key) === flight && bytes !== undefined)
        this.#store(key, { result, scope, service, tool, bytes }, ttlMs);
      this.#landed(key, flight);
      while (flight.joiners.give(result));
      return result;
    } catch (error) {
      if (!flight.joiners.give('lead')) this.#landed(key, flight);
      throw error;
    }
  }

  async #join(flight: Flight, key: string, next: Handler, call: Call, ttlMs: number): Promise<CallResult> {
    const got = await flight.joiners.wait(call, (why) =>
      why === 'cancelled'
        ? new StoreError('CANCELLED', 'cancelled by the caller', { cause: call.signal?.reason })
        : new StoreError('TIMEOUT', `timed out after ${call.timeoutMs} ms, waiting for an equal call`, {
            figures: { timeoutMs: call.timeoutMs },
          }),
    );
    if (got === 'lead') return this.#fly(flight, key, next, call, ttlMs);
    this.#joined++;
    call.record.cache = 'joined';
    return got;
  }

  #landed(key: string, flight: Flight): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
  }

  #store(key: string, entry: Entry, ttlMs: number): void {
    if (!storable(entry.result, entry.bytes)) return;
    const spread = 1 - TTL_SPREAD + 2 * TTL_SPREAD * this.#clock.random();
    this.#entries.set(key, entry, { ttl: Math.max(1, ttlMs * spread) });
  }
}

function storable(result: CallResult, bytes: number): boolean {
  return result['isError'] !== true && bytes <= MAX_RESULT_BYTES;
}

/** No key of a call that is answered from here: those begin with a number. */
function lastKey(key: string): string {
  return `last ${key}`;
}
