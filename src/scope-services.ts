/** Knows how a scope looks at its services and changes them: what it may change, and what each change waits for. */

import { checkTimeout } from './call-options.js';
import type { ServiceConfig } from './config/definition.js';
import { StoreError } from './errors.js';
import type { ServiceStatus } from './events.js';
import { asObject, refuseUnknown } from './option-rules.js';
import { type ChangeOptions, configsOf, type ServiceConfigs } from './registry.js';
import { needOwn, needService, type ScopeParts } from './scope-parts.js';
import { infoOf, type ServiceInfo } from './service-info.js';
import { untilStatus } from './wait-service.js';

const DRAIN_MS = 10_000;

export interface WaitServiceOptions {
  /** Default `'ready'`. */
  status?: ServiceStatus;
  /** Default 120,000. */
  timeoutMs?: number;
  signal?: AbortSignal;
}

export class ScopeServices {
  readonly #parts: ScopeParts;

  constructor(parts: ScopeParts) {
    this.#parts = parts;
  }

  list(): ServiceInfo[] {
    return [...this.#parts.visible()].map(([local, service]) => infoOf(local, service, this.#parts.clock));
  }

  info(name: string): ServiceInfo {
    return infoOf(name, needService(this.#parts, name), this.#parts.clock);
  }

  async wait(name: string, options: WaitServiceOptions): Promise<ServiceInfo> {
    refuseUnknown(options as Record<string, unknown>, ['status', 'timeoutMs', 'signal'], '');
    checkTimeout(options.timeoutMs);
    this.#parts.assertOpen();
    const { status = 'ready', timeoutMs = 120_000, signal } = options;
    const service = needService(this.#parts, name);
    await untilStatus(name, service, { status, timeoutMs, signal }, this.#parts);
    return infoOf(name, service, this.#parts.clock);
  }

  async add(
    what: string | ServiceConfigs,
    config: ServiceConfig | string | undefined,
    options: ChangeOptions,
  ): Promise<string[]> {
    return this.#parts.registry().add(this.#agent, await configsOf(what, config), options);
  }

  async update(name: string, config: ServiceConfig | string, options: ChangeOptions): Promise<void> {
    needOwn(this.#parts, name);
    const own = typeof config === 'string' ? { url: config } : config;
    await this.#parts.registry().update({ agent: this.#agent, name }, own, options);
  }

  async patch(name: string, patch: ServiceConfig, options: ChangeOptions): Promise<void> {
    const service = needOwn(this.#parts, name);
    const before = service.definition?.config ?? this.#parts.registry().configOf(service);
    const joined = Object.entries({ ...before, ...patch });
    await this.update(name, Object.fromEntries(joined.filter(([, value]) => value !== undefined)), options);
  }

  async remove(name: string, options: ChangeOptions): Promise<void> {
    needOwn(this.#parts, name);
    await this.#parts.registry().remove({ agent: this.#agent, name }, options);
  }

  async removeAll(options: ChangeOptions): Promise<void> {
    const names = [...this.#parts.visible()].map(([local]) => local).filter((local) => this.#parts.own(local));
    for (const name of names) await this.remove(name, options);
  }

  config(): { mcpServers: Record<string, ServiceConfig> } {
    const configs = [...this.#parts.visible()].map(
      ([local, service]) => [local, this.#parts.registry().configOf(service)] as const,
    );
    return { mcpServers: Object.fromEntries(configs) };
  }

  async restart(name: string, options: { drainMs?: number }): Promise<void> {
    this.#parts.assertOpen();
    await needOwn(this.#parts, name).restart(drainOf(options));
  }

  async stop(name: string, options: { drainMs?: number }): Promise<void> {
    this.#parts.assertOpen();
    await needOwn(this.#parts, name).stop(drainOf(options));
  }

  async check(options: { timeoutMs?: number }): Promise<ServiceInfo[]> {
    refuseUnknown(asObject(options, 'options'), ['timeoutMs'], '');
    const { timeoutMs = 30_000 } = options;
    checkTimeout(timeoutMs);
    const visible = [...this.#parts.visible()];
    // A failure shows in the service's own status and problem.
    await Promise.all(
      visible.map(async ([local, service]) => {
        if (service.problem || service.definition?.disabled) return;
        await this.wait(local, { timeoutMs })
          .then(() => service.connection?.ping(timeoutMs))
          .catch(() => {});
      }),
    );
    return this.list();
  }

  get #agent(): string | undefined {
    return this.#parts.id === '' ? undefined : this.#parts.id;
  }
}

/** How long calls in flight have. Throws `OPTION_INVALID`. */
export function drainOf(options: { drainMs?: number }): number {
  refuseUnknown(asObject(options, 'options'), ['drainMs'], '');
  const { drainMs = DRAIN_MS } = options;
  if (!(typeof drainMs === 'number' && drainMs >= 0))
    throw new StoreError('OPTION_INVALID', 'drainMs: expected a number of milliseconds, at least 0', {
      figures: { path: 'drainMs' },
    });
  return drainMs;
}
