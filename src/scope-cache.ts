/** Knows which cached results a scope means to drop: its own alone, where it is an agent's. */

import { badOption } from './call-options.js';
import { asObject, refuseUnknown } from './option-rules.js';
import type { ScopeCatalog } from './scope-catalog.js';
import { needService, type ScopeParts } from './scope-parts.js';
import type { CacheFilter } from './service/cache.js';

/** @returns how many */
export function clearCache(parts: ScopeParts, catalog: ScopeCatalog, filter: CacheFilter): number {
  refuseUnknown(asObject(filter, 'filter'), ['service', 'tool'], '');
  const { service, tool } = filter;
  if (service !== undefined && typeof service !== 'string') throw badOption('service', 'the name of a service');
  if (tool !== undefined && typeof tool !== 'string') throw badOption('tool', 'the name of a tool');
  const { id, cache } = parts;
  const exposed = tool === undefined || service !== undefined ? undefined : catalog.known(tool);
  return cache.clear({
    ...(id !== '' && { scope: id }),
    ...(service !== undefined && { service: needService(parts, service).name }),
    ...(tool !== undefined && { tool }),
    ...(exposed && { service: exposed.service.name, tool: exposed.tool }),
  });
}
