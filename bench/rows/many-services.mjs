/** Row: 10,000 registered services with 100,000 tools of 1 KB, none connected: what they weigh, and what a call pays for them. */

import { join } from 'node:path';
import { loadStore } from '../clients/store.mjs';
import { number, storeAlone } from '../lib/compare.mjs';
import { check } from '../lib/paired.mjs';
import { fresh } from '../lib/spawn.mjs';
import { median } from '../lib/stats.mjs';

const PROGRAM = 'fresh/many-services.mjs';

async function run(ctx) {
  await loadStore();
  const state = join(ctx.dir, 'state');
  const options = { services: ctx.quick ? 1_000 : 10_000, rounds: ctx.rounds, calls: ctx.quick ? 2_000 : 10_000 };
  const args = [state, JSON.stringify(options)];
  const flags = ['--expose-gc'];
  await fresh(PROGRAM, ['prime', ...args]);
  const runs = [];
  for (let i = 0; i < (ctx.quick ? 1 : 3); i++) runs.push(await fresh(PROGRAM, ['weigh', ...args], { flags }));
  const { figures, more } = await fresh(PROGRAM, ['time', ...args], { flags });
  const of = (key) => median(runs.map((r) => r[key]));
  const short = runs.find(({ tools, expected }) => tools !== expected);
  return {
    figures: { mcpstore: { rssMb: of('rssMb'), openMb: of('openMb'), openMs: of('openMs') }, ...figures },
    cells: {
      mcpstore: `${number(of('rssMb').median)} MB (${number(of('openMb').median)} MB once open, in ${number(of('openMs').median)} ms)`,
    },
    checks: [
      check('RSS', of('rssMb'), '≤', 200, ' MB'),
      check('CPU a call, more than a store of one', more, '≤', 0.5, ' µs'),
    ],
    problems: short ? [`mcpstore: ${short.tools} tools instead of ${short.expected}`] : [],
  };
}

export const row = {
  id: 'many-services',
  what: '10,000 services, 100,000 tools, none connected',
  run: storeAlone(run),
};
