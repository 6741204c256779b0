/** Knows the connections of one endpoint that stand beside its pool, each with one owner. */

import type { Clock } from '../_util/clock.js';
import { type WaitLimits, WaitQueue } from '../_util/wait-queue.js';
import type { Connection, ServerNotice } from '../connection/connection.js';
import { StoreError } from '../errors.js';
import type { Lifecycle } from './lifecycle.js';
import type { Outcomes } from './outcomes.js';
import { asStoreError } from './refusal.js';

export interface LeasesOptions {
  clock: Clock;
  life: Lifecycle;
  outcomes: Outcomes;
  open: () => Promise<Connection>;
  onNotice: (notice: ServerNotice) => void;
}

export class Leases {
  readonly #options: LeasesOptions;
  readonly #connections = new Set<Connection>();
  /** Who came while a restart drained. */
  readonly #line: WaitQueue<void>;
  #held = false;

  constructor(options: LeasesOptions) {
    this.#options = options;
    this.#line = new WaitQueue(options.clock);
  }

  get connections(): ReadonlySet<Connection> {
    return this.#connections;
  }

  /** Is any call under way? */
  get busy(): boolean {
    return [...this.#connections].some((connection) => connection.inFlight > 0);
  }

  /** One for one call alone, which ends with `ownDone`; how its start goes counts as that of a pool's does. */
  async own(call: WaitLimits, timeoutMs: number): Promise<Connection> {
    while (this.#held) await this.#resumed(call, timeoutMs);
    this.#assertUsable(call);
    const connection = await this.#counted(call, timeoutMs);
    this.#options.life.send({ type: 'opened' });
    connection.inFlight++;
    return connection;
  }

  /** Its call is over: settles when nothing of the connection is left. */
  ownDone(
    connection: Connection,
    call: WaitLimits,
    asked: 'call' | 'list',
    sentAt: number,
    error?: unknown,
  ): Promise<void> {
    connection.inFlight--;
    this.#options.outcomes.over(call, asked, sentAt, error, true);
    return this.end(connection);
  }

  /**
   * One of one owner, which ends with `end`. Rejects as waiting for one of the pool's does. Where the endpoint waits to be
   * probed, this start does it until the connection is open; then the next call does, of this owner or another.
   */
  async open(limits: WaitLimits, timeoutMs: number): Promise<Connection> {
    while (this.#held) await this.#resumed(limits, timeoutMs);
    this.#assertUsable(limits);
    const { life, outcomes } = this.#options;
    // Else the pool's own starts tell how it stands.
    if (life.state.name !== 'probing') return this.#beside(limits, timeoutMs);
    const connection = await this.#counted(limits, timeoutMs);
    outcomes.leave(limits);
    return connection;
  }

  /** One call over a connection of `open`; how it ends counts as that of any other call does. */
  async use<T>(connection: Connection, call: WaitLimits, run: () => Promise<T>): Promise<T> {
    const { clock, outcomes } = this.#options;
    const sentAt = clock.now();
    outcomes.begin(call, true);
    connection.inFlight++;
    try {
      const result = await run();
      outcomes.over(call, 'call', sentAt, undefined);
      return result;
    } catch (error) {
      outcomes.over(call, 'call', sentAt, error);
      throw error;
    } finally {
      connection.inFlight--;
    }
  }

  async end(connection: Connection): Promise<void> {
    // It counts until nothing of it is left: whoever closes the endpoint meanwhile waits for it too.
    await connection.close();
    this.#connections.delete(connection);
  }

  async endAll(): Promise<void> {
    await Promise.all([...this.#connections].map((connection) => this.end(connection)));
  }

  /** A restart drains: what comes now waits for the new start, as the calls of a pool do. */
  hold(): void {
    this.#held = true;
  }

  resume(): void {
    this.#held = false;
    while (this.#line.give());
  }

  /** Ends every wait for the new start. */
  refuse(error: () => StoreError): void {
    this.#line.failAll(error);
  }

  #resumed(limits: WaitLimits, timeoutMs: number): Promise<void> {
    this.#assertUsable(limits);
    return this.#line.wait(limits, (why) => waitOver(why, limits, timeoutMs));
  }

  #assertUsable({ deadline }: WaitLimits): void {
    const { life } = this.#options;
    life.wake();
    const refusal = life.refusal(deadline);
    if (refusal) throw refusal;
  }

  /** A start that the endpoint's state hears of; it probes where that is due, and goes on doing so. */
  async #counted(limits: WaitLimits, timeoutMs: number): Promise<Connection> {
    const { clock, life, outcomes } = this.#options;
    outcomes.begin(limits, true);
    const sentAt = clock.now();
    const send = life.sinceNow();
    try {
      return await this.#beside(limits, timeoutMs, (error) =>
        send({ type: 'own_failed', error, sentAt, random: clock.random() }),
      );
    } catch (error) {
      outcomes.leave(limits);
      throw error;
    }
  }

  /** @param onFailed - hears of a start that failed, also where nobody waits for it any more */
  async #beside(limits: WaitLimits, timeoutMs: number, onFailed?: (error: StoreError) => void): Promise<Connection> {
    const { clock, open, onNotice } = this.#options;
    // Whose time is over starts nothing.
    if (limits.deadline <= clock.now()) throw waitOver('timeout', limits, timeoutMs);
    const waiting = new WaitQueue<Connection>(clock);
    open().then(
      (connection) => {
        this.#connections.add(connection);
        // Nobody waits for it any more.
        if (!waiting.give(connection)) void this.end(connection);
      },
      (error: unknown) => {
        onFailed?.(asStoreError(error));
        waiting.failAll(() => asStoreError(error));
      },
    );
    const connection = await waiting.wait(limits, (why) => waitOver(why, limits, timeoutMs));
    connection.onNotice = onNotice;
    return connection;
  }
}

function waitOver(why: 'timeout' | 'cancelled', limits: WaitLimits, timeoutMs: number): StoreError {
  return why === 'cancelled'
    ? new StoreError('CANCELLED', 'cancelled by the caller', { cause: limits.signal?.reason })
    : new StoreError('TIMEOUT', `no connection within ${timeoutMs} ms`, { figures: { timeoutMs } });
}
