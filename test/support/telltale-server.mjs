/** A stdio MCP server that says everything that it was given, in every place where a server can say something. */

import { createInterface } from 'node:readline';

const { CANARY_KEY, FILE_TOKEN, DATABASE_URL, REFUSES } = process.env;
const told = `given ${CANARY_KEY} and ${FILE_TOKEN} and ${DATABASE_URL} and ${process.argv.slice(2).join(' ')}`;
const say = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);

const tools = {
  fine: (args) => ({ result: { content: [{ type: 'text', text: `${told} ${JSON.stringify(args)}` }] } }),
  is_error: () => ({
    result: {
      content: [{ type: 'text', text: `${'x'.repeat(980)}${told}` }],
      structuredContent: { told },
      isError: true,
    },
  }),
  rpc_error: () => ({ error: { code: -32000, message: told, data: { told: [told] } } }),
  log: () => {
    const params = { level: 'error', logger: told, data: { told } };
    say({ method: 'notifications/message', params });
    process.stderr.write(`${told}\n`);
    console.log(told);
    return { result: { content: [] } };
  },
  die: () => void process.stderr.write(`${told}\n`, () => process.exit(1)),
};

if (REFUSES === 'exit') process.stderr.write(`${told}\n`, () => process.exit(1));
createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) return;
  if (method === 'initialize') {
    if (REFUSES === 'answer') return say({ id, error: { code: -32000, message: told, data: told } });
    const capabilities = { tools: {}, logging: {}, experimental: { told: { told } } };
    const serverInfo = { name: told, version: told };
    return say({
      id,
      result: { protocolVersion: params.protocolVersion, capabilities, serverInfo, instructions: told },
    });
  }
  if (method === 'tools/list') {
    const list = Object.keys(tools).map((name) => ({ name, inputSchema: { type: 'object' } }));
    return say({ id, result: { tools: list } });
  }
  if (method !== 'tools/call') return say({ id, result: {} });
  const answer = tools[params.name]?.(params.arguments);
  if (answer) say({ id, ...answer });
});
