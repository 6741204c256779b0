/** Knows every verb that a caller has: the store itself is a scope, and so is each agent's view of it. */

import type { Clock } from './_util/clock.js';
import {
  type BatchCall,
  type BatchEntry,
  type BatchOptions,
  type BatchResult,
  batchCall,
  batchStream,
  entryOf,
} from './batch.js';
import { type Call, type CallRecord, type CallResult, type CallToolResult, newRecord, textOf } from './call.js';
import {
  type CallToolOptions,
  checkArguments,
  checkBatch,
  checkBatchCall,
  checkCallOptions,
  checkListOptions,
  checkTimeout,
  type RequestLimits,
  withKey,
} from './call-options.js';
import { errorAt, newCall, outcomeOf, runCall } from './caller.js';
import { nearest } from './catalog/names.js';
import { headersOf, type ToolInfo } from './catalog/tool.js';
import type { ServiceConfig } from './config/definition.js';
import { asError, isStoreError, StoreError } from './errors.js';
import type { Events, ServiceStatus } from './events.js';
import { type Lease, overConnection } from './lease.js';
import { refuseUnknown } from './options.js';
import { type ChangeOptions, configsOf, type Registry, type ServiceConfigs } from './registry.js';
import {
  type ListOptions,
  ScopeCatalog,
  type ScopeTool,
  type ServiceProblem,
  unknownService,
} from './scope-catalog.js';
import { type CacheFilter, cachePrefix, type ResultCache } from './service/cache.js';
import type { Service } from './service/service.js';
import { infoOf, type ServiceInfo } from './service-info.js';
import { untilStatus } from './wait-service.js';

/** What a scope needs of the store that it belongs to. */
export interface ScopeParts {
  /** `''` for the store, else the agent's id: part of every cache key. */
  id: string;
  clock: Clock;
  events: Events;
  cache: ResultCache;
  visible: () => Iterable<[string, Service]>;
  find: (local: string) => Service | undefined;
  /** Its own services, without those that it was only given. */
  own: (local: string) => Service | undefined;
  registry: () => Registry;
  /** Throws `STORE_CLOSED` once the store is closing. */
  assertOpen: () => void;
  observe: (record: CallRecord) => void;
  batchConcurrency: () => number;
}

export class Scope {
  readonly #parts: ScopeParts;
  readonly #catalog: ScopeCatalog;

  /** @internal */
  constructor(parts: ScopeParts) {
    this.#parts = parts;
    this.#catalog = new ScopeCatalog({
      clock: parts.clock,
      visible: parts.visible,
      find: parts.find,
      cachePrefix: (service, tool, definition) =>
        cachePrefix(parts.id, service.name, service.definition?.revision ?? '', tool, definition),
    });
  }

  /**
   * Calls a tool and resolves to MCP's result, untouched. A result with `isError` is a result, unless
   * `throwOnToolError` is set.
   * @param name - `service__tool`, or a bare tool name that one service has
   * @param args - the tool's arguments, an object
   * @throws StoreError with `executed`, which says whether the call may have run
   */
  callTool(name: string, args?: Record<string, unknown>, options?: CallToolOptions): Promise<CallToolResult> {
    return this.#execute(name, args, options, Number.POSITIVE_INFINITY);
  }

  /**
   * Calls many tools, a bounded number at a time, and always resolves: to one entry for each call, in input order.
   * @throws StoreError `OPTION_INVALID` for a bad option, before anything runs
   */
  async batchCall(calls: readonly BatchCall[], options: BatchOptions = {}): Promise<BatchResult> {
    return batchCall(calls, options, this.#batchParts(calls, options));
  }

  /** The same, giving each entry with its `index` as it is finished. Who stops reading cancels the rest. */
  batchStream(
    calls: readonly BatchCall[],
    options: BatchOptions = {},
  ): AsyncGenerator<BatchEntry & { index: number }, void, undefined> {
    return batchStream(calls, options, this.#batchParts(calls, options));
  }

  /** Every visible tool, in a stable order. Waits only for services whose list was never seen; see `ListOptions`. */
  async listTools(options: ListOptions = {}): Promise<ToolInfo[]> {
    checkListOptions(options);
    this.#parts.assertOpen();
    return this.#catalog.list(options);
  }

  /**
   * The tools that a name or a part of one stands for: the exact one first, then those whose name contains it, then
   * the nearest. Finds, never calls.
   */
  async findTool(name: string, options: ListOptions = {}): Promise<ToolInfo[]> {
    const tools = await this.listTools(options);
    const exact = tools.filter((tool) => tool.name === name || tool.tool === name);
    const wanted = name.toLowerCase();
    const containing = tools.filter((tool) => tool.name.toLowerCase().includes(wanted));
    const near = nearest(
      name,
      tools.map((tool) => tool.tool),
      10,
    );
    const close = near.flatMap((found) => tools.filter((tool) => tool.tool === found));
    return [...new Set([...exact, ...containing, ...close])];
  }

  /** Services that have no tool list, and why. Starts nothing. */
  problems(): ServiceProblem[] {
    return this.#catalog.problems();
  }

  /** A snapshot of every visible service. Starts nothing. */
  listServices(): ServiceInfo[] {
    return [...this.#parts.visible()].map(([local, service]) => infoOf(local, service, this.#parts.clock));
  }

  /** A snapshot of one service. Starts nothing. @throws StoreError `SERVICE_UNKNOWN` */
  serviceInfo(name: string): ServiceInfo {
    return infoOf(name, this.#need(name), this.#parts.clock);
  }

  /**
   * Starts a service where needed and waits, without polling, until it has the status.
   * @throws StoreError `TIMEOUT`; what made it fail, where it gives up before
   */
  async waitService(
    name: string,
    options: { status?: ServiceStatus; timeoutMs?: number; signal?: AbortSignal } = {},
  ): Promise<ServiceInfo> {
    refuseUnknown(options, ['status', 'timeoutMs', 'signal'], '');
    checkTimeout(options.timeoutMs);
    this.#parts.assertOpen();
    const { status = 'ready', timeoutMs = 120_000, signal } = options;
    const service = this.#need(name);
    if (status === 'ready') service.start();
    await untilStatus(name, service, { status, timeoutMs, signal }, this.#parts);
    return infoOf(name, service, this.#parts.clock);
  }

  /**
   * Adds services and returns their names; they start at their first use. An agent's are its own.
   * @param what - a name (with `config`: the shape of `mcp.json`, or a URL), a map of names to configs,
   *   `{ mcpServers }`, or the path of a JSON file
   * @throws StoreError `SERVICE_EXISTS`, `OPTION_INVALID`, `CONFIG_INVALID`: then nothing is added
   */
  async addService(
    what: string | ServiceConfigs,
    config?: ServiceConfig | string,
    options: ChangeOptions = {},
  ): Promise<string[]> {
    return this.#parts.registry().add(this.#agent, await configsOf(what, config), options);
  }

  /** Puts a new definition in the place of the old one; calls in flight finish on the old one. */
  async updateService(name: string, config: ServiceConfig | string, options: ChangeOptions = {}): Promise<void> {
    this.#needOwn(name);
    const own = typeof config === 'string' ? { url: config } : config;
    await this.#parts.registry().update({ agent: this.#agent, name }, own, options);
  }

  /** Changes some keys of a service's definition; `undefined` removes a key. */
  async patchService(name: string, patch: ServiceConfig, options: ChangeOptions = {}): Promise<void> {
    const service = this.#needOwn(name);
    const joined = Object.entries({
      ...(service.definition?.config ?? this.#parts.registry().configOf(service)),
      ...patch,
    });
    await this.updateService(name, Object.fromEntries(joined.filter(([, value]) => value !== undefined)), options);
  }

  /** Removes a service; resolves when its calls in flight have finished. */
  async deleteService(name: string, options: ChangeOptions = {}): Promise<void> {
    this.#needOwn(name);
    await this.#parts.registry().remove({ agent: this.#agent, name }, options);
  }

  /** Removes every service of this scope, also from the file with `persist`. */
  async resetConfig(options: ChangeOptions = {}): Promise<void> {
    const names = [...this.#parts.visible()].map(([local]) => local).filter((local) => this.#parts.own(local));
    for (const name of names) await this.deleteService(name, options);
  }

  /** What is configured, templates unexpanded, in the shape of `mcp.json`. */
  showConfig(): { mcpServers: Record<string, ServiceConfig> } {
    const configs = [...this.#parts.visible()].map(
      ([local, service]) => [local, this.#parts.registry().configOf(service)] as const,
    );
    return { mcpServers: Object.fromEntries(configs) };
  }

  /** Stops a service and starts it anew, whatever its state; calls in flight have `drainMs` (default 10,000). */
  async restartService(name: string, options: { drainMs?: number } = {}): Promise<void> {
    this.#parts.assertOpen();
    await this.#needOwn(name).restart(drainOf(options));
  }

  /** Stops a service until `restartService`: its calls fail at once with `SERVICE_DOWN`, its tools stay listed. */
  async disconnectService(name: string, options: { drainMs?: number } = {}): Promise<void> {
    this.#parts.assertOpen();
    await this.#needOwn(name).stop(drainOf(options));
  }

  /** Asks every visible service whether it lives, starting those that are not running. */
  async checkServices(options: { timeoutMs?: number } = {}): Promise<ServiceInfo[]> {
    checkTimeout(options.timeoutMs);
    const { timeoutMs = 30_000 } = options;
    const visible = [...this.#parts.visible()];
    // A failure shows in the service's own status and problem.
    await Promise.all(
      visible.map(async ([local, service]) => {
        if (service.problem || service.definition?.disabled) return;
        await this.waitService(local, { timeoutMs })
          .then(() => service.connection?.ping(timeoutMs))
          .catch(() => {});
      }),
    );
    return this.listServices();
  }

  /** Reads a resource of a service. */
  async readResource(service: string, uri: string, options: RequestLimits = {}): Promise<CallResult> {
    return this.#request(service, 'resources/read', { uri }, options);
  }

  /** Resources of one service, or of all that have any; each with its `service`. */
  async listResources(options: ListOptions = {}): Promise<Record<string, unknown>[]> {
    return this.#listAll('resources/list', 'resources', 'resources', options);
  }

  async listResourceTemplates(options: ListOptions = {}): Promise<Record<string, unknown>[]> {
    return this.#listAll('resources/templates/list', 'resourceTemplates', 'resources', options);
  }

  async listPrompts(options: ListOptions = {}): Promise<Record<string, unknown>[]> {
    return this.#listAll('prompts/list', 'prompts', 'prompts', options);
  }

  async getPrompt(
    service: string,
    name: string,
    args: Record<string, string> = {},
    options: RequestLimits = {},
  ): Promise<CallResult> {
    return this.#request(service, 'prompts/get', { name, arguments: args }, options);
  }

  /** Suggestions for an argument of a prompt or resource template (MCP `completion/complete`). */
  async complete(
    service: string,
    ref: { type: 'ref/prompt'; name: string } | { type: 'ref/resource'; uri: string },
    argument: { name: string; value: string },
    options: RequestLimits & { context?: { arguments?: Record<string, string> } } = {},
  ): Promise<CallResult> {
    const { context, ...limits } = options;
    return this.#request(service, 'completion/complete', { ref, argument, ...(context && { context }) }, limits);
  }

  /** Sets from which level on a server sends its log messages; they come as `log` events. */
  async setLogLevel(service: string, level: string, options: RequestLimits = {}): Promise<void> {
    await this.#request(service, 'logging/setLevel', { level }, options);
  }

  /**
   * Runs `fn` with one connection of its own, for a sequence of calls that share state in the server. Nobody else uses
   * it; it ends with `fn`.
   */
  async lease<T>(service: string, fn: (lease: Lease) => Promise<T>): Promise<T> {
    this.#parts.assertOpen();
    const target = this.#need(service);
    return target.lease(this.#parts.id, (connection) => {
      const handle = overConnection(connection);
      return fn({
        callTool: async (name, args, options) => {
          const params = { name, arguments: checkArguments(args, name) ?? {} };
          return (await runCall(
            this.#plainCall(target, service, 'tools/call', params, options),
            handle,
            this.#parts,
          )) as CallToolResult;
        },
        request: (method, params = {}, options) =>
          runCall(this.#plainCall(target, service, method, params, options), handle, this.#parts),
      });
    });
  }

  /** Drops cached results: all, or those of a service or tool. Returns how many. */
  clearCache(filter: CacheFilter = {}): number {
    refuseUnknown(filter as Record<string, unknown>, ['service', 'tool'], '');
    if (filter.service === undefined) return this.#parts.cache.clear(filter);
    return this.#parts.cache.clear({ ...filter, service: this.#need(filter.service).name });
  }

  /** @internal A service's list changed, or it came or went. */
  forget(service: Service): void {
    this.#catalog.forget(service);
  }

  /** A name that was resolved before costs one look-up. */
  #known(name: string, options: { service?: string } | undefined): ScopeTool | undefined {
    return options?.service === undefined ? this.#catalog.known(name) : undefined;
  }

  #resolve(
    name: string,
    options: Pick<CallToolOptions, 'service' | 'timeoutMs' | 'signal'> = {},
    deadline: number,
  ): Promise<ScopeTool> {
    const { service, timeoutMs, signal } = options;
    return this.#catalog.resolve(name, {
      deadline,
      ...(service !== undefined && { service }),
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(signal && { signal }),
    });
  }

  /** One tool call from its name to its result. `begun` is given the record as soon as there is one. */
  async #execute(
    name: string,
    args: Record<string, unknown> | undefined,
    options: CallToolOptions | undefined,
    deadline: number,
    begun?: (record: CallRecord) => void,
  ): Promise<CallToolResult> {
    const since = this.#parts.clock.now();
    if (options) checkCallOptions(options);
    const params = checkArguments(args, name);
    this.#parts.assertOpen();
    let tool = this.#known(name, options) ?? (await this.#resolve(name, options, deadline));
    for (let repaired = false; ; repaired = true) {
      const { service } = tool;
      if (options?.validateArguments ?? service.performance.calls.validateArguments)
        await this.#validate(tool, params ?? {});
      const call = this.#toolCall(tool, params, options, since, deadline);
      begun?.(call.record);
      try {
        const result = (await runCall(call, service.handleFor(this.#parts.id), this.#parts)) as CallToolResult;
        if (options?.throwOnToolError && result.isError) throw toolError(result, call);
        return result;
      } catch (error) {
        // Its headers did not fit its body: the definition that they were made from is out of date.
        if (repaired || !isStoreError(error) || error.rpcCode !== HEADER_MISMATCH) throw error;
      }
      // Within what is left to this call; where no list comes, the second attempt tells why.
      const timeoutMs = Math.max(1, call.deadline - this.#parts.clock.now());
      const { signal } = call;
      await this.#catalog.list({ service: tool.local, refresh: 'always', timeoutMs, ...(signal && { signal }) });
      tool = await this.#resolve(name, options, deadline);
    }
  }

  #toolCall(
    tool: ScopeTool,
    args: Record<string, unknown> | undefined,
    options: CallToolOptions | undefined,
    since: number,
    deadline: number,
  ): Call {
    const { service, facts } = tool;
    const params: Record<string, unknown> = { name: tool.tool, arguments: args ?? {} };
    if (options?.meta !== undefined) params['_meta'] = options.meta;
    const spec = {
      scope: this.#parts.id,
      method: 'tools/call',
      params,
      tool: tool.tool,
      subject: tool.exposed,
      since,
      deadline,
      headers: headersOf(facts, args),
      cache: options?.cache,
      repeatable: facts.repeatable,
      cacheable: facts.cacheable,
      readOnly: facts.readOnly,
      cachePrefix: facts.cachePrefix,
    };
    return newCall(service, spec, options);
  }

  /** A call that is not made through the catalog: reading, and everything over a lease. */
  #plainCall(
    service: Service,
    local: string,
    method: string,
    params: Record<string, unknown>,
    limits: RequestLimits = {},
  ): Call {
    const since = this.#parts.clock.now();
    refuseUnknown(limits as Record<string, unknown>, ['timeoutMs', 'signal', 'onProgress'], '');
    checkTimeout(limits.timeoutMs);
    const isTool = method === 'tools/call';
    const tool = isTool ? String(params['name']) : method;
    const spec = {
      scope: this.#parts.id,
      method,
      params,
      tool,
      subject: `${local}: ${tool}`,
      since,
      deadline: Number.POSITIVE_INFINITY,
      headers: undefined,
      cache: undefined,
      repeatable: !isTool,
      cacheable: false,
      readOnly: !isTool,
      cachePrefix: '',
    };
    return newCall(service, spec, limits);
  }

  async #request(
    local: string,
    method: string,
    params: Record<string, unknown>,
    limits: RequestLimits,
  ): Promise<CallResult> {
    this.#parts.assertOpen();
    const service = this.#need(local);
    return runCall(
      this.#plainCall(service, local, method, params, limits),
      service.handleFor(this.#parts.id),
      this.#parts,
    );
  }

  async #validate(tool: ScopeTool, args: Record<string, unknown>): Promise<void> {
    const definition = await this.#catalog.definition(tool);
    if (definition === undefined) return;
    const { argumentProblem } = await import('./catalog/validate.js');
    const problem = await argumentProblem(definition, args);
    if (problem !== undefined)
      throw new StoreError('ARGUMENTS_INVALID', `${tool.exposed}: ${problem}`, {
        service: tool.local,
        tool: tool.tool,
      });
  }

  get #agent(): string | undefined {
    return this.#parts.id === '' ? undefined : this.#parts.id;
  }

  /** A service that this scope may change. */
  #needOwn(local: string): Service {
    const own = this.#parts.own(local);
    if (own) return own;
    if (this.#need(local))
      throw new StoreError('FORBIDDEN', `${local} belongs to the store: an agent's view cannot change it`, {
        service: local,
      });
    throw unknownService(local, []);
  }

  #need(local: string): Service {
    const service = this.#parts.find(local);
    if (service) return service;
    throw unknownService(
      local,
      [...this.#parts.visible()].map(([name]) => name),
    );
  }

  async #listAll(
    method: string,
    key: string,
    capability: 'resources' | 'prompts',
    options: ListOptions,
  ): Promise<Record<string, unknown>[]> {
    checkListOptions(options);
    this.#parts.assertOpen();
    const { clock } = this.#parts;
    const timeoutMs = options.timeoutMs ?? 10_000;
    const asked =
      options.service === undefined
        ? [...this.#parts.visible()]
        : ([[options.service, this.#need(options.service)]] as const);
    const lists = await Promise.all(
      asked.map(async ([local, service]) => {
        try {
          const limits = { deadline: clock.now() + timeoutMs, timeoutMs, signal: options.signal };
          const { items } = await service.list(method, key, capability, limits);
          return items.map((item) => ({ ...item, service: local }));
        } catch (error) {
          // One service's trouble hides no other's list; asked for alone, it is told.
          if (options.service === undefined && !isStoreError(error, 'CANCELLED')) return [];
          throw isStoreError(error) ? errorAt(error, local, { service: local }) : error;
        }
      }),
    );
    return lists.flat();
  }

  #batchParts(calls: readonly BatchCall[], options: BatchOptions): Parameters<typeof batchCall>[2] {
    checkBatch(calls, options);
    this.#parts.assertOpen();
    return {
      clock: this.#parts.clock,
      concurrency: options.concurrency ?? this.#parts.batchConcurrency(),
      run: (call, limits) => this.#batchEntry(call, limits, options),
    };
  }

  /** One entry of a batch: whatever happens to it becomes its entry. */
  async #batchEntry(
    entry: BatchCall,
    limits: { deadline: number; signal: AbortSignal },
    batch: BatchOptions,
  ): Promise<BatchEntry> {
    const since = this.#parts.clock.now();
    const options: CallToolOptions = { signal: limits.signal };
    let record: CallRecord | undefined;
    try {
      checkBatchCall(entry);
      const cache = withKey(batch.cache, entry.cacheKey);
      if (cache !== undefined) options.cache = cache;
      if (batch.callTimeoutMs !== undefined) options.timeoutMs = batch.callTimeoutMs;
      if (entry.service !== undefined) options.service = entry.service;
      const result = await this.#execute(entry.tool, entry.arguments, options, limits.deadline, (begun) => {
        record = begun;
      });
      return entryOf(record!, { result });
    } catch (thrown) {
      const error = isStoreError(thrown)
        ? thrown
        : new StoreError('PROTOCOL_ERROR', asError(thrown).message, { cause: thrown });
      if (record === undefined) {
        // It never became a call.
        record = newRecord(this.#parts.id, '', String(entry?.tool), since);
        record.totalMs = this.#parts.clock.now() - since;
        record.outcome = outcomeOf(error);
      }
      return entryOf(record, { error });
    }
  }
}

const DRAIN_MS = 10_000;

function drainOf(options: { drainMs?: number }): number {
  refuseUnknown(options, ['drainMs'], '');
  const { drainMs = DRAIN_MS } = options;
  if (!(typeof drainMs === 'number' && drainMs >= 0))
    throw new StoreError('OPTION_INVALID', 'drainMs: expected a number of milliseconds, at least 0', {
      figures: { path: 'drainMs' },
    });
  return drainMs;
}

/** The headers of a request do not fit its body (MCP 2026-07-28, Streamable HTTP). */
const HEADER_MISMATCH = -32020;

function toolError(result: CallToolResult, call: Call): StoreError {
  const { service, tool, endpoint, attempts } = call.record;
  const text = textOf(result).slice(0, 1_000) || 'the tool reports an error';
  return new StoreError('TOOL_ERROR', `${call.subject}: ${text}`, {
    service,
    tool,
    endpoint,
    attempts,
    executed: 'yes',
    data: result,
  });
}
