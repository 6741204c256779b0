/** Rows: what bounds on memory change, each beside a run without: a full result cache, and a server that leaks. */

import { loadStore } from '../clients/store.mjs';
import { number, storeAlone } from '../lib/compare.mjs';
import { check } from '../lib/paired.mjs';
import { fresh } from '../lib/spawn.mjs';
import { median } from '../lib/stats.mjs';

const LIMIT_MB = 200;

/** Each subject in a process of its own, once: what is compared is bytes that are held, not time. */
async function both(mode, options) {
  await loadStore();
  const run = (bounded) =>
    fresh('fresh/memory.mjs', [mode, JSON.stringify({ ...options, bounded })], { flags: ['--expose-gc'] });
  const [without, with_] = [await run(false), await run(true)];
  return { without, with_, failed: median([without.failed + with_.failed]) };
}

async function cache(ctx) {
  const { without, with_, failed } = await both('cache', { workMs: ctx.quick ? 4_000 : 10_000, headroomMb: 32 });
  const freed = ({ full, after }) => median([full.heapUsedMb - after.heapUsedMb]);
  const cell = ({ full, after }) => `heap ${number(full.heapUsedMb)} → ${number(after.heapUsedMb)} MB`;
  return {
    figures: { with: with_, without },
    cells: { mcpstore: `with: ${cell(with_)}; without: ${cell(without)}` },
    checks: [
      check('heap given back', freed(with_), '≥', 32, ' MB'),
      check('without', freed(without), '<', 8, ' MB'),
      check('calls that failed', failed, '≤', 0, ''),
    ],
    problems: [],
  };
}

async function leak(ctx) {
  const calls = ctx.quick ? 300 : 600;
  const { without, with_, failed } = await both('leak', { calls, leakMb: 1, limitMb: LIMIT_MB });
  const cell = ({ peakMb }) => `peak ${number(peakMb)} MB`;
  return {
    figures: { with: with_, without },
    cells: { mcpstore: `with: ${cell(with_)}, ${with_.restarts} restarts; without: ${cell(without)}` },
    checks: [
      // Half a second between two looks, and what is leaked until the calls under way have ended.
      check('peak', median([with_.peakMb]), '≤', 1.5 * LIMIT_MB, ' MB'),
      check('without', median([without.peakMb]), '≥', calls, ' MB'),
      check('calls that failed', failed, '≤', 0, ''),
    ],
    problems: [],
  };
}

export const rows = [
  { id: 'memory-cache', what: 'full cache of 64 MiB, above and without a threshold', run: storeAlone(cache) },
  { id: 'memory-leak', what: `server that leaks 1 MB a call, maxMemoryMb ${LIMIT_MB} and none`, run: storeAlone(leak) },
];
