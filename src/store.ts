/** Knows the whole: opens a store on a configuration, keeps its services, and closes everything that it started. */

import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { type Clock, systemClock } from './_util/clock.js';
import { Gate } from './_util/gate.js';
import { type AgentParts, Agents } from './agents.js';
import { Askers } from './askers.js';
import { type AskHandlers, checkHandlers } from './asking.js';
import type { Call } from './call.js';
import { RememberedLists } from './catalog/remembered.js';
import type { ConfigDocument } from './config/definition.js';
import { defaultStateDir, userConfigPath } from './config/places.js';
import { ConfigFile } from './config/save.js';
import { Keyring } from './connection/auth.js';
import type { PoolStats } from './endpoint/pool-stats.js';
import { StoreError } from './errors.js';
import { EVENT_NAMES, Events, type StoreEventName, type StoreEvents } from './events.js';
import { MemoryMonitor } from './memory.js';
import { Monitoring } from './monitoring.js';
import type { Alerts } from './observe/alerts.js';
import { Metrics } from './observe/metrics.js';
import { bad, checkOpen, type OpenOptions } from './open-options.js';
import { asObject } from './option-rules.js';
import type {
  ConnectionPoolOptions,
  MonitoringOptions,
  OptionSource,
  PerformanceOptions,
  ResolvedPerformance,
  ResultCacheOptions,
} from './options.js';
import { Registry } from './registry.js';
import { Scope, type ScopeParts } from './scope.js';
import { drainOf } from './scope-services.js';
import { ResultCache } from './service/cache.js';
import type { Service, ServiceEvent } from './service/service.js';
import { Services } from './service/services.js';
import { attributesOf } from './service-info.js';
import { ServiceNews } from './service-news.js';
import { SignIns } from './sign-ins.js';
import { poolsOf, type StoreStats, statsOf } from './store-stats.js';
import { Tuning } from './tuning.js';

export class MCPStore extends Scope {
  /** Signing in and out of services that take OAuth. */
  readonly auth: SignIns;
  /** The figures of `stats()` for others to read. */
  readonly metrics: Metrics;
  /** What memory is held, and what the store gives up above a threshold; see `performance.memory`. */
  readonly memory: MemoryMonitor;
  /** What was told of services that do badly, and where it goes. */
  readonly alerts: Alerts;
  readonly #services: Services;
  readonly #events: Events;
  readonly #clock: Clock;
  readonly #tuning: Tuning;
  readonly #cache: ResultCache;
  readonly #remembered: RememberedLists;
  readonly #keyring: Keyring;
  readonly #monitoring: Monitoring;
  readonly #news: ServiceNews;
  readonly #file: ConfigFile | undefined;
  readonly #agents: Agents;
  readonly #askers: Askers;
  readonly #registry: Registry;
  #closing: Promise<void> | undefined;

  /**
   * Opens a store. Reads the configuration and starts nothing (unless `start: 'eager'`).
   * @throws StoreError `CONFIG_INVALID` for a file that does not parse, `OPTION_INVALID`, `FILE_FAILED`
   */
  static async open(options: OpenOptions = {}): Promise<MCPStore> {
    checkOpen(options);
    const path = options.config ?? (options.services === undefined ? existing(userConfigPath()) : undefined);
    const file = path === undefined ? undefined : new ConfigFile(resolve(path));
    const document = await file?.load();
    const store = new MCPStore(options, file, document);
    await Promise.all([store.#registry.fill(document, options.services ?? {}), store.metrics.ready()]);
    if (options.watch !== false) store.#registry.watch();
    if (options.start === 'eager')
      for (const service of store.#services.values())
        if (!service.problem && !service.definition?.disabled) service.start();
    return store;
  }

  private constructor(options: OpenOptions, file: ConfigFile | undefined, document: ConfigDocument | undefined) {
    const clock = options.clock ?? systemClock;
    const events = new Events(options.logger);
    let services: Services;
    let registry: Registry;
    const tuning = new Tuning(document?.performance, options.performance, {
      services: () => services.values(),
      check: ({ monitoring }) => this.#monitoring.check(monitoring),
      apply: (changed) => {
        cache.configure(changed.resultCache);
        this.metrics.enabled = changed.monitoring.enabled;
        this.#monitoring.configure(changed.monitoring);
        this.memory.configure(changed.memory);
      },
    });
    const cache = new ResultCache(tuning.options.resultCache, clock);
    const askers = new Askers(options.logger);
    const shared: Omit<ScopeParts, keyof AgentParts | 'asker'> = {
      registry: () => registry,
      clock,
      events,
      cache,
      assertOpen: () => this.#assertOpen(),
      monitoring: () => this.#monitoring,
      observe: (call) => this.#observe(call),
      trace: (call) => this.metrics.trace(call),
      observeBatch: (size) => this.metrics.addBatch(size),
      callDefaults: () => this.effectiveOptions.calls,
    };
    super({
      ...shared,
      id: '',
      asker: askers.add('', options, () => 'given'),
      own: (name) => services.get(name),
      find: (name) => services.get(name),
      visible: function* () {
        for (const service of services.values()) yield [service.name, service];
      },
    });
    this.#clock = clock;
    this.#askers = askers;
    this.#events = events;
    this.#tuning = tuning;
    this.#news = new ServiceNews({ clock, events, logger: options.logger });
    this.#cache = cache;
    this.#file = file;
    const stateDir = options.stateDir === undefined ? defaultStateDir() : options.stateDir;
    this.#remembered = new RememberedLists(stateDir);
    this.#keyring = new Keyring(clock, stateDir, options.onAuthorize);
    services = new Services({
      clock,
      gate: new Gate(Math.min(2 * availableParallelism(), 8), clock),
      stateDir: stateDir ?? undefined,
      keyring: this.#keyring,
      cache,
      remembered: this.#remembered,
      layers: tuning.layers,
      emit: (service, event) => this.#route(service, event),
      asking: (service, owner) => askers.of(service, owner),
    });
    this.#services = services;
    this.metrics = new Metrics({
      clock,
      about: (name) => attributesOf(services.get(name)),
      snapshot: () => this.stats(),
      enabled: tuning.options.monitoring.enabled,
    });
    this.#monitoring = new Monitoring({
      ...{ clock, services, stateDir, logger: options.logger },
      options: tuning.options.monitoring,
      onAlert: (alert) => events.emit('alert', alert),
    });
    this.memory = new MemoryMonitor(
      {
        clock,
        services: () => services.values(),
        cache,
        closeIdle: (maxIdleMs) => this.closeIdle(maxIdleMs),
        configure: (memory) => this.configure({ memory }),
        emit: (event) => events.emit('memory', event),
        logger: options.logger,
      },
      tuning.options.memory,
    );
    this.alerts = this.#monitoring.alerts;
    this.auth = new SignIns(services, this.#keyring, options.onAuthorize, () => this.#assertOpen());
    this.#agents = new Agents(
      services,
      (own) => new Scope({ ...shared, ...own, asker: askers.add(own.id, {}, usesOf(own)) }),
    );
    this.#registry = registry = new Registry({
      services,
      file,
      stateDir,
      context: { env: options.env ?? process.env, workspaceFolder: options.workspaceFolder, inputs: options.inputs },
      events,
      logger: options.logger,
      forget: (service) => this.#forget(service),
      regrant: (changed) => this.#agents.take(changed),
      retune: (performance) => tuning.take('file', performance),
      assertOpen: () => this.#assertOpen(),
    });
  }

  /** The store-wide options as they are in force. */
  get effectiveOptions(): ResolvedPerformance {
    return this.#tuning.options;
  }

  /** Where each store-wide option came from, by its path. */
  get optionSources(): Readonly<Record<string, OptionSource>> {
    return this.#tuning.sources;
  }

  /**
   * Changes options while the store runs, as a whole or not at all: what `options` leaves out stays as it is. Calls that
   * are under way go on by the rules with which they began; connections beyond a smaller maximum are given no more calls
   * and close when their last one has ended. A service's own options win, as at open.
   * @throws StoreError `OPTION_INVALID` with the path of what is wrong; nothing has changed then
   */
  configure(options: PerformanceOptions): void {
    this.#assertOpen();
    this.#tuning.configure(options);
  }

  /** `configure({ connectionPool: options })`. */
  configureConnectionPool(options: ConnectionPoolOptions): void {
    this.configure({ connectionPool: options });
  }

  /** `configure({ resultCache: { ...options, enabled: true } })`. */
  enableResultCache(options: Omit<ResultCacheOptions, 'enabled'> = {}): void {
    this.configure({ resultCache: { ...options, enabled: true } });
  }

  /** `configure({ resultCache: { enabled: false } })`: what was kept is dropped. */
  disableResultCache(): void {
    this.configure({ resultCache: { enabled: false } });
  }

  /** `configure({ monitoring: { ...options, enabled: true } })`. */
  enablePerformanceMonitoring(options: Omit<MonitoringOptions, 'enabled'> = {}): void {
    this.configure({ monitoring: { ...options, enabled: true } });
  }

  /** `configure({ monitoring: { enabled: false } })`: what was counted stays, and nothing is added to it. */
  disablePerformanceMonitoring(): void {
    this.configure({ monitoring: { enabled: false } });
  }

  /**
   * @internal Until the returned function is called, no call of anybody reads or fills the result cache, whatever is
   * configured; what it holds stays. For what measures calls.
   */
  suspendResultCache(): () => void {
    return this.#cache.suspend();
  }

  /** Path of the configuration file, if there is one. */
  get configPath(): string | undefined {
    return this.#file?.path;
  }

  /** Calls `listener` at each event; the returned function ends that. */
  on<K extends StoreEventName>(name: K, listener: (event: StoreEvents[K]) => void): () => void {
    if (!EVENT_NAMES.includes(name)) throw bad('name', `one of ${EVENT_NAMES.join(', ')}`);
    if (typeof listener !== 'function') throw bad('listener', 'a function');
    return this.#events.on(name, listener);
  }

  /**
   * An agent's view: its own services under their local names, and those of the store that it was given. Results that
   * it caches are its own. The same id gives the same view; `services` replaces what it was given.
   */
  forAgent(id: string, options: { services?: readonly string[] } & AskHandlers = {}): Scope {
    asObject(options, 'options');
    const { onSampling, onElicitation, roots, ...rest } = options;
    checkHandlers(options);
    const scope = this.#agents.of(id, rest);
    this.#askers.change(id, { onSampling, onElicitation, roots });
    return scope;
  }

  /** Counts, rates and latencies of calls, batches, queues, the cache, connections and endpoints. Starts nothing. */
  stats(): StoreStats {
    return statsOf(
      { metrics: this.metrics, memory: this.memory, cache: this.#cache },
      this.#services.values(),
      this.#clock.now(),
    );
  }

  /** Created, reused, failed, open, idle, in flight, waiting and time-outs, per service and endpoint. */
  connectionStats(): Record<string, Record<string, PoolStats>> {
    return poolsOf(this.#services.values());
  }

  /** Closes connections that were unused for `maxIdleMs` (default 0), down to each minimum. Returns how many. */
  closeIdle(maxIdleMs = 0): number {
    if (!(typeof maxIdleMs === 'number' && maxIdleMs >= 0))
      throw bad('maxIdleMs', 'a number of milliseconds, at least 0');
    let closed = 0;
    for (const service of this.#services.values()) closed += service.closeIdle(maxIdleMs);
    return closed;
  }

  /**
   * Ends the store: new calls are refused, those in flight have `drainMs` (default 10,000), then every connection and
   * process is closed, all in parallel. Idempotent; of two calls the shorter `drainMs` counts.
   */
  close(options: { drainMs?: number } = {}): Promise<void> {
    let drainMs: number;
    try {
      drainMs = drainOf(options);
    } catch (error) {
      return Promise.reject(error);
    }
    // Whoever asks again may be in a greater hurry: the shorter time counts.
    if (this.#closing) this.#services.close(drainMs).catch(() => {});
    this.#closing ??= (async () => {
      this.#registry.close();
      this.memory.close();
      this.#keyring.close();
      await this.#services.close(drainMs);
      await Promise.all([this.#remembered.flush(), this.#monitoring.close()]);
    })();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #forget(service: Service): void {
    this.forget(service);
    this.#agents.forget(service);
  }

  #assertOpen(): void {
    if (this.#closing) throw new StoreError('STORE_CLOSED', 'the store is closed');
  }

  #observe(call: Call): void {
    const { record } = call;
    this.metrics.add(record);
    this.#monitoring.add(call);
    if (this.#events.has('call')) this.#events.emit('call', record);
  }

  #route(service: Service, event: ServiceEvent): void {
    if (event.type === 'tools_changed') this.#forget(service);
    if (event.type === 'state') this.#monitoring.stir();
    this.#news.tell(service, event);
    if (event.type === 'state') this.memory.watch(service);
  }
}

/** How an agent uses a service, by the service's full name. */
function usesOf({ id, visible }: AgentParts): (service: string) => 'own' | 'given' | undefined {
  return (name) => {
    for (const [, service] of visible())
      if (service.name === name) return service.owner?.agent === id ? 'own' : 'given';
    return undefined;
  };
}

function existing(path: string): string | undefined {
  return existsSync(path) ? path : undefined;
}
