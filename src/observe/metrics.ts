/** Knows what is counted of a store's calls, whether it is counted now, and who may read it how. */

import type { Attributes } from '@opentelemetry/api';
import type { Clock } from '../_util/clock.js';
import type { Call, CallRecord } from '../call.js';
import type { StoreStats } from '../store-stats.js';
import { type CallSpan, Telemetry } from './otel.js';
import { prometheusText } from './prometheus.js';
import { Stats } from './stats.js';

export interface MetricsParts {
  clock: Clock;
  /** What is known of a service's transport, as attributes of OpenTelemetry. */
  about: (service: string) => Attributes;
  snapshot: () => StoreStats;
  /** `monitoring.enabled`. */
  enabled: boolean;
}

export class Metrics {
  readonly #stats: Stats;
  readonly #telemetry: Telemetry;
  readonly #snapshot: () => StoreStats;
  /** @internal Off, nothing is counted or traced. */
  enabled: boolean;

  /** @internal */
  constructor({ clock, about, snapshot, enabled }: MetricsParts) {
    this.#stats = new Stats(clock.now());
    this.#telemetry = new Telemetry(about);
    this.#snapshot = snapshot;
    this.enabled = enabled;
  }

  /** `stats()` in the text format of Prometheus (0.0.4), for a `/metrics` of your own. */
  prometheus(): string {
    return prometheusText(this.#snapshot(), this.#stats.counters());
  }

  /** @internal */
  async ready(): Promise<void> {
    if (this.enabled) await this.#telemetry.ready();
  }

  /** @internal */
  add(record: CallRecord): void {
    if (this.enabled) this.#stats.add(record);
  }

  /** @internal */
  addBatch(size: number): void {
    if (this.enabled) this.#stats.addBatch(size);
  }

  /** @internal */
  trace(call: Call): CallSpan | undefined {
    return this.enabled ? this.#telemetry.start(call) : undefined;
  }

  /** @internal */
  counted(now: number): Pick<StoreStats, 'calls' | 'services' | 'errors' | 'batches'> {
    const stats = this.#stats;
    const { batches, errors } = stats;
    return { calls: stats.total(now), services: stats.services(now), errors: errors.stats(now), batches };
  }
}
