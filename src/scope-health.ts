/** Knows how well everything does that a scope sees, and the process that it lives in. */

import { performance } from 'node:perf_hooks';
import type { ScopeParts } from './scope-parts.js';
import { healthOf, type ServiceHealth } from './service-health.js';

/** Figures of this process. */
export interface SystemHealth {
  /** Since the store was opened. Milliseconds. */
  uptimeMs: number;
  /** Memory of this process, and what of it is in use on V8's heap. Bytes. */
  rssBytes: number;
  heapUsedBytes: number;
  /** CPU time of this process since its start, of all its threads. Milliseconds. */
  cpuMs: number;
  /** Share of its time since its start in which the event loop worked, from 0 to 1. */
  eventLoopUtilization: number;
  /** Processes that run for the services that the scope sees. */
  childProcesses: number;
}

export interface Health {
  /** When it was taken, in milliseconds since the epoch. */
  at: number;
  /** By the names within the scope. An agent's figures are of its own calls. */
  services: Record<string, ServiceHealth>;
  system: SystemHealth;
}

export function healthIn({ id, clock, monitoring, visible }: ScopeParts): Health {
  const { recent, since } = monitoring();
  const moment = { now: clock.now(), wall: clock.wall() };
  const services: [string, ServiceHealth][] = [];
  let childProcesses = 0;
  for (const [name, service] of visible()) {
    services.push([name, healthOf(name, service, recent, id === '' ? undefined : id, moment)]);
    childProcesses += service.pids.length;
  }
  const { rss, heapUsed } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  return {
    at: moment.wall,
    services: Object.fromEntries(services),
    system: {
      uptimeMs: moment.now - since,
      rssBytes: rss,
      heapUsedBytes: heapUsed,
      cpuMs: (user + system) / 1_000,
      eventLoopUtilization: performance.eventLoopUtilization().utilization,
      childProcesses,
    },
  };
}
