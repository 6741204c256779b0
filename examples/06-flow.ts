/** Calls that need each other's results: what can run together does, and a failure leaves what was done. */

import assert from 'node:assert/strict';
import { type CallToolResult, isStoreError, MCPStore, textOf } from 'mcpstore';

const store = await MCPStore.open({
  services: { everything: { command: 'npx', args: ['-y', '@modelcontextprotocol/server-everything'] } },
});
try {
  const tool = 'everything__get-sum';
  const transform = (result: CallToolResult): number => Number(/is (\d+)/.exec(textOf(result))?.[1]);

  const sums = store.workflow({
    left: { tool, arguments: { a: 1, b: 2 }, transform },
    right: { tool, arguments: { a: { $from: 'input.extra' }, b: 4 }, transform },
    all: { tool, arguments: { a: { $from: 'results.left' }, b: { $from: 'results.right' } }, transform },
  });
  console.log(sums.plan().text);
  const { results } = await sums.run({ input: { extra: 3 } }, { timeoutMs: 60_000 });
  assert.deepEqual(results, { left: 3, right: 7, all: 10 });

  const chain = store
    .chain<number>()
    .step(tool, ({ input }) => ({ a: input, b: 1 }), { as: 'sum', transform })
    .branch(
      ({ results }) => results.sum > 10,
      { tool: 'everything__echo', as: 'big', arguments: { message: 'big' } },
      { tool: 'everything__echo', as: 'small', arguments: { message: 'small' } },
    );
  assert.deepEqual(Object.keys((await chain.run({ input: 10 })).results), ['sum', 'big']);

  const wrong = chain.step('everything__get-sum', { a: 'no number' });
  const error: unknown = await wrong.run({ input: 1 }).catch((thrown) => thrown);
  assert(isStoreError(error, 'TOOL_ERROR'));
  assert.equal(error.figures?.['step'], 'step4');
  assert.deepEqual(Object.keys(error.flow?.results ?? {}), ['sum', 'small']);
  console.log(`${error.code}: what was done is kept:`, Object.keys(error.flow?.results ?? {}).join(', '));
} finally {
  await store.close();
}
