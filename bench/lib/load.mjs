/** Knows how calls are driven and timed: one at a time, or so many in flight; clock and CPU of this process around. */

import { performance } from 'node:perf_hooks';
import { percentile, sorted } from './stats.mjs';

/** Runs `work`, which resolves to a number of calls, and gives its time and this process's CPU per call. */
export async function measured(work) {
  const cpu = process.cpuUsage();
  const start = performance.now();
  const calls = await work();
  const ms = performance.now() - start;
  const used = process.cpuUsage(cpu);
  return { calls, ms, perSecond: (calls / ms) * 1000, cpuUs: (used.user + used.system) / calls };
}

/** `count` calls with `width` of them in flight, without barriers. */
export async function inFlight(call, width, count) {
  let left = count;
  const worker = async () => {
    while (left-- > 0) await call();
  };
  await Promise.all(Array.from({ length: Math.min(width, count) }, worker));
  return count;
}

/** `count` calls one after the other; adds their p50 and p99 in microseconds. */
export async function oneAtATime(call, count) {
  const times = new Float64Array(count);
  const result = await measured(async () => {
    for (let i = 0; i < count; i++) {
      const start = performance.now();
      await call();
      times[i] = performance.now() - start;
    }
    return count;
  });
  const ordered = sorted(times);
  return { ...result, p50Us: percentile(ordered, 0.5) * 1000, p99Us: percentile(ordered, 0.99) * 1000 };
}

/** How many calls fill `ms`, found by running for a while; this is the warm-up too. */
export async function fitting(call, width, ms, warmUpMs) {
  await inFlight(call, width, width);
  let count = width * 4;
  let rate = 0;
  const end = performance.now() + warmUpMs;
  do {
    const { ms: took } = await measured(() => inFlight(call, width, count));
    rate = count / took;
    count = Math.max(width, Math.min(count * 4, Math.ceil(rate * (warmUpMs / 4))));
  } while (performance.now() < end);
  return Math.max(width, Math.round(rate * ms));
}
