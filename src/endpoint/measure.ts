/** Knows what the counts among the options mean for one endpoint, by its transport. */

import type { EndpointDefinition } from '../config/definition.js';
import { poolSize } from '../option-layers.js';
import type { ResolvedPerformance, ServiceOptions } from '../options.js';
import type { PoolOptions } from './pool.js';

export interface Measure {
  /** Calls that all its connections together carry at a time. */
  capacity: number;
  /** The most connections that it has at a time. */
  maxConnections: number;
  pool: Pick<PoolOptions, 'size' | 'capacity' | 'maxIdleTimeMs'>;
}

/** @param own - the service's own options, whose `connectionPool` decides the counts of processes */
export function measure(
  definition: EndpointDefinition,
  own: ServiceOptions,
  { connectionPool }: ResolvedPerformance,
): Measure {
  const http = definition.kind === 'http' || definition.kind === 'sse';
  const size = poolSize(http ? 'http' : definition.kind, own.connectionPool, connectionPool);
  const capacity = http ? size.max : connectionPool.maxInFlightPerConnection;
  return {
    capacity: http ? size.max : size.max * capacity,
    maxConnections: size.max,
    pool: {
      // Over HTTP the counts mean sockets, which all share one session.
      size: http ? { min: Math.min(size.min, 1), max: 1 } : size,
      capacity,
      maxIdleTimeMs: connectionPool.maxIdleTimeMs,
    },
  };
}
