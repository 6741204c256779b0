/** Each agent sees the services that it was given, and caches for itself. */

import assert from 'node:assert/strict';
import { isStoreError, MCPStore } from 'mcpstore';

const store = await MCPStore.open({
  services: {
    everything: { command: 'npx', args: ['-y', '@modelcontextprotocol/server-everything'] },
    memory: { command: 'npx', args: ['-y', '@modelcontextprotocol/server-memory'] },
  },
  performance: { resultCache: { enabled: true } },
});
try {
  const writer = store.forAgent('writer', { services: ['everything'] });
  const reader = store.forAgent('reader', { services: ['everything', 'memory'] });

  const seen = new Set((await writer.listTools()).map((tool) => tool.service));
  console.log('the writer sees', [...seen]);
  assert.deepEqual([...seen], ['everything']);
  const refused = await writer.callTool('memory__read_graph').catch((error: unknown) => error);
  assert(isStoreError(refused) && refused.executed === 'no');

  // The same process serves both; what one has cached is not the other's.
  await writer.callTool('everything__echo', { message: 'hello' });
  await reader.callTool('everything__echo', { message: 'hello' });
  assert.equal(store.stats().calls.cacheHits, 0);
  assert.equal(store.serviceInfo('everything').pids.length, 1);
} finally {
  await store.close();
}
