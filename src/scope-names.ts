/** Knows what to say where a name leads to no tool or service: why, and which names come near. */

import { exposedName, nearest } from './catalog/names.js';
import { StoreError } from './errors.js';
import type { Service } from './service/service.js';

/** @throws StoreError `TOOL_BLOCKED` where the server has a tool of this name, its own or the exposed one, not used */
export function refuseBlocked(service: Service, local: string, name: string): void {
  for (const [tool, why] of service.tools.blocked)
    if (tool === name || exposedName(local, tool) === name)
      throw new StoreError('TOOL_BLOCKED', `${name}: ${why}`, { service: local, tool });
}

/** Why a service that was waited for has no list. */
export function noList(local: string, service: Service): StoreError {
  const cause = service.problem ?? service.tools.problem ?? service.failure;
  // While it is being asked, time is up: what failed before is only the cause.
  if (cause && !service.tools.fetching)
    // A problem of the configuration names the place in it.
    return new StoreError(cause.code, cause === service.problem ? cause.message : `${local}: ${cause.message}`, {
      service: local,
      executed: 'no',
      figures: cause.figures,
      hint: cause.hint,
      rpcCode: cause.rpcCode,
      cause: cause.cause ?? cause,
    });
  const state = service.state.name;
  const why = state === 'ready' ? 'it does not answer tools/list' : `it is still ${state}`;
  const text = `${local}: no tool list yet: ${why}${cause ? `; before: ${cause.message}` : ''}`;
  return new StoreError('TIMEOUT', text, { service: local, cause });
}

export function ambiguousTool(name: string, locals: readonly string[]): StoreError {
  const candidates = locals.map((local) => exposedName(local, name));
  const message = `${name}: ${locals.length} services have a tool of this name: ${candidates.join(', ')}`;
  return new StoreError('TOOL_AMBIGUOUS', message, {
    tool: name,
    figures: { candidates },
    hint: 'Use one of these names, or give { service }.',
  });
}

/**
 * @param candidates - exposed names of all tools that were looked through
 * @param local - the one service that was looked into
 * @param withoutList - services that may have it, for all that is known
 */
export function unknownTool(
  name: string,
  candidates: readonly string[],
  local: string | undefined,
  withoutList: readonly string[],
): StoreError {
  const bareOf = (exposed: string): string => exposed.slice(exposed.indexOf('__') + 2);
  const direct = nearest(name, candidates);
  const near =
    direct.length > 0
      ? direct
      : candidates.filter((exposed) => nearest(name, [bareOf(exposed)]).length > 0).slice(0, 3);
  const where = local === undefined ? 'no service has a tool' : `${local} has no tool`;
  return new StoreError(
    'TOOL_UNKNOWN',
    `${name}: ${where} of this name${near.length > 0 ? `; nearest: ${near.join(', ')}` : ''}`,
    {
      service: local,
      tool: name,
      figures: { nearest: near, ...(withoutList.length > 0 && { withoutList }) },
      hint:
        withoutList.length > 0 && local === undefined
          ? `No list of ${withoutList.join(', ')} yet: see problems().`
          : 'listTools() has all names.',
    },
  );
}

export function unknownService(local: string, locals: Iterable<string>): StoreError {
  const all = [...locals];
  const near = nearest(local, all);
  return new StoreError(
    'SERVICE_UNKNOWN',
    `there is no service named ${local}${near.length > 0 ? `; nearest: ${near.join(', ')}` : ''}`,
    {
      service: local,
      figures: { nearest: near, services: all.slice(0, 50) },
      hint: 'listServices() has all names; addService adds one.',
    },
  );
}
