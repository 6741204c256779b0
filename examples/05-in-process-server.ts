/** A program's own tools, served by an MCP server object in this process: no process, no socket. */

import assert from 'node:assert/strict';
import { McpServer } from '@modelcontextprotocol/server';
import { MCPStore, textOf } from 'mcpstore';
import { z } from 'zod';

const server = new McpServer({ name: 'shop', version: '1.0.0' });
server.registerTool(
  'price',
  { description: 'Price of an article, in cents', inputSchema: z.object({ article: z.string() }) },
  async ({ article }) => ({ content: [{ type: 'text', text: article === 'tea' ? '350' : 'unknown' }] }),
);

const store = await MCPStore.open({
  services: { shop: { server } },
  performance: { calls: { validateArguments: true } },
});
try {
  const result = await store.callTool('shop__price', { article: 'tea' });
  console.log(textOf(result));
  assert.equal(textOf(result), '350');

  // With `validateArguments` a bad argument is told before anything is sent.
  await assert.rejects(store.callTool('shop__price', {}), /"article" is required/);
} finally {
  await store.close();
}
