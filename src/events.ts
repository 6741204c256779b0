/** Knows what a store tells while it works, and hands it to whoever listens. */

import type { CallRecord } from './call.js';
import { asError, type StoreError } from './errors.js';
import type { Alert } from './observe/alerts.js';
import type { MemorySample } from './observe/memory-figures.js';
import type { MemoryStep } from './observe/memory-policy.js';

/** Where a service stands; see docs/connections.md. */
export type ServiceStatus =
  | 'registered'
  | 'starting'
  | 'ready'
  | 'degraded'
  | 'reconnecting'
  | 'breaker_open'
  | 'probing'
  | 'ejected'
  | 'auth_required'
  | 'stopped'
  | 'failed';

/** All of them: one that is missing here does not compile. */
export const SERVICE_STATUSES = Object.keys({
  registered: true,
  starting: true,
  ready: true,
  degraded: true,
  reconnecting: true,
  breaker_open: true,
  probing: true,
  ejected: true,
  auth_required: true,
  stopped: true,
  failed: true,
} satisfies Record<ServiceStatus, true>) as readonly ServiceStatus[];

/** Every event with what it carries. `service` is the name within the scope of the store. */
export interface StoreEvents {
  /** A service's endpoint came into another state; `error` says why where it is no good one. */
  state: {
    service: string;
    endpoint: string;
    status: ServiceStatus;
    attempt?: number;
    nextTryInMs?: number;
    error?: StoreError;
  };
  serviceAdded: { service: string };
  serviceRemoved: { service: string };
  /** The tool list is another one than before. */
  toolsChanged: { service: string; tools: number };
  promptsChanged: { service: string };
  resourcesChanged: { service: string };
  resourceUpdated: { service: string; uri: string };
  /** A log message of the server (MCP `notifications/message`). */
  log: { service: string; level: string; logger: string | undefined; data: unknown };
  /** What the process wrote to stderr, or to stdout without being a message. */
  output: { service: string; stream: 'stdout' | 'stderr'; text: string };
  /** The configuration file changed and was taken over. */
  configChanged: { file: string; added: string[]; removed: string[]; changed: string[] };
  /** The configuration file, or a part of it, cannot be used; what ran before goes on. */
  configProblem: { error: StoreError };
  /** What was done about memory, and what came of it; see docs/memory.md. */
  memory: MemoryEvent;
  /** A call has settled. */
  call: CallRecord;
  /** A rule of an alert became true of a service, still is, or is no longer. */
  alert: Alert;
}

/** A step above `memory.thresholdMb`, or what became of a process over its `maxMemoryMb`. */
export type MemoryEvent =
  /** The store gave this up. What it let go is memory again once V8 has collected it. */
  | {
      type: 'step';
      step: MemoryStep;
      released: { entries: number; bytes: number; connections: number };
      before: MemorySample;
    }
  /** What came of it. `collected: false`: V8 has not collected for ten intervals, so nothing can be seen of it yet. */
  | {
      type: 'effect';
      step: MemoryStep;
      before: MemorySample;
      after: MemorySample;
      freedMb: number;
      collected: boolean;
    }
  /** Less than nine tenths of the threshold are in use again. */
  | { type: 'relieved'; sample: MemorySample }
  /** Still too much, and nothing is left that the store could give up: the rest is the program's own. */
  | { type: 'spent'; sample: MemorySample }
  /** A process was replaced between calls; new ones waited for it so long. */
  | { type: 'restarted'; service: string; pid: number; rssMb: number; maxMemoryMb: number; waitedMs: number }
  /** It was not: its calls took too long, or it has one owner (a lease). */
  | { type: 'kept'; service: string; pid: number; rssMb: number; maxMemoryMb: number; why: 'busy' | 'leased' };

export type StoreEventName = keyof StoreEvents;

/** All of them: one that is missing here does not compile. */
export const EVENT_NAMES = Object.keys({
  state: true,
  serviceAdded: true,
  serviceRemoved: true,
  toolsChanged: true,
  promptsChanged: true,
  resourcesChanged: true,
  resourceUpdated: true,
  log: true,
  output: true,
  configChanged: true,
  configProblem: true,
  memory: true,
  call: true,
  alert: true,
} satisfies Record<StoreEventName, true>) as readonly StoreEventName[];

/** Any logger of pino's shape. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

type Listener<K extends StoreEventName> = (event: StoreEvents[K]) => void;

export class Events {
  readonly #listeners = new Map<StoreEventName, Set<Listener<never>>>();
  readonly #logger: Logger | undefined;

  constructor(logger: Logger | undefined) {
    this.#logger = logger;
  }

  /** Calls `listener` at each event of that name, until the returned function is called. */
  on<K extends StoreEventName>(name: K, listener: Listener<K>): () => void {
    const set = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, set);
    set.add(listener as Listener<never>);
    return () => set.delete(listener as Listener<never>);
  }

  /** Does anybody listen? Saves making an event for nobody. */
  has(name: StoreEventName): boolean {
    return (this.#listeners.get(name)?.size ?? 0) > 0;
  }

  /** A listener's own failure reaches the logger, never the code that reports the event. */
  emit<K extends StoreEventName>(name: K, event: StoreEvents[K]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        (listener as Listener<K>)(event);
      } catch (error) {
        this.#logger?.error({ event: name, error: asError(error).message }, 'an event listener failed');
      }
    }
  }
}
