/** Knows what looks on while a store's calls are made: who is told of each that settles, and by which options. */

import { join } from 'node:path';
import type { Clock } from './_util/clock.js';
import type { Call } from './call.js';
import { maskedByName } from './connection/redact.js';
import type { Logger } from './events.js';
import { CallHistory } from './observe/history.js';
import { refuseOption } from './option-rules.js';
import type { ResolvedPerformance } from './options.js';
import type { Services } from './service/services.js';

type Options = ResolvedPerformance['monitoring'];

export interface MonitoringParts {
  clock: Clock;
  services: Services;
  options: Options;
  /** `null`: nothing on disk. */
  stateDir: string | null;
  logger: Logger | undefined;
}

export class Monitoring {
  readonly history: CallHistory;
  readonly #stateDir: string | null;

  /** @throws StoreError `OPTION_INVALID`; see `check` */
  constructor({ clock, services, options, stateDir, logger }: MonitoringParts) {
    this.#stateDir = stateDir;
    this.check(options);
    this.history = new CallHistory({
      clock,
      options,
      folder: stateDir === null ? undefined : join(stateDir, 'history'),
      redact: (name, args) => services.get(name)?.redacted(maskedByName(args)),
      onProblem: ({ message }) =>
        logger?.error({ error: message }, 'calls cannot be written to the history file, and are left out there'),
    });
  }

  /** @throws StoreError `OPTION_INVALID` for what this store cannot do */
  check({ historyFile }: Options): void {
    if (historyFile && this.#stateDir === null)
      throw refuseOption('monitoring.historyFile', 'needs a stateDir to write to, and this store has none (null)');
  }

  configure(options: Options): void {
    this.history.configure(options);
  }

  /** A call has settled. */
  add(call: Call): void {
    this.history.add(call);
  }

  async close(): Promise<void> {
    await this.history.close();
  }
}
