/** Knows how a service as written becomes one that can be started: variables, env file, paths, time. */

import { homedir } from 'node:os';
import { resolve } from 'node:path';
import { readBounded } from '../_util/read-file.js';
import { type AuthOptions, checkFilledIn } from '../auth-options.js';
import { asError, type StoreError } from '../errors.js';
import type { EndpointOptions } from '../options.js';
import type { ConfigDocument, EndpointDefinition, ServiceConfig, ServiceDefinition } from './definition.js';
import { EnvFileProblem, parseEnvFile } from './env-file.js';
import { configInvalid } from './failures.js';
import type { Path } from './json-tree.js';
import { locate } from './load.js';
import { identityOf, revisionOf } from './revision.js';
import { SERVICE_TYPES } from './schema.js';
import { expandText, VariableProblem, type VariableSource } from './variables.js';

/** What the variables of a service stand for. */
export interface ExpandContext {
  /** Environment, such as `process.env`. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `${workspaceFolder}`: for a project's file its folder, else the working folder. */
  readonly workspaceFolder: string;
  /** Folder of the file: `cwd` and `envFile` are relative to it. */
  readonly baseDir: string;
  /** Answers `${input:id}`; asked once for each id of a service. `undefined`: there is no answer. */
  readonly input?: ((id: string) => Promise<string | undefined>) | undefined;
  /** `${userHome}`. Default: the user's home folder. */
  readonly userHome?: string | undefined;
  /** Where the service stands, so that errors have file and line. */
  readonly document?: ConfigDocument | undefined;
  /** The service's place in the document. Default: under its services. */
  readonly path?: Path | undefined;
}

const MAX_ENV_FILE_BYTES = 1024 * 1024;

/**
 * @param config - checked before, by `parseConfig` or `checkServiceConfig`
 * @throws StoreError `CONFIG_INVALID` for this service alone: it names the variable and the field, never a value.
 */
export async function expandService(
  name: string,
  config: ServiceConfig,
  context: ExpandContext,
): Promise<ServiceDefinition> {
  const endpoints = await new Expansion(name, config, context).endpoints();
  const options = config.mcpstore ?? {};
  const disabled = config.disabled ?? false;
  const callTimeoutMs = config.timeout === undefined ? undefined : toMs(config.timeout);
  return Object.freeze({
    name,
    endpoints: Object.freeze(endpoints.map(Object.freeze)) as readonly EndpointDefinition[],
    options,
    disabled,
    callTimeoutMs,
    // Alone it is written as it always was, so lists that were remembered for it are found again.
    revision: revisionOf(endpoints.length === 1 ? contentOf(endpoints[0]!) : endpoints.map(contentOf)),
    settingsRevision: revisionOf({ options, disabled }),
    config,
  });
}

function contentOf(endpoint: EndpointDefinition): unknown {
  if (endpoint.kind !== 'memory') return endpoint;
  return { kind: 'memory', server: identityOf(endpoint.server as object), weight: endpoint.weight };
}

/** People write both 30 and 30000 for half a minute. */
function toMs(timeout: number): number {
  return Math.max(1, Math.round(timeout < 1_000 ? timeout * 1_000 : timeout));
}

class Expansion {
  readonly #name: string;
  readonly #config: ServiceConfig;
  readonly #context: ExpandContext;
  readonly #source: VariableSource;

  constructor(name: string, config: ServiceConfig, context: ExpandContext) {
    this.#name = name;
    this.#config = config;
    this.#context = context;
    const answers = new Map<string, Promise<string | undefined>>();
    this.#source = {
      env: context.env,
      workspaceFolder: context.workspaceFolder,
      userHome: context.userHome ?? homedir(),
      async input(id) {
        const answer = answers.get(id) ?? context.input?.(id) ?? Promise.resolve(undefined);
        answers.set(id, answer);
        return await answer;
      },
    };
  }

  /** The service's own command or address first, then its replicas; one that is written twice is there once. */
  async endpoints(): Promise<EndpointDefinition[]> {
    const { server, command, url, mcpstore } = this.#config;
    const written = mcpstore?.endpoints ?? [];
    const found: EndpointDefinition[] = [];
    if (server !== undefined) found.push({ kind: 'memory', server });
    else if (command !== undefined || url !== undefined) found.push(await this.#endpoint(this.#config, []));
    for (const [i, own] of written.entries()) {
      const endpoint = await this.#endpoint(own, ['mcpstore', 'endpoints', i]);
      const same = found.findIndex((other) => revisionOf(contentOf(other)) === revisionOf(contentOf(endpoint)));
      const weighted = own.weight === undefined ? endpoint : { ...endpoint, weight: own.weight };
      if (same === -1) found.push(weighted);
      else found[same] = weighted;
    }
    return found;
  }

  /** @param at - where it stands within the service; what it does not say itself, the service says */
  async #endpoint(own: EndpointOptions | ServiceConfig, at: (string | number)[]): Promise<EndpointDefinition> {
    const { command, args = [], url = '' } = own;
    const from = (key: 'env' | 'cwd' | 'headers'): (string | number)[] => [...(own[key] === undefined ? [] : at), key];
    if (command === undefined) {
      const kind = SERVICE_TYPES.get(this.#config.type) === 'sse' ? 'sse' : 'http';
      const headers = own.headers ?? this.#config.headers ?? {};
      return {
        kind,
        url: await this.#url(url, [...at, 'url']),
        headers: await this.#headers(headers, from('headers')),
        auth: await this.#auth(),
      };
    }
    const env = await this.#map(own.env ?? this.#config.env ?? {}, from('env'));
    const cwd = own.cwd ?? this.#config.cwd;
    return {
      kind: 'stdio',
      command: await this.#text(command, ...at, 'command'),
      args: Object.freeze(await Promise.all(args.map((arg, i) => this.#text(arg, ...at, 'args', i)))),
      env: Object.freeze(Object.assign(await this.#envFile(), env)),
      cwd: cwd === undefined ? undefined : resolve(this.#context.baseDir, await this.#text(cwd, ...from('cwd'))),
    };
  }

  async #url(template: string, at: (string | number)[]): Promise<string> {
    const url = await this.#text(template, ...at);
    // The address is not shown: it may hold a token.
    if (!URL.canParse(url) || !['http:', 'https:'].includes(new URL(url).protocol))
      throw this.#problem(at, 'expected an address such as https://example.com/mcp');
    return url;
  }

  async #headers(
    templates: Readonly<Record<string, string>>,
    at: (string | number)[],
  ): Promise<Readonly<Record<string, string>>> {
    const headers = await this.#map(templates, at);
    for (const [name, value] of Object.entries(headers))
      if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value))
        throw this.#problem(
          [...at, name],
          'its value has a line break or a character that HTTP cannot carry',
          'A value read from a file often ends with a line break.',
        );
    return Object.freeze(headers);
  }

  async #auth(): Promise<AuthOptions | false | undefined> {
    const written = this.#config.mcpstore?.auth;
    if (written === undefined || written === false) return written;
    const at = ['mcpstore', 'auth'];
    const out: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(written)) {
      out[key] = typeof value === 'string' ? await this.#text(value, ...at, key) : value;
      if (out[key] === '') throw this.#problem([...at, key], 'is empty when filled in');
    }
    const auth = Object.freeze(out) as unknown as AuthOptions;
    checkFilledIn(auth, '', (key, message) => this.#problem([...at, key.slice(1)], message));
    return auth;
  }

  async #envFile(): Promise<Record<string, string>> {
    const written = this.#config.envFile;
    if (written === undefined) return Object.create(null);
    const file = resolve(this.#context.baseDir, await this.#text(written, 'envFile'));
    try {
      const bytes = await readBounded(file, MAX_ENV_FILE_BYTES);
      if (bytes === undefined) throw this.#problem(['envFile'], `${file} is larger than 1 MiB`);
      return parseEnvFile(bytes.toString('utf8'));
    } catch (error) {
      if (error instanceof EnvFileProblem)
        throw this.#problem(['envFile'], `${file}:${error.line}: ${error.message}`, undefined, error);
      if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
      throw this.#problem(['envFile'], `cannot read ${file}: ${asError(error).message}`, undefined, error);
    }
  }

  async #map(templates: Readonly<Record<string, string>>, at: (string | number)[]): Promise<Record<string, string>> {
    const out: Record<string, string> = Object.create(null);
    for (const [key, template] of Object.entries(templates)) out[key] = await this.#text(template, ...at, key);
    return out;
  }

  async #text(template: string, ...at: (string | number)[]): Promise<string> {
    let text = template;
    if (template.includes('${'))
      try {
        text = await expandText(template, this.#source);
      } catch (error) {
        if (!(error instanceof VariableProblem)) throw error;
        throw this.#problem(at, error.message, error.hint);
      }
    if (text.includes('\0')) throw this.#problem(at, 'a NUL character cannot be passed on');
    if (text === '' && (at.at(-1) === 'command' || at.at(-1) === 'url'))
      throw this.#problem(at, 'is empty when filled in');
    return text;
  }

  #problem(at: Path, message: string, hint?: string, cause?: unknown): StoreError {
    const { document } = this.#context;
    const path = [...(this.#context.path ?? [document?.servicesKey ?? 'mcpServers', this.#name]), ...at];
    const position = document === undefined ? { line: undefined, column: undefined } : locate(document, path);
    return configInvalid({ file: document?.file, path, ...position }, message, { hint, service: this.#name, cause });
  }
}
