/** Knows one place where a service runs: carries out what its state machine decides, and lends its connections. */

import { basename } from 'node:path';
import type { Clock, Timer } from '../_util/clock.js';
import type { Gate } from '../_util/gate.js';
import type { WaitLimits } from '../_util/wait-queue.js';
import type { EndpointDefinition } from '../config/definition.js';
import { type ConnectOptions, connect, type KnownEra } from '../connection/connect.js';
import type { Connection, ServerNotice } from '../connection/connection.js';
import { asError, isStoreError, StoreError } from '../errors.js';
import { poolSize, type ResolvedPerformance, type ServiceOptions } from '../options.js';
import { type EndpointEffect, type EndpointEvent, type EndpointState, next } from './machine.js';
import { Pool, type PoolStats } from './pool.js';
import { Supervisor } from './supervise.js';

export interface EndpointOptions {
  definition: EndpointDefinition;
  /** Resolved for this service. */
  performance: ResolvedPerformance;
  /** The service's own options: `connectionPool` there decides the counts of processes. */
  own: ServiceOptions;
  clock: Clock;
  /** Bounds how many processes of the whole store start at a time. */
  gate: Gate;
  onState: (state: EndpointState) => void;
  onOpened: (connection: Connection) => void;
  onNotice: (notice: ServerNotice) => void;
  /** A line of stderr or noise on stdout. */
  onLine: (stream: 'stdout' | 'stderr', text: string) => void;
}

const MAX_MESSAGE_BYTES = 10 * 1024 * 1024;
const DEFAULT_STOP_TIMEOUT_MS = 2_000;
/** Commands that may download what they run at their first start. */
const DOWNLOADERS = /^(npx|uvx|bunx|pipx|docker|podman|deno)$/;
const DOWNLOADING_VERB = /^(dlx|exec|x|tool|run)$/;

/** Does this command line fetch its program first? Then its first start gets `startTimeoutMs`. */
export function mayDownload(command: string, args: readonly string[]): boolean {
  const name = basename(command).replace(/\.(cmd|exe|bat)$/i, '');
  if (DOWNLOADERS.test(name)) return true;
  return /^(npm|pnpm|yarn|bun|uv)$/.test(name) && args.some((arg) => DOWNLOADING_VERB.test(arg));
}

export class Endpoint {
  readonly label: string;
  readonly #options: EndpointOptions;
  readonly #pool: Pool;
  readonly #supervisor: Supervisor;
  readonly #leases = new Set<Connection>();
  /** Connects under way: closing ends them and waits until nothing of them is left. */
  readonly #opening = new Set<Promise<unknown>>();
  #starts = new AbortController();
  #state: EndpointState = { name: 'registered' };
  #timer: Timer | undefined;
  #startedOnce = false;
  /** Which era the last connection spoke: saves the next one the question. */
  #era: KnownEra | undefined;
  #closed = false;

  constructor(options: EndpointOptions) {
    this.#options = options;
    const { definition, performance, own, clock } = options;
    const kind = definition.kind === 'sse' ? 'http' : definition.kind;
    this.label = labelOf(definition);
    const size = poolSize(kind, own.connectionPool, performance.connectionPool);
    const perConnection = kind === 'http' ? size.max : performance.connectionPool.maxInFlightPerConnection;
    this.#pool = new Pool({
      // Over HTTP the counts mean sockets, which all share one session.
      size: kind === 'http' ? { min: Math.min(size.min, 1), max: 1 } : size,
      capacity: perConnection,
      maxIdleTimeMs: performance.connectionPool.maxIdleTimeMs,
      clock,
      open: () => this.#open(),
      onOpened: (connection) => this.#opened(connection),
      onLost: (connection, reason, left) => this.#lost(connection, reason, left),
      onEmpty: () => this.#send({ type: 'idle' }),
    });
    this.#supervisor = new Supervisor({
      clock,
      intervalMs: performance.connectionPool.healthCheckIntervalMs,
      timeoutMs: performance.connectionPool.healthCheckTimeoutMs,
      connections: () => this.#pool.connections,
    });
    this.capacity = kind === 'http' ? size.max : size.max * perConnection;
  }

  /** Calls that all its connections together carry at a time. */
  readonly capacity: number;

  get state(): EndpointState {
    return this.#state;
  }

  /** Why it cannot be used now; while it is started again, what failed before. */
  get failure(): StoreError | undefined {
    if ('reason' in this.#state) return this.#state.reason;
    const { lastFailure } = this.#pool;
    return this.#state.name === 'starting' && lastFailure ? asStoreError(lastFailure) : undefined;
  }

  get connections(): readonly Connection[] {
    return this.#pool.connections;
  }

  get inFlight(): number {
    return this.#pool.inFlight;
  }

  stats(): PoolStats {
    return this.#pool.stats();
  }

  /** Begins a start where none is needed yet; does not wait for it. */
  use(): void {
    this.#send({ type: 'use' });
  }

  /** A connection with room, at once; undefined where the call has to wait for one. */
  take(): Connection | undefined {
    return this.#state.name === 'ready' ? this.#pool.take() : undefined;
  }

  /**
   * Waits for a connection. Rejects with `TIMEOUT` or `CANCELLED`, with the failure of the start that it waited for,
   * or at once with `SERVICE_DOWN` or the last failure where the endpoint has given up.
   */
  wait(limits: WaitLimits, timeoutMs: number): Promise<Connection> {
    this.#send({ type: 'use' });
    const refusal = this.#refusal();
    if (refusal) return Promise.reject(refusal);
    return this.#pool.wait(limits, timeoutMs);
  }

  release(connection: Connection): void {
    this.#pool.release(connection);
  }

  /** A connection of one owner, beside the pool; it ends with `endLease`. */
  async lease(): Promise<Connection> {
    const refusal = this.#closed || this.#state.name === 'stopped' ? this.#refusal() : undefined;
    if (refusal) throw refusal;
    const connection = await this.#open();
    this.#leases.add(connection);
    connection.onNotice = (notice) => this.#options.onNotice(notice);
    return connection;
  }

  async endLease(connection: Connection): Promise<void> {
    this.#leases.delete(connection);
    await connection.close();
  }

  closeIdle(maxIdleMs: number): number {
    return this.#pool.closeIdle(maxIdleMs);
  }

  /** Refuses new calls until `restart`; connections close when their calls have ended, or after `drainMs`. */
  async stop(drainMs: number): Promise<void> {
    this.#halt();
    await this.#drain(drainMs);
    await Promise.all([...this.#opening, ...this.#pool.connections.map((connection) => connection.close())]);
  }

  /** Starts anew, whatever the state. */
  restart(): void {
    if (this.#closed) return;
    this.#starts = new AbortController();
    this.#send({ type: 'reset' });
  }

  /** Ends for good: no new calls, those in flight have `drainMs`, then everything closes in parallel. */
  async close(drainMs: number): Promise<void> {
    this.#closed = true;
    this.#halt();
    this.#supervisor.stop();
    await this.#drain(drainMs);
    const leases = [...this.#leases].map((connection) => this.endLease(connection));
    await Promise.all([...this.#opening, this.#pool.close(), ...leases]);
  }

  /** Takes no more calls, and ends those that wait and starts that are under way. */
  #halt(): void {
    this.#send({ type: 'stop' });
    this.#pool.refuse(() => this.#refusal()!);
    this.#starts.abort(this.#refusal());
  }

  #drain(drainMs: number): Promise<void> {
    const { clock } = this.#options;
    const end = clock.now() + drainMs;
    return new Promise((resolve) => {
      const look = (): void => {
        const left = end - clock.now();
        const busy = this.#pool.busy || [...this.#leases].some((connection) => connection.inFlight > 0);
        if (!busy || left <= 0) resolve();
        else clock.after(Math.min(left, 20), look);
      };
      look();
    });
  }

  #send(event: EndpointEvent): void {
    const { clock, onState } = this.#options;
    const before = this.#state;
    const { state, effects } = next(before, event, clock.now());
    this.#state = state;
    if (state !== before) {
      this.#timer?.cancel();
      this.#timer = undefined;
    }
    for (const effect of effects) this.#run(effect);
    if (state !== before) onState(state);
  }

  #run(effect: EndpointEffect): void {
    const { clock } = this.#options;
    if (effect.type === 'timer') this.#timer = clock.after(effect.at - clock.now(), () => this.#send({ type: 'due' }));
    else if (effect.type === 'refuse') this.#pool.refuse(() => copyOf(effect.error));
    else
      this.#pool.add().catch((error: unknown) => {
        this.#send({ type: 'open_failed', error: asStoreError(error), random: clock.random() });
      });
  }

  /** Why a call cannot wait here; undefined where it can. */
  #refusal(): StoreError | undefined {
    const state = this.#state;
    if (this.#closed) return new StoreError('STORE_CLOSED', 'the store or its service was closed');
    if (state.name === 'stopped')
      return new StoreError('SERVICE_DOWN', 'the service is stopped', { hint: 'Start it with restartService.' });
    if (state.name === 'auth_required') return copyOf(state.reason);
    if (state.name !== 'failed') return undefined;
    if (state.reason.code === 'SPAWN_FAILED') return copyOf(state.reason);
    const inMs = Math.max(0, Math.round(state.nextTryAt - this.#options.clock.now()));
    return new StoreError(
      'SERVICE_DOWN',
      `does not start: ${state.reason.message}; next try in ${Math.ceil(inMs / 1000)} s`,
      {
        cause: state.reason,
        figures: { nextTryInMs: inMs },
        hint: 'restartService tries again at once.',
      },
    );
  }

  #open(): Promise<Connection> {
    const { definition, gate } = this.#options;
    // Only processes are dear to start; a socket or an object in this process needs no turn.
    const { signal } = this.#starts;
    const opening = definition.kind === 'stdio' ? gate.run(() => this.#connect(signal)) : this.#connect(signal);
    const settled: Promise<unknown> = opening.catch(() => {}).finally(() => this.#opening.delete(settled));
    this.#opening.add(settled);
    return opening;
  }

  async #connect(signal: AbortSignal): Promise<Connection> {
    const { definition, performance, own, clock, onLine } = this.#options;
    const pool = performance.connectionPool;
    const slow = definition.kind === 'stdio' && !this.#startedOnce && mayDownload(definition.command, definition.args);
    const sockets = poolSize('http', own.connectionPool, pool);
    const options: ConnectOptions = {
      clock,
      signal,
      timeoutMs: slow ? pool.startTimeoutMs : pool.connectionTimeoutMs,
      writeTimeoutMs: pool.writeTimeoutMs,
      stopTimeoutMs: own.stopTimeoutMs ?? DEFAULT_STOP_TIMEOUT_MS,
      maxMessageBytes: MAX_MESSAGE_BYTES,
      maxInFlight: pool.maxInFlightPerConnection,
      sockets: { max: sockets.max, min: sockets.min, idleMs: pool.maxIdleTimeMs },
      onNoise: (line) => onLine('stdout', line),
      onStderr: (text) => onLine('stderr', text),
      onGap: () => this.#options.onNotice({ kind: 'list_changed', list: 'tools' }),
    };
    const connection = await connect(definition, options, this.#era);
    this.#startedOnce = true;
    this.#era = { kind: connection.era, discover: connection.discover, at: clock.now() };
    return connection;
  }

  #opened(connection: Connection): void {
    connection.onNotice = (notice) => this.#options.onNotice(notice);
    this.#supervisor.watch();
    void connection.subscribe();
    this.#send({ type: 'opened' });
    // Stopped while it started.
    if (this.#state.name === 'stopped') void connection.close();
    else this.#options.onOpened(connection);
  }

  #lost(connection: Connection, reason: Error, left: number): void {
    if (left > 0) return;
    const error = new StoreError('CONNECT_FAILED', reason.message, { cause: reason });
    const expired = (reason as { figures?: Record<string, unknown> }).figures?.['sessionExpired'] === true;
    this.#send({ type: 'lost', error, answered: connection.answered, expired, random: this.#options.clock.random() });
  }
}

/** What identifies an endpoint to people, without its arguments, query or credentials. */
function labelOf(definition: EndpointDefinition): string {
  if (definition.kind === 'stdio') return basename(definition.command);
  if (definition.kind === 'memory') return 'in memory';
  const url = new URL(definition.url);
  return `${url.origin}${url.pathname}`;
}

function asStoreError(error: unknown): StoreError {
  return isStoreError(error) ? error : new StoreError('CONNECT_FAILED', asError(error).message, { cause: error });
}

/** Each waiter gets an error of its own: the hops above write service, tool and attempts into it. */
function copyOf(error: StoreError): StoreError {
  const { code, message, figures, hint, cause, data, rpcCode, executed } = error;
  return new StoreError(code, message, { figures, hint, cause, data, rpcCode, executed });
}
