/** Knows how an endpoint stops, starts anew and ends: calls under way have their time, then its connections close. */

import type { Clock } from '../_util/clock.js';
import type { Connection } from '../connection/connection.js';
import { StoreError } from '../errors.js';
import type { Launcher } from './launch.js';
import type { Leases } from './leases.js';
import type { Lifecycle } from './lifecycle.js';
import type { Pool } from './pool.js';

export interface EndingOptions {
  clock: Clock;
  life: Lifecycle;
  launcher: Launcher;
  pool: Pool;
  leases: Leases;
}

const LOOK_MS = 20;

export class Ending {
  readonly #options: EndingOptions;
  #drainEnd = Number.POSITIVE_INFINITY;
  #drains = 0;
  #restarting: Promise<void> | undefined;
  /** The new start is to be begun, also where no call waits for it. */
  #begin = false;

  constructor(options: EndingOptions) {
    this.#options = options;
  }

  /** Refuses new calls until `restart`; connections close when their calls have ended, or after `drainMs`. */
  async stop(drainMs: number): Promise<void> {
    const { life, launcher, pool, leases } = this.#options;
    life.send({ type: 'stop' });
    this.#refuse();
    await this.#drain(drainMs);
    const connections = pool.connections.map((connection) => connection.close());
    await Promise.all([launcher.settled(), pool.closeReplaced(), leases.endAll(), ...connections]);
  }

  /**
   * Starts anew, whatever the state: calls in flight have `drainMs`, new ones wait for the new start. Resolves when that
   * has begun; restarts at the same time are one.
   * @param begin - false: where no call waits, the next one begins it
   */
  restart(drainMs: number, begin: boolean): Promise<void> {
    const { life, launcher, pool, leases } = this.#options;
    if (life.closed) return Promise.resolve();
    launcher.halt(new StoreError('CONNECT_FAILED', 'the service is restarted'));
    life.send({ type: 'restart' });
    pool.replace();
    leases.hold();
    this.#begin ||= begin;
    this.#restarting ??= this.#startAnew(drainMs).finally(() => {
      this.#restarting = undefined;
    });
    return this.#restarting;
  }

  /**
   * Puts a new connection in the place of one, between calls: new ones wait until those under way on it have ended. Where
   * that takes longer than `patienceMs`, it goes on as before (`'busy'`). Connections with one owner are left alone.
   * `'gone'`: calls do not go over it now.
   */
  async renew(connection: Connection, patienceMs: number): Promise<'renewed' | 'busy' | 'gone'> {
    const { clock, life, pool } = this.#options;
    if (!life.flowing || !pool.setAside(connection)) return 'gone';
    const end = clock.now() + patienceMs;
    while (connection.inFlight > 0 && !connection.closed) {
      const left = end - clock.now();
      if (left <= 0) {
        // Whoever stops or restarts the endpoint meanwhile ends it.
        if (life.flowing) pool.takeBack(connection);
        return 'busy';
      }
      await new Promise<void>((resolve) => clock.after(Math.min(left, LOOK_MS), resolve));
    }
    if (!life.flowing || !pool.empty) return 'renewed';
    life.send({ type: 'restart' });
    // What is restarted, stopped or closed meanwhile goes its own way.
    const send = life.sinceNow();
    // Two processes at a time could be in each other's way.
    await connection.close();
    send({ type: 'drained', needed: true });
    return 'renewed';
  }

  /** Ends for good: no new calls, those in flight have `drainMs`, then everything closes in parallel. */
  async close(drainMs: number): Promise<void> {
    const { life, launcher, pool, leases } = this.#options;
    life.close();
    this.#refuse();
    await this.#drain(drainMs);
    await Promise.all([launcher.settled(), pool.close()]);
    await leases.endAll();
  }

  async #startAnew(drainMs: number): Promise<void> {
    const { life, launcher, pool, leases } = this.#options;
    await this.#drain(drainMs);
    await Promise.all([launcher.settled(), pool.closeReplaced(), leases.endAll()]);
    const needed = this.#begin || pool.stats().waiting > 0;
    this.#begin = false;
    if (life.closed) return;
    launcher.resume();
    leases.resume();
    life.send({ type: 'drained', needed });
  }

  /** Ends the calls that wait, and starts that are under way. */
  #refuse(): void {
    const { life, launcher, pool, leases } = this.#options;
    pool.refuse(() => life.refusal()!);
    leases.refuse(() => life.refusal()!);
    launcher.halt(life.refusal()!);
  }

  /** Resolves when no call is under way, or after `drainMs`. Where it is asked for twice, the shorter time counts. */
  #drain(drainMs: number): Promise<void> {
    const { clock, pool, leases } = this.#options;
    this.#drainEnd = Math.min(this.#drainEnd, clock.now() + drainMs);
    this.#drains++;
    return new Promise<void>((resolve) => {
      const look = (): void => {
        const left = this.#drainEnd - clock.now();
        if ((!pool.busy && !leases.busy) || left <= 0) resolve();
        else clock.after(Math.min(left, LOOK_MS), look);
      };
      look();
    }).finally(() => {
      if (--this.#drains === 0) this.#drainEnd = Number.POSITIVE_INFINITY;
    });
  }
}
