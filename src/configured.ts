/** Knows how what is configured becomes services, and what changes when the configuration does. */

import { dirname } from 'node:path';
import type { ConfigDocument, ServiceConfig } from './config/definition.js';
import { expandService } from './config/expand.js';
import { agentService } from './config/names.js';
import { revisionOf } from './config/revision.js';
import { asError, isStoreError, StoreError } from './errors.js';
import type { ServiceSpec } from './service/service.js';
import type { Services } from './service/services.js';

/** Answers `${input:id}`: a map, or a function that may ask a person. */
export type Inputs =
  | Readonly<Record<string, string>>
  | ((id: string) => string | undefined | Promise<string | undefined>);

/** What the variables of a configuration stand for. */
export interface ConfigContext {
  env: Readonly<Record<string, string | undefined>>;
  /** `${workspaceFolder}`; default: the folder of the file. */
  workspaceFolder: string | undefined;
  inputs: Inputs | undefined;
}

/** A service of the store (`agent` undefined) or of one agent, by its name there. */
export interface Place {
  agent: string | undefined;
  name: string;
}

export function fullName({ agent, name }: Place): string {
  return agent === undefined ? name : agentService(agent, name);
}

/** Where it stands in the file. */
export function pathOf({ servicesKey }: Pick<ConfigDocument, 'servicesKey'>, { agent, name }: Place): string[] {
  return agent === undefined ? [servicesKey, name] : ['mcpstore', 'agents', agent, 'mcpServers', name];
}

/** What stands there in the file. */
export function configAt(document: ConfigDocument, { agent, name }: Place): ServiceConfig | undefined {
  return agent === undefined ? document.services.get(name) : document.agents.get(agent)?.mcpServers.get(name);
}

/**
 * One service with its variables filled in, or the error that makes this one unusable.
 * @param document - its folder and its inputs count, wherever the service comes from
 * @param from - `'file'`: it stands in the document, and a problem of it has its place there
 */
export async function specOf(
  place: Place,
  config: ServiceConfig,
  context: ConfigContext,
  document: ConfigDocument | undefined,
  from: 'file' | 'code',
): Promise<ServiceSpec> {
  const name = fullName(place);
  const owner = place.agent === undefined ? undefined : { agent: place.agent, local: place.name };
  const baseDir = document?.file === undefined ? process.cwd() : dirname(document.file);
  const { inputs } = context;
  const answers = new Map((document?.inputs ?? []).map((input) => [input.id, input.default]));
  const input = async (id: string): Promise<string | undefined> => {
    const given =
      typeof inputs === 'function' ? await inputs(id) : inputs && Object.hasOwn(inputs, id) ? inputs[id] : undefined;
    return given ?? answers.get(id);
  };
  try {
    const definition = await expandService(name, config, {
      env: context.env,
      workspaceFolder: context.workspaceFolder ?? baseDir,
      baseDir,
      input,
      ...(document && from === 'file' && { document, path: pathOf(document, place) }),
    });
    return { name, owner, definition };
  } catch (error) {
    const problem = isStoreError(error)
      ? error
      : new StoreError('CONFIG_INVALID', asError(error).message, { cause: error });
    return { name, owner, problem, config };
  }
}

/** All services of a document, those of its agents included, in the order of the file. */
export async function specsOf(document: ConfigDocument, context: ConfigContext): Promise<ServiceSpec[]> {
  const own = [...document.services].map(([name, config]) => ({ agent: undefined, name, config }));
  const agents = [...document.agents].flatMap(([agent, { mcpServers }]) =>
    [...mcpServers].map(([name, config]) => ({ agent, name, config })),
  );
  const specs = [...own, ...agents].map(({ config, ...place }) => specOf(place, config, context, document, 'file'));
  return Promise.all(specs);
}

/** Which services a change of the configuration touched. */
export interface ConfigDifference {
  added: string[];
  removed: string[];
  changed: string[];
}

/** Equal for what stands equally in the file and comes to the same when it is filled in. */
export function revisionOfSpec({ owner, ...spec }: ServiceSpec): string {
  return spec.problem
    ? revisionOf([owner, spec.config, spec.problem.message])
    : revisionOf([owner, spec.definition.config, spec.definition.revision]);
}

/** What came of a new document. */
export interface Applied {
  difference: ConfigDifference;
  /** Revisions of the file's services by name: what the next document is compared with. */
  fromFile: Map<string, string>;
  /** Names that code gave to services of its own before the file did: these are left alone. */
  taken: string[];
}

/**
 * Brings the services in line with a new document. What is the same in both documents is left alone, whatever code made
 * of it since; what differs is as the new one says: replaced, it finishes its calls.
 * @param before - revisions of the old document's services by name
 */
export function applySpecs(
  services: Services,
  before: ReadonlyMap<string, string>,
  specs: readonly ServiceSpec[],
  drainMs: number,
): Applied {
  const difference: ConfigDifference = { added: [], removed: [], changed: [] };
  const taken: string[] = [];
  const wanted = new Set(specs.map((spec) => spec.name));
  for (const name of before.keys())
    if (!wanted.has(name) && services.get(name)) {
      void services.remove(name, drainMs);
      difference.removed.push(name);
    }
  const fromFile = new Map<string, string>();
  for (const spec of specs) {
    const { name } = spec;
    const revision = revisionOfSpec(spec);
    const exists = services.get(name) !== undefined;
    if (exists && !before.has(name)) {
      taken.push(name);
      continue;
    }
    fromFile.set(name, revision);
    if (before.get(name) === revision) continue;
    if (exists) services.replace(spec, drainMs);
    else services.add(spec);
    difference[exists ? 'changed' : 'added'].push(name);
  }
  return { difference, fromFile, taken };
}
