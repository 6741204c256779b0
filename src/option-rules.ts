/** Knows what each option may hold, and refuses what it may not, with its path. */

import { ALERT_RULES, type AlertRule, checkRules } from './alert-rules.js';
import { checkAuth } from './auth-options.js';
import { StoreError } from './errors.js';
import type { CallOptionsConfig, ConnectionPoolOptions, PerformanceOptions, ServiceOptions } from './options.js';

interface Rule {
  kind: 'integer' | 'ms' | 'boolean' | 'enum' | 'function-or-enum' | 'alert-rules';
  default?: number | boolean | string | readonly AlertRule[];
  min?: number;
  values?: readonly string[];
}

const ms = (value: number, min = 1): Rule => ({ kind: 'ms', default: value, min });
const count = (value: number | undefined, min: number): Rule =>
  value === undefined ? { kind: 'integer', min } : { kind: 'integer', default: value, min };

type Group = Record<string, Rule>;

/** By the path of their group. */
export const RULES: Record<string, Group> = {
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
    batchSize: count(10, 1),
    maxWorkers: count(5, 1),
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
  monitoring: {
    enabled: { kind: 'boolean', default: true },
    intervalMs: ms(30_000),
    historySize: count(1_000, 0),
    historyFile: { kind: 'boolean', default: false },
    historyArguments: { kind: 'enum', default: 'size', values: ['size', 'redacted', 'full'] },
    rules: { kind: 'alert-rules', default: ALERT_RULES },
  },
  memory: {
    enabled: { kind: 'boolean', default: false },
    thresholdMb: count(500, 1),
    intervalMs: ms(30_000, 100),
  },
  benchmark: {
    iterations: count(100, 1),
    warmup: count(10, 0),
    concurrency: count(1, 1),
  },
};

const SERVICE_RULES: Group = {
  trusted: { kind: 'boolean' },
  stopTimeoutMs: ms(2_000, 0),
  maxMemoryMb: count(undefined, 1),
  balance: { kind: 'enum', values: ['power-of-two', 'least-in-flight', 'round-robin', 'weighted'] },
  sharing: { kind: 'enum', values: ['shared', 'agent', 'call'] },
};
const TOOL_RULES: Group = { cache: { kind: 'boolean' }, repeatable: { kind: 'boolean' } };
const CACHED_RULES: Group = { maxAgeMs: { kind: 'ms', min: 1 } };
/** What has an effect for one service alone: batches run over services, and the store has one cache. */
const { batchConcurrency: _a, batchSize: _b, maxWorkers: _c, ...SERVICE_CALL_RULES } = RULES['calls']!;
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

export const refuseOption: Refuse = (path, message) =>
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

/** Throws for the first key of `value` that `rules` do not have, or whose value they do not allow. */
export function checkGroup(
  value: unknown,
  rules: Group,
  path: string,
  refuse: Refuse = refuseOption,
  nested: readonly string[] = [],
): void {
  const object = asObject(value, path, refuse);
  refuseUnknown(object, [...Object.keys(rules), ...nested], path, refuse);
  for (const [key, rule] of Object.entries(rules)) {
    const given = object[key];
    if (given === undefined) continue;
    if (rule.kind === 'alert-rules') checkRules(given, path ? `${path}.${key}` : key, refuse);
    else if (!fits(rule, given))
      throw refuse(path ? `${path}.${key}` : key, `expected ${expected(rule)}, got ${show(given)}`);
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
  refuseUnknown(object, ['connectionPool', 'calls', 'resultCache', 'monitoring', 'memory', 'benchmark'], path, refuse);
  checkShared(object, path, refuse, { calls: RULES['calls']!, resultCache: RULES['resultCache']! });
  for (const group of ['monitoring', 'memory', 'benchmark'])
    if (object[group] !== undefined) checkGroup(object[group], RULES[group]!, `${path}.${group}`, refuse);
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
      checkTool(policy, `${path}.tools.${tool}`, refuse);
  return object as ServiceOptions;
}

function checkTool(policy: unknown, path: string, refuse: Refuse): void {
  checkGroup(policy, TOOL_RULES, path, refuse, ['fallback']);
  const { fallback } = policy as { fallback?: unknown };
  if (Array.isArray(fallback))
    for (const [i, one] of fallback.entries()) checkFallback(one, `${path}.fallback.${i}`, refuse);
  else if (fallback !== undefined) checkFallback(fallback, `${path}.fallback`, refuse);
}

/** Whether the service is there shows when it is asked: services come and go. */
function checkFallback(fallback: unknown, path: string, refuse: Refuse): void {
  if (fallback === 'cached') return;
  const expected = 'expected "cached", { cached: { maxAgeMs } }, { value } or { service, tool }';
  if (typeof fallback !== 'object' || fallback === null || Array.isArray(fallback))
    throw refuse(path, `${expected}, got ${show(fallback)}`);
  const { cached, value, service, tool } = fallback as Record<string, unknown>;
  refuseUnknown(fallback as Record<string, unknown>, ['cached', 'value', 'service', 'tool'], path, refuse);
  if ([cached, value, service].filter((kind) => kind !== undefined).length !== 1) throw refuse(path, expected);
  if (cached !== undefined) checkGroup(cached, CACHED_RULES, `${path}.cached`, refuse);
  if (value !== undefined && typeof value !== 'string') asObject(value, `${path}.value`, refuse);
  if (tool !== undefined && service === undefined) throw refuse(`${path}.tool`, 'goes with "service"');
  for (const [key, name] of Object.entries({ service, tool }))
    if (name !== undefined && (typeof name !== 'string' || name === ''))
      throw refuse(`${path}.${key}`, `expected the name of a ${key}, got ${show(name)}`);
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
