/** Knows every tuning option: meaning, unit, default and limits. Resolves layers of them once, then freezes. */

import { type AuthOptions, checkAuth } from './auth-options.js';
import { StoreError } from './errors.js';

export interface ConnectionPoolOptions {
  /**
   * Connections that idle clean-up leaves standing. Over HTTP: sockets to which `maxIdleTimeMs` does not apply.
   * Default 2; 1 for stdio, where a started process may hold state. A default is clamped to `maxConnections`.
   */
  minConnections?: number;
  /**
   * The most connections of one endpoint. For stdio a connection is a process with a state of its own, so the default
   * there is 1 and only the service's own options raise it; over HTTP it counts keep-alive sockets that share one MCP
   * session. Default 10 (stdio: 1).
   */
  maxConnections?: number;
  /** Requests that one stdio connection carries at a time. Default 128. */
  maxInFlightPerConnection?: number;
  /** A connection unused for so long is closed, down to `minConnections`. Milliseconds; default 300,000. */
  maxIdleTimeMs?: number;
  /** Bounds a connect and its handshake. Milliseconds; default 30,000. */
  connectionTimeoutMs?: number;
  /**
   * Replaces `connectionTimeoutMs` for the first start of a command that may download itself (npx, uvx, pnpm dlx,
   * bunx, docker). Milliseconds; default 120,000.
   */
  startTimeoutMs?: number;
  /** Bounds silence: no answer and no progress for a call that was sent. Milliseconds; default 60,000. */
  readTimeoutMs?: number;
  /** Bounds handing a request over: to the pipe, or to the socket until its body is sent. Milliseconds; default 30,000. */
  writeTimeoutMs?: number;
  /** Attempts after the first within one call, where repeating is safe. Default 3; 0 switches retries off. */
  maxRetries?: number;
  /** First delay between attempts. Milliseconds; default 1,000. Growth and cap: `calls.retry`. */
  retryDelayMs?: number;
  /** An idle connection is asked whether it lives this often; 0 switches it off. Milliseconds; default 60,000. */
  healthCheckIntervalMs?: number;
  /** Bounds one health check. Milliseconds; default 5,000. */
  healthCheckTimeoutMs?: number;
}

export interface RetryOptions {
  /** How the delay grows from `retryDelayMs`; a function is given the attempt (1, 2, …). Default `'exponential'`. */
  strategy?: 'exponential' | 'fixed' | 'linear' | 'fibonacci' | ((attempt: number) => number);
  /** `'full'`: uniform between 0 and the delay, so that retries spread. Default `'full'`. */
  jitter?: 'full' | 'none';
  /** Cap of one delay, jitter included. Milliseconds; default 60,000. */
  maxDelayMs?: number;
}

export interface CallOptionsConfig {
  /** Bounds a whole call: queue, connect, attempts and pauses. Milliseconds; default 300,000. */
  callTimeoutMs?: number;
  /**
   * Calls of one service at a time; the others wait in its queue. Default: what its pools can carry, that is
   * `maxConnections × maxInFlightPerConnection` over stdio and `maxConnections` over HTTP.
   */
  maxConcurrentCalls?: number;
  /** Calls that may wait per service; one more is refused with `LIMIT_EXCEEDED`. Default 10,000. */
  queueLimit?: number;
  /** Calls of one `batchCall` at a time. Default 20. */
  batchConcurrency?: number;
  /** Check arguments against the tool's schema before anything is sent. Default false. */
  validateArguments?: boolean;
  retry?: RetryOptions;
}

export interface ResultCacheOptions {
  /** Default false: tools are called each time. */
  enabled?: boolean;
  /** Results kept per store. Default 1,000. */
  maxEntries?: number;
  /** Bytes kept per store, counted as JSON. Default 64 MiB. A single result over 1 MiB is never stored. */
  maxBytes?: number;
  /** How long a result may be reused, ± 10 % so that entries do not expire together. Milliseconds; default 300,000. */
  ttlMs?: number;
}

/** Store-wide tuning, as `open({ performance })` and `performance` in `mcp.json` take it. */
export interface PerformanceOptions {
  connectionPool?: ConnectionPoolOptions;
  calls?: CallOptionsConfig;
  resultCache?: ResultCacheOptions;
}

/** One tool's policies, set by the user; they win over the tool's own hints. */
export interface ToolPolicy {
  /** May results be stored and shared (while the cache is enabled)? Default: the tool's `readOnlyHint`. */
  cache?: boolean;
  /** May a call whose outcome is unknown be sent again? Default: hints, and only on a `trusted` service. */
  repeatable?: boolean;
}

/** What stands under `mcpstore` in one service of `mcp.json`. */
export interface ServiceOptions {
  /** Believe the tools' hints (`readOnlyHint`, `idempotentHint`) when deciding what may be repeated. Default false. */
  trusted?: boolean;
  /** How long stopping a process may take before it is killed. Milliseconds; default 2,000. */
  stopTimeoutMs?: number;
  connectionPool?: ConnectionPoolOptions;
  calls?: Omit<CallOptionsConfig, 'batchConcurrency'>;
  resultCache?: Pick<ResultCacheOptions, 'enabled' | 'ttlMs'>;
  tools?: Record<string, ToolPolicy>;
  /** Replicas of the service, beside the `command` or `url` that it may have itself. */
  endpoints?: EndpointOptions[];
  /** How calls are spread over the replicas. Default `'power-of-two'`. */
  balance?: BalanceStrategy;
  /**
   * Who shares connections: `'shared'`: all callers one set; `'agent'`: each agent has its own, and stays with one
   * replica; `'call'`: a fresh one for each call. Default `'shared'`.
   */
  sharing?: 'shared' | 'agent' | 'call';
  /** How an HTTP service signs in with OAuth; `false`: not at all. Default: as a person, once one has signed in. */
  auth?: AuthOptions | false;
}

/**
 * - `'power-of-two'`: the better of two random ones, by calls under way and by how fast they answer
 * - `'least-in-flight'`: the one with the fewest calls under way for its weight
 * - `'round-robin'`: in turn
 * - `'weighted'`: in turn, by weight
 */
export type BalanceStrategy = 'power-of-two' | 'least-in-flight' | 'round-robin' | 'weighted';

/** One replica as written. What it leaves out of `env`, `cwd` and `headers` it takes from the service. */
export interface EndpointOptions {
  command?: string;
  args?: string[];
  env?: Record<string, string>;
  cwd?: string;
  url?: string;
  headers?: Record<string, string>;
  /** Its share of the calls beside the others' weights. Default 1. */
  weight?: number;
}

type Deep<T> = {
  [K in keyof T]-?: NonNullable<T[K]> extends (...a: never[]) => unknown ? NonNullable<T[K]> : Deep1<NonNullable<T[K]>>;
};
type Deep1<T> = T extends string | number | boolean | ((...a: never[]) => unknown) ? T : T extends object ? Deep<T> : T;

/** Store-wide options with nothing missing. `minConnections`, `maxConnections`, `maxConcurrentCalls` may stay open. */
export interface ResolvedPerformance {
  readonly connectionPool: Readonly<Omit<Deep<ConnectionPoolOptions>, 'minConnections' | 'maxConnections'>> & {
    readonly minConnections: number | undefined;
    readonly maxConnections: number | undefined;
  };
  readonly calls: Readonly<Omit<Deep<CallOptionsConfig>, 'maxConcurrentCalls'>> & {
    readonly maxConcurrentCalls: number | undefined;
  };
  readonly resultCache: Readonly<Deep<ResultCacheOptions>>;
}

/** Where the value of an option came from. */
export type OptionSource = 'default' | 'file' | 'code' | 'service';

interface Rule {
  kind: 'integer' | 'ms' | 'boolean' | 'enum' | 'function-or-enum';
  default?: number | boolean | string;
  min?: number;
  values?: readonly string[];
}

const ms = (value: number, min = 1): Rule => ({ kind: 'ms', default: value, min });
const count = (value: number | undefined, min: number): Rule =>
  value === undefined ? { kind: 'integer', min } : { kind: 'integer', default: value, min };

type Group = Record<string, Rule>;

const RULES: Record<string, Group> = {
  connectionPool: {
    minConnections: count(undefined, 0),
    maxConnections: count(undefined, 1),
    maxInFlightPerConnection: count(128, 1),
    maxIdleTimeMs: ms(300_000),
    connectionTimeoutMs: ms(30_000),
    startTimeoutMs: ms(120_000),
    readTimeoutMs: ms(60_000),
    writeTimeoutMs: ms(30_000),
    maxRetries: count(3, 0),
    retryDelayMs: ms(1_000, 0),
    healthCheckIntervalMs: ms(60_000, 0),
    healthCheckTimeoutMs: ms(5_000),
  },
  calls: {
    callTimeoutMs: ms(300_000),
    maxConcurrentCalls: count(undefined, 1),
    queueLimit: count(10_000, 0),
    batchConcurrency: count(20, 1),
    validateArguments: { kind: 'boolean', default: false },
  },
  'calls.retry': {
    strategy: {
      kind: 'function-or-enum',
      default: 'exponential',
      values: ['exponential', 'fixed', 'linear', 'fibonacci'],
    },
    jitter: { kind: 'enum', default: 'full', values: ['full', 'none'] },
    maxDelayMs: ms(60_000, 0),
  },
  resultCache: {
    enabled: { kind: 'boolean', default: false },
    maxEntries: count(1_000, 1),
    maxBytes: count(64 * 1024 * 1024, 1),
    ttlMs: ms(300_000),
  },
};

const SERVICE_RULES: Group = {
  trusted: { kind: 'boolean' },
  stopTimeoutMs: ms(2_000, 0),
  balance: { kind: 'enum', values: ['power-of-two', 'least-in-flight', 'round-robin', 'weighted'] },
  sharing: { kind: 'enum', values: ['shared', 'agent', 'call'] },
};
const TOOL_RULES: Group = { cache: { kind: 'boolean' }, repeatable: { kind: 'boolean' } };
/** What has an effect for one service alone: batches run over services, and the store has one cache. */
const { batchConcurrency: _, ...SERVICE_CALL_RULES } = RULES['calls']!;
const SERVICE_SHARED_RULES = {
  calls: SERVICE_CALL_RULES,
  resultCache: { enabled: RULES['resultCache']!['enabled']!, ttlMs: RULES['resultCache']!['ttlMs']! },
};

function expected(rule: Rule): string {
  if (rule.kind === 'boolean') return 'true or false';
  if (rule.values)
    return `${rule.values.map((v) => `"${v}"`).join(', ')}${rule.kind === 'enum' ? '' : ' or a function'}`;
  return `a whole number${rule.kind === 'ms' ? ' of milliseconds' : ''}, at least ${rule.min ?? 0}`;
}

function fits(rule: Rule, value: unknown): boolean {
  if (rule.kind === 'boolean') return typeof value === 'boolean';
  if (rule.kind === 'function-or-enum' && typeof value === 'function') return true;
  if (rule.values) return rule.values.includes(value as string);
  return Number.isSafeInteger(value) && (value as number) >= (rule.min ?? 0);
}

/** Makes the error of a bad option; the loader of `mcp.json` passes one that adds file and line. */
export type Refuse = (path: string, message: string) => Error;

const refuseOption: Refuse = (path, message) =>
  new StoreError('OPTION_INVALID', `${path}: ${message}`, { figures: { path } });

/** A plain object, or the error that names the path. */
export function asObject(value: unknown, path: string, refuse: Refuse = refuseOption): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw refuse(
      path,
      `expected an object, got ${value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value}`,
    );
  return value as Record<string, unknown>;
}

/** Throws for the first key of `value` that is not in `known`, with the nearest names' list. */
export function refuseUnknown(
  value: Record<string, unknown>,
  known: readonly string[],
  path: string,
  refuse: Refuse = refuseOption,
): void {
  for (const key of Object.keys(value))
    if (!known.includes(key))
      throw refuse(path ? `${path}.${key}` : key, `unknown option; known here: ${known.join(', ')}`);
}

function checkGroup(value: unknown, rules: Group, path: string, refuse: Refuse, nested: readonly string[] = []): void {
  const object = asObject(value, path, refuse);
  refuseUnknown(object, [...Object.keys(rules), ...nested], path, refuse);
  for (const [key, rule] of Object.entries(rules)) {
    const given = object[key];
    if (given !== undefined && !fits(rule, given))
      throw refuse(`${path}.${key}`, `expected ${expected(rule)}, got ${show(given)}`);
  }
}

function show(value: unknown): string {
  // What comes from a file has no prototype, and so no text of its own.
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

function checkMinMax(pool: unknown, path: string, refuse: Refuse): void {
  const { minConnections: min, maxConnections: max } = pool as ConnectionPoolOptions;
  if (min !== undefined && max !== undefined && min > max)
    throw refuse(`${path}.minConnections`, `${min} is above maxConnections ${max}`);
}

function checkShared(
  value: Record<string, unknown>,
  path: string,
  refuse: Refuse,
  { calls, resultCache }: { calls: Group; resultCache: Group },
): void {
  const at = (key: string): string => (path ? `${path}.${key}` : key);
  if (value['connectionPool'] !== undefined) {
    checkGroup(value['connectionPool'], RULES['connectionPool']!, at('connectionPool'), refuse);
    checkMinMax(value['connectionPool'], at('connectionPool'), refuse);
  }
  if (value['calls'] !== undefined) {
    checkGroup(value['calls'], calls, at('calls'), refuse, ['retry']);
    const retry = (value['calls'] as CallOptionsConfig).retry;
    if (retry !== undefined) checkGroup(retry, RULES['calls.retry']!, `${at('calls')}.retry`, refuse);
  }
  if (value['resultCache'] !== undefined) checkGroup(value['resultCache'], resultCache, at('resultCache'), refuse);
}

/** Throws (by default `OPTION_INVALID`) with the path of the first bad or unknown option. */
export function checkPerformance(
  value: unknown,
  path = 'performance',
  refuse: Refuse = refuseOption,
): PerformanceOptions {
  const object = asObject(value, path, refuse);
  refuseUnknown(object, ['connectionPool', 'calls', 'resultCache'], path, refuse);
  checkShared(object, path, refuse, { calls: RULES['calls']!, resultCache: RULES['resultCache']! });
  return object as PerformanceOptions;
}

/** The same for what stands under `mcpstore` in one service. */
export function checkServiceOptions(value: unknown, path: string, refuse: Refuse = refuseOption): ServiceOptions {
  const object = asObject(value, path, refuse);
  refuseUnknown(
    object,
    [...Object.keys(SERVICE_RULES), 'connectionPool', 'calls', 'resultCache', 'tools', 'endpoints', 'auth'],
    path,
    refuse,
  );
  const own = Object.fromEntries(Object.entries(object).filter(([key]) => key in SERVICE_RULES));
  checkGroup(own, SERVICE_RULES, path, refuse);
  checkShared(object, path, refuse, SERVICE_SHARED_RULES);
  if (object['endpoints'] !== undefined) checkEndpoints(object['endpoints'], `${path}.endpoints`, refuse);
  if (object['auth'] !== undefined) checkAuth(object['auth'], `${path}.auth`, refuse);
  if (object['tools'] !== undefined)
    for (const [tool, policy] of Object.entries(asObject(object['tools'], `${path}.tools`, refuse)))
      checkGroup(policy, TOOL_RULES, `${path}.tools.${tool}`, refuse);
  return object as ServiceOptions;
}

const ENDPOINT_KEYS = ['command', 'args', 'env', 'cwd', 'url', 'headers', 'weight'] as const;

/** What an endpoint's keys may hold; that it has just one of `command` and `url`. */
function checkEndpoints(value: unknown, path: string, refuse: Refuse): void {
  if (!Array.isArray(value)) throw refuse(path, `expected an array of { command } or { url }, got ${show(value)}`);
  for (const [i, item] of value.entries()) {
    const at = `${path}.${i}`;
    const endpoint = asObject(item, at, refuse);
    refuseUnknown(endpoint, ENDPOINT_KEYS, at, refuse);
    const { command, url, args, weight } = endpoint;
    if ((command === undefined) === (url === undefined)) throw refuse(at, 'needs either "command" or "url"');
    for (const key of ['command', 'url', 'cwd'] as const)
      if (endpoint[key] !== undefined && (typeof endpoint[key] !== 'string' || endpoint[key] === ''))
        throw refuse(`${at}.${key}`, `expected a string that is not empty, got ${show(endpoint[key])}`);
    if (args !== undefined && !(Array.isArray(args) && args.every((arg) => typeof arg === 'string')))
      throw refuse(`${at}.args`, 'expected an array of strings');
    for (const key of ['env', 'headers'] as const)
      for (const [name, text] of Object.entries(asObject(endpoint[key] ?? {}, `${at}.${key}`, refuse)))
        if (typeof text !== 'string') throw refuse(`${at}.${key}.${name}`, `expected a string, got ${show(text)}`);
    if (weight !== undefined && !(typeof weight === 'number' && weight > 0 && weight <= 1_000_000))
      throw refuse(`${at}.weight`, `expected a number above 0, at most 1000000, got ${show(weight)}`);
  }
}

/** One layer of options and where it came from; later layers win, key by key. */
export interface OptionLayer {
  source: OptionSource;
  values: PerformanceOptions | ServiceOptions | undefined;
}

/** Joins layers over the defaults; `sources` has the origin of each value by its path. */
export function resolvePerformance(layers: readonly OptionLayer[]): {
  options: ResolvedPerformance;
  sources: Readonly<Record<string, OptionSource>>;
} {
  const sources: Record<string, OptionSource> = {};
  const groups: Record<string, Record<string, unknown>> = {};
  for (const [path, rules] of Object.entries(RULES)) {
    const out: Record<string, unknown> = {};
    for (const [key, rule] of Object.entries(rules)) {
      out[key] = rule.default;
      sources[`${path}.${key}`] = 'default';
    }
    for (const { source, values } of layers) {
      const group = path
        .split('.')
        .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], values);
      for (const [key, value] of Object.entries((group as Record<string, unknown> | undefined) ?? {})) {
        if (value === undefined || !(key in rules)) continue;
        out[key] = value;
        sources[`${path}.${key}`] = source;
      }
    }
    groups[path] = out;
  }
  const [min, max] = (['minConnections', 'maxConnections'] as const).map((key) => groups['connectionPool']![key]);
  // Each may come from another layer; a default is clamped where it is used.
  if (min !== undefined && max !== undefined && (min as number) > (max as number))
    throw refuseOption('connectionPool.minConnections', `${String(min)} is above maxConnections ${String(max)}`);
  groups['calls']!['retry'] = Object.freeze(groups['calls.retry']);
  const options = {
    connectionPool: Object.freeze(groups['connectionPool']),
    calls: Object.freeze(groups['calls']),
    resultCache: Object.freeze(groups['resultCache']),
  } as unknown as ResolvedPerformance;
  return { options: Object.freeze(options), sources: Object.freeze(sources) };
}

/** Bounds of one endpoint's pool, by the counting rules of `maxConnections`. */
export interface PoolSize {
  readonly min: number;
  readonly max: number;
}

/**
 * @param kind - a stdio process has a state of its own, so a store-wide maximum does not multiply it
 * @param own - the service's own pool options
 * @param wide - the store-wide resolved pool options
 */
export function poolSize(
  kind: 'stdio' | 'http' | 'memory',
  own: ConnectionPoolOptions | undefined,
  wide: ResolvedPerformance['connectionPool'],
): PoolSize {
  const single = kind !== 'http';
  const max = own?.maxConnections ?? (single ? 1 : (wide.maxConnections ?? 10));
  const min = own?.minConnections ?? (single ? Math.min(wide.minConnections ?? 1, 1) : (wide.minConnections ?? 2));
  return { min: Math.min(min, max), max };
}
