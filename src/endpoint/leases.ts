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

  constructor(options: LeasesOptions) {
    this.#options = options;
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
    const { clock, life, outcomes } = this.#options;
    this.#assertUsable(call);
    outcomes.begin(call, true);
    const sentAt = clock.now();
    const send = life.sinceNow();
    try {
      const connection = await this.#beside(call, timeoutMs, (error) =>
        send({ type: 'own_failed', error, sentAt, random: clock.random() }),
      );
      life.send({ type: 'opened' });
      connection.inFlight++;
      return connection;
    } catch (error) {
      outcomes.leave(call);
      throw error;
    }
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

  /** One of one owner, which ends with `end`. Rejects as waiting for one of the pool's does. */
  async open(limits: WaitLimits, timeoutMs: number): Promise<Connection> {
    this.#assertUsable(limits);
    return this.#beside(limits, timeoutMs);
  }

  async end(connection: Connection): Promise<void> {
    // It counts until nothing of it is left: whoever closes the endpoint meanwhile waits for it too.
    await connection.close();
    this.#connections.delete(connection);
  }

  async endAll(): Promise<void> {
    await Promise.all([...this.#connections].map((connection) => this.end(connection)));
  }

  #assertUsable({ deadline }: WaitLimits): void {
    const { life } = this.#options;
    life.wake();
    const refusal = life.refusal(deadline);
    if (refusal) throw refusal;
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
