/** Knows how a scope finds things in lists: tools by a part of their name, and resources and prompts of all services. */

import { checkListOptions } from './call-options.js';
import { errorAt } from './caller.js';
import { nearest } from './catalog/names.js';
import type { ToolInfo } from './catalog/tool.js';
import { isStoreError } from './errors.js';
import type { ListOptions } from './scope-catalog.js';
import { needService, type ScopeParts } from './scope-parts.js';

/** The exact one first, then those whose name contains it, then the nearest. */
export function toolsLike(name: string, tools: readonly ToolInfo[]): ToolInfo[] {
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

/** A list of one service, or of all that have any; each item with its `service`. */
export async function listAll(
  parts: ScopeParts,
  method: string,
  key: string,
  capability: 'resources' | 'prompts',
  options: ListOptions,
): Promise<Record<string, unknown>[]> {
  checkListOptions(options);
  parts.assertOpen();
  const { clock } = parts;
  const timeoutMs = options.timeoutMs ?? 10_000;
  const asked =
    options.service === undefined
      ? [...parts.visible()]
      : ([[options.service, needService(parts, options.service)]] as const);
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
