/** Knows how well a service does: a plain snapshot of its state, and of its calls of late. */

import type { ErrorCode } from './errors.js';
import type { ServiceStatus } from './events.js';
import type { Recent } from './observe/recent.js';
import type { Service } from './service/service.js';
import { statusOf } from './service-info.js';

/** `calls` to `p95Ms` are of the last five minutes, to the minute; 0 where there was no call. */
export interface ServiceHealth {
  /** Name within the scope. */
  service: string;
  status: ServiceStatus;
  /** Why it cannot be used now. */
  problem: { code: ErrorCode; message: string } | undefined;
  /** For how long calls have gone through without a restart; 0 while they do not. Milliseconds. */
  uptimeMs: number;
  /** Of the list as last seen in this run; undefined where none was needed yet. */
  tools: number | undefined;
  /** Open ones; over HTTP, sockets. */
  connections: number;
  calls: number;
  /** Calls that did not end well, results with `isError` included, those that their caller cancelled not. */
  errors: number;
  /** From 0 to 1. */
  errorRate: number;
  /** Of whole calls, queue and retries included. Milliseconds. */
  meanMs: number;
  /** The same, exact to 9 %. */
  p95Ms: number;
  /** When its last call ended, in milliseconds since the epoch; undefined where none did. */
  lastActivityAt: number | undefined;
}

/** When a snapshot is taken: monotonic, and by the wall clock. */
export interface Moment {
  now: number;
  wall: number;
}

/** @param scope - whose calls; undefined: those of all */
export function healthOf(
  name: string,
  service: Service,
  recent: Recent,
  scope: string | undefined,
  { now, wall }: Moment,
): ServiceHealth {
  const { state } = service;
  const error = service.problem ?? service.failure;
  const { lastAt, ...figures } = recent.of(service.name, scope, now);
  const { calls, errors, meanMs, p95Ms } = figures;
  return {
    service: name,
    status: statusOf(service),
    problem: error && { code: error.code, message: error.message },
    uptimeMs: 'since' in state ? now - state.since : 0,
    tools: service.tools.size,
    connections: Object.values(service.poolStats()).reduce((sum, { open }) => sum + open, 0),
    calls,
    errors,
    errorRate: calls === 0 ? 0 : errors / calls,
    meanMs,
    p95Ms,
    lastActivityAt: lastAt === undefined ? undefined : Math.round(wall - (now - lastAt)),
  };
}
