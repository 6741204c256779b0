/** Knows one place where a service runs: carries out what its state machine decides, and lends its connections. */

import { basename } from 'node:path';
import type { Clock, Timer } from '../_util/clock.js';
import { type WaitLimits, WaitQueue } from '../_util/wait-queue.js';
import type { EndpointDefinition } from '../config/definition.js';
import type { Connection, ServerNotice } from '../connection/connection.js';
import type { Redact } from '../connection/redact.js';
import { asError, isStoreError, StoreError } from '../errors.js';
import { poolSize } from '../option-layers.js';
import type { ResolvedPerformance } from '../options.js';
import { Latency } from './latency.js';
import { Launcher, type LauncherOptions } from './launch.js';
import { RAMP_MS } from './limits.js';
import { type EndpointEffect, type EndpointEvent, type EndpointState, next } from './machine.js';
import { Pool, type PoolOptions, type PoolStats } from './pool.js';
import { copyOf, patienceOver, refusalOf, verdictOf } from './refusal.js';
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
  /** Calls that all its connections together carry at a time. */
  capacity = 0;
  /** The most connections that it has at a time. */
  maxConnections = 0;
  #options: EndpointOptions;
  readonly #clock: Clock;
  readonly #launcher: Launcher;
  readonly #pool: Pool;
  readonly #supervisor: Supervisor;
  readonly #leases = new Set<Connection>();
  readonly #latency = new Latency();
  #state: EndpointState = { name: 'registered' };
  /** Calls go through without a question. */
  #flowing = false;
  /** The next answer is news: a failure is remembered. */
  #troubled = false;
  /** The wait or call that probes. */
  #probe: WaitLimits | undefined;
  #readyAt = 0;
  #timer: Timer | undefined;
  #drainEnd = Number.POSITIVE_INFINITY;
  #drains = 0;
  #restarts = 0;
  #restarting: Promise<void> | undefined;
  #closed = false;

  constructor(options: EndpointOptions) {
    this.#options = options;
    this.#clock = options.clock;
    const { definition, performance, clock } = options;
    const { healthCheckIntervalMs, healthCheckTimeoutMs } = performance.connectionPool;
    this.label = labelOf(definition);
    this.weight = definition.weight ?? 1;
    this.#launcher = new Launcher({
      ...options,
      onGap: () => options.onNotice({ kind: 'list_changed', list: 'tools' }),
    });
    this.#pool = new Pool({
      ...this.#measure(performance),
      clock,
      open: () => this.#launcher.open(),
      onOpened: (connection) => this.#opened(connection),
      onLost: (connection, reason, left) => this.#lost(connection, reason, left),
      onEmpty: () => this.#send({ type: 'idle' }),
    });
    this.#supervisor = new Supervisor({
      clock,
      intervalMs: healthCheckIntervalMs,
      timeoutMs: healthCheckTimeoutMs,
      connections: () => this.#pool.connections,
      onMiss: (error) => this.#send({ type: 'health_missed', error: asStoreError(error) }),
      onAlive: () => this.#send({ type: 'health_ok' }),
    });
  }

  /** Other options, from now on; what is under way goes on. */
  configure(performance: ResolvedPerformance): void {
    const { healthCheckIntervalMs, healthCheckTimeoutMs } = performance.connectionPool;
    this.#options = { ...this.#options, performance };
    this.#launcher.configure(performance);
    for (const connection of [...this.#pool.connections, ...this.#leases]) connection.configure(this.#launcher.limits);
    this.#pool.configure(this.#measure(performance));
    this.#supervisor.configure({ intervalMs: healthCheckIntervalMs, timeoutMs: healthCheckTimeoutMs });
  }

  /** What the counts among the options mean here. */
  #measure({ connectionPool }: ResolvedPerformance): Pick<PoolOptions, 'size' | 'capacity' | 'maxIdleTimeMs'> {
    const { definition, own } = this.#options;
    const http = definition.kind === 'http' || definition.kind === 'sse';
    const size = poolSize(http ? 'http' : definition.kind, own.connectionPool, connectionPool);
    const capacity = http ? size.max : connectionPool.maxInFlightPerConnection;
    this.maxConnections = size.max;
    this.capacity = http ? size.max : size.max * capacity;
    return {
      // Over HTTP the counts mean sockets, which all share one session.
      size: http ? { min: Math.min(size.min, 1), max: 1 } : size,
      capacity,
      maxIdleTimeMs: connectionPool.maxIdleTimeMs,
    };
  }

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

  /** Connections that are lent to one owner each. */
  get leased(): number {
    return this.#leases.size;
  }

  /** Could a call go through now, without waiting for another to end? */
  get hasRoom(): boolean {
    return this.#pool.hasRoom;
  }

  /** Do calls go through now? */
  get flowing(): boolean {
    return this.#flowing;
  }

  /** Mean time of an answer, in milliseconds; 0 where nothing is known. */
  latencyMs(now: number): number {
    return this.#latency.at(now);
  }

  /** Which part of its full share it takes now: a tenth when it has just come, all of it after `RAMP_MS`. */
  ramp(now: number): number {
    return Math.min(1, Math.max(0.1, (now - this.#readyAt) / RAMP_MS));
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
    if (this.#state.name === 'auth_required' && this.#launcher.newCredentials) this.#send({ type: 'credentials' });
    this.#send({ type: 'use' });
  }

  /** A connection with room, at once; undefined where the call has to wait for one. */
  take(): Connection | undefined {
    return this.#flowing ? this.#pool.take() : undefined;
  }

  /** Why a call cannot wait here; undefined where it can. */
  refusal(): StoreError | undefined {
    return refusalOf(this.#state, this.#closed, this.#clock.now());
  }

  /**
   * Waits for a connection. Rejects with `TIMEOUT` or `CANCELLED`, with the failure of the start that it waited for,
   * or at once with `SERVICE_DOWN` or the last failure where the endpoint has given up.
   */
  wait(limits: WaitLimits, timeoutMs: number): Promise<Connection> {
    this.use();
    const refusal = this.refusal() ?? patienceOver(this.#state, limits.deadline, this.#clock.now());
    if (refusal) return Promise.reject(refusal);
    if (this.#state.name !== 'probing') return this.#pool.wait(limits, timeoutMs);
    this.#probe = limits;
    this.#send({ type: 'probe', connected: this.#pool.size > 0 });
    const connection = this.#pool.take();
    if (connection) return Promise.resolve(connection);
    return this.#pool.wait(limits, timeoutMs).catch((error: unknown) => {
      this.#probeOver(limits);
      throw error;
    });
  }

  /** Lets a call probe an ejected endpoint before its time. */
  hasten(): void {
    if (this.#state.name === 'ejected') this.#send({ type: 'due' });
  }

  /**
   * A request over `connection` is over: gives it back, and hears what its end says about the endpoint. A list that
   * succeeds (`asked: 'list'`) does not show that calls do: a tool may crash its server each time.
   */
  done(
    connection: Connection,
    call: WaitLimits,
    asked: 'call' | 'list',
    sentAt: number,
    now: number,
    error?: unknown,
  ): void {
    this.#pool.release(connection, now);
    const verdict = error === undefined ? 'answered' : verdictOf(error);
    if (verdict === 'answered' && asked === 'call') {
      this.#latency.observe(now - sentAt, now);
      if (this.#troubled) this.#send({ type: 'call_ok' });
    } else if (verdict === 'failed') this.#callFailed(asStoreError(error), sentAt);
    this.#probeOver(call);
  }

  /** For what is open, and for what is opened later. Waits for nobody: a connection that does not take it goes on. */
  setLogLevel(level: string): void {
    this.#launcher.logLevel = level;
    for (const connection of [...this.#pool.connections, ...this.#leases])
      connection.setLogLevel(level, this.#options.performance.connectionPool.readTimeoutMs).catch(() => {});
  }

  /** Gives back a connection that was not used. */
  release(connection: Connection): void {
    this.#pool.release(connection, this.#clock.now());
  }

  /** A connection for one call alone, which ends with `ownDone`; how its start goes counts as that of a pool's does. */
  async own(call: WaitLimits, timeoutMs: number): Promise<Connection> {
    this.#assertUsable(call);
    if (this.#state.name === 'probing') {
      this.#probe = call;
      this.#send({ type: 'probe', connected: true });
    }
    const sentAt = this.#clock.now();
    const restarts = this.#restarts;
    try {
      const connection = await this.#beside(call, timeoutMs, (error) => {
        if (restarts === this.#restarts)
          this.#send({ type: 'own_failed', error, sentAt, random: this.#clock.random() });
      });
      this.#send({ type: 'opened' });
      connection.inFlight++;
      return connection;
    } catch (error) {
      this.#probeOver(call);
      throw error;
    }
  }

  /** As `done`, for a connection of `own`: settles when nothing of it is left. */
  ownDone(
    connection: Connection,
    call: WaitLimits,
    asked: 'call' | 'list',
    sentAt: number,
    error?: unknown,
  ): Promise<void> {
    connection.inFlight--;
    const verdict = error === undefined ? 'answered' : verdictOf(error);
    if (verdict === 'failed') this.#callFailed(asStoreError(error), sentAt);
    else if (verdict === 'answered' && asked === 'call') this.#send({ type: 'call_ok', own: true });
    this.#probeOver(call);
    return this.endLease(connection);
  }

  /** A connection of one owner, beside the pool; it ends with `endLease`. Rejects as `wait` does. */
  async lease(limits: WaitLimits, timeoutMs: number): Promise<Connection> {
    this.#assertUsable(limits);
    return this.#beside(limits, timeoutMs);
  }

  #assertUsable({ deadline }: WaitLimits): void {
    if (this.#state.name === 'auth_required' && this.#launcher.newCredentials) this.#send({ type: 'credentials' });
    const refusal = this.refusal() ?? patienceOver(this.#state, deadline, this.#clock.now());
    if (refusal) throw refusal;
  }

  /** @param onFailed - hears of a start that failed, also where nobody waits for it any more */
  async #beside(limits: WaitLimits, timeoutMs: number, onFailed?: (error: StoreError) => void): Promise<Connection> {
    // Whose time is over starts nothing.
    if (limits.deadline <= this.#clock.now()) throw waitOver('timeout', limits, timeoutMs);
    const waiting = new WaitQueue<Connection>(this.#clock);
    this.#launcher.open().then(
      (connection) => {
        this.#leases.add(connection);
        // Nobody waits for it any more.
        if (!waiting.give(connection)) void this.endLease(connection);
      },
      (error: unknown) => {
        onFailed?.(asStoreError(error));
        waiting.failAll(() => asStoreError(error));
      },
    );
    const connection = await waiting.wait(limits, (why) => waitOver(why, limits, timeoutMs));
    connection.onNotice = (notice) => this.#options.onNotice(notice);
    return connection;
  }

  async endLease(connection: Connection): Promise<void> {
    // It counts until nothing of it is left: whoever closes the endpoint meanwhile waits for it too.
    await connection.close();
    this.#leases.delete(connection);
  }

  closeIdle(maxIdleMs: number): number {
    return this.#pool.closeIdle(maxIdleMs);
  }

  /** Refuses new calls until `restart`; connections close when their calls have ended, or after `drainMs`. */
  async stop(drainMs: number): Promise<void> {
    this.#halt();
    await this.#drain(drainMs);
    const connections = this.#pool.connections.map((connection) => connection.close());
    await Promise.all([this.#launcher.settled(), this.#pool.closeReplaced(), this.#endLeases(), ...connections]);
  }

  /**
   * Starts anew, whatever the state: calls in flight have `drainMs`, new ones wait for the new start. Resolves when that
   * has begun; restarts at the same time are one.
   */
  restart(drainMs: number): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#restarts++;
    this.#launcher.halt(new StoreError('CONNECT_FAILED', 'the service is restarted'));
    this.#send({ type: 'restart' });
    this.#pool.replace();
    this.#restarting ??= this.#drained(drainMs).finally(() => {
      this.#restarting = undefined;
    });
    return this.#restarting;
  }

  async #drained(drainMs: number): Promise<void> {
    await this.#drain(drainMs);
    await Promise.all([this.#launcher.settled(), this.#pool.closeReplaced(), this.#endLeases()]);
    if (this.#closed) return;
    this.#launcher.resume();
    this.#send({ type: 'drained' });
  }

  /** Ends for good: no new calls, those in flight have `drainMs`, then everything closes in parallel. */
  async close(drainMs: number): Promise<void> {
    this.#closed = true;
    this.#halt();
    this.#supervisor.stop();
    await this.#drain(drainMs);
    await Promise.all([this.#launcher.settled(), this.#pool.close()]);
    await this.#endLeases();
  }

  async #endLeases(): Promise<void> {
    await Promise.all([...this.#leases].map((connection) => this.endLease(connection)));
  }

  /** Takes no more calls, and ends those that wait and starts that are under way. */
  #halt(): void {
    this.#send({ type: 'stop' });
    this.#pool.refuse(() => this.refusal()!);
    this.#launcher.halt(this.refusal()!);
  }

  /** Where it is asked for twice, the shorter time counts. */
  #drain(drainMs: number): Promise<void> {
    this.#drainEnd = Math.min(this.#drainEnd, this.#clock.now() + drainMs);
    this.#drains++;
    return new Promise<void>((resolve) => {
      const look = (): void => {
        const left = this.#drainEnd - this.#clock.now();
        const busy = this.#pool.busy || [...this.#leases].some((connection) => connection.inFlight > 0);
        if (!busy || left <= 0) resolve();
        else this.#clock.after(Math.min(left, 20), look);
      };
      look();
    }).finally(() => {
      if (--this.#drains === 0) this.#drainEnd = Number.POSITIVE_INFINITY;
    });
  }

  #send(event: EndpointEvent): void {
    const before = this.#state;
    const { state, effects } = next(before, event, this.#clock.now());
    if (state === before) {
      for (const effect of effects) this.#run(effect);
      return;
    }
    this.#state = state;
    this.#flowing = state.name === 'ready' || state.name === 'degraded';
    this.#troubled = 'history' in state && (state.name !== 'ready' || state.history.calls.length > 0);
    if (state.name === 'ready' && !this.#options.mayEject) this.#readyAt = 0;
    else if (state.name === 'ready' && before.name !== 'degraded' && before.name !== 'ready')
      this.#readyAt = this.#clock.now();
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const effect of effects) this.#run(effect);
    if (isNews(before, state)) this.#options.onState(state);
  }

  #run(effect: EndpointEffect): void {
    if (effect.type === 'timer')
      this.#timer = this.#clock.after(effect.at - this.#clock.now(), () => this.#send({ type: 'due' }));
    else if (effect.type === 'refuse') this.#pool.refuse(() => (effect.error ? copyOf(effect.error) : this.refusal()!));
    else {
      const restarts = this.#restarts;
      this.#pool.add().catch((error: unknown) => {
        // A start that a restart has ended says nothing of the one that follows.
        if (restarts !== this.#restarts) return;
        this.#send({ type: 'open_failed', error: asStoreError(error), random: this.#clock.random() });
      });
    }
  }

  #callFailed(error: StoreError, sentAt: number): void {
    const { mayEject } = this.#options;
    // Where there is nowhere else to go, a refused connect is tried again by the next call: a server that restarts is
    // back at once. Only what was sent counts for the breaker.
    if (mayEject === undefined && error.executed === 'no') return;
    const leadsTo = mayEject === undefined ? 'breaker_open' : mayEject() ? 'ejected' : 'degraded';
    this.#send({ type: 'call_failed', error, sentAt, leadsTo });
  }

  #probeOver(call: WaitLimits): void {
    if (this.#probe !== call) return;
    this.#probe = undefined;
    this.#send({ type: 'probe_over' });
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
    // What ends under a call has started; the call's own failure is counted. A server that forgets each session at its
    // first request would be asked for new ones without a pause.
    const answered = expired ? connection.heard : connection.answered || connection.inFlight > 0;
    this.#send({ type: 'lost', error, answered, expired, random: this.#clock.random() });
  }
}

/** Another state, or another time of the next try; the figures that a state merely keeps are nobody's news. */
function isNews(before: EndpointState, state: EndpointState): boolean {
  if (before.name !== state.name) return true;
  const nextTryAt = (of: EndpointState): number | undefined => ('nextTryAt' in of ? of.nextTryAt : undefined);
  const attempt = (of: EndpointState): number | undefined => ('attempt' in of ? of.attempt : undefined);
  return nextTryAt(before) !== nextTryAt(state) || attempt(before) !== attempt(state);
}

/** What identifies an endpoint to people, without its arguments, query or credentials. */
function labelOf(definition: EndpointDefinition): string {
  if (definition.kind === 'stdio') return basename(definition.command);
  if (definition.kind === 'memory') return 'in memory';
  const url = new URL(definition.url);
  return `${url.origin}${url.pathname}`;
}

function waitOver(why: 'timeout' | 'cancelled', limits: WaitLimits, timeoutMs: number): StoreError {
  return why === 'cancelled'
    ? new StoreError('CANCELLED', 'cancelled by the caller', { cause: limits.signal?.reason })
    : new StoreError('TIMEOUT', `no connection within ${timeoutMs} ms`, { figures: { timeoutMs } });
}

function asStoreError(error: unknown): StoreError {
  return isStoreError(error) ? error : new StoreError('CONNECT_FAILED', asError(error).message, { cause: error });
}
