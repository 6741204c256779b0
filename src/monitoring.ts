/** Knows what looks on while a store's calls are made: the history of calls, their figures of late, and the alerts. */

import { join } from 'node:path';
import type { Clock, Timer } from './_util/clock.js';
import type { Call } from './call.js';
import { maskedByName } from './connection/redact.js';
import type { Logger } from './events.js';
import { type Alert, Alerts } from './observe/alerts.js';
import { CallHistory } from './observe/history.js';
import { RECENT_MS, Recent } from './observe/recent.js';
import { refuseOption } from './option-rules.js';
import type { ResolvedPerformance } from './options.js';
import type { Services } from './service/services.js';
import { healthOf, type ServiceHealth } from './service-health.js';

type Options = ResolvedPerformance['monitoring'];

export interface MonitoringParts {
  clock: Clock;
  services: Services;
  options: Options;
  /** `null`: nothing on disk. */
  stateDir: string | null;
  logger: Logger | undefined;
  onAlert: (alert: Alert) => void;
}

export class Monitoring {
  readonly history: CallHistory;
  readonly alerts: Alerts;
  readonly recent = new Recent();
  /** When the store was opened; monotonic. */
  readonly since: number;
  readonly #clock: Clock;
  readonly #services: Services;
  readonly #stateDir: string | null;
  #options: Options;
  #timer: Timer | undefined;
  /** Has anything happened since the rules were last asked? */
  #news = false;
  #quietSince = 0;
  #closed = false;

  /** @throws StoreError `OPTION_INVALID`; see `check` */
  constructor({ clock, services, options, stateDir, logger, onAlert }: MonitoringParts) {
    this.#clock = clock;
    this.#services = services;
    this.#stateDir = stateDir;
    this.check(options);
    this.#options = options;
    this.since = clock.now();
    this.history = new CallHistory({
      clock,
      options,
      folder: stateDir === null ? undefined : join(stateDir, 'history'),
      redact: (call, args) => call.redacted?.(maskedByName(args)),
      onProblem: ({ message }) =>
        logger?.error({ error: message }, 'calls cannot be written to the history file, and are left out there'),
    });
    this.alerts = new Alerts({ clock, logger, emit: onAlert });
  }

  /** @throws StoreError `OPTION_INVALID` for what this store cannot do */
  check({ historyFile }: Options): void {
    if (historyFile && this.#stateDir === null)
      throw refuseOption('monitoring.historyFile', 'needs a stateDir to write to, and this store has none (null)');
  }

  configure(options: Options): void {
    this.history.configure(options);
    const before = this.#options;
    this.#options = options;
    if (!options.enabled) this.alerts.forget();
    if (options.enabled === before.enabled && options.intervalMs === before.intervalMs) return;
    if (this.#timer === undefined) return;
    this.#timer.cancel();
    this.#timer = undefined;
    this.#arm();
  }

  /** A call has settled. */
  add(call: Call): void {
    if (!this.#options.enabled) return;
    this.history.add(call);
    this.recent.add(call.record);
    this.stir();
  }

  /** Something happened: rules are asked after `intervalMs`, and until nothing has happened for a while. */
  stir(): void {
    this.#news = true;
    if (this.#timer === undefined) this.#arm();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    this.alerts.close();
    await this.history.close();
  }

  #arm(): void {
    const { enabled, rules, intervalMs } = this.#options;
    if (!this.#closed && enabled && (rules.length > 0 || this.alerts.any))
      this.#timer = this.#clock.after(intervalMs, () => this.#evaluate());
  }

  #evaluate(): void {
    this.#timer = undefined;
    const now = this.#clock.now();
    if (this.#news) this.#quietSince = now;
    this.#news = false;
    this.alerts.evaluate(this.#options.rules, this.#healths(now));
    // Then the last calls count no more, and what stands now goes on to stand.
    const quiet = now - this.#quietSince > RECENT_MS + this.#options.intervalMs;
    if (!quiet || this.alerts.any) this.#arm();
  }

  /** Of every service that was used, or cannot be. */
  #healths(now: number): ServiceHealth[] {
    const healths: ServiceHealth[] = [];
    const moment = { now, wall: this.#clock.wall() };
    for (const service of this.#services.values())
      if (service.problem || service.endpoints.length > 0)
        healths.push(healthOf(service.name, service, this.recent, undefined, moment));
    return healths;
  }
}
