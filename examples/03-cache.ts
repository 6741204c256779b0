/** Results of tools that only read are kept and shared, once the cache is switched on. */

import assert from 'node:assert/strict';
import { MCPStore } from 'mcpstore';

const store = await MCPStore.open({
  services: { everything: { command: 'npx', args: ['-y', '@modelcontextprotocol/server-everything'] } },
  performance: { resultCache: { enabled: true, ttlMs: 60_000 } },
});
try {
  // The server says of this tool that it changes nothing (`readOnlyHint`).
  const call = () => store.callTool('everything__echo', { message: 'hello' });
  await call();
  const since = performance.now();
  await call();
  console.log(`the second call took ${(performance.now() - since).toFixed(3)} ms`);
  assert.equal(store.stats().calls.cacheHits, 1);

  // One call can go past the cache, or replace what is there.
  await store.callTool('everything__echo', { message: 'hello' }, { cache: 'refresh' });
  assert.equal(store.stats().calls.cacheHits, 1);

  // Ten at once that miss are one call.
  await Promise.all(Array.from({ length: 10 }, () => store.callTool('everything__echo', { message: 'again' })));
  assert.equal(store.stats().calls.cacheHits, 10);

  assert.equal(store.clearCache({ service: 'everything' }), 2);
} finally {
  await store.close();
}
