/** Knows the paths of one service's calls: one for all callers, or one for each owner, and what they are together. */

import type { Handler } from '../call.js';
import type { Endpoint } from '../endpoint/endpoint.js';
import type { PoolStats } from '../endpoint/pool-stats.js';
import type { StoreError } from '../errors.js';
import type { ResolvedPerformance } from '../options.js';
import { type Path, rank } from './path.js';

/** What runs once the service is used: below the cache, the path of one owner's calls. */
export interface Running {
  path: Path;
  /** The path behind the cache. */
  handle: Handler;
}

export class Paths {
  /** By owner: `''` for all callers, or each scope's id with `sharing: 'agent'`. */
  #running: Map<string, Running> | undefined;
  readonly #behindCache: (handle: Handler) => Handler;
  #logLevel: string | undefined;

  constructor(behindCache: (handle: Handler) => Handler) {
    this.#behindCache = behindCache;
  }

  get size(): number {
    return this.#running?.size ?? 0;
  }

  /** The path that was made first. */
  get first(): Running | undefined {
    const [first] = this.#running?.values() ?? [];
    return first;
  }

  get(owner: string): Running | undefined {
    return this.#running?.get(owner);
  }

  add(owner: string, path: Path): Running {
    if (this.#logLevel !== undefined) path.setLogLevel(this.#logLevel);
    const running = { path, handle: this.#behindCache(path.handle) };
    // Of thousands of services most are never used.
    this.#running ??= new Map();
    this.#running.set(owner, running);
    return running;
  }

  /** Other options, from now on; what is under way goes on. */
  configure(performance: ResolvedPerformance): void {
    for (const running of this.#running?.values() ?? []) {
      running.path.configure(performance);
      running.handle = this.#behindCache(running.path.handle);
    }
  }

  /** Of every owner, in the order in which they are configured. */
  get endpoints(): Endpoint[] {
    return this.#all.flatMap(({ endpoints }) => endpoints);
  }

  /** The endpoint of which most may be hoped. */
  get best(): Endpoint | undefined {
    return this.endpoints.sort((a, b) => rank(a.state) - rank(b.state))[0];
  }

  get calls(): { running: number; waiting: number } {
    const calls = { running: 0, waiting: 0 };
    for (const path of this.#all) {
      calls.running += path.running;
      calls.waiting += path.waiting;
    }
    return calls;
  }

  stats(): Record<string, PoolStats> {
    return Object.fromEntries(this.endpoints.map((endpoint, i) => [`${i}:${endpoint.label}`, endpoint.stats()]));
  }

  /** For every connection that is open, and for each that is opened later. */
  setLogLevel(level: string): void {
    this.#logLevel = level;
    for (const path of this.#all) path.setLogLevel(level);
  }

  closeIdle(maxIdleMs: number): number {
    return this.#all.reduce((closed, path) => closed + path.closeIdle(maxIdleMs), 0);
  }

  async stop(drainMs: number): Promise<void> {
    await Promise.all(this.#all.map((path) => path.stop(drainMs)));
  }

  /** Starts anew what was in use, or one where nothing was; the others start with their next call. */
  async restart(drainMs: number, timeoutMs: number): Promise<void> {
    const all = this.#all;
    const used = all.filter((path) => path.used);
    const begun = used.length > 0 ? used : all.slice(0, 1);
    await Promise.all(all.map((path) => path.restart(drainMs, begun.includes(path) ? timeoutMs : undefined)));
  }

  async close(drainMs: number, gone: () => StoreError): Promise<void> {
    await Promise.all(this.#all.map((path) => path.close(drainMs, gone)));
  }

  get #all(): Path[] {
    return [...(this.#running?.values() ?? [])].map(({ path }) => path);
  }
}
