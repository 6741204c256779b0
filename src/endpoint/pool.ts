/** Knows the connections of one endpoint: who gets which, when another is opened, and which ones are closed. */

import type { Clock, Timer } from '../_util/clock.js';
import { type WaitLimits, WaitQueue } from '../_util/wait-queue.js';
import type { Connection } from '../connection/connection.js';
import { StoreError } from '../errors.js';
import type { PoolSize } from '../option-layers.js';
import { PoolCounters, type PoolStats } from './pool-stats.js';

export interface PoolOptions {
  size: PoolSize;
  /** Requests that one connection will carry, known before it is open. */
  capacity: number;
  maxIdleTimeMs: number;
  clock: Clock;
  /** Opens one more connection; the pool never has more than one of these per free place under way. */
  open: () => Promise<Connection>;
  /** A connection is open, the first one or a later one. */
  onOpened: (connection: Connection) => void;
  /** A connection ended by itself. `left`: how many are still open. */
  onLost: (connection: Connection, reason: Error, left: number) => void;
  /** The last connection was closed for idleness. */
  onEmpty: () => void;
}

/** After a failed attempt to grow, the next one waits so long: the open connections go on serving meanwhile. */
const GROW_PAUSE_MS = 1_000;

export class Pool {
  #options: PoolOptions;
  readonly #waiters: WaitQueue<Connection>;
  #connections: Connection[] = [];
  /** Ended or replaced ones whose last calls still settle by themselves: over HTTP an answer may yet come. */
  readonly #ended = new Set<Connection>();
  readonly #closing = new Set<Promise<void>>();
  #opening = 0;
  #idleTimer: Timer | undefined;
  #growAt = 0;
  #closed = false;
  readonly #counters = new PoolCounters();
  #lastFailure: Error | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#waiters = new WaitQueue(options.clock);
  }

  /**
   * Other bounds, from now on: who waits is served from what there is more, and what is too many is given no more calls
   * and closes when its last one has ended.
   */
  configure({ size, capacity, maxIdleTimeMs }: Pick<PoolOptions, 'size' | 'capacity' | 'maxIdleTimeMs'>): void {
    this.#options = { ...this.#options, size, capacity, maxIdleTimeMs };
    this.#idleTimer?.cancel();
    this.#idleTimer = undefined;
    this.#shrink();
    for (const connection of this.#connections) {
      connection.capacity = capacity;
      this.#serve(connection);
    }
    this.#watchIdle();
  }

  get size(): number {
    return this.#connections.length;
  }

  get connections(): readonly Connection[] {
    return this.#connections;
  }

  /** Also those that close when their last call has ended. */
  get all(): readonly Connection[] {
    return [...this.#connections, ...this.#ended];
  }

  /** Has it no connection, and none to come? */
  get empty(): boolean {
    return this.#connections.length + this.#opening === 0;
  }

  get inFlight(): number {
    let sum = 0;
    for (const connection of this.#connections) sum += connection.inFlight;
    return sum;
  }

  /** Has any connection room for a call? */
  get hasRoom(): boolean {
    return this.#connections.some((connection) => connection.inFlight < connection.capacity);
  }

  /** Why the last attempt to open a connection failed; undefined once one has succeeded. */
  get lastFailure(): Error | undefined {
    return this.#lastFailure;
  }

  /** Is any call under way, also on a connection that has ended? */
  get busy(): boolean {
    return this.#ended.size > 0 || this.inFlight > 0;
  }

  /** The least busy connection with room; undefined where there is none. Grows behind while all are busy. */
  take(): Connection | undefined {
    let best: Connection | undefined;
    for (const connection of this.#connections)
      if (best === undefined || connection.inFlight < best.inFlight) best = connection;
    if (best === undefined) return undefined;
    if (best.inFlight > 0 && this.#opening === 0) this.#grow();
    if (best.inFlight >= best.capacity) return undefined;
    return this.#lend(best);
  }

  /** Waits for a connection with room: one that is being opened, or the next that is given back. */
  wait(limits: WaitLimits, timeoutMs: number): Promise<Connection> {
    const waiting = this.#waiters.wait(limits, (why) => {
      if (why === 'cancelled')
        return new StoreError('CANCELLED', 'cancelled by the caller', { cause: limits.signal?.reason });
      this.#counters.timeouts++;
      const { max, open, inFlight, waiting } = this.stats();
      return new StoreError(
        'TIMEOUT',
        `no connection within ${timeoutMs} ms (max ${max}, open ${open}, in flight ${inFlight}, waiting ${waiting})`,
        { figures: { max, open, inFlight, waiting, timeoutMs }, cause: this.#lastFailure },
      );
    });
    this.#growForWaiters();
    return waiting;
  }

  /** Gives a connection back; its slot goes straight to the oldest waiter. */
  release(connection: Connection, now: number): void {
    connection.inFlight--;
    connection.lastUsedAt = now;
    if (this.#ended.has(connection)) {
      if (connection.inFlight === 0) void this.#close(connection);
      return;
    }
    if (connection.closed) return;
    if (this.#waiters.size > 0) {
      this.#serve(connection);
      return;
    }
    if (connection.inFlight === 0) this.#watchIdle();
  }

  /** Opens the first connection, or one more. Rejects with what `open` rejects with. */
  async add(): Promise<Connection> {
    this.#opening++;
    let connection: Connection;
    try {
      connection = await this.#options.open();
    } catch (error) {
      this.#counters.failed++;
      this.#lastFailure = error as Error;
      throw error;
    } finally {
      this.#opening--;
    }
    if (this.#closed || connection.closed) {
      await connection.close();
      throw new StoreError('CONNECT_FAILED', 'the connection ended while it was opened', {
        figures: { retryable: !this.#closed },
      });
    }
    this.#counters.created++;
    this.#lastFailure = undefined;
    this.#connections.push(connection);
    connection.onClose = (reason) => this.#lost(connection, reason);
    this.#options.onOpened(connection);
    this.#serve(connection);
    // The maximum may have been lowered meanwhile.
    this.#shrink();
    // One that was opened for a spike may come too late to be used.
    if (connection.inFlight === 0) this.#watchIdle();
    return connection;
  }

  /** Ends every wait. */
  refuse(error: () => Error): void {
    this.#waiters.failAll(error);
  }

  /** Closes what has been unused for `maxIdleMs`, down to the minimum, never one in use. Returns how many. */
  closeIdle(maxIdleMs: number): number {
    const { clock, size } = this.#options;
    const now = clock.now();
    const idle = this.#connections
      .filter((connection) => connection.inFlight === 0 && now - connection.lastUsedAt >= maxIdleMs)
      .sort((a, b) => a.lastUsedAt - b.lastUsedAt)
      .slice(0, Math.max(0, this.#connections.length - size.min));
    for (const connection of idle) void this.#close(connection);
    if (idle.length > 0 && this.#connections.length === 0) this.#options.onEmpty();
    let sockets = 0;
    for (const connection of this.#connections) sockets += connection.closeIdle(maxIdleMs);
    return idle.length + sockets;
  }

  /** Lends out no more what is open; each of these closes when its last call has ended. */
  replace(): void {
    for (const connection of [...this.#connections]) this.#letGo(connection);
  }

  /** Lends it out no more; it closes when its last call has ended, unless it is taken back before. False: it is gone. */
  setAside(connection: Connection): boolean {
    if (!this.#connections.includes(connection)) return false;
    this.#letGo(connection);
    return true;
  }

  /** Lends out again what was set aside and has not closed. */
  takeBack(connection: Connection): boolean {
    if (connection.closed || !this.#ended.delete(connection)) return false;
    connection.capacity = this.#options.capacity;
    this.#connections.push(connection);
    this.#serve(connection);
    this.#shrink();
    return true;
  }

  /** Lends out no more the least busy ones beyond the maximum. */
  #shrink(): void {
    const byUse = [...this.#connections].sort((a, b) => b.inFlight - a.inFlight);
    for (const connection of byUse.slice(this.#options.size.max)) this.#letGo(connection);
  }

  #letGo(connection: Connection): void {
    if (connection.inFlight === 0) void this.#close(connection);
    else if (this.#drop(connection)) this.#ended.add(connection);
  }

  /** Closes what was replaced, whatever still runs on it; settles when nothing of it is left. */
  async closeReplaced(): Promise<void> {
    for (const connection of this.#ended) void this.#close(connection);
    await Promise.all(this.#closing);
  }

  /** Closes everything now, in parallel; settles when nothing is left. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#idleTimer?.cancel();
    for (const connection of [...this.#connections, ...this.#ended]) void this.#close(connection);
    await Promise.all(this.#closing);
  }

  stats(): PoolStats {
    const { size, capacity } = this.#options;
    const [connections, opening, waiting] = [this.#connections, this.#opening, this.#waiters.size];
    return this.#counters.stats({ connections, opening, waiting, inFlight: this.inFlight, size, capacity });
  }

  #lend(connection: Connection): Connection {
    connection.inFlight++;
    if (connection.used++ > 0) this.#counters.reused++;
    return connection;
  }

  #serve(connection: Connection): void {
    while (this.#waiters.size > 0 && connection.inFlight < connection.capacity)
      this.#waiters.give(this.#lend(connection));
    this.#growForWaiters();
  }

  /**
   * As many at once as the waiting calls can fill: a spike does not pay for one connect after the other. The first
   * connection is the endpoint's to open, which knows when.
   */
  #growForWaiters(): void {
    if (this.#connections.length + this.#opening === 0) return;
    while (this.#waiters.size > this.#opening * this.#options.capacity && this.#grow());
  }

  /** One more connection behind, where the maximum allows it and the last attempt did not just fail. */
  #grow(): boolean {
    const { size, clock } = this.#options;
    if (this.#closed || this.#connections.length + this.#opening >= size.max || clock.now() < this.#growAt)
      return false;
    this.add().catch(() => {
      this.#growAt = clock.now() + GROW_PAUSE_MS;
    });
    return true;
  }

  /** Idle clean-up is due `ms` from now, while there are more connections than the minimum. */
  #watchIdle(ms = this.#options.maxIdleTimeMs): void {
    if (this.#idleTimer !== undefined || this.#connections.length <= this.#options.size.min) return;
    this.#idleTimer = this.#options.clock.after(ms, () => {
      this.#idleTimer = undefined;
      const { maxIdleTimeMs, clock } = this.#options;
      this.closeIdle(maxIdleTimeMs);
      const oldest = Math.min(
        ...this.#connections.filter((c) => c.inFlight === 0).map((c) => c.lastUsedAt),
        clock.now(),
      );
      this.#watchIdle(Math.max(oldest + maxIdleTimeMs - clock.now(), 10));
    });
  }

  #lost(connection: Connection, reason: Error): void {
    if (!this.#drop(connection)) return;
    if (!this.#closed) this.#options.onLost(connection, reason, this.#connections.length);
    // Its process group may still hold more than what ended.
    if (connection.inFlight === 0) void this.#close(connection);
    else this.#ended.add(connection);
  }

  #close(connection: Connection): Promise<void> {
    this.#drop(connection);
    this.#ended.delete(connection);
    connection.onClose = undefined;
    const closing = connection.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
    return closing;
  }

  #drop(connection: Connection): boolean {
    const index = this.#connections.indexOf(connection);
    if (index === -1) return false;
    this.#connections.splice(index, 1);
    this.#counters.gone(connection);
    return true;
  }
}
