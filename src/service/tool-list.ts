/** Knows one service's tools: the list as last seen, in this run or an earlier one, and when to fetch it anew. */

import { createHash } from 'node:crypto';
import type { Clock, Timer } from '../_util/clock.js';
import type { RememberedLists } from '../catalog/remembered.js';
import { factsOf, type RawTool, type ToolFacts, usableTools } from '../catalog/tool.js';
import { asError, isStoreError, StoreError } from '../errors.js';
import type { ServiceOptions } from '../options.js';

export interface ToolListOptions {
  service: string;
  revision: string;
  own: ServiceOptions;
  clock: Clock;
  remembered: RememberedLists;
  /** Asks the server, starting it where needed. */
  fetch: () => Promise<{ items: Record<string, unknown>[]; ttlMs: number | undefined }>;
  /** The list is another one than before. */
  onChanged: () => void;
  /** Some tools of the list were unusable. */
  onSkipped: (count: number) => void;
}

/** A storm of list_changed costs one fetch. */
const DEBOUNCE_MS = 250;

export class ToolList {
  readonly #options: ToolListOptions;
  /** Seen from the running server in this run. */
  #live: readonly RawTool[] | undefined;
  /** Digest of the list in memory. */
  #digest = '';
  #byName: Map<string, RawTool> | undefined;
  #facts = new Map<string, ToolFacts>();
  #freshUntil = Number.POSITIVE_INFINITY;
  #stale = false;
  #fetching: Promise<readonly RawTool[]> | undefined;
  #debounce: Timer | undefined;
  #problem: StoreError | undefined;
  #names: ReadonlySet<string> | undefined;
  #blocked: ReadonlyMap<string, string> = new Map();

  constructor(options: ToolListOptions) {
    this.#options = options;
  }

  /** Why there is no list; undefined while none was needed, or once there is one. */
  get problem(): StoreError | undefined {
    return this.#problem;
  }

  /** How many tools; undefined where no list was seen. */
  get size(): number | undefined {
    return this.#live?.length ?? this.#names?.size;
  }

  get fetching(): boolean {
    return this.#fetching !== undefined;
  }

  /** Should the list be fetched again? A list of an earlier run always should, when the service runs. */
  get stale(): boolean {
    return this.#live === undefined || this.#stale || this.#options.clock.now() >= this.#freshUntil;
  }

  /** The list in memory. */
  get live(): readonly RawTool[] | undefined {
    return this.#live;
  }

  /** The list as last seen: from memory, else from disk; undefined where it was never seen. */
  async known(): Promise<readonly RawTool[] | undefined> {
    if (this.#live) return this.#live;
    const tools = await this.#options.remembered.load(this.#options.service, this.#options.revision);
    if (tools && !this.#live) this.#names ??= new Set(tools.map((tool) => tool.name));
    return this.#live ?? tools;
  }

  /** Names alone, kept also where the definitions stay on disk; undefined where `known` was not asked or knew none. */
  get names(): ReadonlySet<string> | undefined {
    return this.#names;
  }

  /** Asks the server; calls at the same time share one answer. */
  fetch(): Promise<readonly RawTool[]> {
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  /** The server says that its list changed, or may have while nobody listened. */
  changed(): void {
    this.#stale = true;
    this.#debounce ??= this.#options.clock.after(DEBOUNCE_MS, () => {
      this.#debounce = undefined;
      const fetch = (): void => void this.fetch().catch(() => {});
      // A fetch that is under way may have been answered before the change.
      if (this.#fetching) this.#fetching.then(fetch, fetch);
      else fetch();
    });
  }

  /** Definition by the server's own name, from the list in memory. */
  get(tool: string): RawTool | undefined {
    if (this.#live === undefined) return undefined;
    this.#byName ??= new Map(this.#live.map((entry) => [entry.name, entry]));
    return this.#byName.get(tool);
  }

  /** Tools that the server has and that are not used, by its own names, and why. */
  get blocked(): ReadonlyMap<string, string> {
    return this.#blocked;
  }

  facts(tool: RawTool): ToolFacts {
    let facts = this.#facts.get(tool.name);
    if (facts === undefined) {
      facts = factsOf(tool, this.#options.own);
      this.#facts.set(tool.name, facts);
    }
    return facts;
  }

  close(): void {
    this.#debounce?.cancel();
  }

  async #fetch(): Promise<readonly RawTool[]> {
    const { clock, remembered, service, revision } = this.#options;
    try {
      this.#stale = false;
      const { items, ttlMs } = await this.#options.fetch();
      const { tools, skipped, blocked } = usableTools(items);
      this.#blocked = blocked;
      if (skipped > 0) this.#options.onSkipped(skipped);
      this.#freshUntil = ttlMs === undefined ? Number.POSITIVE_INFINITY : clock.now() + ttlMs;
      // What callers have seen of an earlier run and is still so is no change.
      const seen = this.#live === undefined && this.#names ? await remembered.load(service, revision) : undefined;
      if (seen) this.#digest = digestOf(seen);
      this.#problem = undefined;
      this.#take(tools, this.#live !== undefined || seen !== undefined);
      // Where the disk refuses, the next run asks the server again; the store goes on.
      remembered.save(service, revision, tools).catch(() => {});
      return this.#live!;
    } catch (error) {
      this.#stale = true;
      this.#problem = isStoreError(error)
        ? error
        : new StoreError('PROTOCOL_ERROR', asError(error).message, { cause: error });
      throw this.#problem;
    }
  }

  /** @param seen - was there a list before, whose digest is known? */
  #take(tools: RawTool[], seen: boolean): void {
    const digest = digestOf(tools);
    const same = seen && digest === this.#digest;
    this.#digest = digest;
    // The same list keeps its object: who has indexed it need not do so again.
    if (!same || this.#live === undefined) this.#live = tools;
    if (same) return;
    this.#byName = undefined;
    this.#facts = new Map();
    this.#names = new Set(tools.map((tool) => tool.name));
    this.#options.onChanged();
  }
}

function digestOf(tools: readonly RawTool[]): string {
  return createHash('sha256').update(JSON.stringify(tools)).digest('base64');
}
