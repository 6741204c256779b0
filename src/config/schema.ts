/** Knows what may stand in `mcp.json` and in a service given in code; positions are added by whoever has the text. */

import type { StoreError } from '../errors.js';
import { checkPerformance, checkServiceOptions, type Refuse } from '../option-rules.js';
import type { PerformanceOptions } from '../options.js';
import type { AgentConfig, ConfigDocument, ForeignKey, InputDefinition, ServiceConfig } from './definition.js';
import type { Path } from './json-tree.js';
import { agentService, nameProblem } from './names.js';
import { checkMemory, checkSignIn } from './reach.js';

/** Makes the error for what stands at `path`. */
export type Fail = (path: Path, message: string, hint?: string) => StoreError;
/** Hears of a key that has no effect here. */
export type Foreign = (path: Path, why: ForeignKey['why']) => void;

type Check = (value: unknown, path: Path, fail: Fail) => void;
type Fields = Record<string, unknown>;

/** How each written `type` is reached. */
export const SERVICE_TYPES: ReadonlyMap<unknown, 'stdio' | 'http' | 'sse'> = new Map<unknown, 'stdio' | 'http' | 'sse'>(
  [
    ['stdio', 'stdio'],
    ['http', 'http'],
    ['streamable-http', 'http'],
    ['streamableHttp', 'http'],
    ['sse', 'sse'],
  ],
);

const got = (value: unknown): string =>
  `got ${value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value}`;

function asFields(value: unknown, path: Path, fail: Fail): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw fail(path, `expected an object, ${got(value)}`);
  return value as Fields;
}

const text: Check = (value, path, fail) => {
  if (typeof value !== 'string') throw fail(path, `expected a string, ${got(value)}`);
  if (value === '') throw fail(path, 'must not be empty');
};

const flag: Check = (value, path, fail) => {
  if (typeof value !== 'boolean') throw fail(path, `expected true or false, ${got(value)}`);
};

const strings: Check = (value, path, fail) => {
  if (!Array.isArray(value)) throw fail(path, `expected an array of strings, ${got(value)}`);
  for (const [i, item] of value.entries())
    if (typeof item !== 'string') throw fail([...path, i], `expected a string, ${got(item)}`, QUOTE);
};

const QUOTE = 'Write it in quotes.';

/** An object of strings whose keys match: what an operating system or HTTP cannot carry is told by its place, here. */
function stringMap(what: string, keys: RegExp): Check {
  return (value, path, fail) => {
    for (const [key, item] of Object.entries(asFields(value, path, fail))) {
      if (!keys.test(key)) throw fail([...path, key], `this is no name for ${what}`);
      if (typeof item !== 'string')
        throw fail([...path, key], `expected a string, ${got(item)}`, item === null ? 'Remove the line.' : QUOTE);
    }
  };
}

const seconds: Check = (value, path, fail) => {
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0)
    throw fail(
      path,
      `expected a number above 0, ${typeof value === 'number' ? `got ${value}` : got(value)}`,
      'Seconds below 1000, else milliseconds.',
    );
};

const kind: Check = (value, path, fail) => {
  if (!SERVICE_TYPES.has(value))
    throw fail(
      path,
      `expected "stdio", "http", "streamable-http" or "sse", ${typeof value === 'string' ? `got ${JSON.stringify(value.slice(0, 40))}` : got(value)}`,
    );
};

const options: Check = (value, path, fail) => {
  const { tools = {} } = checkServiceOptions(value, 'mcpstore', refuseBelow(path, value, 'mcpstore', fail));
  const own = path.at(-2);
  for (const [name, { fallback = [] }] of Object.entries(tools))
    for (const one of [fallback].flat())
      if (typeof one === 'object' && 'service' in one && one.service === own && (one.tool ?? name) === name)
        throw fail([...path, 'tools', name, 'fallback'], 'it names the tool itself');
};

const SERVICE_FIELDS = new Map<string, Check>([
  ['type', kind],
  ['command', text],
  ['args', strings],
  ['env', stringMap('an environment variable', /^[^=\0]+$/)],
  ['envFile', text],
  ['cwd', text],
  ['url', text],
  ['headers', stringMap('an HTTP header', /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/)],
  ['disabled', flag],
  ['timeout', seconds],
  ['mcpstore', options],
]);

const ONLY_COMMAND = ['args', 'env', 'envFile', 'cwd'];
const ONLY_URL = ['headers'];

/** Checks one service as written; the first problem is thrown. */
export function checkService(value: unknown, path: Path, fail: Fail, foreign: Foreign): ServiceConfig {
  const service = asFields(value, path, fail);
  for (const [key, item] of Object.entries(service)) {
    const check = SERVICE_FIELDS.get(key);
    if (check === undefined) foreign([...path, key], 'unknown');
    else if (item !== undefined) check(item, [...path, key], fail);
  }
  const { command, url, type } = service;
  const replicas = (service['mcpstore'] as { endpoints?: unknown[] } | undefined)?.endpoints?.length ?? 0;
  if (command !== undefined && url !== undefined)
    throw fail([...path, 'url'], 'a service has either "command" or "url", not both');
  if (command === undefined && url === undefined && replicas > 0) {
    checkMemory(service as ServiceConfig, path, fail);
    return service as ServiceConfig;
  }
  if (command === undefined && url === undefined) {
    const other = ['serverUrl', 'httpUrl', 'uri', 'endpoint'].find((key) => service[key] !== undefined);
    throw fail(path, 'needs "command" or "url"', other && `Write "url" in place of "${other}".`);
  }
  const overCommand = command !== undefined;
  if (type !== undefined && (SERVICE_TYPES.get(type) === 'stdio') !== overCommand)
    throw fail([...path, 'type'], `"${String(type)}" does not go with "${overCommand ? 'command' : 'url'}"`);
  checkSignIn(service as ServiceConfig, path, fail);
  checkMemory(service as ServiceConfig, path, fail);
  // Replicas take them over, whatever they are themselves.
  for (const key of overCommand ? ONLY_URL : ONLY_COMMAND)
    if (service[key] !== undefined && replicas === 0) foreign([...path, key], 'unused');
  return service as ServiceConfig;
}

function checkServices(value: unknown, path: Path, fail: Fail, foreign: Foreign): Map<string, ServiceConfig> {
  const out = new Map<string, ServiceConfig>();
  for (const [name, service] of Object.entries(asFields(value, path, fail))) {
    checkName(name, [...path, name], fail);
    out.set(name, checkService(service, [...path, name], fail, foreign));
  }
  return out;
}

function checkName(name: string, path: Path, fail: Fail): void {
  const problem = nameProblem(name);
  if (problem !== undefined) throw fail(path, problem);
}

function refuseUnknown(value: Fields, known: readonly string[], path: Path, fail: Fail): void {
  for (const key of Object.keys(value))
    if (!known.includes(key)) throw fail([...path, key], `unknown key; known here: ${known.join(', ')}`);
}

function checkAgents(value: unknown, fail: Fail, foreign: Foreign): Map<string, AgentConfig> {
  const out = new Map<string, AgentConfig>();
  const own = asFields(value, ['mcpstore'], fail);
  refuseUnknown(own, ['agents'], ['mcpstore'], fail);
  if (own['agents'] === undefined) return out;
  const path = ['mcpstore', 'agents'];
  for (const [id, item] of Object.entries(asFields(own['agents'], path, fail))) {
    const at = [...path, id];
    checkName(id, at, fail);
    const { services, mcpServers, ...rest } = asFields(item, at, fail);
    refuseUnknown(rest, ['services', 'mcpServers'], at, fail);
    if (services !== undefined) strings(services, [...at, 'services'], fail);
    out.set(id, {
      services: services as string[] | undefined,
      mcpServers:
        mcpServers === undefined ? new Map() : checkServices(mcpServers, [...at, 'mcpServers'], fail, foreign),
    });
  }
  return out;
}

/** The store knows each agent's own service by its full name, which has to be one service's alone. */
function checkFullNames(
  services: ReadonlyMap<string, ServiceConfig>,
  agents: ReadonlyMap<string, AgentConfig>,
  fail: Fail,
): void {
  const taken = new Set(services.keys());
  for (const [agent, { mcpServers }] of agents)
    for (const local of mcpServers.keys()) {
      const full = agentService(agent, local);
      if (taken.has(full))
        throw fail(
          ['mcpstore', 'agents', agent, 'mcpServers', local],
          `its full name ${JSON.stringify(full)} is that of another service`,
          'Rename one of them.',
        );
      taken.add(full);
    }
}

function checkInputs(value: unknown, fail: Fail): InputDefinition[] {
  if (!Array.isArray(value)) throw fail(['inputs'], `expected an array, ${got(value)}`);
  const seen = new Set<unknown>();
  return value.map((item, i) => {
    const path = ['inputs', i];
    const input = asFields(item, path, fail);
    if (input['id'] === undefined) throw fail(path, 'needs an "id"');
    for (const key of ['id', 'type']) if (input[key] !== undefined) text(input[key], [...path, key], fail);
    for (const key of ['description', 'default'])
      if (input[key] !== undefined && typeof input[key] !== 'string')
        throw fail([...path, key], `expected a string, ${got(input[key])}`, QUOTE);
    if (input['password'] !== undefined) flag(input['password'], [...path, 'password'], fail);
    const answers = input['options'];
    if (answers !== undefined) strings(optionValues(answers), [...path, 'options'], fail);
    if (seen.has(input['id'])) throw fail([...path, 'id'], 'another input has this id');
    seen.add(input['id']);
    const { id, type, description, default: preset, password } = input as Partial<InputDefinition>;
    const values = optionValues(answers) as string[] | undefined;
    return { id: id!, type, description, default: preset, password: password ?? false, options: values };
  });
}

/** VS Code takes both `"a"` and `{ "label": "A", "value": "a" }`. */
function optionValues(answers: unknown): unknown {
  if (!Array.isArray(answers)) return answers;
  return answers.map((item: unknown) => (item as Fields | null)?.['value'] ?? item);
}

/** Checks a whole document, root to leaf; the first problem is thrown. */
export function checkDocument(
  value: unknown,
  fail: Fail,
  foreign: Foreign,
): Omit<ConfigDocument, 'file' | 'text' | 'foreign'> {
  const root = asFields(value, [], fail);
  const { mcpServers, servers, inputs, performance, mcpstore } = root;
  if (mcpServers !== undefined && servers !== undefined)
    throw fail(['servers'], 'stands beside "mcpServers"', 'Keep one of "mcpServers" and "servers".');
  for (const key of Object.keys(root))
    if (!['mcpServers', 'servers', 'inputs', 'performance', 'mcpstore', '$schema'].includes(key))
      foreign([key], 'unknown');
  const servicesKey = servers === undefined ? 'mcpServers' : 'servers';
  const listed = servers ?? mcpServers;
  const services = listed === undefined ? new Map() : checkServices(listed, [servicesKey], fail, foreign);
  const agents = mcpstore === undefined ? new Map() : checkAgents(mcpstore, fail, foreign);
  checkFullNames(services, agents, fail);
  return {
    servicesKey,
    services,
    performance: performance === undefined ? undefined : checkWide(performance, fail),
    agents,
    inputs: inputs === undefined ? [] : checkInputs(inputs, fail),
  };
}

function checkWide(value: unknown, fail: Fail): PerformanceOptions {
  return checkPerformance(value, 'performance', refuseBelow(['performance'], value, 'performance', fail));
}

/** The options' checks name places as dotted text; a tool's name may have dots, so the way down is found in the value. */
function refuseBelow(base: Path, value: unknown, prefix: string, fail: Fail): Refuse {
  return (dotted, message) => {
    const path = [...base];
    let rest = dotted.slice(prefix.length + 1);
    let at = value;
    while (rest !== '' && typeof at === 'object' && at !== null) {
      const key = Object.keys(at)
        .filter((k) => rest === k || rest.startsWith(`${k}.`))
        .sort((a, b) => b.length - a.length)[0];
      if (key === undefined) break;
      path.push(key);
      at = (at as Fields)[key];
      rest = rest.slice(key.length + 1);
    }
    if (rest !== '') path.push(rest);
    return fail(path, message);
  };
}
