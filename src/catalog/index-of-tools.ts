/** Knows, within one scope, which exposed name stands for which tool of which service; asks nobody. */

import { exposedName, exposedPrefix } from './names.js';

/** One tool under its exposed name. `S` is whatever the scope keeps for a service. */
export interface ToolEntry<S, F> {
  readonly exposed: string;
  /** The service's name within the scope. */
  readonly local: string;
  readonly service: S;
  /** As the server has it. */
  readonly tool: string;
  readonly facts: F;
}

export class ToolIndex<S, F> {
  readonly #byName = new Map<string, ToolEntry<S, F>>();
  readonly #byService = new Map<S, Map<string, ToolEntry<S, F>>>();

  /** O(1); undefined where the name is unknown so far, which does not mean that it does not exist. */
  get(exposed: string): ToolEntry<S, F> | undefined {
    return this.#byName.get(exposed);
  }

  /** A tool of one service by the server's own name. */
  tool(service: S, tool: string): ToolEntry<S, F> | undefined {
    return this.#byService.get(service)?.get(tool);
  }

  has(service: S): boolean {
    return this.#byService.has(service);
  }

  /** Takes a service's tools in, in place of those that it had. */
  put(service: S, local: string, tools: Iterable<{ tool: string; facts: F }>): void {
    this.drop(service);
    const own = new Map<string, ToolEntry<S, F>>();
    for (const { tool, facts } of tools) {
      const entry = { exposed: exposedName(local, tool), local, service, tool, facts };
      own.set(tool, entry);
      this.#byName.set(entry.exposed, entry);
    }
    this.#byService.set(service, own);
  }

  drop(service: S): void {
    for (const entry of this.#byService.get(service)?.values() ?? []) this.#byName.delete(entry.exposed);
    this.#byService.delete(service);
  }

  names(): IterableIterator<string> {
    return this.#byName.keys();
  }
}

/** Services of `locals` that an exposed name with this prefix may belong to. */
export function servicesWithPrefix(prefix: string, locals: Iterable<string>): string[] {
  const found: string[] = [];
  for (const local of locals) if (exposedPrefix(local) === prefix) found.push(local);
  return found;
}
