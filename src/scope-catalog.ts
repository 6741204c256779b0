/** Knows the tools that one scope sees: lists them, resolves names to them, and says which services have no list. */

import type { Clock } from './_util/clock.js';
import { WaitQueue } from './_util/wait-queue.js';
import { errorAt } from './caller.js';
import { servicesWithPrefix, type ToolEntry, ToolIndex } from './catalog/index-of-tools.js';
import { exposedName, prefixOf } from './catalog/names.js';
import type { RawTool, ToolFacts, ToolInfo } from './catalog/tool.js';
import { StoreError } from './errors.js';
import { ambiguousTool, noList, refuseBlocked, unknownService, unknownTool } from './scope-names.js';
import type { Service } from './service/service.js';

/** A tool that a call can go to. */
export type ScopeTool = ToolEntry<Service, ToolFacts & { readonly cachePrefix: string }>;

/** How long lists may be waited for, and whether they are asked for anew. */
export interface ListOptions {
  /** Only this service. */
  service?: string;
  /**
   * `'never'`: what is known, nobody is asked. `'stale'` (default): what is known at once, refreshed behind where the
   * service runs; services whose list was never seen are started and waited for. `'always'`: every service is asked.
   */
  refresh?: 'never' | 'stale' | 'always';
  /** Longest wait for services that have to be asked. Milliseconds; default 10,000. */
  timeoutMs?: number;
  signal?: AbortSignal;
}

/** What bounds finding a tool. */
interface ResolveOptions extends ListOptions {
  /** Never later than this, whatever `timeoutMs`. */
  deadline?: number;
}

/** A service without a list, and why. */
export interface ServiceProblem {
  service: string;
  code: StoreError['code'];
  /** Begins with the service's name. */
  message: string;
  error: StoreError;
}

export interface CatalogParts {
  clock: Clock;
  /** Services by their local names, in order. */
  visible: () => Iterable<[string, Service]>;
  find: (local: string) => Service | undefined;
  cachePrefix: (service: Service, tool: string, definition: string) => string;
  /** Bounds the search for a name that may be any service's. */
  callTimeoutMs: () => number;
}

const LIST_TIMEOUT_MS = 10_000;
/** Lists read from disk at a time. */
const READS = 32;

export class ScopeCatalog {
  readonly #parts: CatalogParts;
  readonly #index = new ToolIndex<Service, ToolFacts & { readonly cachePrefix: string }>();
  /** Which list the index was made from: another one means that the index is out of date. */
  readonly #indexed = new WeakMap<Service, readonly RawTool[]>();
  /** Services that were waited for once and did not answer in time: not waited for again until they change. */
  readonly #overdue = new WeakMap<Service, StoreError>();
  /** Bare names that were resolved before. */
  #bare = new Map<string, ScopeTool>();

  constructor(parts: CatalogParts) {
    this.#parts = parts;
  }

  /** The tool of an exposed or bare name that was resolved before: O(1), no waiting. */
  known(name: string): ScopeTool | undefined {
    return this.#index.get(name) ?? this.#bare.get(name);
  }

  /** To be called when a service's list changed, or it came or went. */
  forget(service: Service): void {
    this.#index.drop(service);
    this.#indexed.delete(service);
    this.#overdue.delete(service);
    this.#bare = new Map();
  }

  /** Finds what `name` stands for, asking services whose lists were never seen. */
  async resolve(name: string, given: ResolveOptions): Promise<ScopeTool> {
    // Lists may have to be asked twice: both together take no longer than the caller waits.
    const { timeoutMs, deadline = Number.POSITIVE_INFINITY } = given;
    const end = timeoutMs === undefined ? deadline : Math.min(deadline, this.#parts.clock.now() + timeoutMs);
    const options = { ...given, deadline: end };
    if (options.service !== undefined)
      return this.#inService(this.#need(options.service), options.service, name, options);
    const prefix = prefixOf(name);
    const owners = prefix === undefined ? [] : servicesWithPrefix(prefix, this.#locals());
    // A name with a service's prefix touches that service alone.
    if (owners.length === 1) return this.#inService(this.#parts.find(owners[0]!)!, owners[0]!, name, options);
    if (timeoutMs !== undefined) return this.#everywhere(name, options);
    const own = this.#parts.callTimeoutMs();
    return this.#everywhere(name, {
      ...options,
      timeoutMs: own,
      deadline: Math.min(end, this.#parts.clock.now() + own),
    });
  }

  /** Every tool that is visible, in the order of the services and of their own lists. */
  async list(options: ListOptions): Promise<ToolInfo[]> {
    const visible =
      options.service === undefined
        ? [...this.#parts.visible()]
        : [[options.service, this.#need(options.service)] as const];
    const refresh = options.refresh ?? 'stale';
    const lists = await this.#lists(visible, refresh, options);
    return visible.flatMap(([local], i) =>
      (lists[i] ?? []).map((tool) => ({
        ...tool,
        name: exposedName(local, tool.name),
        service: local,
        tool: tool.name,
      })),
    );
  }

  /** Definition as the server gave it. */
  async definition(tool: ScopeTool): Promise<RawTool | undefined> {
    return (
      tool.service.tools.get(tool.tool) ?? (await tool.service.tools.known())?.find((entry) => entry.name === tool.tool)
    );
  }

  /** Services that have no list, and why; those that nobody asked are not among them. */
  problems(): ServiceProblem[] {
    const problems: ServiceProblem[] = [];
    for (const [local, service] of this.#parts.visible()) {
      if (service.problem === undefined && service.tools.size !== undefined) continue;
      const why = service.problem ?? service.tools.problem ?? service.failure ?? this.#overdue.get(service);
      if (why === undefined) continue;
      const error = errorAt(why, local, { service: local });
      problems.push({ service: local, code: error.code, message: error.message, error });
    }
    return problems;
  }

  *#locals(): IterableIterator<string> {
    for (const [local] of this.#parts.visible()) yield local;
  }

  #need(local: string): Service {
    const service = this.#parts.find(local);
    if (service) return service;
    throw unknownService(local, this.#locals());
  }

  async #inService(service: Service, local: string, name: string, options: ResolveOptions): Promise<ScopeTool> {
    // Says SERVICE_DOWN, also where its list is remembered.
    if (service.definition?.disabled) service.start();
    // A call to one service is bounded by its own time-out, which may be longer than that of a list.
    const bounded = { ...options, timeoutMs: options.timeoutMs ?? service.performance.calls.callTimeoutMs };
    const asked = [[local, service]] as const;
    let [list] = await this.#lists(asked, 'stale', bounded, true);
    let tool = this.#among(service, local, list, name);
    if (tool === undefined && list !== undefined && service.tools.stale) {
      // A list of an earlier run may lack what the server has now.
      [list] = await this.#lists(asked, 'always', bounded, true);
      tool = this.#among(service, local, list, name);
    }
    if (tool) return tool;
    if (list === undefined) throw noList(local, service);
    refuseBlocked(service, local, name);
    const candidates = list.map((entry) => exposedName(local, entry.name));
    throw this.#unknown(name, candidates, local);
  }

  /** The tool of this name, the server's own or the exposed one, in one service's list. */
  #among(service: Service, local: string, list: readonly RawTool[] | undefined, name: string): ScopeTool | undefined {
    this.#put(service, local, list ?? []);
    const exposed = this.#index.get(name);
    return this.#index.tool(service, name) ?? (exposed?.service === service ? exposed : undefined);
  }

  async #everywhere(name: string, options: ResolveOptions, refresh: 'stale' | 'always' = 'stale'): Promise<ScopeTool> {
    const visible = [...this.#parts.visible()];
    // One silent service must not eat up the whole time of a call that turns out to be another's.
    const timeoutMs = Math.min(LIST_TIMEOUT_MS, (options.timeoutMs ?? Number.POSITIVE_INFINITY) / 2);
    const lists = await this.#lists(visible, refresh, { ...options, timeoutMs });
    const owners: [string, Service, readonly RawTool[]][] = [];
    for (const [i, [local, service]] of visible.entries()) {
      const list = lists[i];
      if (list?.some((tool) => tool.name === name || exposedName(local, tool.name) === name))
        owners.push([local, service, list]);
    }
    if (owners.length === 0) {
      for (const [local, service] of visible) refuseBlocked(service, local, name);
      // Lists of an earlier run may lack what the servers have now: asked once, before the name counts as unknown.
      const stale = visible.some(
        ([, service], i) => lists[i] !== undefined && service.tools.stale && !failing(service, this.#overdue),
      );
      if (stale && refresh === 'stale') return this.#everywhere(name, options, 'always');
      const candidates = visible.flatMap(([local], i) => (lists[i] ?? []).map((tool) => exposedName(local, tool.name)));
      throw this.#unknown(name, candidates, undefined);
    }
    if (owners.length > 1) {
      throw ambiguousTool(
        name,
        owners.map(([local]) => local),
      );
    }
    const [local, service, list] = owners[0]!;
    this.#put(service, local, list);
    const tool = this.#index.tool(service, name) ?? this.#index.get(name)!;
    this.#bare.set(name, tool);
    return tool;
  }

  #put(service: Service, local: string, list: readonly RawTool[]): void {
    if (this.#indexed.get(service) === list && this.#index.has(service)) return;
    this.#indexed.set(service, list);
    this.#index.put(
      service,
      local,
      list.map((tool) => {
        const facts = service.tools.facts(tool);
        return {
          tool: tool.name,
          facts: { ...facts, cachePrefix: this.#parts.cachePrefix(service, tool.name, facts.definition) },
        };
      }),
    );
  }

  /** The list of each service, `undefined` where there is none; waits for those that have to be asked, bounded. */
  async #lists(
    visible: readonly (readonly [string, Service])[],
    refresh: 'never' | 'stale' | 'always',
    options: ResolveOptions,
    insist = false,
  ): Promise<(readonly RawTool[] | undefined)[]> {
    const lists: (readonly RawTool[] | undefined)[] = new Array(visible.length);
    const asked: Promise<void>[] = [];
    const ask = (service: Service, i: number): void => {
      asked.push(
        service.tools.fetch().then(
          (list) => {
            lists[i] = list;
          },
          () => {},
        ),
      );
    };
    let at = 0;
    const reader = async (): Promise<void> => {
      for (let i = at++; i < visible.length; i = at++) {
        const service = visible[i]![1];
        if (service.problem || service.definition?.disabled) continue;
        lists[i] = service.tools.live ?? (await service.tools.known());
        if (refresh === 'always') ask(service, i);
        else if (refresh === 'never') continue;
        else if (lists[i] === undefined) {
          // One that fails is asked again behind; a call to it alone waits for it all the same.
          if (insist || !failing(service, this.#overdue)) ask(service, i);
          else service.tools.fetch().catch(() => {});
        } else if (service.tools.stale && service.flowing) service.tools.fetch().catch(() => {});
      }
    };
    await Promise.all(Array.from({ length: Math.min(READS, visible.length) }, reader));
    if (asked.length > 0) await this.#within(Promise.all(asked), options);
    for (const [i, [, service]] of visible.entries())
      if (lists[i] === undefined && service.tools.fetching) this.#overdue.set(service, overdue());
    return lists;
  }

  /** Waits at most `timeoutMs`; what is late goes on behind. */
  async #within(work: Promise<unknown>, options: ResolveOptions): Promise<void> {
    const { clock } = this.#parts;
    const queue = new WaitQueue<void>(clock);
    const { timeoutMs = LIST_TIMEOUT_MS, deadline = Number.POSITIVE_INFINITY, signal } = options;
    const limits = { deadline: Math.min(clock.now() + timeoutMs, deadline), signal };
    const waiting = queue.wait(limits, (why) =>
      why === 'cancelled'
        ? new StoreError('CANCELLED', 'cancelled by the caller', { cause: options.signal?.reason })
        : new Late(),
    );
    work.then(
      () => queue.give(),
      () => queue.give(),
    );
    await waiting.catch((error: unknown) => {
      if (!(error instanceof Late)) throw error;
    });
  }

  #unknown(name: string, candidates: readonly string[], local: string | undefined): StoreError {
    const withoutList = this.problems().map((problem) => problem.service);
    return unknownTool(name, candidates, local, withoutList);
  }
}

class Late extends Error {}

function overdue(): StoreError {
  return new StoreError('TIMEOUT', 'started, and has not given its list in time');
}

/** Known to be in trouble: others do not wait for it. */
function failing(service: Service, overdue: WeakMap<Service, StoreError>): boolean {
  return (
    service.tools.problem !== undefined ||
    service.failure !== undefined ||
    overdue.has(service) ||
    service.state.name === 'stopped'
  );
}
