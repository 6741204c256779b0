/** Knows one place where a service runs: carries out what its state machine decides, and lends its connections. */

import { basename } from 'node:path';
import type { Clock } from '../_util/clock.js';
import type { WaitLimits } from '../_util/wait-queue.js';
import type { EndpointDefinition } from '../config/definition.js';
import type { Connection, ServerNotice } from '../connection/connection.js';
import type { Redact } from '../connection/redact.js';
import { StoreError } from '../errors.js';
import type { ResolvedPerformance } from '../options.js';
import { Ending } from './ending.js';
import { Latency } from './latency.js';
import { Launcher, type LauncherOptions } from './launch.js';
import { Leases } from './leases.js';
import { Lifecycle } from './lifecycle.js';
import type { EndpointEffect, EndpointState } from './machine.js';
import { type Measure, measure } from './measure.js';
import { Outcomes } from './outcomes.js';
import { Pool } from './pool.js';
import type { PoolStats } from './pool-stats.js';
import { asStoreError, copyOf } from './refusal.js';
import { Supervisor } from './supervise.js';

export interface EndpointOptions extends Omit<LauncherOptions, 'onGap'> {
  onState: (state: EndpointState) => void;
  onOpened: (connection: Connection) => void;
  onNotice: (notice: ServerNotice) => void;
  /** May it be taken out of use now? Asked where siblings can take its calls; undefined: it has none. */
  mayEject?: (() => boolean) | undefined;
}

export class Endpoint {
  readonly label: string;
  /** Its share of the calls beside its siblings' weights. */
  readonly weight: number;
  /** Connections beside the pool. */
  readonly leases: Leases;
  #options: EndpointOptions;
  readonly #clock: Clock;
  readonly #launcher: Launcher;
  readonly #pool: Pool;
  readonly #supervisor: Supervisor;
  readonly #life: Lifecycle;
  readonly #outcomes: Outcomes;
  readonly #ending: Ending;
  readonly #latency = new Latency();
  #measure: Measure;

  constructor(options: EndpointOptions) {
    this.#options = options;
    this.#clock = options.clock;
    const { definition, performance, own, clock, mayEject, onState, onNotice } = options;
    const { healthCheckIntervalMs, healthCheckTimeoutMs } = performance.connectionPool;
    this.label = labelOf(definition);
    this.weight = definition.weight ?? 1;
    this.#life = new Lifecycle({
      clock,
      ramps: mayEject !== undefined,
      newCredentials: () => this.#launcher.newCredentials,
      onState,
      run: (effect) => this.#run(effect),
    });
    this.#launcher = new Launcher({ ...options, onGap: () => onNotice({ kind: 'list_changed', list: 'tools' }) });
    const open = (): Promise<Connection> => this.#launcher.open();
    this.#outcomes = new Outcomes(this.#life, mayEject, () => this.#pool.size > 0);
    this.leases = new Leases({ clock, life: this.#life, outcomes: this.#outcomes, open, onNotice });
    this.#measure = measure(definition, own, performance);
    this.#pool = new Pool({
      ...this.#measure.pool,
      clock,
      open,
      onOpened: (connection) => this.#opened(connection),
      onLost: (connection, reason, left) => this.#lost(connection, reason, left),
      onEmpty: () => this.#life.send({ type: 'idle' }),
    });
    const [life, launcher, pool, leases] = [this.#life, this.#launcher, this.#pool, this.leases];
    this.#ending = new Ending({ clock, life, launcher, pool, leases });
    this.#supervisor = new Supervisor({
      clock,
      intervalMs: healthCheckIntervalMs,
      timeoutMs: healthCheckTimeoutMs,
      connections: () => this.#pool.connections,
      onMiss: (error) => this.#life.send({ type: 'health_missed', error: asStoreError(error) }),
      onAlive: () => this.#life.send({ type: 'health_ok' }),
    });
  }

  /** Other options, from now on; what is under way goes on. */
  configure(performance: ResolvedPerformance): void {
    const { healthCheckIntervalMs, healthCheckTimeoutMs } = performance.connectionPool;
    this.#options = { ...this.#options, performance };
    this.#launcher.configure(performance);
    for (const connection of this.#open) connection.configure(this.#launcher.limits);
    const { definition, own } = this.#options;
    this.#measure = measure(definition, own, performance);
    this.#pool.configure(this.#measure.pool);
    this.#supervisor.configure({ intervalMs: healthCheckIntervalMs, timeoutMs: healthCheckTimeoutMs });
  }

  /** Calls that all its connections together carry at a time. */
  get capacity(): number {
    return this.#measure.capacity;
  }

  /** The most connections that it has at a time. */
  get maxConnections(): number {
    return this.#measure.maxConnections;
  }

  get state(): EndpointState {
    return this.#life.state;
  }

  /** Why it cannot be used now; while it is started again, what failed before. */
  get failure(): StoreError | undefined {
    const { state } = this;
    if ('reason' in state) return state.reason;
    const { lastFailure } = this.#pool;
    return state.name === 'starting' && lastFailure ? asStoreError(lastFailure) : undefined;
  }

  get connections(): readonly Connection[] {
    return this.#pool.connections;
  }

  /** Also those of one owner, and those that close when their last call has ended. */
  get processes(): readonly Connection[] {
    return [...this.#pool.all, ...this.leases.connections].filter(({ pid }) => pid !== undefined);
  }

  get #open(): readonly Connection[] {
    return [...this.#pool.connections, ...this.leases.connections];
  }

  get inFlight(): number {
    return this.#pool.inFlight;
  }

  /** Could a call go through now, without waiting for another to end? */
  get hasRoom(): boolean {
    return this.#pool.hasRoom;
  }

  /** Do calls go through now? */
  get flowing(): boolean {
    return this.#life.flowing;
  }

  /** Mean time of an answer, in milliseconds; 0 where nothing is known. */
  latencyMs(now: number): number {
    return this.#latency.at(now);
  }

  /** Which part of its full share it takes now: a tenth when it has just come, all of it after `RAMP_MS`. */
  ramp(now: number): number {
    return this.#life.ramp(now);
  }

  /** Takes its secrets out of what its server says. */
  get redact(): Redact {
    return this.#launcher.redact;
  }

  stats(): PoolStats {
    return this.#pool.stats();
  }

  /** Begins a start where none is needed yet; does not wait for it. */
  use(): void {
    this.#life.wake();
    this.#life.send({ type: 'use' });
  }

  /** A connection with room, at once; undefined where the call has to wait for one. */
  take(): Connection | undefined {
    return this.#life.flowing ? this.#pool.take() : undefined;
  }

  /** Why a call cannot wait here; undefined where it can. */
  refusal(): StoreError | undefined {
    return this.#life.refusal();
  }

  /**
   * Waits for a connection. Rejects with `TIMEOUT` or `CANCELLED`, with the failure of the start that it waited for,
   * or at once with `SERVICE_DOWN` or the last failure where the endpoint has given up.
   */
  wait(limits: WaitLimits, timeoutMs: number): Promise<Connection> {
    this.use();
    const refusal = this.#life.refusal(limits.deadline);
    if (refusal) return Promise.reject(refusal);
    if (this.state.name !== 'probing') return this.#pool.wait(limits, timeoutMs);
    this.#outcomes.begin(limits, this.#pool.size > 0);
    const connection = this.#pool.take();
    if (connection) return Promise.resolve(connection);
    return this.#pool.wait(limits, timeoutMs).catch((error: unknown) => {
      this.#outcomes.leave(limits);
      throw error;
    });
  }

  /** Lets a call probe an ejected endpoint before its time. */
  hasten(): void {
    if (this.state.name === 'ejected') this.#life.send({ type: 'due' });
  }

  /** A request over `connection` is over: gives it back, and hears what its end says about the endpoint. */
  done(
    connection: Connection,
    call: WaitLimits,
    asked: 'call' | 'list',
    sentAt: number,
    now: number,
    error?: unknown,
  ): void {
    this.#pool.release(connection, now);
    if (this.#outcomes.over(call, asked, sentAt, error)) this.#latency.observe(now - sentAt, now);
  }

  /** For what is open, and for what is opened later. Waits for nobody: a connection that does not take it goes on. */
  setLogLevel(level: string): void {
    this.#launcher.logLevel = level;
    for (const connection of this.#open)
      connection.setLogLevel(level, this.#options.performance.connectionPool.readTimeoutMs).catch(() => {});
  }

  /** Gives back a connection that was not used. */
  release(connection: Connection): void {
    this.#pool.release(connection, this.#clock.now());
  }

  closeIdle(maxIdleMs: number): number {
    return this.#pool.closeIdle(maxIdleMs);
  }

  /** Refuses new calls until `restart`; connections close when their calls have ended, or after `drainMs`. */
  stop(drainMs: number): Promise<void> {
    return this.#ending.stop(drainMs);
  }

  /** Starts anew, whatever the state, or lets the next call do that; see `Ending.restart`. */
  restart(drainMs: number, begin = true): Promise<void> {
    return this.#ending.restart(drainMs, begin);
  }

  /** Puts a new connection of the pool in the place of this one, between calls; see `Ending.renew`. */
  renew(connection: Connection, patienceMs: number): Promise<'renewed' | 'busy' | 'gone'> {
    return this.#ending.renew(connection, patienceMs);
  }

  /** Ends for good: no new calls, those in flight have `drainMs`, then everything closes in parallel. */
  close(drainMs: number): Promise<void> {
    this.#supervisor.stop();
    return this.#ending.close(drainMs);
  }

  #run(effect: Exclude<EndpointEffect, { type: 'timer' }>): void {
    if (effect.type === 'refuse') {
      this.#pool.refuse(() => (effect.error ? copyOf(effect.error) : this.refusal()!));
      return;
    }
    const send = this.#life.sinceNow();
    this.#pool
      .add()
      .catch((error: unknown) =>
        send({ type: 'open_failed', error: asStoreError(error), random: this.#clock.random() }),
      );
  }

  #opened(connection: Connection): void {
    connection.onNotice = (notice) => this.#options.onNotice(notice);
    this.#supervisor.watch();
    void connection.subscribe();
    this.#life.send({ type: 'opened' });
    // Stopped while it started.
    if (this.state.name === 'stopped') void connection.close();
    else this.#options.onOpened(connection);
  }

  #lost(connection: Connection, reason: Error, left: number): void {
    if (left > 0) return;
    const error = new StoreError('CONNECT_FAILED', reason.message, { cause: reason });
    const expired = (reason as { figures?: Record<string, unknown> }).figures?.['sessionExpired'] === true;
    // What ends under a call has started; the call's own failure is counted. A server that forgets each session at its
    // first request would be asked for new ones without a pause.
    const answered = expired ? connection.heard : connection.answered || connection.inFlight > 0;
    this.#life.send({ type: 'lost', error, answered, expired, random: this.#clock.random() });
  }
}

/** What identifies an endpoint to people, without its arguments, query or credentials. */
function labelOf(definition: EndpointDefinition): string {
  if (definition.kind === 'stdio') return basename(definition.command);
  if (definition.kind === 'memory') return 'in memory';
  const url = new URL(definition.url);
  return `${url.origin}${url.pathname}`;
}
