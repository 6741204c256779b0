/** Knows how services are added, changed and removed, in memory and in the configuration file, one change at a time. */

import { readFile } from 'node:fs/promises';
import type { ConfigDocument, ServiceConfig } from './config/definition.js';
import { configInvalid } from './config/failures.js';
import { checkServiceConfig, locate, parseConfig } from './config/load.js';
import { nameProblem } from './config/names.js';
import { revisionOf } from './config/revision.js';
import type { ConfigEdit, ConfigFile, Saved } from './config/save.js';
import { keepApproval } from './config/trust.js';
import {
  applySpecs,
  type ConfigContext,
  configAt,
  fullName,
  type Place,
  pathOf,
  revisionOfSpec,
  specOf,
  specsOf,
} from './configured.js';
import { StoreError } from './errors.js';
import type { Events, Logger } from './events.js';
import { asObject, refuseUnknown } from './option-rules.js';
import type { PerformanceOptions } from './options.js';
import type { Service, ServiceSpec } from './service/service.js';
import type { Services } from './service/services.js';

/** Changes are kept in memory; with `persist` they are also written to the configuration file. */
export interface ChangeOptions {
  persist?: boolean;
  /**
   * The change is the user's own: with `persist`, a file whose content was approved stays approved with exactly what is
   * written. Where that cannot be remembered, the event `configProblem` says so. Default false.
   */
  keepApproval?: boolean;
}

/** Everything that `addService` takes beside a name: a map of names to configs, in the shape of `mcp.json` or bare. */
export type ServiceConfigs = Record<string, ServiceConfig> | { mcpServers: Record<string, ServiceConfig> };

export interface RegistryParts {
  services: Services;
  file: ConfigFile | undefined;
  /** Where approvals are kept; `null`: nowhere. */
  stateDir: string | null;
  context: ConfigContext;
  events: Events;
  logger: Logger | undefined;
  /** A service came or went, or another one stands in its place. */
  forget: (service: Service) => void;
  /** What the file gives its agents, at open and whenever it changed. */
  regrant: (document: ConfigDocument) => void;
  /** Takes over the file's `performance` as a whole. @throws StoreError `OPTION_INVALID` */
  retune: (performance: PerformanceOptions) => void;
  assertOpen: () => void;
}

/** Calls in flight when their service is replaced or removed have so long to finish. */
const REPLACE_DRAIN_MS = 60_000;

export class Registry {
  readonly #parts: RegistryParts;
  /** What the file said last, by name and revision: only what differs from it is taken over. */
  #fromFile: ReadonlyMap<string, string> = new Map();
  /** Revision of the file's `performance` as it was last seen. */
  #performance = '';
  #turn: Promise<unknown> = Promise.resolve();
  #unwatch: (() => void) | undefined;

  constructor(parts: RegistryParts) {
    this.#parts = parts;
  }

  /** Takes in what the store was opened with. */
  async fill(document: ConfigDocument | undefined, own: Readonly<Record<string, ServiceConfig>>): Promise<void> {
    const { services, context, regrant } = this.#parts;
    if (document) regrant(document);
    this.#performance = revisionOf(document?.performance ?? {});
    const fromFile = document ? await specsOf(document, context) : [];
    const fromCode = Object.entries(own).map(([name, config]) =>
      specOf({ agent: undefined, name }, checkServiceConfig(name, config), context, document, 'code'),
    );
    for (const spec of [...fromFile, ...(await Promise.all(fromCode))]) services.add(spec);
    this.#fromFile = new Map(fromFile.map((spec) => [spec.name, revisionOfSpec(spec)]));
  }

  /** Takes changes of the file over until `close`. */
  watch(): void {
    this.#unwatch = this.#parts.file?.watch(
      () => void this.#reload().catch(() => {}),
      (error) => this.#problem(error),
    );
  }

  close(): void {
    this.#unwatch?.();
  }

  /** All or none. */
  async add(
    agent: string | undefined,
    configs: readonly (readonly [string, ServiceConfig])[],
    options: ChangeOptions,
  ): Promise<string[]> {
    checkChange(options);
    const { services, events, forget } = this.#parts;
    return this.#change(async () => {
      const seen = new Set<string>();
      for (const [name, config] of configs) {
        checkServiceConfig(name, config);
        const full = fullName({ agent, name });
        if (services.get(full) || seen.has(full)) throw exists(full);
        seen.add(full);
      }
      const places = configs.map(([name, config]) => [{ agent, name }, config] as const);
      for (const spec of await this.#specs(places, options)) {
        // Names may have stood for another's tools until now: bare ones, and those of a service that this one hides.
        forget(services.add(spec));
        events.emit('serviceAdded', { service: spec.name });
      }
      if (agent !== undefined)
        for (const [name] of configs) {
          const hidden = services.get(name);
          if (hidden) forget(hidden);
        }
      return configs.map(([name]) => name);
    });
  }

  async update(place: Place, config: ServiceConfig, options: ChangeOptions): Promise<void> {
    checkChange(options);
    const own = checkServiceConfig(place.name, config);
    const { services } = this.#parts;
    await this.#change(async () => {
      const old = services.get(fullName(place));
      const [spec] = await this.#specs([[placeOf(old) ?? place, own]], options);
      services.replace(spec!, REPLACE_DRAIN_MS);
      if (old) this.#parts.forget(old);
    });
  }

  async remove(place: Place, options: ChangeOptions): Promise<void> {
    checkChange(options);
    const { services, events, forget } = this.#parts;
    const leaving = await this.#change(async () => {
      const name = fullName(place);
      const service = services.get(name);
      const at = placeOf(service) ?? place;
      if (options.persist) {
        await this.#persist((edit) => void edit.remove(pathOf(edit.document, at)), options);
        this.#fromFile = new Map([...this.#fromFile].filter(([known]) => known !== name));
      }
      if (service) forget(service);
      events.emit('serviceRemoved', { service: name });
      // Its calls may take long to finish: the next change need not wait for them.
      return { done: services.remove(name, REPLACE_DRAIN_MS) };
    });
    await leaving.done;
  }

  /** As written, templates unexpanded. */
  configOf(service: Service): ServiceConfig {
    const { server, ...rest } = service.config;
    return rest;
  }

  #reload(): Promise<void> {
    const { services, file, context, events, logger, forget, regrant } = this.#parts;
    return this.#change(async () => {
      // The newest, not the one that was heard of: a change of ours may have been saved since.
      const document = file!.current()!;
      const specs = await specsOf(document, context);
      const before = [...services.values()];
      const { difference, fromFile, taken } = applySpecs(services, this.#fromFile, specs, REPLACE_DRAIN_MS);
      this.#fromFile = fromFile;
      for (const service of before)
        if (difference.added.length > 0 || services.get(service.name) !== service) forget(service);
      regrant(document);
      for (const spec of specs) if (spec.problem) this.#problem(spec.problem);
      for (const name of taken) this.#problem(exists(name));
      this.#takePerformance(document);
      logger?.info({ ...difference }, 'the configuration changed');
      events.emit('configChanged', { file: document.file ?? '', ...difference });
    });
  }

  #takePerformance(document: ConfigDocument): void {
    const seen = revisionOf(document.performance ?? {});
    if (seen === this.#performance) return;
    this.#performance = seen;
    try {
      this.#parts.retune(document.performance ?? {});
    } catch (error) {
      const path = ['performance'];
      const place = { file: document.file, path, ...locate(document, path) };
      const { message, service, hint } = error as StoreError;
      this.#problem(configInvalid(place, message, { service, hint }));
    }
  }

  #problem(error: StoreError): void {
    this.#parts.logger?.warn({ error: error.toJSON() }, 'the configuration has a problem');
    this.#parts.events.emit('configProblem', { error });
  }

  #change<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(() => {
      this.#parts.assertOpen();
      return work();
    });
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** What is configured in code, written to the file first where it is to last: then it is what stands there. */
  async #specs(given: readonly (readonly [Place, ServiceConfig])[], options: ChangeOptions): Promise<ServiceSpec[]> {
    const { file, context } = this.#parts;
    const saved = options.persist
      ? await this.#persist((edit) => {
          for (const [place, config] of given) edit.set(pathOf(edit.document, place), config);
        }, options)
      : undefined;
    const specs = given.map(([place, config]) => {
      const written = saved && configAt(saved, place);
      return specOf(place, written ?? config, context, saved ?? file?.current(), written ? 'file' : 'code');
    });
    const made = await Promise.all(specs);
    if (saved)
      this.#fromFile = new Map([...this.#fromFile, ...made.map((spec) => [spec.name, revisionOfSpec(spec)] as const)]);
    return made;
  }

  async #persist(change: (edit: ConfigEdit) => void, options: ChangeOptions): Promise<ConfigDocument> {
    const { file, stateDir } = this.#parts;
    if (file === undefined)
      throw new StoreError('OPTION_INVALID', 'persist: this store has no configuration file', {
        hint: 'Open it with { config }.',
      });
    const saved: Saved = async (before, after) => {
      // The change is saved by now: what goes wrong here takes nothing of it back.
      await keepApproval(stateDir, file.path, before, after).catch((error: StoreError) => this.#problem(error));
    };
    return file.edit(change, options.keepApproval ? saved : undefined);
  }
}

/** Where it belongs: whoever sees the store may name an agent's own service by its full name. */
function placeOf(service: Service | undefined): Place | undefined {
  return service && { agent: service.owner?.agent, name: service.owner?.local ?? service.name };
}

function exists(name: string): StoreError {
  return new StoreError('SERVICE_EXISTS', `there is a service named ${name} already`, {
    service: name,
    hint: 'updateService replaces it; deleteService removes it.',
  });
}

function checkChange(options: ChangeOptions): void {
  refuseUnknown(asObject(options, 'options'), ['persist', 'keepApproval'], '');
  for (const key of ['persist', 'keepApproval'] as const)
    if (options[key] !== undefined && typeof options[key] !== 'boolean')
      throw new StoreError('OPTION_INVALID', `${key}: expected true or false`, { figures: { path: key } });
  if (options.keepApproval && !options.persist)
    throw new StoreError('OPTION_INVALID', 'keepApproval: goes with persist', { hint: 'Set persist: true.' });
}

/** Throws `OPTION_INVALID` where `id` cannot name an agent. */
export function checkAgentId(id: string): void {
  if (typeof id !== 'string')
    throw new StoreError('OPTION_INVALID', 'id: expected the id of an agent', { figures: { path: 'id' } });
  const problem = nameProblem(id);
  if (problem !== undefined) throw new StoreError('OPTION_INVALID', `agent id ${JSON.stringify(id)}: ${problem}`);
}

/** Every form that `addService` takes, as names with their configs. */
export async function configsOf(
  what: string | ServiceConfigs,
  config: ServiceConfig | string | undefined,
): Promise<[string, ServiceConfig][]> {
  if (typeof what === 'string') {
    if (config !== undefined) return [[what, typeof config === 'string' ? { url: config } : config]];
    if (/\.jsonc?$/i.test(what)) return [...parseConfig(await read(what), what).services];
    throw new StoreError('OPTION_INVALID', `config: expected the definition of ${what}: { command } or { url }`, {
      figures: { path: 'config' },
    });
  }
  const map = asObject(what, 'services');
  const inner = map['mcpServers'] ?? map['servers'];
  return Object.entries(inner === undefined ? map : asObject(inner, 'mcpServers')) as [string, ServiceConfig][];
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new StoreError('FILE_FAILED', `cannot read ${file}: ${(error as Error).message}`, { cause: error });
  }
}
