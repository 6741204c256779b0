/**
 * An MCP server that answers with whatever bytes it is told: `node hostile-server.mjs stdio | json | sse [TOOLS-FILE]`.
 * `say` takes `result`, the Base64 of what shall stand as the result; `hear` gives back the text of the arguments as they
 * came. TOOLS-FILE has more items for tools/list, as text. Over HTTP it tells its port to its parent.
 */

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const [mode, file] = process.argv.slice(2);
const object = { type: 'object' };
const own = [
  { name: 'say', inputSchema: object },
  { name: 'hear', inputSchema: object },
  { name: 'kept', inputSchema: object, annotations: { readOnlyHint: true } },
];
const tools = `${JSON.stringify(own).slice(0, -1)}${file ? `,${readFileSync(file, 'utf8')}` : ''}]`;
const text = (value) => JSON.stringify({ content: [{ type: 'text', text: value }] });

/** Bytes of the result, or undefined for an unknown method. */
function resultOf({ method, params }, line) {
  if (method === 'initialize')
    return JSON.stringify({
      protocolVersion: params.protocolVersion,
      capabilities: { tools: {} },
      serverInfo: { name: 'hostile', version: '1.0.0' },
    });
  if (method === 'ping') return '{}';
  if (method === 'tools/list') return `{"tools":${tools}}`;
  if (method !== 'tools/call') return undefined;
  if (params.name === 'hear')
    return text(/"arguments":(.*?)(?:,"_meta":\{"progressToken"[^{}]*\})?\}\}$/s.exec(line)?.[1]);
  if (params.arguments.result === undefined) return text(params.name);
  return Buffer.from(params.arguments.result, 'base64');
}

function answerTo(line) {
  const message = JSON.parse(line);
  if (message.id === undefined || message.method === undefined) return undefined;
  const result = resultOf(message, line);
  const head = `{"jsonrpc":"2.0","id":${JSON.stringify(message.id)},`;
  if (result === undefined) return Buffer.from(`${head}"error":{"code":-32601,"message":"Method not found"}}`);
  return Buffer.concat([Buffer.from(`${head}"result":`), Buffer.from(result), Buffer.from('}')]);
}

if (mode === 'stdio') {
  let rest = '';
  process.stdin.setEncoding('utf8').on('data', (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      const answer = answerTo(line);
      if (answer) process.stdout.write(Buffer.concat([answer, Buffer.from('\n')]));
    }
  });
} else {
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.method !== 'POST') return response.writeHead(405).end();
    const answer = answerTo(Buffer.concat(chunks).toString());
    if (answer === undefined) return response.writeHead(202).end();
    response.writeHead(200, { 'content-type': mode === 'sse' ? 'text/event-stream' : 'application/json' });
    if (mode === 'sse') response.write('data: ');
    response.write(answer);
    response.end(mode === 'sse' ? '\n\n' : '');
  });
  server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
  process.on('disconnect', () => process.exit(0));
}
