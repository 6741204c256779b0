/** Knows one registered MCP server by name: its policies in the order that a call meets them, its endpoints, its lists. */

import type { Clock } from '../_util/clock.js';
import type { Gate } from '../_util/gate.js';
import type { Handler } from '../call.js';
import type { RememberedLists } from '../catalog/remembered.js';
import type { ServiceConfig, ServiceDefinition } from '../config/definition.js';
import type { Asking } from '../connection/asked.js';
import type { Keyring } from '../connection/auth.js';
import type { Connection, ServerNotice } from '../connection/connection.js';
import { type Redact, redactedData, redactorOf } from '../connection/redact.js';
import type { Endpoint } from '../endpoint/endpoint.js';
import type { EndpointState } from '../endpoint/machine.js';
import type { PoolStats } from '../endpoint/pool-stats.js';
import { StoreError } from '../errors.js';
import type { OptionLayer } from '../option-layers.js';
import type { OptionSource, ResolvedPerformance } from '../options.js';
import type { ResultCache } from './cache.js';
import { type Listed, type ListLimits, Path } from './path.js';
import { Paths, type Running } from './paths.js';
import { type ResolvedOptions, resolveOptions } from './resolve.js';
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
  /** Where processes are noted, so that a later run can end what this one could not; undefined: nowhere. */
  stateDir?: string | undefined;
  /** Who signs in over HTTP. */
  keyring: Keyring;
  cache: ResultCache;
  remembered: RememberedLists;
  /** Store-wide options, in the order in which they win. */
  layers: readonly OptionLayer[];
  emit: (service: Service, event: ServiceEvent) => void;
  /** Whom its servers may ask; `owner`: the only scope that uses the connection, undefined for shared ones. */
  asking?: (service: string, owner: string | undefined) => Asking;
}

/** The agent that a service belongs to, and the service's name there. */
export interface Owner {
  readonly agent: string;
  readonly local: string;
}

/** A name, and what it stands for: a definition, or the error that makes what was written unusable. */
export type ServiceSpec = {
  name: string;
  /** Undefined: the store's own. */
  owner?: Owner | undefined;
} & (
  | { definition: ServiceDefinition; problem?: undefined }
  | { definition?: undefined; problem: StoreError; config: ServiceConfig }
);

export class Service {
  readonly name: string;
  readonly owner: Owner | undefined;
  /** Why it cannot be used at all, such as a variable that is not set. */
  readonly problem: StoreError | undefined;
  readonly #parts: ServiceParts;
  #definition: ServiceDefinition | undefined;
  #config: ServiceConfig;
  #options: ResolvedOptions | undefined;
  readonly #paths = new Paths((handle) => this.behindCache(handle));
  #tools: ToolList | undefined;
  /** Ends what the service asks on its own behalf. */
  #ending: AbortController | undefined;
  #closed = false;

  constructor(spec: ServiceSpec, parts: ServiceParts) {
    this.name = spec.name;
    this.owner = spec.owner;
    this.#definition = spec.definition;
    this.problem = spec.problem;
    this.#config = spec.problem ? spec.config : spec.definition.config;
    this.#parts = parts;
  }

  get definition(): ServiceDefinition | undefined {
    return this.#definition;
  }

  /** As written, templates unexpanded. */
  get config(): ServiceConfig {
    return this.#config;
  }

  /** Takes over what differs in its time-out, or in keys of other programs, alone. False: it has to be replaced. */
  adopt({ owner, definition }: ServiceSpec): boolean {
    const old = this.#definition;
    if (old === undefined || definition === undefined || owner?.agent !== this.owner?.agent) return false;
    if (old.revision !== definition.revision || old.settingsRevision !== definition.settingsRevision) return false;
    this.#definition = definition;
    this.#config = definition.config;
    this.#options = undefined;
    return true;
  }

  /** Takes over store-wide options that have changed; what is under way goes on. */
  configure(): void {
    this.#options = undefined;
    // Off is off: what was kept is not served when it is switched on again. What never ran has kept nothing.
    if (this.#paths.size === 0) return;
    if (!this.performance.resultCache.enabled) this.#parts.cache.outdate(this.name);
    this.#paths.configure(this.performance);
  }

  /** @throws StoreError `OPTION_INVALID` where these store-wide layers do not fit this service's own options */
  checkLayers(layers: readonly OptionLayer[]): void {
    resolveOptions(this.definition, layers);
  }

  /** Options with this service's own on top. */
  get performance(): ResolvedPerformance {
    return this.#resolved().options;
  }

  get optionSources(): Readonly<Record<string, OptionSource>> {
    return this.#resolved().sources;
  }

  /**
   * Longest silence of one call, in milliseconds; 0: its deadline alone counts.
   */
  silenceMs(callTimeoutMs: number | undefined): number {
    const { silenceMs, silenceMsTimed } = this.#resolved();
    return callTimeoutMs === undefined ? silenceMs : silenceMsTimed;
  }

  /**
   * Everything that a call of this scope needs; builds it at the first use, starts nothing. Throws where the service is
   * unusable.
   */
  handleFor(scope: string): Handler {
    return this.#run(scope).handle;
  }

  /** `handle` behind the result cache, where that is switched on. */
  behindCache(handle: Handler): Handler {
    const { enabled, ttlMs } = this.performance.resultCache;
    return enabled ? this.#parts.cache.around(handle, ttlMs) : handle;
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
    return this.#paths.best?.state ?? { name: 'registered' };
  }

  /** Do calls go through now? */
  get flowing(): boolean {
    return this.#paths.best?.flowing ?? false;
  }

  /** Why it cannot be used now; while it is started again, what failed before. */
  get failure(): StoreError | undefined {
    const { best } = this.#paths;
    return best?.flowing ? undefined : best?.failure;
  }

  /** Of every owner, in the order in which they are configured. */
  get endpoints(): Endpoint[] {
    return this.#paths.endpoints;
  }

  /** An open connection, for what it says of itself; starts nothing. */
  get connection(): Connection | undefined {
    return this.endpoints.flatMap((endpoint) => endpoint.connections)[0];
  }

  get pids(): number[] {
    const connections = this.endpoints.flatMap((endpoint) => endpoint.connections);
    return connections.map((connection) => connection.pid).filter((pid) => pid !== undefined);
  }

  /** Every process of it: also those that one owner has, and those that only end their calls. */
  get processes(): number[] {
    return this.endpoints.flatMap((endpoint) => endpoint.processes.map(({ pid }) => pid!));
  }

  /**
   * Puts a new process in the place of this one, between calls, or lets it go on where its calls take longer than
   * `patienceMs` (`'busy'`). `'leased'`: it has one owner, who ends it. `'gone'`: calls do not go over it now.
   */
  async renew(pid: number, patienceMs: number): Promise<'renewed' | 'busy' | 'leased' | 'gone'> {
    for (const endpoint of this.endpoints) {
      const connection = endpoint.processes.find((one) => one.pid === pid);
      if (connection === undefined) continue;
      return endpoint.leases.connections.has(connection) ? 'leased' : endpoint.renew(connection, patienceMs);
    }
    return 'gone';
  }

  /** Aborts when the service is removed or its store closed, with the error that says so. */
  get ended(): AbortSignal {
    // Made when it is asked for: of thousands of services most are never used.
    this.#ending ??= new AbortController();
    if (this.#closed) this.#ending.abort(this.#gone());
    return this.#ending.signal;
  }

  get calls(): { running: number; waiting: number } {
    return this.#paths.calls;
  }

  poolStats(): Record<string, PoolStats> {
    return this.#paths.stats();
  }

  /** Begins to start; does not wait. */
  start(): void {
    this.#run('').path.start(this.performance.calls.callTimeoutMs);
  }

  /** Runs `fn` with a connection of its own, which ends with it. */
  async lease<T>(scope: string, fn: (handle: Handler) => Promise<T>): Promise<T> {
    return this.#run(scope).path.lease(fn, this.performance.calls.callTimeoutMs);
  }

  /** One list of the server, every page; see `Path.list`. */
  async list(
    method: string,
    key: string,
    capability: 'tools' | 'resources' | 'prompts',
    limits: ListLimits,
  ): Promise<Listed> {
    // A list is the same for every owner, so it starts nothing where something runs.
    const { path } = this.#paths.first ?? this.#run('');
    return path.list(method, key, capability, limits);
  }

  /** The same without the secrets that its servers are given: for errors and the history, never for results. */
  redacted<T>(said: T): T {
    const { endpoints } = this;
    const all = endpoints.length > 0 ? endpoints.map(({ redact }) => redact) : this.#configured();
    return all.reduce((shown, redact) => redactedData(shown, redact), said);
  }

  /** What takes its secrets out where nothing of it has run. */
  #configured(): Redact[] {
    return this.definition?.endpoints.map(redactorOf) ?? [];
  }

  /** For every connection that is open, and for each that is opened later. */
  setLogLevel(level: string): void {
    this.#paths.setLogLevel(level);
  }

  closeIdle(maxIdleMs: number): number {
    return this.#paths.closeIdle(maxIdleMs);
  }

  async stop(drainMs: number): Promise<void> {
    if (this.#paths.size === 0) this.#run('');
    await this.#paths.stop(drainMs);
  }

  async restart(drainMs: number): Promise<void> {
    if (this.#paths.size === 0) this.#run('');
    await this.#paths.restart(drainMs, this.performance.calls.callTimeoutMs);
  }

  /** Ends for good; calls in flight have `drainMs`. */
  async close(drainMs: number): Promise<void> {
    this.#closed = true;
    this.#tools?.close();
    this.#ending?.abort(this.#gone());
    this.#parts.cache.clear({ service: this.name });
    await this.#paths.close(drainMs, () => this.#gone());
  }

  #resolved(): ResolvedOptions {
    this.#options ??= resolveOptions(this.definition, this.#parts.layers);
    return this.#options;
  }

  #run(scope: string): Running {
    const own = this.definition?.options.sharing === 'agent';
    const owner = own ? scope : '';
    const running = this.#paths.get(owner);
    if (running) return running;
    if (this.problem) throw this.problem;
    if (this.#closed) throw this.#gone();
    if (this.definition!.disabled)
      throw new StoreError('SERVICE_DOWN', `${this.name} is disabled`, {
        service: this.name,
        hint: 'Remove "disabled" from its configuration.',
      });
    const { clock, gate, keyring, stateDir, asking } = this.#parts;
    const { performance } = this;
    const path = new Path({
      definition: this.definition!,
      performance,
      clock,
      gate,
      keyring,
      stateDir,
      onState: (state, endpoint) => this.#emit({ type: 'state', state, endpoint }),
      onOpened: () => {
        // Whatever was known is from another process or session: it may have other tools.
        if (this.tools.live === undefined) this.tools.fetch().catch(() => {});
        else this.tools.changed();
      },
      onNotice: (notice) => this.#notice(notice),
      onLine: (stream, text) => this.#emit({ type: 'output', stream, text }),
      asking: asking?.(this.name, own ? scope : undefined),
    });
    return this.#paths.add(owner, path);
  }

  #fetchTools(): Promise<Listed> {
    const { startTimeoutMs, readTimeoutMs } = this.performance.connectionPool;
    // The list belongs to the service: it is fetched to the end also where the first caller waits no longer.
    const timeoutMs = startTimeoutMs + readTimeoutMs;
    const deadline = this.#parts.clock.now() + timeoutMs;
    const signal = this.ended;
    return this.list('tools/list', 'tools', 'tools', { deadline, timeoutMs, signal }).catch((error: unknown) => {
      // No caller has cancelled it.
      throw signal.aborted ? this.#gone() : error;
    });
  }

  #toolsChanged(): void {
    this.#parts.cache.outdate(this.name);
    this.#emit({ type: 'tools_changed' });
  }

  #notice(notice: ServerNotice): void {
    if (notice.kind === 'log')
      this.#emit({ type: 'log', level: notice.level, logger: notice.logger, data: notice.data });
    else if (notice.kind === 'resource_updated') this.#emit({ type: 'resource_updated', uri: notice.uri });
    else if (notice.list === 'tools') {
      // Results may depend on what changed, so they go at once; the list itself is fetched a moment later.
      this.#parts.cache.outdate(this.name);
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
