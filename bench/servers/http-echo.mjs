/** An MCP server over streamable HTTP with the bench's tools: JSON replies, a session id, no stream; prints its port. */

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { answer, errorJson } from './protocol.mjs';

const sessions = new Set();

function send(response, status, json, headers) {
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(json),
    ...headers,
  });
  response.end(json);
}

function receive(request, response, body) {
  const message = JSON.parse(body);
  if (message.method === 'initialize') {
    const session = randomUUID();
    sessions.add(session);
    answer(message, (json) => send(response, 200, json, { 'mcp-session-id': session }));
  } else if (!sessions.has(request.headers['mcp-session-id']))
    send(response, 400, errorJson(message.id ?? null, -32000, 'Bad Request: no valid session'));
  else if (message.id === undefined) response.writeHead(202, { 'content-length': 0 }).end();
  else answer(message, (json) => send(response, 200, json));
}

const server = createServer((request, response) => {
  if (request.method === 'DELETE') {
    sessions.delete(request.headers['mcp-session-id']);
    return void response.writeHead(200, { 'content-length': 0 }).end();
  }
  if (request.method !== 'POST') return void response.writeHead(405, { allow: 'POST, DELETE' }).end();
  let body = '';
  request.setEncoding('utf8');
  request.on('data', (chunk) => {
    body += chunk;
  });
  request.on('end', () => receive(request, response, body));
});
// Clients of the bench stand idle while another is measured: their sockets must outlive that.
server.keepAliveTimeout = 300_000;
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
