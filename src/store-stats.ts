/** Knows what a store tells in figures: one plain snapshot, gathered when somebody asks. */

import type { PoolStats } from './endpoint/pool-stats.js';
import type { MemoryMonitor, MemoryStats } from './memory.js';
import type { CallStats } from './observe/counter.js';
import type { ErrorStats } from './observe/error-counts.js';
import type { Metrics } from './observe/metrics.js';
import type { BatchStats, ServiceStats } from './observe/stats.js';
import type { CacheStats, ResultCache } from './service/cache.js';
import type { Service } from './service/service.js';
import { type EndpointInfo, endpointOf } from './service-info.js';

/** Everything that is counted, as one plain snapshot. */
export interface StoreStats {
  calls: CallStats;
  /** By service, those that were called. */
  services: Record<string, ServiceStats>;
  /** What went wrong: by code, by service, and whether it gets more. */
  errors: ErrorStats;
  /** Calls of each service that has run, as they stand now. */
  queues: Record<string, { running: number; waiting: number }>;
  cache: CacheStats;
  batches: BatchStats;
  memory: MemoryStats;
  /** By service and endpoint. */
  connections: Record<string, Record<string, PoolStats>>;
  /** By service, each place where it runs, as it stands now. */
  endpoints: Record<string, EndpointInfo[]>;
}

/** What stands in `services` is asked for its state; nothing is started. */
export function statsOf(
  { metrics, memory, cache }: { metrics: Metrics; memory: MemoryMonitor; cache: ResultCache },
  services: Iterable<Service>,
  now: number,
): StoreStats {
  const used = [...services].filter(({ endpoints }) => endpoints.length > 0);
  return {
    ...metrics.counted(now),
    queues: Object.fromEntries(used.map(({ name, calls }) => [name, calls])),
    cache: cache.stats(),
    memory: memory.stats(),
    connections: poolsOf(used),
    endpoints: Object.fromEntries(
      used.map(({ name, endpoints }) => [name, endpoints.map((endpoint) => endpointOf(endpoint, now))]),
    ),
  };
}

/** Figures of every pool, by service and endpoint. */
export function poolsOf(services: Iterable<Service>): Record<string, Record<string, PoolStats>> {
  const pools = [...services].map((service) => [service.name, service.poolStats()] as const);
  return Object.fromEntries(pools.filter(([, own]) => Object.keys(own).length > 0));
}
