/** Knows what happened to the connections of a pool so far, and what its figures are made of. */

import type { Connection } from '../connection/connection.js';
import type { PoolSize } from '../option-layers.js';

/** Figures of one pool. Over HTTP, `open`, `idle`, `created` and `failed` count sockets. */
export interface PoolStats {
  created: number;
  reused: number;
  failed: number;
  open: number;
  opening: number;
  idle: number;
  inFlight: number;
  waiting: number;
  timeouts: number;
  max: number;
}

/** How the pool stands. */
export interface PoolNow {
  connections: readonly Connection[];
  opening: number;
  inFlight: number;
  waiting: number;
  size: PoolSize;
  /** Requests that one connection carries. */
  capacity: number;
}

export class PoolCounters {
  created = 0;
  reused = 0;
  failed = 0;
  timeouts = 0;
  /** Of connections that the pool has no more. */
  #closedSockets = { opened: 0, failed: 0 };

  /** The pool has this connection no more. */
  gone({ sockets }: Connection): void {
    if (sockets === undefined) return;
    this.#closedSockets.opened += sockets.opened;
    this.#closedSockets.failed += sockets.failed;
  }

  stats({ connections, opening, inFlight, waiting, size, capacity }: PoolNow): PoolStats {
    const { created, reused, failed, timeouts } = this;
    const stats: PoolStats = {
      created,
      reused,
      failed,
      open: connections.length,
      opening,
      idle: connections.filter((connection) => connection.inFlight === 0).length,
      inFlight,
      waiting,
      timeouts,
      max: size.max,
    };
    const sockets = connections.map((connection) => connection.sockets).filter((figures) => figures !== undefined);
    if (sockets.length === 0 && this.#closedSockets.opened === 0) return stats;
    // Over HTTP the counts are of sockets, which the one session shares.
    stats.created = this.#closedSockets.opened;
    stats.failed += this.#closedSockets.failed;
    stats.open = 0;
    stats.idle = 0;
    stats.max = capacity;
    for (const figures of sockets) {
      stats.created += figures.opened;
      stats.failed += figures.failed;
      stats.open += figures.open;
      stats.idle += figures.idle;
    }
    stats.reused = Math.max(0, created + reused - stats.created);
    return stats;
  }
}
