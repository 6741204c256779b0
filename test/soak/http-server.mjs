/**
 * A scripted MCP server over HTTP in a process of its own, without any SDK: sessions that die with it, answers as JSON or
 * as an event stream where there is progress. `node http-server.mjs LEDGER PORT`; tells its port to its parent.
 */

import { randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Behaviour, CAPABILITIES, RpcFailure, text } from '../support/behaviour.mjs';

const [ledger, port] = process.argv.slice(2);
const behaviour = new Behaviour({ names: ['effect'] });
const sessions = new Set();
const running = new Map();

async function handle({ method, params }, context) {
  if (method === 'server/discover') throw new RpcFailure(-32601, 'Method not found');
  if (method === 'initialize')
    return {
      protocolVersion: params.protocolVersion,
      capabilities: CAPABILITIES,
      serverInfo: { name: 'web', version: '1.0.0' },
    };
  if (method === 'tools/call' && params.name === 'effect') {
    appendFileSync(ledger, `${params.arguments.id}\n`);
    return text(params.arguments.id);
  }
  return behaviour.handle(method, params, context);
}

async function receive(request, response) {
  if (request.method === 'DELETE') sessions.delete(request.headers['mcp-session-id']);
  if (request.method !== 'POST') return response.writeHead(request.method === 'DELETE' ? 200 : 405).end();
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const message = JSON.parse(Buffer.concat(chunks).toString());
  const free = message.method === 'initialize' || message.method === 'server/discover';
  if (!free && !sessions.has(request.headers['mcp-session-id'])) return response.writeHead(404).end();
  if (message.id === undefined) {
    if (message.method === 'notifications/cancelled') running.get(message.params.requestId)?.abort();
    return response.writeHead(202).end();
  }
  await answer(message, response);
}

async function answer(message, response) {
  const { id, params } = message;
  const abort = new AbortController();
  running.set(id, abort);
  response.on('close', () => abort.abort());
  const event = (data) => {
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`data: ${JSON.stringify({ jsonrpc: '2.0', ...data })}\n\n`);
  };
  const progress = (fields) =>
    event({ method: 'notifications/progress', params: { progressToken: params._meta?.progressToken, ...fields } });
  const outcome = await handle(message, { signal: abort.signal, progress }).then(
    (result) => ({ result }),
    ({ code = -32603, message: why }) => ({ error: { code, message: why } }),
  );
  running.delete(id);
  if (response.destroyed) return;
  if (response.headersSent) {
    event({ id, ...outcome });
    response.end();
    return;
  }
  const headers = { 'content-type': 'application/json' };
  if (message.method === 'initialize') {
    headers['mcp-session-id'] = randomUUID();
    sessions.add(headers['mcp-session-id']);
  }
  response.writeHead(200, headers).end(JSON.stringify({ jsonrpc: '2.0', id, ...outcome }));
}

const server = createServer((request, response) => {
  receive(request, response).catch(() => response.destroy());
});
server.listen(Number(port), '127.0.0.1', () => process.send({ port: server.address().port }));
process.on('disconnect', () => process.exit(0));
