/** Knows one registered MCP server by name: its policies in the order that a call meets them, its endpoints, its lists. */

import type { Clock } from '../_util/clock.js';
import type { Gate } from '../_util/gate.js';
import { type Handler, newRecord } from '../call.js';
import type { RememberedLists } from '../catalog/remembered.js';
import type { ServiceConfig, ServiceDefinition } from '../config/definition.js';
import type { Connection, ServerNotice } from '../connection/connection.js';
import { Endpoint } from '../endpoint/endpoint.js';
import type { EndpointState } from '../endpoint/machine.js';
import type { PoolStats } from '../endpoint/pool.js';
import { StoreError } from '../errors.js';
import { type OptionLayer, type OptionSource, type ResolvedPerformance, resolvePerformance } from '../options.js';
import { balanced } from './balance.js';
import type { ResultCache } from './cache.js';
import { Limit } from './limit.js';
import { Retry } from './retry.js';
import { ToolList } from './tool-list.js';

/** What a service tells upwards; the store routes it. */
export type ServiceEvent =
  | { type: 'state'; state: EndpointState; endpoint: string }
  | { type: 'tools_changed' }
  | { type: 'prompts_changed' }
  | { type: 'resources_changed' }
  | { type: 'resource_updated'; uri: string }
  | { type: 'log'; level: string; logger: string | undefined; data: unknown }
  | { type: 'output'; stream: 'stdout' | 'stderr'; text: string }
  | { type: 'tools_skipped'; count: number };

/** What all services of a store share. */
export interface ServiceParts {
  clock: Clock;
  gate: Gate;
  /** Undefined while the cache is switched off for the whole store. */
  cache: ResultCache;
  remembered: RememberedLists;
  /** Store-wide options, in the order in which they win. */
  layers: readonly OptionLayer[];
  emit: (service: Service, event: ServiceEvent) => void;
}

/** A name, and what it stands for: a definition, or the error that makes what was written unusable. */
export type ServiceSpec =
  | { name: string; definition: ServiceDefinition; problem?: undefined }
  | { name: string; definition?: undefined; problem: StoreError; config: ServiceConfig };

interface ResolvedOptions {
  options: ResolvedPerformance;
  sources: Readonly<Record<string, OptionSource>>;
}

/** What runs once the service is used. */
interface Running {
  endpoints: readonly Endpoint[];
  limit: Limit;
  retries: Retry;
  handle: Handler;
}

export class Service {
  readonly name: string;
  readonly definition: ServiceDefinition | undefined;
  /** Why it cannot be used at all, such as a variable that is not set. */
  readonly problem: StoreError | undefined;
  /** As written, templates unexpanded. */
  readonly config: ServiceConfig;
  readonly #parts: ServiceParts;
  #options: ResolvedOptions | undefined;
  #running: Running | undefined;
  #tools: ToolList | undefined;
  #closed = false;

  constructor(spec: ServiceSpec, parts: ServiceParts) {
    this.name = spec.name;
    this.definition = spec.definition;
    this.problem = spec.problem;
    this.config = spec.problem ? spec.config : spec.definition.config;
    this.#parts = parts;
  }

  /** Options with this service's own on top. */
  get performance(): ResolvedPerformance {
    return this.#resolved().options;
  }

  get optionSources(): Readonly<Record<string, OptionSource>> {
    return this.#resolved().sources;
  }

  /**
   * Longest silence of one call, in milliseconds; 0: its deadline alone counts. A time-out that the caller or the
   * service's configuration gives replaces the default `readTimeoutMs`, but not one that was set.
   */
  silenceMs(callTimeoutMs: number | undefined): number {
    const { options, sources } = this.#resolved();
    const explicit = callTimeoutMs !== undefined || sources['calls.callTimeoutMs'] === 'service';
    return explicit && sources['connectionPool.readTimeoutMs'] === 'default' ? 0 : options.connectionPool.readTimeoutMs;
  }

  /** Everything that a call needs; builds it at the first use, starts nothing. Throws where the service is unusable. */
  get handle(): Handler {
    return this.#run().handle;
  }

  get tools(): ToolList {
    this.#tools ??= new ToolList({
      service: this.name,
      revision: this.definition?.revision ?? '',
      own: this.definition?.options ?? {},
      clock: this.#parts.clock,
      remembered: this.#parts.remembered,
      fetch: () => this.#fetchTools(),
      onChanged: () => this.#toolsChanged(),
      onSkipped: (count) => this.#emit({ type: 'tools_skipped', count }),
    });
    return this.#tools;
  }

  /** State of its best endpoint. */
  get state(): EndpointState {
    const endpoints = this.#running?.endpoints;
    if (endpoints === undefined) return { name: 'registered' };
    return endpoints.find((endpoint) => endpoint.state.name === 'ready')?.state ?? endpoints[0]!.state;
  }

  /** Why it cannot be used now; while it is started again, what failed before. */
  get failure(): StoreError | undefined {
    return this.state.name === 'ready' ? undefined : this.#running?.endpoints[0]?.failure;
  }

  /** An open connection, for what it says of itself; starts nothing. */
  get connection(): Connection | undefined {
    return this.#running?.endpoints.flatMap((endpoint) => endpoint.connections)[0];
  }

  get pids(): number[] {
    const connections = this.#running?.endpoints.flatMap((endpoint) => endpoint.connections) ?? [];
    return connections.map((connection) => connection.pid).filter((pid) => pid !== undefined);
  }

  get calls(): { running: number; waiting: number } {
    return { running: this.#running?.limit.running ?? 0, waiting: this.#running?.limit.waiting ?? 0 };
  }

  poolStats(): Record<string, PoolStats> {
    const stats: Record<string, PoolStats> = {};
    for (const [i, endpoint] of (this.#running?.endpoints ?? []).entries())
      stats[`${i}:${endpoint.label}`] = endpoint.stats();
    return stats;
  }

  /** Begins to start; does not wait. */
  start(): void {
    for (const endpoint of this.#run().endpoints) endpoint.use();
  }

  /** Runs `fn` with a connection of its own, which ends with it. */
  async lease<T>(fn: (connection: Connection) => Promise<T>): Promise<T> {
    const endpoint = this.#run().endpoints[0]!;
    const connection = await endpoint.lease();
    try {
      return await fn(connection);
    } finally {
      await endpoint.endLease(connection);
    }
  }

  closeIdle(maxIdleMs: number): number {
    let closed = 0;
    for (const endpoint of this.#running?.endpoints ?? []) closed += endpoint.closeIdle(maxIdleMs);
    return closed;
  }

  async stop(drainMs: number): Promise<void> {
    await Promise.all(this.#run().endpoints.map((endpoint) => endpoint.stop(drainMs)));
  }

  async restart(drainMs: number): Promise<void> {
    const { endpoints } = this.#run();
    await Promise.all(endpoints.map((endpoint) => endpoint.stop(drainMs)));
    for (const endpoint of endpoints) endpoint.restart();
  }

  /** Ends for good; calls in flight have `drainMs`. */
  async close(drainMs: number): Promise<void> {
    this.#closed = true;
    this.#tools?.close();
    this.#parts.cache.clear({ service: this.name });
    this.#running?.limit.refuse(() => this.#gone());
    this.#running?.retries.refuse(() => this.#gone());
    await Promise.all((this.#running?.endpoints ?? []).map((endpoint) => endpoint.close(drainMs)));
  }

  #resolved(): ResolvedOptions {
    if (this.#options === undefined) {
      const { definition } = this;
      const timeout = definition?.callTimeoutMs;
      this.#options = resolvePerformance([
        ...this.#parts.layers,
        { source: 'service', values: timeout === undefined ? undefined : { calls: { callTimeoutMs: timeout } } },
        { source: 'service', values: definition?.options },
      ]);
    }
    return this.#options;
  }

  #run(): Running {
    if (this.#running) return this.#running;
    if (this.problem) throw this.problem;
    if (this.#closed) throw this.#gone();
    if (this.definition!.disabled)
      throw new StoreError('SERVICE_DOWN', `${this.name} is disabled`, {
        service: this.name,
        hint: 'Remove "disabled" from its configuration.',
      });
    const { clock, cache } = this.#parts;
    const { performance } = this;
    const endpoints = this.definition!.endpoints.map((definition) => this.#endpoint(definition));
    const capacity = endpoints.reduce((sum, endpoint) => sum + endpoint.capacity, 0);
    const { maxConcurrentCalls = capacity, queueLimit, retry } = performance.calls;
    const limit = new Limit({ maxConcurrentCalls, queueLimit, clock });
    const { maxRetries, retryDelayMs } = performance.connectionPool;
    const retries = new Retry({ maxRetries, retryDelayMs, retry, clock });
    // The path of a call, from the outside in. Retry stands outside the limit, so a pause holds no permit.
    const attempt = limit.around(balanced(endpoints, clock));
    const safe = retries.around(attempt);
    const handle = performance.resultCache.enabled ? cache.around(safe, performance.resultCache.ttlMs) : safe;
    this.#running = { endpoints, limit, retries, handle };
    return this.#running;
  }

  #endpoint(definition: ServiceDefinition['endpoints'][number]): Endpoint {
    const endpoint: Endpoint = new Endpoint({
      definition,
      performance: this.performance,
      own: this.definition!.options,
      clock: this.#parts.clock,
      gate: this.#parts.gate,
      onState: (state) => this.#emit({ type: 'state', state, endpoint: endpoint.label }),
      onOpened: () => {
        // Whatever was known is from another process or session: it may have other tools.
        if (this.tools.live === undefined) this.tools.fetch().catch(() => {});
        else this.tools.changed();
      },
      onNotice: (notice) => this.#notice(notice),
      onLine: (stream, text) => this.#emit({ type: 'output', stream, text }),
    });
    return endpoint;
  }

  /**
   * One list of the server, every page, repeated where a start fails and repeating helps. A server without the
   * capability has none, and asking it may be an error (MCP, "Capability Negotiation").
   */
  async list(
    method: string,
    key: string,
    capability: 'tools' | 'resources' | 'prompts',
    limits: { deadline: number; timeoutMs: number; signal: AbortSignal | undefined },
  ): Promise<{ items: Record<string, unknown>[]; ttlMs: number | undefined }> {
    const { endpoints, retries } = this.#run();
    let found: { items: Record<string, unknown>[]; ttlMs: number | undefined } = { items: [], ttlMs: undefined };
    const attempt = retries.around(async (call) => {
      const endpoint = endpoints[0]!;
      const connection = endpoint.take() ?? (await endpoint.wait(call, call.timeoutMs));
      try {
        if (connection.capabilities[capability]) found = await connection.listAll(method, key, call);
      } finally {
        endpoint.release(connection);
      }
      return {};
    });
    await attempt({
      ...limits,
      method,
      params: {},
      subject: `${this.name}: ${method}`,
      silenceMs: this.performance.connectionPool.readTimeoutMs,
      onProgress: undefined,
      headers: undefined,
      cache: undefined,
      repeatable: true,
      cacheable: false,
      readOnly: true,
      cachePrefix: '',
      record: newRecord('', this.name, method, this.#parts.clock.now()),
    });
    return found;
  }

  #fetchTools(): Promise<{ items: Record<string, unknown>[]; ttlMs: number | undefined }> {
    const { startTimeoutMs, readTimeoutMs } = this.performance.connectionPool;
    // The list belongs to the service: it is fetched to the end also where the first caller waits no longer.
    const timeoutMs = startTimeoutMs + readTimeoutMs;
    const deadline = this.#parts.clock.now() + timeoutMs;
    return this.list('tools/list', 'tools', 'tools', { deadline, timeoutMs, signal: undefined });
  }

  #toolsChanged(): void {
    this.#parts.cache.clear({ service: this.name });
    this.#emit({ type: 'tools_changed' });
  }

  #notice(notice: ServerNotice): void {
    if (notice.kind === 'log')
      this.#emit({ type: 'log', level: notice.level, logger: notice.logger, data: notice.data });
    else if (notice.kind === 'resource_updated') this.#emit({ type: 'resource_updated', uri: notice.uri });
    else if (notice.list === 'tools') {
      // Results may depend on what changed, so they go at once; the list itself is fetched a moment later.
      this.#parts.cache.clear({ service: this.name });
      this.tools.changed();
    } else this.#emit({ type: notice.list === 'prompts' ? 'prompts_changed' : 'resources_changed' });
  }

  #emit(event: ServiceEvent): void {
    // Whoever waits for a status is told that it ended; all else of a service that went is nobody's news.
    if (!this.#closed || event.type === 'state') this.#parts.emit(this, event);
  }

  #gone(): StoreError {
    return new StoreError('STORE_CLOSED', `${this.name} was removed or its store closed`, { service: this.name });
  }
}
