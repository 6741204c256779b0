/** Copied beside an installed package to show that it works there: imports it by name and calls a tool. */

import { MCPStore, textOf } from 'mcpstore';

const line = (message) => `${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`;

if (process.argv[2] === 'serve') {
  // The smallest server there is: this file over stdio.
  let rest = '';
  process.stdin.setEncoding('utf8').on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const { id, method, params } of lines.map((json) => JSON.parse(json))) {
      if (id === undefined) continue;
      const results = {
        initialize: () => ({
          protocolVersion: params.protocolVersion,
          capabilities: { tools: {} },
          serverInfo: { name: 'smallest', version: '1.0.0' },
        }),
        ping: () => ({}),
        'tools/list': () => ({ tools: [{ name: 'echo', inputSchema: { type: 'object' } }] }),
        'tools/call': () => ({ content: [{ type: 'text', text: params.arguments.text }] }),
      };
      const result = results[method]?.();
      const error = { code: -32601, message: 'Method not found' };
      process.stdout.write(line(result ? { id, result } : { id, error }));
    }
  });
} else {
  const service = { command: process.execPath, args: [import.meta.filename, 'serve'] };
  const store = await MCPStore.open({ services: { smallest: service }, stateDir: null });
  const text = textOf(await store.callTool('smallest__echo', { text: 'the packed package works' }));
  await store.close();
  console.log(text);
  if (text !== 'the packed package works') process.exitCode = 1;
}
