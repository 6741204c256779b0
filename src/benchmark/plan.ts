/** Knows what one run of a benchmark is told, what it may not be told, and the load that this comes to. */

import { badOption, checkTimeout } from '../call-options.js';
import { asObject, checkGroup, RULES, refuseOption, refuseUnknown } from '../option-rules.js';
import type { BenchmarkOptions, ResolvedPerformance } from '../options.js';

/** What `performance.benchmark` has the defaults of, and more. */
export interface BenchmarkRunOptions extends BenchmarkOptions {
  /** Measures the calls that begin within so long, in place of `iterations`. Milliseconds. */
  durationMs?: number;
  /**
   * Calls a second, begun whether or not others have ended (open loop), in place of `concurrency`; at equal distances,
   * fractions allowed. Latency then counts from when a call was meant to begin. Default: a closed loop.
   */
  ratePerSecond?: number;
  /** Let calls meet the result cache. Default false: no call of the store reads or fills it during the run. */
  cache?: boolean;
  /** Ends the run as `CANCELLED`. Calls under way are the function's own to end. */
  signal?: AbortSignal;
}

/** The load of one run. */
export interface Plan {
  readonly warmup: number;
  /** `Infinity`: as many as begin within `durationMs`. */
  readonly calls: number;
  readonly durationMs: number;
  /** Calls under way at a time; undefined: an open loop. */
  readonly concurrency: number | undefined;
  readonly ratePerSecond: number | undefined;
}

const OWN = ['durationMs', 'ratePerSecond', 'cache', 'signal'] as const;

/** @throws StoreError `OPTION_INVALID` for an option that is unknown, wrong, or does not go with another */
export function planOf(options: BenchmarkRunOptions, defaults: ResolvedPerformance['benchmark']): Plan {
  const rules = RULES['benchmark']!;
  refuseUnknown(asObject(options, 'options'), [...Object.keys(rules), ...OWN], '');
  const { durationMs, ratePerSecond, cache, signal, ...group } = options;
  checkGroup(group, rules, '');
  checkTimeout(durationMs, 'durationMs');
  if (ratePerSecond !== undefined && !(Number.isFinite(ratePerSecond) && ratePerSecond > 0))
    throw badOption('ratePerSecond', 'a number of calls a second above 0');
  if (cache !== undefined && typeof cache !== 'boolean') throw badOption('cache', 'true or false');
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw badOption('signal', 'an AbortSignal');
  if (durationMs !== undefined && group.iterations !== undefined)
    throw refuseOption('durationMs', 'does not go with iterations: each says when the run ends');
  if (ratePerSecond !== undefined && group.concurrency !== undefined)
    throw refuseOption('ratePerSecond', 'does not go with concurrency: an open loop begins calls by the clock alone');
  const { iterations, warmup, concurrency } = { ...defaults, ...defined(group) };
  const open = ratePerSecond !== undefined && durationMs !== undefined;
  return {
    warmup,
    calls: open ? Math.max(1, Math.round((ratePerSecond * durationMs) / 1000)) : durationMs ? Infinity : iterations,
    durationMs: durationMs ?? Number.POSITIVE_INFINITY,
    concurrency: ratePerSecond === undefined ? concurrency : undefined,
    ratePerSecond,
  };
}

/** What is given as undefined says nothing. */
function defined(group: BenchmarkOptions): BenchmarkOptions {
  return Object.fromEntries(Object.entries(group).filter(([, value]) => value !== undefined));
}
