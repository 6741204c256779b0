/** Knows when an idle connection is asked whether it lives, and when its silence ends it. */

import type { Clock, Timer } from '../_util/clock.js';
import type { Connection } from '../connection/connection.js';
import { asError } from '../errors.js';
import { MAX_MISSES } from './limits.js';

export interface SupervisorOptions {
  clock: Clock;
  /** How long a connection may be idle before it is asked; 0: never. */
  intervalMs: number;
  timeoutMs: number;
  connections: () => readonly Connection[];
  /** A check was not answered. */
  onMiss: (error: Error) => void;
  onAlive: () => void;
}

/** Asks idle connections only: traffic is proof enough. A busy server may be slow to answer and is left alone. */
export class Supervisor {
  #options: SupervisorOptions;
  readonly #misses = new WeakMap<Connection, number>();
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /** Runs while there are connections; call it when one opens. */
  watch(): void {
    const { clock, intervalMs } = this.#options;
    if (this.#stopped || this.#timer !== undefined || intervalMs === 0) return;
    this.#timer = clock.after(intervalMs, () => {
      this.#timer = undefined;
      void this.#round();
    });
  }

  /** Other times, from now on. */
  configure(times: Pick<SupervisorOptions, 'intervalMs' | 'timeoutMs'>): void {
    this.#options = { ...this.#options, ...times };
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#options.connections().length > 0) this.watch();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  async #round(): Promise<void> {
    const { clock, intervalMs, connections } = this.#options;
    const now = clock.now();
    const idle = connections().filter(
      (connection) => connection.inFlight === 0 && now - connection.lastUsedAt >= intervalMs,
    );
    await Promise.all(idle.map((connection) => this.#check(connection)));
    if (connections().length > 0) this.watch();
  }

  async #check(connection: Connection): Promise<void> {
    const usedBefore = connection.used;
    try {
      await connection.ping(this.#options.timeoutMs);
      this.#misses.delete(connection);
      this.#options.onAlive();
    } catch (error) {
      // A call that came meanwhile is watched by its own deadline.
      if (connection.closed || connection.used !== usedBefore) return;
      const misses = (this.#misses.get(connection) ?? 0) + 1;
      this.#misses.set(connection, misses);
      this.#options.onMiss(asError(error));
      if (misses >= MAX_MISSES) await connection.end(new Error(`no answer to ${MAX_MISSES} health checks`));
    }
  }
}
