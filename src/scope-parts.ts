/** Knows what a scope is made of: what it needs of its store, and how it finds a service by its name there. */

import type { Clock } from './_util/clock.js';
import type { Answers } from './asking.js';
import type { Call } from './call.js';
import { StoreError } from './errors.js';
import type { Events } from './events.js';
import type { Monitoring } from './monitoring.js';
import type { CallSpan } from './observe/otel.js';
import type { ResolvedPerformance } from './options.js';
import type { Registry } from './registry.js';
import { unknownService } from './scope-names.js';
import type { ResultCache } from './service/cache.js';
import type { Service } from './service/service.js';

/** What a scope needs of the store that it belongs to. */
export interface ScopeParts {
  /** `''` for the store, else the agent's id: part of every cache key. */
  id: string;
  clock: Clock;
  events: Events;
  cache: ResultCache;
  visible: () => Iterable<[string, Service]>;
  find: (local: string) => Service | undefined;
  /** Its own services, without those that it was only given. */
  own: (local: string) => Service | undefined;
  /** Answers what servers ask during its calls. */
  asker: () => Answers;
  registry: () => Registry;
  /** Throws `STORE_CLOSED` once the store is closing. */
  assertOpen: () => void;
  monitoring: () => Monitoring;
  /** Told of each call that has settled. */
  observe: (call: Call) => void;
  /** See `CallObservers`. */
  trace: (call: Call) => CallSpan | undefined;
  /** Told of the size of each batch that is over. */
  observeBatch: (size: number) => void;
  /** The store's own, for what belongs to no service. */
  callDefaults: () => ResolvedPerformance['calls'];
}

/** @throws StoreError `SERVICE_UNKNOWN` */
export function needService({ find, visible }: ScopeParts, local: string): Service {
  const service = find(local);
  if (service) return service;
  throw unknownService(
    local,
    [...visible()].map(([name]) => name),
  );
}

/** A service that this scope may change. @throws StoreError `SERVICE_UNKNOWN`, `FORBIDDEN` */
export function needOwn(parts: ScopeParts, local: string): Service {
  const own = parts.own(local);
  if (own) return own;
  needService(parts, local);
  throw new StoreError('FORBIDDEN', `${local} belongs to the store: an agent's view cannot change it`, {
    service: local,
  });
}
