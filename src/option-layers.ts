/** Knows how layers of options become one, with the origin of each value, and what a pool's options mean for a transport. */

import { StoreError } from './errors.js';
import { RULES } from './option-rules.js';
import type {
  ConnectionPoolOptions,
  OptionSource,
  PerformanceOptions,
  ResolvedPerformance,
  ServiceOptions,
} from './options.js';

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
  checkFit(groups['connectionPool'] as ConnectionPoolOptions, sources);
  groups['calls']!['retry'] = Object.freeze(groups['calls.retry']);
  const options = {
    connectionPool: Object.freeze(groups['connectionPool']),
    calls: Object.freeze(groups['calls']),
    resultCache: Object.freeze(groups['resultCache']),
    monitoring: Object.freeze(groups['monitoring']),
    memory: Object.freeze(groups['memory']),
    benchmark: Object.freeze(groups['benchmark']),
  } as unknown as ResolvedPerformance;
  return { options: Object.freeze(options), sources: Object.freeze(sources) };
}

const ORIGINS: Record<OptionSource, string> = {
  default: 'the default',
  file: 'from the file',
  code: 'given in code',
  service: 'of the service itself',
};

/** Each bound may come from another layer; a default is clamped where it is used. */
function checkFit(pool: ConnectionPoolOptions, sources: Readonly<Record<string, OptionSource>>): void {
  const { minConnections, maxConnections } = pool;
  if (minConnections === undefined || maxConnections === undefined || minConnections <= maxConnections) return;
  const path = 'connectionPool.minConnections';
  const [low, high] = [sources[path]!, sources['connectionPool.maxConnections']!];
  const min = `${path}: ${minConnections}, ${ORIGINS[low]},`;
  throw new StoreError('OPTION_INVALID', `${min} is above maxConnections ${maxConnections}, ${ORIGINS[high]}`, {
    figures: { path, minConnections, maxConnections },
    hint:
      low === 'service' || high === 'service'
        ? "Give the service both: its own options win over the store's."
        : 'Give both, so that they fit.',
  });
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

/** `more` on top of `base`, key by key; what is undefined says nothing. */
export function mergeOptions(base: PerformanceOptions | undefined, more: PerformanceOptions): PerformanceOptions {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(more))
    if (isGroup(value)) merged[key] = mergeOptions(merged[key] as PerformanceOptions | undefined, value);
    else if (value !== undefined) merged[key] = value;
  return merged;
}

function isGroup(value: unknown): value is PerformanceOptions {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
