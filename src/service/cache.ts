/** Knows the result cache: keys, what may be stored, how long, and that equal misses run once. */

import { LRUCache } from 'lru-cache';
import { configure } from 'safe-stable-stringify';
import type { Clock } from '../_util/clock.js';
import { WaitQueue } from '../_util/wait-queue.js';
import type { Call, CallResult, Handler } from '../call.js';
import { isStoreError, StoreError } from '../errors.js';
import type { ResolvedPerformance } from '../options.js';

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

const canonicalJson = configure({ bigint: false, circularValue: Error, strict: true });

/** Field with its length before it: no two lists of fields give one text. */
function field(text: string): string {
  return `${text.length}:${text}`;
}

/** The part of a key that does not depend on the call. */
export function cachePrefix(...fields: readonly string[]): string {
  return fields.map(field).join('');
}

/**
 * Arguments as text that is equal exactly where they are equal as JSON; undefined where they are not safe as a key:
 * integers beyond 2^53 may be equal as numbers and different on the wire, and NaN is refused there.
 */
export function canonicalArguments(args: unknown): string | undefined {
  try {
    if (!safe(args)) return undefined;
    return isFlatSingle(args) ? JSON.stringify(args) : canonicalJson(args);
  } catch {
    // A loop, or too deep.
    return undefined;
  }
}

function isFlatSingle(args: unknown): boolean {
  if (typeof args !== 'object' || args === null || Array.isArray(args)) return false;
  let keys = 0;
  for (const key in args) {
    const value = (args as Record<string, unknown>)[key];
    if (++keys > 1 || (typeof value === 'object' && value !== null)) return false;
  }
  return true;
}

function safe(value: unknown): boolean {
  if (typeof value === 'number')
    return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value));
  if (typeof value !== 'object' || value === null) return typeof value !== 'bigint';
  for (const key in value) if (!safe((value as Record<string, unknown>)[key])) return false;
  return true;
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
  clear(filter: CacheFilter & { scope?: string } = {}, except?: Flight): number {
    let dropped = 0;
    const named = ({ scope, service, tool }: Entry | Flight): boolean =>
      (filter.scope === undefined || filter.scope === scope) &&
      (filter.service === undefined || filter.service === service) &&
      (filter.tool === undefined || filter.tool === tool);
    for (const [key, entry] of this.#entries.entries()) {
      if (!named(entry)) continue;
      this.#entries.delete(key);
      dropped++;
    }
    for (const [key, flight] of this.#flights) if (named(flight) && flight !== except) this.#flights.delete(key);
    return dropped;
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
      if (
        mode === 'bypass' ||
        this.#suspended > 0 ||
        call.cachePrefix === '' ||
        !(call.cacheable || own?.key !== undefined)
      )
        return this.#past(next, call);
      const args = canonicalArguments(call.params['arguments']);
      if (args === undefined || call.params['_meta'] !== undefined) return this.#past(next, call);
      const key = `${call.cachePrefix}${own?.key === undefined ? '' : field(own.key)}|${args}`;
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
      if (changed && this.#entries.size + this.#flights.size > 0) this.clear({ service: call.record.service }, flight);
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
    if (entry.result['isError'] === true || entry.bytes > MAX_RESULT_BYTES) return;
    const spread = 1 - TTL_SPREAD + 2 * TTL_SPREAD * this.#clock.random();
    this.#entries.set(key, entry, { ttl: Math.max(1, ttlMs * spread) });
  }
}

/** Freezes it and tells its bytes; undefined where it is nested too deeply to be kept. */
function frozenSize(result: CallResult): number | undefined {
  try {
    return Buffer.byteLength(JSON.stringify(freeze(result)));
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Deeply: what several callers share, none of them can change. */
function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const key in value) freeze(value[key]);
  return value;
}
