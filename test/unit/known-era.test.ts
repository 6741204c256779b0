/** Knows when an HTTP endpoint is asked which era it speaks, and when an earlier answer serves, or no longer does. */

import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../src/_util/clock.js';
import { type ConnectOptions, connect } from '../../src/connection/connect.js';
import { MCPStore } from '../../src/store.js';
import { HttpTestServer } from '../support/http-server.js';
import { tempDir } from '../support/tmp.js';

const HOUR = 3_600_000;
const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const fn of undo.splice(0)) await fn();
});

async function startServer(era: 'legacy' | 'modern', port = 0): Promise<HttpTestServer> {
  const server = await HttpTestServer.start({ era, port });
  undo.push(() => server.close());
  return server;
}

/** One run: connects, and says which era was spoken after which requests. */
async function run(
  server: HttpTestServer,
  stateDir: string | undefined,
  more: { later?: number; headers?: Record<string, string> } = {},
): Promise<string[]> {
  const { later = 0, headers = {} } = more;
  const clock: Clock = { ...systemClock, wall: () => Date.now() + later };
  const limits = { timeoutMs: 20_000, writeTimeoutMs: 1_000, stopTimeoutMs: 0, maxMessageBytes: 1e6, maxInFlight: 8 };
  const options: ConnectOptions = { clock, stateDir, sockets: { max: 1, min: 0, idleMs: 1_000 }, ...limits };
  const from = server.seen.length;
  const connection = await connect({ kind: 'http', url: server.url.href, headers }, options);
  const asked = server.seen.slice(from).map((one) => one.message?.method);
  await connection.close();
  return [connection.era, ...['server/discover', 'initialize'].filter((method) => asked.includes(method))];
}

const ASKED = ['legacy', 'server/discover', 'initialize'];

it('a legacy server is asked once in a day, and again where its URL or credentials are others', async () => {
  const stateDir = await tempDir();
  const server = await startServer('legacy');
  expect(await run(server, stateDir)).toEqual(ASKED);
  expect(await run(server, stateDir)).toEqual(['legacy', 'initialize']);
  expect(await run(server, stateDir, { later: 23 * HOUR })).toEqual(['legacy', 'initialize']);
  expect(await run(server, stateDir, { headers: { authorization: 'Bearer another' } })).toEqual(ASKED);
  // It was asked the first time a day ago, however often it was used since.
  expect(await run(server, stateDir, { later: 25 * HOUR })).toEqual(ASKED);
  expect(await run(server, stateDir, { later: -HOUR })).toEqual(ASKED);
  const files = await readdir(join(stateDir, 'eras'));
  const texts = await Promise.all(files.map((file) => readFile(join(stateDir, 'eras', file), 'utf8')));
  expect([files.length, texts.join().includes('another')]).toEqual([2, false]);
});

it('a modern server is asked each time, which is its whole handshake', async () => {
  const stateDir = await tempDir();
  const server = await startServer('modern');
  for (let i = 0; i < 2; i++) expect(await run(server, stateDir)).toEqual(['modern', 'server/discover']);
});

it.each([undefined, 400, 404, 405])('a server that became modern is found out at once (%s)', async (status) => {
  const stateDir = await tempDir();
  const old = await startServer('legacy');
  expect(await run(old, stateDir)).toEqual(ASKED);
  const port = Number(old.url.port);
  await old.close();
  const server = await startServer('modern', port);
  if (status !== undefined) server.fail('initialize', { kind: 'status', status, body: 'no' });
  expect(await run(server, stateDir)).toEqual(['modern', 'server/discover', 'initialize']);
  expect(await run(server, stateDir)).toEqual(['modern', 'server/discover']);
});

it('nothing is kept without a state folder, and a damaged file is as none', async () => {
  const server = await startServer('legacy');
  for (let i = 0; i < 2; i++) expect(await run(server, undefined)).toEqual(ASKED);
  const stateDir = await tempDir();
  await run(server, stateDir);
  const [file] = await readdir(join(stateDir, 'eras'));
  await writeFile(join(stateDir, 'eras', file!), '{"era":');
  expect(await run(server, stateDir)).toEqual(ASKED);
  expect(await run(server, join(stateDir, 'eras', file!))).toEqual(ASKED);
});

it('a restart asks the server for its era anew, since that is what one restarts for', async () => {
  const server = await startServer('modern');
  const store = await MCPStore.open({ stateDir: null, services: { s: { url: server.url.href } } });
  undo.unshift(() => store.close({ drainMs: 0 }));
  await store.callTool('s__echo', { text: 'x' });
  server.options = { ...server.options, era: 'legacy' };
  await store.restartService('s');
  await store.callTool('s__echo', { text: 'x' });
  expect(server.calls('initialize')).toHaveLength(1);
});

it('F25: a modern server that speaks the legacy era from now on is asked anew, and each call runs once', async () => {
  const server = await startServer('modern');
  const performance = { connectionPool: { maxRetries: 0 } };
  const store = await MCPStore.open({ stateDir: null, services: { s: { url: server.url.href } }, performance });
  undo.unshift(() => store.close({ drainMs: 0 }));
  await store.callTool('s__echo', { text: 1 });
  server.options.era = 'legacy';
  // The first is refused before it runs, so it goes out again over the new session.
  const answers = await Promise.all([2, 3].map((text) => store.callTool('s__echo', { text })));
  expect(answers.map(({ content }) => content)).toMatchObject([[{ text: '2' }], [{ text: '3' }]]);
  expect([server.executed, server.calls('initialize').length]).toEqual([3, 1]);
});

it.each([
  [null, -32000, 'Bad Request: Server not initialized'],
  ['server-error', -32600, 'Bad Request: Missing session ID'],
  [null, -32000, 'Bad Request: Mcp-Session-Id header is required'],
  ['own', -32022, 'Unsupported protocol version'],
])('F25: a modern server’s refusal (id %j, %i, %j) asks for the era again; what a tool says does not', async (id, code, message) => {
  const server = await startServer('modern');
  const store = await MCPStore.open({ stateDir: null, services: { s: { url: server.url.href } } });
  undo.unshift(() => store.close({ drainMs: 0 }));
  await store.callTool('s__echo');
  const asked = server.calls('server/discover').length;
  const nextId = (): string => `c${Number(String(server.calls('tools/call').at(-1)!.message!.id).slice(1)) + 1}`;
  const body = (of: unknown, text: string): string =>
    JSON.stringify({ jsonrpc: '2.0', id: of, error: { code, message: text } });
  server.fail('tools/call', { kind: 'status', status: 400, body: body('x', 'the session of the tool is unknown') });
  expect(await store.callTool('s__echo').catch((error: unknown) => error)).toMatchObject({ code: 'RPC_ERROR' });
  expect(server.calls('server/discover')).toHaveLength(asked);
  server.fail('tools/call', { kind: 'status', status: 400, body: body(id === 'own' ? nextId() : id, message) });
  await store.callTool('s__echo');
  expect([server.calls('server/discover').length, server.executed]).toEqual([asked + 1, 2]);
});
