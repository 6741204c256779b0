/** Knows every verb that a caller has: the store itself is a scope, and so is each agent's view of it. */

import {
  type BatchCall,
  type BatchEntry,
  type BatchOptions,
  type BatchParts,
  type BatchResult,
  batchCall,
  batchStream,
} from './batch.js';
import { batchRunner } from './batch-entry.js';
import type { CallResult, CallToolResult } from './call.js';
import { CallBatch, type CallBatchOptions } from './call-batch.js';
import {
  badOption,
  type CallToolOptions,
  checkBatch,
  checkCallBatch,
  checkListOptions,
  type RequestLimits,
} from './call-options.js';
import type { ToolInfo } from './catalog/tool.js';
import type { ServiceConfig } from './config/definition.js';
import { Chain } from './flow/chain.js';
import type { ResultOf, WorkflowSteps } from './flow/steps.js';
import { Workflow, workflowGraph } from './flow/workflow.js';
import type { Lease } from './lease.js';
import type { ChangeOptions, ServiceConfigs } from './registry.js';
import { clearCache } from './scope-cache.js';
import { ScopeCalls } from './scope-calls.js';
import { type ListOptions, ScopeCatalog, type ServiceProblem } from './scope-catalog.js';
import { flowParts } from './scope-flow.js';
import { type Health, healthIn } from './scope-health.js';
import { History } from './scope-history.js';
import { listAll, toolsLike } from './scope-lists.js';
import type { ScopeParts } from './scope-parts.js';
import { ScopeServices, type WaitServiceOptions } from './scope-services.js';
import type { CacheFilter } from './service/cache.js';
import { cachePrefix } from './service/cache-keys.js';
import type { Service } from './service/service.js';
import type { ServiceInfo } from './service-info.js';

export type { ScopeParts } from './scope-parts.js';

export class Scope {
  /** The calls of late, and how tools were used. The store's has those of all scopes, an agent's view its own. */
  readonly history: History;
  readonly #parts: ScopeParts;
  readonly #catalog: ScopeCatalog;
  readonly #calls: ScopeCalls;
  readonly #services: ScopeServices;

  /** @internal */
  constructor(parts: ScopeParts) {
    this.#parts = parts;
    this.#catalog = new ScopeCatalog({
      clock: parts.clock,
      visible: parts.visible,
      find: parts.find,
      callTimeoutMs: () => parts.callDefaults().callTimeoutMs,
      cachePrefix: (service, tool, definition) =>
        cachePrefix(parts.id, service.name, service.definition?.revision ?? '', tool, definition),
    });
    this.#calls = new ScopeCalls(parts, this.#catalog);
    this.#services = new ScopeServices(parts);
    this.history = new History(parts);
  }

  /**
   * Calls a tool and resolves to MCP's result, untouched. A result with `isError` is a result, unless
   * `throwOnToolError` is set.
   * @param name - `service__tool`, or a bare tool name that one service has
   * @param args - the tool's arguments, an object
   * @throws StoreError with `executed`, which says whether the call may have run
   */
  callTool(name: string, args?: Record<string, unknown>, options?: CallToolOptions): Promise<CallToolResult> {
    return this.#calls.callTool(name, args, options, Number.POSITIVE_INFINITY);
  }

  /**
   * Calls many tools, a bounded number at a time, and always resolves: to one entry for each call, in input order.
   * @throws StoreError `OPTION_INVALID` for a bad option, before anything runs
   */
  async batchCall(calls: readonly BatchCall[], options: BatchOptions = {}): Promise<BatchResult> {
    checkBatch(calls, options);
    return batchCall(calls, options, this.#batchParts(options));
  }

  /** The same, giving each entry with its `index` as it is finished. Who stops reading cancels the rest. */
  batchStream(
    calls: readonly BatchCall[],
    options: BatchOptions = {},
  ): AsyncGenerator<BatchEntry & { index: number }, void, undefined> {
    checkBatch(calls, options);
    return batchStream(calls, options, this.#batchParts(options));
  }

  /**
   * A batch that is filled call by call: so many that wait start by themselves, `execute` starts the rest and answers
   * for all in order.
   */
  batch(options: CallBatchOptions = {}): CallBatch {
    const { batchSize, maxWorkers, ...rest } = checkCallBatch(options);
    return new CallBatch(() => {
      const defaults = this.#parts.callDefaults();
      return {
        options: rest,
        parts: this.#batchParts(rest, maxWorkers ?? defaults.maxWorkers),
        batchSize: batchSize ?? defaults.batchSize,
      };
    });
  }

  /** A flow that is written step by step: `step`, `parallel`, `branch`, then `run`. */
  // biome-ignore lint/suspicious/noExplicitAny: who does not say what goes in, may look at it all the same
  chain<Input = any>(): Chain<Input, unknown> {
    return new Chain(flowParts(this.#parts, this.#calls));
  }

  /**
   * A flow as a graph: steps by their names, each with the steps that it needs.
   * @throws StoreError `FLOW_INVALID` for a step that is wrong, needs one that there is not, or needs itself
   */
  workflow<const Steps extends WorkflowSteps>(steps: Steps): Workflow<{ [K in keyof Steps]: ResultOf<Steps[K]> }> {
    return new Workflow(workflowGraph(steps), flowParts(this.#parts, this.#calls));
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
    if (typeof name !== 'string') throw badOption('name', 'the name of a tool, or a part of it');
    return toolsLike(name, await this.listTools(options));
  }

  /** Services that have no tool list, and why. Starts nothing. */
  problems(): ServiceProblem[] {
    return this.#catalog.problems();
  }

  /** A snapshot of every visible service. Starts nothing. */
  listServices(): ServiceInfo[] {
    return this.#services.list();
  }

  /** A snapshot of one service. Starts nothing. @throws StoreError `SERVICE_UNKNOWN` */
  serviceInfo(name: string): ServiceInfo {
    return this.#services.info(name);
  }

  /** How well each visible service does, from its state and its calls of late, and this process. Starts nothing. */
  health(): Health {
    return healthIn(this.#parts);
  }

  /**
   * Starts a service where needed and waits, without polling, until it has the status.
   * @throws StoreError `TIMEOUT`; what made it fail, where it gives up before
   */
  waitService(name: string, options: WaitServiceOptions = {}): Promise<ServiceInfo> {
    return this.#services.wait(name, options);
  }

  /**
   * Adds services and returns their names; they start at their first use. An agent's are its own.
   * @param what - a name (with `config`: the shape of `mcp.json`, or a URL), a map of names to configs,
   *   `{ mcpServers }`, or the path of a JSON file
   * @throws StoreError `SERVICE_EXISTS`, `OPTION_INVALID`, `CONFIG_INVALID`: then nothing is added
   */
  addService(
    what: string | ServiceConfigs,
    config?: ServiceConfig | string,
    options: ChangeOptions = {},
  ): Promise<string[]> {
    return this.#services.add(what, config, options);
  }

  /** Puts a new definition in the place of the old one; calls in flight finish on the old one. */
  updateService(name: string, config: ServiceConfig | string, options: ChangeOptions = {}): Promise<void> {
    return this.#services.update(name, config, options);
  }

  /** Changes some keys of a service's definition; `undefined` removes a key. */
  patchService(name: string, patch: ServiceConfig, options: ChangeOptions = {}): Promise<void> {
    return this.#services.patch(name, patch, options);
  }

  /** Removes a service; resolves when its calls in flight have finished. */
  deleteService(name: string, options: ChangeOptions = {}): Promise<void> {
    return this.#services.remove(name, options);
  }

  /** Removes every service of this scope, also from the file with `persist`. */
  resetConfig(options: ChangeOptions = {}): Promise<void> {
    return this.#services.removeAll(options);
  }

  /** What is configured, templates unexpanded, in the shape of `mcp.json`. */
  showConfig(): { mcpServers: Record<string, ServiceConfig> } {
    return this.#services.config();
  }

  /** Stops a service and starts it anew, whatever its state; calls in flight have `drainMs` (default 10,000). */
  restartService(name: string, options: { drainMs?: number } = {}): Promise<void> {
    return this.#services.restart(name, options);
  }

  /** Stops a service until `restartService`: its calls fail at once with `SERVICE_DOWN`, its tools stay listed. */
  disconnectService(name: string, options: { drainMs?: number } = {}): Promise<void> {
    return this.#services.stop(name, options);
  }

  /** Asks every visible service whether it lives, starting those that are not running. */
  checkServices(options: { timeoutMs?: number } = {}): Promise<ServiceInfo[]> {
    return this.#services.check(options);
  }

  /** Reads a resource of a service. */
  async readResource(service: string, uri: string, options: RequestLimits = {}): Promise<CallResult> {
    return this.#calls.request(service, 'resources/read', { uri }, options);
  }

  /** Resources of one service, or of all that have any; each with its `service`. */
  async listResources(options: ListOptions = {}): Promise<Record<string, unknown>[]> {
    return listAll(this.#parts, 'resources/list', 'resources', 'resources', options);
  }

  async listResourceTemplates(options: ListOptions = {}): Promise<Record<string, unknown>[]> {
    return listAll(this.#parts, 'resources/templates/list', 'resourceTemplates', 'resources', options);
  }

  async listPrompts(options: ListOptions = {}): Promise<Record<string, unknown>[]> {
    return listAll(this.#parts, 'prompts/list', 'prompts', 'prompts', options);
  }

  async getPrompt(
    service: string,
    name: string,
    args: Record<string, string> = {},
    options: RequestLimits = {},
  ): Promise<CallResult> {
    return this.#calls.request(service, 'prompts/get', { name, arguments: args }, options);
  }

  /** Suggestions for an argument of a prompt or resource template (MCP `completion/complete`). */
  async complete(
    service: string,
    ref: { type: 'ref/prompt'; name: string } | { type: 'ref/resource'; uri: string },
    argument: { name: string; value: string },
    options: RequestLimits & { context?: { arguments?: Record<string, string> } } = {},
  ): Promise<CallResult> {
    const { context, ...limits } = options;
    return this.#calls.request(service, 'completion/complete', { ref, argument, ...(context && { context }) }, limits);
  }

  /**
   * Sets from which level on a server sends its log messages, on every connection that is open or will be; they come as
   * `log` events. A service that does not run yet is started.
   */
  setLogLevel(service: string, level: string, options: RequestLimits = {}): Promise<void> {
    return this.#calls.setLogLevel(service, level, options);
  }

  /**
   * Runs `fn` with one connection of its own, for a sequence of calls that share state in the server. Nobody else uses
   * it; it ends with `fn`.
   */
  lease<T>(service: string, fn: (lease: Lease) => Promise<T>): Promise<T> {
    return this.#calls.lease(service, fn);
  }

  /**
   * Drops cached results: all, or those of a service or tool; an agent's view drops its own alone. Returns how many.
   * @param filter - `tool`: the server's own name, or `service__tool`
   */
  clearCache(filter: CacheFilter = {}): number {
    return clearCache(this.#parts, this.#catalog, filter);
  }

  /** @internal A service's list changed, or it came or went. */
  forget(service: Service): void {
    this.#catalog.forget(service);
  }

  #batchParts(options: BatchOptions, concurrency = options.concurrency): BatchParts {
    const { clock, observeBatch: observe, callDefaults } = this.#parts;
    const run = batchRunner(this.#calls, this.#parts, options);
    return { clock, concurrency: concurrency ?? callDefaults().batchConcurrency, run, observe };
  }
}
