/** Row: 50 callers at once on a cold pool of 10 (150 ms connect, 2 ms call, one call a connection), against the best pool size. */

import { performance } from 'node:perf_hooks';
import { loadStore } from '../clients/store.mjs';
import { number, storeAlone } from '../lib/compare.mjs';
import { fakeServer } from '../lib/fake-server.mjs';
import { check, figure, paired, ratio } from '../lib/paired.mjs';
import { median } from '../lib/stats.mjs';

const [CONNECT_MS, CALL_MS, CALLERS, POOL] = [150, 2, 50, 10];

/**
 * Times 50 calls that arrive together at a pool without a connection. The tools are known by then, as they are after a
 * pause: where they are not, one connect to list them comes before everything, whatever the pool's size.
 */
async function spike(MCPStore, size) {
  const connectionPool = { minConnections: 0, maxConnections: size, maxInFlightPerConnection: 1 };
  const server = () => fakeServer({ connectMs: CONNECT_MS, callMs: CALL_MS });
  const store = await MCPStore.open({ services: { bench: { server, mcpstore: { connectionPool } } }, stateDir: null });
  try {
    await store.listTools();
    if (store.closeIdle(0) !== 1) throw new Error('the connection that listed the tools did not close');
    const start = performance.now();
    const results = await Promise.allSettled(
      Array.from({ length: CALLERS }, () => store.callTool('bench__echo', { text: 'x' })),
    );
    const ms = performance.now() - start;
    const failed = results.filter(({ status }) => status === 'rejected');
    if (failed.length > 0) throw new Error(`pool of ${size}: ${failed.length} failed, e.g. ${failed[0].reason}`);
    return { ms, calls: CALLERS };
  } finally {
    await store.close();
  }
}

async function run(ctx) {
  const { MCPStore } = await loadStore();
  await spike(MCPStore, POOL);
  const sizes = Array.from({ length: POOL }, (_, i) => ({ size: i + 1, times: [] }));
  for (let round = 0; round < (ctx.quick ? 1 : 3); round++)
    for (const { size, times } of sizes) times.push((await spike(MCPStore, size)).ms);
  for (const entry of sizes) entry.ms = median(entry.times).median;
  // The pool of 10 is compared with the best of the others: against itself it could not lose.
  const best = sizes.filter(({ size }) => size !== POOL).reduce((a, b) => (b.ms < a.ms ? b : a));
  const subjects = [
    { name: 'mcpstore', slice: () => spike(MCPStore, POOL) },
    { name: 'best', slice: () => spike(MCPStore, best.size) },
  ];
  const all = await paired(subjects, ctx);
  return {
    figures: {
      mcpstore: { ms: figure(all, 'mcpstore', 'ms') },
      best: { ...best, ms: figure(all, 'best', 'ms') },
      sizes,
    },
    cells: {
      floor: `${number(CONNECT_MS + (CALL_MS * CALLERS) / POOL)} ms (arithmetic)`,
      mcpstore: `${number(figure(all, 'mcpstore', 'ms').median)} ms; pool of ${best.size}: ${number(figure(all, 'best', 'ms').median)} ms`,
    },
    checks: [check('time ÷ best of sizes 1–10', ratio(all, 'mcpstore', 'best', 'ms'), '≤', 1.15)],
    problems: [],
  };
}

export const row = {
  id: 'spike',
  what: 'spike: 50 callers on a cold pool of 10',
  run: storeAlone(run),
};
