/** Many calls at a time: each entry fails alone, and the results are in the order of the calls. */

import assert from 'node:assert/strict';
import { MCPStore, textOf } from 'mcpstore';

const store = await MCPStore.open({
  services: { everything: { command: 'npx', args: ['-y', '@modelcontextprotocol/server-everything'] } },
});
try {
  const calls = Array.from({ length: 100 }, (_, a) => ({ tool: 'everything__get-sum', arguments: { a, b: 1 } }));
  const wrong = { tool: 'everything__no-such-tool' };

  let finished = 0;
  const batch = await store.batchCall([...calls, wrong], {
    concurrency: 20,
    timeoutMs: 60_000,
    onResult: () => finished++,
  });

  console.log(batch.totals, `${Math.round(batch.durationMs)} ms`);
  assert.equal(finished, 101);
  assert.equal(batch.totals.ok, 100);
  assert.match(textOf(batch.results[41]!.result!), /\b42\b/);
  assert.equal(batch.results[100]!.status, 'not_sent');
  assert.equal(batch.results[100]!.error?.code, 'TOOL_UNKNOWN');
} finally {
  await store.close();
}
