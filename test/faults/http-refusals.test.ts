/** HTTP servers that refuse, ask for patience, fail by themselves or send us elsewhere: F26–F28, and redirects (A8). */

import { describe, expect, it } from 'vitest';
import type { MCPStore, ServiceConfig } from '../../src/index.js';
import { afterwards, cleanUpAfterEach, openStore, textIn } from '../support/harness.js';
import { type HttpServerOptions, HttpTestServer } from '../support/http-server.js';
import { failure, timed, until } from '../support/waiting.js';

cleanUpAfterEach();

async function httpServer(options: HttpServerOptions = {}): Promise<HttpTestServer> {
  const server = await HttpTestServer.start(options);
  afterwards(() => server.close());
  return server;
}

/** Retries are on, and quick: what is not sent again is not sent again on purpose. */
const EAGER = { connectionPool: { maxRetries: 5, retryDelayMs: 1 } };

async function storeOf(server: HttpTestServer, own: ServiceConfig = {}): Promise<MCPStore> {
  return openStore({ services: { h: { url: server.url.href, ...own } }, performance: EAGER });
}

async function ready(options: HttpServerOptions = {}, own: ServiceConfig = {}) {
  const server = await httpServer(options);
  const store = await storeOf(server, own);
  await store.listTools({ timeoutMs: 20_000 });
  return { server, store };
}

const echo = (store: MCPStore, text: string, timeoutMs = 20_000): Promise<string> =>
  store.callTool('h__echo', { text }, { timeoutMs }).then(textIn);

const status = (code: number, headers: Record<string, string> = {}) =>
  ({ kind: 'status', status: code, headers }) as const;

describe('F26: no credentials, or none that suffice', () => {
  const refusals = [
    [401, 'AUTH_REQUIRED'],
    [403, 'FORBIDDEN'],
  ] as const;

  it.each(refusals)('%i to a call is %s: asked once, and no fault of the server', async (code, name) => {
    const { server, store } = await ready();
    server.fail('tools/call', status(code), 12);
    for (let n = 1; n <= 12; n++) {
      expect(await failure(echo(store, 'x'))).toMatchObject({ code: name, executed: 'no', attempts: 1 });
      expect(server.calls('tools/call')).toHaveLength(n);
    }
    // Twelve in a row, and the breaker is closed.
    expect(store.serviceInfo('h').status).toBe('ready');
    expect(await echo(store, 'y')).toBe('"y"');
    expect(server.calls('initialize')).toHaveLength(1);
  });

  it.each(refusals)('%i to the handshake is %s, and the server is left in peace', async (code, name) => {
    const server = await httpServer();
    for (const method of ['server/discover', 'initialize']) server.fail(method, status(code), 1_000);
    const store = await storeOf(server);
    const errors = Array.from({ length: 20 }, () => failure(store.callTool('echo', {}, { service: 'h' })));
    for (const error of await Promise.all(errors)) expect(error).toMatchObject({ code: name, executed: 'no' });
    const asked = server.seen.length;
    expect(asked).toBeLessThanOrEqual(2);
    for (let n = 0; n < 5; n++) await failure(store.callTool('echo', {}, { service: 'h' }));
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(server.seen.length - asked).toBeLessThanOrEqual(1);
  });

  it('other credentials are used at once', async () => {
    const server = await httpServer();
    for (const method of ['server/discover', 'initialize']) server.fail(method, status(401), 1);
    const store = await storeOf(server, { headers: { Authorization: 'Bearer old' } });
    expect(await failure(echo(store, 'x'))).toMatchObject({ code: 'AUTH_REQUIRED' });
    server.fail('server/discover', status(404));
    server.succeed('initialize');
    await store.patchService('h', { headers: { Authorization: 'Bearer new' } });
    expect(await echo(store, 'x')).toBe('"x"');
    expect(server.calls('tools/call')[0]!.headers.authorization).toBe('Bearer new');
  });
});

describe('F27: the server asks for patience', () => {
  it.each([
    ['429, in seconds', 429, () => '1'],
    ['503, in seconds', 503, () => '1'],
    ['429, by a date', 429, () => new Date(Date.now() + 2_500).toUTCString()],
  ])('%s: the call waits so long and is sent once more', async (_what, code, after) => {
    const { server, store } = await ready();
    server.fail('tools/call', status(code, { 'retry-after': after() }));
    const { ms, value } = await timed(() => echo(store, 'late'));
    expect(value).toBe('"late"');
    expect(ms).toBeGreaterThanOrEqual(990);
    expect(server.calls('tools/call')).toHaveLength(2);
    expect(server.executed).toBe(1);
  });

  it.each([
    ['longer than the deadline', { 'retry-after': '30' }, 30_000],
    ['for a thousand years', { 'retry-after': '31556952000' }, 86_400_000],
    ['until a day far off', { 'retry-after': 'Fri, 01 Jan 2999 00:00:00 GMT' }, 86_400_000],
    ['without a time', {}, undefined],
    ['with a time that is none', { 'retry-after': 'soon' }, undefined],
  ])('%s: the call fails at once with that time', async (_what, headers, retryAfterMs) => {
    const { server, store } = await ready();
    server.fail('tools/call', status(429, headers));
    const { ms, value } = await timed(() => failure(echo(store, 'x', 20_000)));
    expect(value).toMatchObject({ code: 'RATE_LIMITED', executed: 'no' });
    expect(value.figures?.['retryAfterMs']).toBe(retryAfterMs);
    expect(ms).toBeLessThan(1_000);
    expect(server.calls('tools/call')).toHaveLength(1);
  });

  it('again after the wait: that is its answer, and no fault of the server', async () => {
    const { server, store } = await ready();
    server.fail('tools/call', status(429, { 'retry-after': '0' }), 24);
    for (let n = 0; n < 12; n++)
      expect(await failure(echo(store, 'x'))).toMatchObject({ code: 'RATE_LIMITED', attempts: 2 });
    expect(store.serviceInfo('h').status).toBe('ready');
    expect(await echo(store, 'y')).toBe('"y"');
  });

  it('to a new session, longer than the deadline: also the calls after are told the time, at once', async () => {
    const { server, store } = await ready();
    server.fail('initialize', status(429, { 'retry-after': '3600' }), 9);
    server.expireSessions();
    expect((await failure(echo(store, 'x'))).code).toBe('RATE_LIMITED');
    const { ms, value } = await timed(() => failure(echo(store, 'x')));
    expect(value).toMatchObject({ code: 'RATE_LIMITED', executed: 'no' });
    expect(value.figures?.['retryAfterMs']).toBeGreaterThan(3_500_000);
    expect(value.figures?.['retryAfterMs']).toBeLessThanOrEqual(3_600_000);
    expect(ms).toBeLessThan(10_000);
    expect(server.calls('initialize')).toHaveLength(2);
  });

  it('in the handshake: the start waits so long', async () => {
    const server = await httpServer();
    server.fail('server/discover', status(503, { 'retry-after': '1' }));
    const store = await storeOf(server);
    const { ms, value } = await timed(() => store.callTool('echo', { text: 'late' }, { service: 'h' }));
    expect(textIn(value)).toBe('"late"');
    expect(ms).toBeGreaterThanOrEqual(990);
    expect(server.calls('server/discover')).toHaveLength(2);
  });
});

describe('F28: the server fails by itself', () => {
  it.each([500, 502, 503, 504])('%i: unknown, sent once', async (code) => {
    const { server, store } = await ready();
    server.fail('tools/call', status(code));
    const error = await failure(echo(store, 'x'));
    expect(error).toMatchObject({
      code: 'OUTCOME_UNKNOWN',
      executed: 'unknown',
      attempts: 1,
      figures: { status: code },
    });
    expect(server.calls('tools/call')).toHaveLength(1);
    expect(await echo(store, 'y')).toBe('"y"');
  });

  it('what may be repeated is sent again', async () => {
    const { server, store } = await ready({}, { mcpstore: { tools: { echo: { repeatable: true } } } });
    server.fail('tools/call', status(502), 2);
    expect(await echo(store, 'x')).toBe('"x"');
    expect(server.calls('tools/call')).toHaveLength(3);
  });

  it('five in a row open the breaker: the next call fails fast and says when', async () => {
    const { server, store } = await ready();
    server.fail('tools/call', status(500), 100);
    for (let n = 0; n < 5; n++) expect(await failure(echo(store, 'x'))).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    const error = await failure(echo(store, 'x'));
    expect(error).toMatchObject({ code: 'SERVICE_DOWN', executed: 'no' });
    expect(error.figures?.['nextTryInMs']).toBeGreaterThan(0);
    expect(server.calls('tools/call')).toHaveLength(5);
  });
});

describe('A8: redirects', () => {
  const secret = { headers: { Authorization: 'Bearer canary' } };

  it.each([301, 302, 303, 307, 308])('%i of the handshake to another origin is not followed', async (code) => {
    const [server, other] = [await httpServer(), await httpServer()];
    for (const method of ['server/discover', 'initialize'])
      server.fail(method, status(code, { location: other.url.href }), 100);
    const store = await storeOf(server, secret);
    const error = await failure(store.callTool('echo', {}, { service: 'h', timeoutMs: 10_000 }));
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', executed: 'no' });
    expect(error.message).toContain(other.url.origin);
    expect(error.hint).toContain('URL');
    expect(other.accepted).toBe(0);
    expect(server.seen.length).toBeLessThanOrEqual(2);
  });

  it.each([301, 302, 303, 307, 308])('%i of a call to another origin is not followed, nor sent again', async (code) => {
    const other = await httpServer();
    const { server, store } = await ready({}, secret);
    server.fail('tools/call', status(code, { location: other.url.href }));
    expect(await failure(echo(store, 'x'))).toMatchObject({
      code: 'CONNECT_FAILED',
      executed: 'no',
      figures: { status: code, origin: other.url.origin },
    });
    expect(server.calls('tools/call')).toHaveLength(1);
    expect(other.accepted).toBe(0);
  });

  it('nor of the stream, of what resumes a call, or of the session’s end', async () => {
    const other = await httpServer();
    const server = await httpServer({ stream: true, eventIds: true });
    const away = status(307, { location: other.url.href });
    server.fail('GET', away, 100);
    server.fail('DELETE', away, 100);
    server.fail('tools/call', { kind: 'reset-mid-sse' });
    const store = await storeOf(server, secret);
    expect(await failure(echo(store, 'x'))).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    await store.close();
    await until(() => server.calls('DELETE').length === 1, 'the session ends');
    expect(server.calls('GET').length).toBeGreaterThanOrEqual(2);
    expect(other.accepted).toBe(0);
  });

  it('within the origin a POST stays a POST, and only where the server says so (307, 308)', async () => {
    const { server, store } = await ready({}, secret);
    server.fail('tools/call', status(307, { location: '/elsewhere' }));
    expect(await echo(store, 'x')).toBe('"x"');
    const [first, second] = server.calls('tools/call');
    expect([first!.url, second!.url, second!.verb]).toEqual(['/mcp', '/elsewhere', 'POST']);
    expect(second!.headers.authorization).toBe('Bearer canary');
    server.fail('tools/call', status(302, { location: '/elsewhere' }));
    expect(await failure(echo(store, 'x'))).toMatchObject({ code: 'CONNECT_FAILED', figures: { status: 302 } });
  });

  it('in a circle, or to nowhere, are an error', async () => {
    const { server, store } = await ready();
    for (const location of [server.url.href, 'http://[', '']) {
      server.fail('tools/call', status(307, { location }), 10);
      expect(await failure(echo(store, 'x')), location).toMatchObject({ code: 'CONNECT_FAILED', executed: 'no' });
      server.succeed('tools/call');
    }
    expect(await echo(store, 'x')).toBe('"x"');
  });
});

describe('streams that never end', () => {
  it('after the answer: the call is over, and the stream is closed', async () => {
    const { server, store } = await ready();
    server.fail('tools/call', { kind: 'open-sse' }, 10);
    const calls = Array.from({ length: 10 }, (_, n) => echo(store, `${n}`));
    expect(await Promise.all(calls)).toEqual(calls.map((_, n) => `"${n}"`));
    await until(() => server.sockets.size === 0 || Object.values(store.connectionStats()['h']!)[0]!.inFlight === 0);
    expect(await echo(store, 'next')).toBe('"next"');
  });

  it('without an answer: silence is bounded, blanks are silence', async () => {
    const own = { mcpstore: { connectionPool: { readTimeoutMs: 300 } } };
    const { server, store } = await ready({}, own);
    server.fail('tools/call', { kind: 'trickle', everyMs: 20 });
    const { ms, value } = await timed(() => failure(echo(store, 'x')));
    expect(value).toMatchObject({ code: 'TIMEOUT', executed: 'unknown', figures: { readTimeoutMs: 300 } });
    expect(ms).toBeLessThan(2_000);
  });
});
