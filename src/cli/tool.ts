/** Knows how a command finds tools: waiting long enough for a first start, and telling why there is none. */

import type { Scope, ToolInfo } from '../index.js';
import { named } from './failure.js';

/** A person waits for a download rather than starting it again and again. */
export const LIST_TIMEOUT_MS = 120_000;

export interface FindOptions {
  timeoutMs: number;
  signal: AbortSignal;
  refresh?: 'always';
}

/** A tool by its name, and the service of a bare one. */
export interface NamedTool {
  tool: string;
  service?: string;
}

/** The lists of the services that are named are fetched first: a first start may take longer than one call may. */
export async function warm(scope: Scope, calls: readonly NamedTool[], signal: AbortSignal): Promise<void> {
  const names = scope.listServices().map((info) => info.name);
  const wanted = names.filter((name) =>
    calls.some(({ tool, service }) =>
      service === undefined ? tool.startsWith(`${name}__`) || !tool.includes('__') : service === name,
    ),
  );
  const options = { timeoutMs: LIST_TIMEOUT_MS, signal };
  // Whatever is wrong with a service becomes the error of its calls.
  await Promise.all(wanted.map((name) => listOf(scope, name, options).catch(() => [])));
}

/** The services that calls need, as far as their names tell. */
export function wantedBy(calls: readonly NamedTool[]): 'all' | string[] {
  return calls.every(({ tool, service }) => service !== undefined || tool.includes('__'))
    ? calls.map(({ tool, service }) => service ?? tool)
    : 'all';
}

/** The tools of a service, or of all. @throws StoreError what keeps the one service that was asked for from having a list */
export async function listOf(scope: Scope, service: string | undefined, options: FindOptions): Promise<ToolInfo[]> {
  if (service === undefined) return scope.listTools(options);
  if (scope.serviceInfo(service).disabled) {
    const { StoreError } = await import('../index.js');
    throw new StoreError('SERVICE_DOWN', `${service}: the service is disabled`, { service });
  }
  const tools = await scope.listTools({ ...options, service });
  if (tools.length > 0) return tools;
  const problem = scope.problems().find((entry) => entry.service === service);
  if (problem) throw named(problem.error, service);
  return tools;
}

/** @throws StoreError `TOOL_UNKNOWN`, `TOOL_AMBIGUOUS`, `SERVICE_UNKNOWN`, or what keeps its service from running */
export async function findTool(
  scope: Scope,
  name: string,
  service: string | undefined,
  options: FindOptions,
): Promise<ToolInfo> {
  const owner = service ?? ownerOf(scope, name);
  let found = matching(await listOf(scope, owner, options), name);
  // A list of an earlier run may be out of date.
  if (found.length === 0 && options.refresh === undefined)
    found = matching(await listOf(scope, owner, { ...options, refresh: 'always' }), name);
  if (found.length === 1) return found[0]!;
  throw await whyNot(scope, name, service, found, owner);
}

/** A name with a service's prefix means that service alone, so that no other is started for it. */
function ownerOf(scope: Scope, name: string): string | undefined {
  const owners = scope.listServices().filter((info) => name.startsWith(`${info.name}__`));
  return owners.length === 1 ? owners[0]!.name : undefined;
}

function matching(tools: readonly ToolInfo[], name: string): ToolInfo[] {
  const exact = tools.filter((tool) => tool.name === name);
  return exact.length > 0 ? exact : tools.filter((tool) => tool.tool === name);
}

async function whyNot(
  scope: Scope,
  name: string,
  service: string | undefined,
  found: readonly ToolInfo[],
  owner: string | undefined,
): Promise<Error> {
  const { StoreError } = await import('../index.js');
  if (found.length > 1) {
    const candidates = found.map((tool) => tool.name);
    return new StoreError('TOOL_AMBIGUOUS', `${name}: ${found.length} services have it: ${candidates.join(', ')}`, {
      tool: name,
      figures: { candidates },
    });
  }
  const near = (await scope.findTool(name, { refresh: 'never', ...(owner && { service: owner }) })).slice(0, 3);
  const problems = owner === undefined ? scope.problems() : [];
  // Where services have no list, the first one's trouble is the likely reason.
  if (near.length === 0 && problems.length > 0) return problems[0]!.error;
  const nearest = near.map((tool) => tool.name);
  const where = owner === undefined ? 'no service has a tool of this name' : `${owner} has no tool of this name`;
  return new StoreError(
    'TOOL_UNKNOWN',
    `${name}: ${where}${nearest.length > 0 ? `; nearest: ${nearest.join(', ')}` : ''}`,
    {
      service,
      tool: name,
      figures: { nearest },
    },
  );
}
