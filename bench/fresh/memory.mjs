/** Run in a fresh process: a store whose cache is full, or whose server leaks, with a bound on memory or without. */

import { setTimeout as pause } from 'node:timers/promises';
import { loadStore, stdioService } from '../clients/store.mjs';

const [mode, given] = process.argv.slice(2);
const { bounded, ...options } = JSON.parse(given);

/** Calls of `width` callers until `over()`; what fails is counted, and how long the slowest took. */
async function calling(call, width, over) {
  const tally = { calls: 0, failed: 0, slowestMs: 0 };
  const caller = async () => {
    while (!over(tally)) {
      const since = performance.now();
      tally.calls++;
      await call(tally.calls).catch(() => tally.failed++);
      tally.slowestMs = Math.max(tally.slowestMs, performance.now() - since);
    }
  };
  await Promise.all(Array.from({ length: width }, caller));
  return tally;
}

/** 64 MiB of results, then calls of another service for `workMs`, while V8 collects when it wants to. */
async function fullCache({ MCPStore }, { workMs, headroomMb }) {
  const store = await MCPStore.open({
    services: { bench: stdioService({ tools: { payload: { cache: true } } }), other: stdioService() },
    performance: { resultCache: { enabled: true, maxEntries: 2_000 } },
    stateDir: null,
  });
  const at = async () => {
    globalThis.gc();
    const { rssMb, heapUsedMb, usedMb } = await store.memory.sample();
    return { rssMb, heapUsedMb, usedMb, cacheMb: store.stats().cache.bytes / 2 ** 20 };
  };
  await store.callTool('other__echo', { text: 'first' });
  const empty = await at();
  for (let n = 0; n < 1_023; n++) await store.callTool('bench__payload', { bytes: 65_536 - n });
  const full = await at();
  const told = [];
  store.on('memory', ({ type, step, collected }) => told.push({ type, step, collected }));
  const thresholdMb = Math.round(empty.usedMb + headroomMb);
  if (bounded) await store.memory.start({ thresholdMb, intervalMs: 1_000 });
  const end = performance.now() + workMs;
  // As programs do, it keeps the last answers for a while.
  const text = 'x'.repeat(262_144);
  let recent = [];
  const tally = await calling(
    async (n) => {
      recent[n % 50] = await store.callTool('other__echo', { text });
    },
    4,
    () => performance.now() > end,
  );
  recent = [];
  store.memory.stop();
  const after = await at();
  await store.close();
  return { empty, full, after, thresholdMb, told, ...tally };
}

/** Each call leaks `leakMb`; the server's memory is looked at ten times a second. */
async function leakingServer({ MCPStore }, { calls, leakMb, limitMb }) {
  const store = await MCPStore.open({
    services: { bench: stdioService(bounded ? { maxMemoryMb: limitMb } : {}) },
    performance: { memory: { intervalMs: 500 } },
    stateDir: null,
  });
  const seen = [];
  const began = performance.now();
  const watching = setInterval(async () => {
    const { childrenMb } = await store.memory.sample();
    seen.push({ s: +((performance.now() - began) / 1_000).toFixed(1), rssMb: childrenMb });
  }, 100);
  const tally = await calling(
    async () => {
      await store.callTool('bench__leak', { bytes: leakMb * 2 ** 20 });
      await pause(20);
    },
    4,
    (so) => so.calls >= calls,
  );
  clearInterval(watching);
  const { restarts } = store.stats().memory;
  await store.close();
  return { peakMb: Math.max(...seen.map(({ rssMb }) => rssMb)), restarts, seen, ...tally };
}

try {
  const work = { cache: fullCache, leak: leakingServer }[mode];
  process.send(await work(await loadStore(), options), () => process.exit());
} catch (error) {
  process.send({ error: error.stack }, () => process.exit(1));
}
