/** Knows that a server which echoes what it was given shows it nowhere but in its results. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { afterEach, expect, it } from 'vitest';
import { MCPStore, type OpenOptions, type StoreError } from '../../src/index.js';
import { Behaviour, RpcFailure } from '../support/behaviour.mjs';
import { sseCarrier } from '../support/carriers.js';

const CANARY = 'canary-5e1f0b77c2';
const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const fn of undo.splice(0).reverse()) await fn();
});

class Echoing extends Behaviour {
  override async handle(
    ...[method, params, context]: Parameters<Behaviour['handle']>
  ): ReturnType<Behaviour['handle']> {
    if (params?.['name'] === 'leak') throw new RpcFailure(-32000, `no ${CANARY}`, { key: CANARY });
    return super.handle(method, params, context);
  }
}

async function open(services: OpenOptions['services'] & object): Promise<{ store: MCPStore; told: unknown[] }> {
  const performance = { connectionPool: { maxRetries: 0 } };
  const store = await MCPStore.open({ stateDir: null, services, performance });
  undo.push(() => store.close({ drainMs: 0 }));
  const told: unknown[] = [];
  for (const name of ['state', 'output', 'log', 'call'] as const) store.on(name, (event) => told.push(event));
  return { store, told };
}

async function failure(promise: Promise<unknown>): Promise<StoreError> {
  return promise.then(
    () => expect.unreachable(),
    (error: StoreError) => error,
  );
}

function everything(...values: unknown[]): string {
  const json = values.map((value) => (value instanceof Error ? (value as StoreError).toJSON() : value));
  return inspect([values, json], { depth: 12, maxStringLength: null, maxArrayLength: null, showHidden: true });
}

/** What a server answers that has the secret: as its source, run by `node -e`. */
const STDIO = `
const { createInterface } = require('node:readline');
const secret = process.env.API_KEY;
const say = (message) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\\n');
const pieces = async () => {
  for (const piece of ['first ' + secret.slice(0, 9), secret.slice(9) + ' last\\n', 'open ' + secret.slice(0, 9)]) {
    process.stderr.write(piece);
    await new Promise((done) => setTimeout(done, 40));
  }
  process.stderr.write(secret.slice(9));
};
const calls = {
  echo: () => ({ result: { content: [{ type: 'text', text: secret }] } }),
  refuse: () => ({ error: { code: -32000, message: 'bad key ' + secret, data: { given: [secret] } } }),
  log: () => {
    say({ method: 'notifications/message', params: { level: 'error', data: { key: secret } } });
    return { result: { content: [] } };
  },
  stderr: async () => (await pieces(), { result: { content: [] } }),
  noise: () => (console.log('x'.repeat(500) + secret), { result: { content: [] } }),
  die: () => process.stderr.write('\\n' + secret + 'y'.repeat(2040), () => process.exit(1)),
};
createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) return;
  if (method === 'initialize') {
    if (process.env.REFUSES) return say({ id, error: { code: -32000, message: 'no such key: ' + secret } });
    const serverInfo = { name: 's', version: '1' };
    const capabilities = { tools: {}, logging: {} };
    return say({ id, result: { protocolVersion: params.protocolVersion, capabilities, serverInfo } });
  }
  if (method === 'tools/list') {
    const tools = Object.keys(calls).map((name) => ({ name, inputSchema: { type: 'object' } }));
    return say({ id, result: { tools } });
  }
  if (method !== 'tools/call') return say({ id, result: {} });
  const answer = await calls[params.name]();
  if (answer) say({ id, ...answer });
});
`;

const stdio = (env: Record<string, string> = {}) => ({
  command: process.execPath,
  args: ['-e', STDIO],
  env: { API_KEY: CANARY, ...env },
});

it('of a process: in results alone, not in errors, logs, noise or stderr, however its output is cut', async () => {
  const { store, told } = await open({ a: stdio() });
  expect(await store.callTool('a__echo')).toEqual({ content: [{ type: 'text', text: CANARY }] });
  const refused = await failure(store.callTool('a__refuse'));
  expect(refused).toMatchObject({
    code: 'RPC_ERROR',
    message: 'a__refuse: bad key ***',
    data: { given: ['***'] },
    executed: 'yes',
  });
  for (const tool of ['log', 'stderr', 'noise']) await store.callTool(`a__${tool}`);
  const died = await failure(store.callTool('a__die'));
  expect(died).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  const text = everything(refused, died, told, store.problems(), store.listServices(), store.stats());
  expect(text).not.toContain(CANARY);
  // Nor half of it: cut at the length of noise, between two writes to stderr, or by the tail of stderr in an error.
  for (const half of [CANARY.slice(0, 8), CANARY.slice(-8)]) expect(text).not.toContain(half);
  const stderr = told
    .filter((event) => (event as { stream?: string }).stream === 'stderr')
    .map((event) => (event as { text: string }).text);
  expect(stderr.join('')).toMatch(/^first \*\*\* last\nopen \*\*\*/);
  expect(told).toContainEqual({ service: 'a', level: 'error', logger: undefined, data: { key: '***' } });
});

it('of a process that refuses the handshake', async () => {
  const { store, told } = await open({ a: stdio({ REFUSES: 'yes' }) });
  const error = await failure(store.callTool('a__echo'));
  expect(error.message).toContain('no such key: ***');
  expect(everything(error, told, store.problems(), store.serviceInfo('a'))).not.toContain(CANARY);
});

it('of headers and URLs, over HTTP and SSE: in error answers and in refusals of the handshake', async () => {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { id, method, params } = (body === '' ? {} : JSON.parse(body)) as Record<string, unknown>;
    const said = `given ${request.headers.authorization} at ${request.url}`;
    const result =
      method === 'initialize'
        ? {
            protocolVersion: (params as { protocolVersion: string }).protocolVersion,
            capabilities: { tools: {} },
            serverInfo: { name: 's', version: '1' },
          }
        : method === 'tools/list'
          ? { tools: [{ name: 'x', inputSchema: { type: 'object' } }] }
          : undefined;
    const refuses = request.url!.startsWith('/refuses');
    if (request.method !== 'POST') return void response.writeHead(405).end();
    if (id === undefined) return void response.writeHead(202).end();
    response.setHeader('content-type', 'application/json');
    const error = { code: method === 'server/discover' ? -32601 : -32000, message: said, data: { said } };
    response.end(JSON.stringify({ jsonrpc: '2.0', id, ...(result && !refuses ? { result } : { error }) }));
  };
  const server = createServer((request, response) => void answer(request, response).catch(() => response.destroy()));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  undo.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const sse = await sseCarrier(new Echoing({ names: ['leak'] }));
  undo.push(() => sse.close());
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const headers = { Authorization: `Bearer ${CANARY}-h` };
  const { store, told } = await open({
    web: { url: `${base}/mcp?key=${CANARY}-q`, headers },
    refuses: { url: `${base}/refuses?key=${CANARY}-q`, headers },
    gone: { type: 'sse', url: `${base}/sse?key=${CANARY}-q`, headers },
    old: { type: 'sse', url: sse.url, headers: { 'x-key': CANARY } },
  });
  const errors = await Promise.all([
    failure(store.callTool('web__x')),
    failure(store.callTool('refuses__x')),
    failure(store.callTool('gone__x')),
    failure(store.callTool('old__leak')),
  ]);
  expect(errors[0]).toMatchObject({ code: 'RPC_ERROR', message: 'web__x: given *** at /mcp***' });
  expect(errors[1]!.message).toContain('given ***');
  expect(everything(errors.slice(0, 3), told, store.problems(), store.listServices())).not.toContain(CANARY);
  expect(errors[3]).toMatchObject({ code: 'RPC_ERROR', message: 'old__leak: no ***' });
  expect(everything(errors[3])).not.toContain(CANARY);
});

it('keeps no secret in the history, also of a definition that was replaced meanwhile or has never run', async () => {
  const server = createServer(() => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  undo.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
  const headers = { 'X-Any': CANARY };
  const { store } = await open({
    silent: { url, headers },
    off: { url, headers, disabled: true, mcpstore: { tools: { x: { fallback: { value: 'none' } } } } },
  });
  store.configure({ monitoring: { historyArguments: 'redacted' } });
  const lost = failure(store.readResource('silent', `file:///${CANARY}`, { timeoutMs: 2_000 }));
  await store.updateService('silent', { url, headers: { 'X-Any': 'another secret' } });
  await lost;
  await store.callTool('off__x', { key: 'k', text: `given ${CANARY}` });
  const { entries } = await store.history.query();
  expect(entries.map(({ arguments: args }) => args)).toEqual([
    { key: '***', text: 'given ***' },
    { uri: 'file:///***' },
  ]);
});

it('keeps no secret of who answered in place of a service in the error of that service', async () => {
  const telltale = fileURLToPath(new URL('../support/telltale-server.mjs', import.meta.url));
  const { store } = await open({
    other: { command: process.execPath, args: [telltale], env: { CANARY_KEY: CANARY } },
    gone: {
      command: 'no-such-command',
      mcpstore: { tools: { x: { fallback: { service: 'other', tool: 'is_error' } } } },
    },
  });
  const error = await failure(store.callTool('gone__x', {}, { throwOnToolError: true }));
  expect(error).toMatchObject({ code: 'TOOL_ERROR', message: expect.stringContaining('given ***') });
  expect(everything(error)).not.toContain(CANARY);
});
