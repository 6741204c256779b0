/** One service, one call. Run any example with `npm run build` and then `node examples/01-first-call.ts` (Node ≥ 22.18). */

import assert from 'node:assert/strict';
import { isStoreError, MCPStore, textOf } from 'mcpstore';

const store = await MCPStore.open({
  services: { everything: { command: 'npx', args: ['-y', '@modelcontextprotocol/server-everything'] } },
});
try {
  // The service starts now, with the first call. `everything__` says whose tool it is; a bare name works where one has it.
  const result = await store.callTool('everything__get-sum', { a: 2, b: 3 });
  console.log(textOf(result));
  assert.match(textOf(result), /\b5\b/);

  // A tool's own failure is a result; what keeps a call from being made is an error with a code.
  const unknown = await store.callTool('everything__get-some').catch((error: unknown) => error);
  assert(isStoreError(unknown, 'TOOL_UNKNOWN'));
  console.log(unknown.message);
} finally {
  await store.close();
}
