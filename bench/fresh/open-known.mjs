/** Run in a fresh process: opens a store of known services and lists their tools; `prime` starts them to make them known. */

import { performance } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { loadStore } from '../clients/store.mjs';
import { countLines, services } from './twenty.mjs';

const [mode, stateDir, log] = process.argv.slice(2);

/** Connections that the store says it has made, over all services. */
function created(store) {
  let sum = 0;
  JSON.stringify(store.connectionStats(), (key, value) => {
    if (key === 'created' && typeof value === 'number') sum = Math.max(sum, value);
    return value;
  });
  return sum;
}

try {
  const { MCPStore } = await loadStore();
  const before = countLines(log);
  const start = performance.now();
  const store = await MCPStore.open({ services: services(log), stateDir });
  const tools = await store.listTools(mode === 'prime' ? { refresh: 'always', timeoutMs: 60_000 } : {});
  const ms = performance.now() - start;
  const made = created(store);
  // A refresh behind the answer would show as a process a little later.
  if (mode !== 'prime') await wait(200);
  const answer = { ms, tools: tools.length, created: made, started: countLines(log) - before };
  await store.close();
  process.send(answer);
} catch (error) {
  process.send({ error: error.message });
}
process.disconnect();
