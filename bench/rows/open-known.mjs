/** Row: open a store of 20 known services and list their tools, each time in a fresh process; its imports are not counted. */

import { join } from 'node:path';
import { loadStore } from '../clients/store.mjs';
import { TOOLS } from '../fresh/twenty.mjs';
import { number, storeAlone } from '../lib/compare.mjs';
import { check } from '../lib/paired.mjs';
import { fresh } from '../lib/spawn.mjs';
import { median } from '../lib/stats.mjs';

async function run(ctx) {
  await loadStore();
  const args = [join(ctx.dir, 'state'), join(ctx.dir, 'starts.log')];
  const primed = await fresh('fresh/open-known.mjs', ['prime', ...args]);
  if (primed.started !== 20 || primed.tools !== TOOLS) throw new Error(`priming: ${JSON.stringify(primed)}`);
  const runs = [];
  for (let i = 0; i < ctx.rounds; i++) runs.push(await fresh('fresh/open-known.mjs', ['measure', ...args]));
  const short = runs.find(({ tools }) => tools !== TOOLS);
  const ms = median(runs.map((r) => r.ms));
  const started = median(runs.map((r) => Math.max(r.started, r.created)));
  return {
    figures: { mcpstore: { ms, started } },
    cells: { mcpstore: `${number(ms.median)} ms, ${started.high} processes` },
    checks: [check('time', ms, '≤', 30, ' ms'), check('processes', { ...started, median: started.high }, '≤', 0, '')],
    problems: short ? [`mcpstore: ${short.tools} tools instead of ${TOOLS}`] : [],
  };
}

export const row = {
  id: 'open-known',
  what: 'open a store of 20 known services, list tools',
  run: storeAlone(run),
};
