/** Rows: what bounds on memory change, each beside a run without: a full result cache, and a server that leaks. */

import { loadStore } from '../clients/store.mjs';
import { number, storeAlone } from '../lib/compare.mjs';
import { check } from '../lib/paired.mjs';
import { fresh } from '../lib/spawn.mjs';
import { median } from '../lib/stats.mjs';

const LIMIT_MB = 200;

/** Each subject in fresh processes, in turn. */
async function both(ctx, mode, options) {
  await loadStore();
  const runs = { with: [], without: [] };
  for (let i = 0; i < (ctx.quick ? 1 : 3); i++)
    for (const name of ['without', 'with']) {
      const args = [mode, JSON.stringify({ ...options, bounded: name === 'with' })];
      runs[name].push(await fresh('fresh/memory.mjs', args, { flags: ['--expose-gc'] }));
    }
  const of = (name, figure) => median(runs[name].map(figure));
  const failed = median([[...runs.with, ...runs.without].reduce((sum, run) => sum + run.failed, 0)]);
  return { runs, of, shown: (name, figure) => number(of(name, figure).median), failed };
}

async function cache(ctx) {
  const { runs, of, shown, failed } = await both(ctx, 'cache', { workMs: ctx.quick ? 4_000 : 10_000, headroomMb: 32 });
  const freed = ({ full, after }) => full.heapUsedMb - after.heapUsedMb;
  const cell = (name) =>
    `heap ${shown(name, ({ full }) => full.heapUsedMb)} → ${shown(name, ({ after }) => after.heapUsedMb)} MB`;
  return {
    figures: runs,
    cells: { mcpstore: `with: ${cell('with')}; without: ${cell('without')}` },
    checks: [
      check('heap given back', of('with', freed), '≥', 32, ' MB'),
      check('without', of('without', freed), '<', 8, ' MB'),
      check('calls that failed', failed, '≤', 0, ''),
    ],
    problems: [],
  };
}

async function leak(ctx) {
  const calls = ctx.quick ? 300 : 1_000;
  const { runs, of, shown, failed } = await both(ctx, 'leak', { calls, leakMb: 1, limitMb: LIMIT_MB });
  const cell = (name) => `peak ${shown(name, ({ peakMb }) => peakMb)} MB`;
  const restarts = shown('with', (run) => run.restarts);
  return {
    figures: runs,
    cells: { mcpstore: `with: ${cell('with')}, ${restarts} restarts; without: ${cell('without')}` },
    checks: [
      // Half a second between two looks, and what is leaked until the calls under way have ended.
      check(
        'peak',
        of('with', (run) => run.peakMb),
        '≤',
        1.5 * LIMIT_MB,
        ' MB',
      ),
      check(
        'without',
        of('without', (run) => run.peakMb),
        '≥',
        calls,
        ' MB',
      ),
      check('calls that failed', failed, '≤', 0, ''),
    ],
    problems: [],
  };
}

export const rows = [
  { id: 'memory-cache', what: 'full cache of 64 MiB, above and without a threshold', run: storeAlone(cache) },
  { id: 'memory-leak', what: `server that leaks 1 MB a call, maxMemoryMb ${LIMIT_MB} and none`, run: storeAlone(leak) },
];
