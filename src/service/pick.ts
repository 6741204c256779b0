/** Knows which of several usable endpoints takes the next call: one function a strategy. */

import type { Clock } from '../_util/clock.js';
import type { Endpoint } from '../endpoint/endpoint.js';
import type { BalanceStrategy } from '../options.js';

/** Chooses among at least one endpoint. */
export type Pick = (usable: readonly Endpoint[]) => Endpoint;

/** Answers faster than this are equally fast: below it the noise of this process decides. */
const FLOOR_MS = 1;

export function picker(strategy: BalanceStrategy, clock: Clock): Pick {
  if (strategy === 'round-robin') return roundRobin();
  if (strategy === 'weighted') return weighted(clock);
  if (strategy === 'least-in-flight') return leastInFlight(clock);
  return powerOfTwo(clock);
}

function roundRobin(): Pick {
  let turn = 0;
  return (usable) => usable[turn++ % usable.length]!;
}

/** Smooth weighted round-robin, as nginx does it: the heaviest is not taken many times in a row. */
function weighted(clock: Clock): Pick {
  const credits = new WeakMap<Endpoint, number>();
  return (usable) => {
    const now = clock.now();
    let best = usable[0]!;
    let total = 0;
    for (const endpoint of usable) {
      const share = endpoint.weight * endpoint.ramp(now);
      const credit = (credits.get(endpoint) ?? 0) + share;
      total += share;
      credits.set(endpoint, credit);
      if (credit > (credits.get(best) ?? 0)) best = endpoint;
    }
    credits.set(best, credits.get(best)! - total);
    return best;
  };
}

function leastInFlight(clock: Clock): Pick {
  return (usable) => {
    const now = clock.now();
    let best = usable[0]!;
    for (const endpoint of usable) if (load(endpoint, now) < load(best, now)) best = endpoint;
    return best;
  };
}

/**
 * The better of two random ones (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing"), so that many
 * callers do not run to the same. Latency counts squared: at equal cost an endpoint that is ten times as slow would
 * still take one call in thirty, and these would be the slowest percent of all.
 */
function powerOfTwo(clock: Clock): Pick {
  return (usable) => {
    const i = Math.floor(clock.random() * usable.length);
    let j = Math.floor(clock.random() * (usable.length - 1));
    if (j >= i) j++;
    const one = usable[i]!;
    const other = usable[j] ?? one;
    const now = clock.now();
    // One of which nothing is known is taken to be as fast as the other.
    const oneMs = Math.max(one.latencyMs(now) || other.latencyMs(now), FLOOR_MS);
    const otherMs = Math.max(other.latencyMs(now) || oneMs, FLOOR_MS);
    return load(one, now) * oneMs ** 2 <= load(other, now) * otherMs ** 2 ? one : other;
  };
}

/** Calls under way, this one included, for its share. */
function load(endpoint: Endpoint, now: number): number {
  return (endpoint.inFlight + 1) / (endpoint.weight * endpoint.ramp(now));
}
