/** Faults that a whole service meets: lists that change, names that clash, servers out of reach, queues, sessions. */

import { describe, expect, it } from 'vitest';
import type { StoreEvents } from '../../src/index.js';
import { Behaviour } from '../support/behaviour.mjs';
import { httpCarrier } from '../support/carriers.js';
import { afterwards, cleanUpAfterEach, openStore, scripted, textIn } from '../support/harness.js';
import { type HttpServerOptions, HttpTestServer } from '../support/http-server.js';
import { hangingPort, silentServer } from '../support/tcp.js';
import { failure, timed, until } from '../support/waiting.js';

cleanUpAfterEach();

const ONCE = { connectionPool: { maxRetries: 0 } } as const;

async function httpServer(options: HttpServerOptions = {}): Promise<HttpTestServer> {
  const server = await HttpTestServer.start(options);
  afterwards(() => server.close());
  return server;
}

describe('lists and names', () => {
  it('F20: a list that changes in mid-call: the call completes, a storm costs one fetch', async () => {
    const store = await openStore({ services: { a: scripted() } });
    await store.listTools();
    const changes: StoreEvents['toolsChanged'][] = [];
    store.on('toolsChanged', (event) => changes.push(event));
    const before = (await store.callTool('a__state')).structuredContent as { lists: number };
    const slow = store.callTool('a__sleep', { ms: 600, text: 'slow' });
    for (let n = 0; n < 3; n++) await store.callTool('a__grow', { name: `new_${n}`, storm: 200 });
    expect(textIn(await slow)).toBe('slow');
    await until(() => changes.length > 0, 'toolsChanged');
    const after = (await store.callTool('a__state')).structuredContent as { lists: number };
    expect(after.lists - before.lists).toBe(1);
    expect(changes.length).toBe(1);
    expect((await store.listTools()).map((tool) => tool.tool)).toEqual(expect.arrayContaining(['new_0', 'new_2']));
    expect(textIn(await store.callTool('new_2'))).toBe('new_2');
  });

  it('F21: one tool name in two services, and names of 200 characters', async () => {
    const long = 'very_long_'.repeat(20);
    const names = [`${long}1`, `${long}2`, 'dots.and spaces/ü'];
    const services = { first: scripted({ names }), second: scripted({ names }) };
    const store = await openStore({ services });
    const tools = await store.listTools();
    const exposed = tools.map((tool) => tool.name);
    expect(new Set(exposed).size).toBe(exposed.length);
    for (const name of exposed) expect(name).toMatch(/^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$/);
    for (const tool of tools.filter((tool) => names.includes(tool.tool)))
      expect(textIn(await store.callTool(tool.name))).toBe(tool.tool);
    const clash = await failure(store.callTool('echo', { text: 'x' }));
    expect(clash).toMatchObject({ code: 'TOOL_AMBIGUOUS', executed: 'no' });
    expect(clash.figures?.['candidates']).toEqual(['first__echo', 'second__echo']);
    expect(textIn(await store.callTool('echo', { text: 'picked' }, { service: 'second' }))).toBe('picked');
    // The same names in a store where one of them is alone.
    const alone = await openStore({ services: { second: scripted({ names }) } });
    expect((await alone.listTools()).map((tool) => tool.name)).toEqual(
      exposed.filter((name) => name.startsWith('second__')),
    );
  });
});

describe('servers out of reach', () => {
  it('F23: refused and unknown hosts are CONNECT_FAILED, never executed', async () => {
    const { port } = await silentServer();
    const services = {
      refused: { url: 'http://127.0.0.1:9/mcp' },
      unknown: { url: 'http://no-such-host.invalid/mcp' },
      tls: { url: `https://127.0.0.1:${port}/mcp` },
    };
    const store = await openStore({ services, performance: ONCE });
    for (const service of ['refused', 'unknown']) {
      const error = await failure(store.callTool('echo', {}, { service, timeoutMs: 10_000 }));
      expect(error, service).toMatchObject({ code: 'CONNECT_FAILED', executed: 'no' });
      expect(error.hint, service).toBeTruthy();
    }
  });

  it('F23: a refused connect is tried again within the call', async () => {
    const server = await httpServer();
    const { url } = server;
    await server.close();
    const performance = { connectionPool: { maxRetries: 20, retryDelayMs: 50 } };
    const store = await openStore({ services: { h: { url: url.href } }, performance });
    const call = store.callTool('h__echo', { text: 'late' }, { timeoutMs: 20_000 });
    await until(() => store.serviceInfo('h').problem !== undefined, 'first failure');
    await server.restart();
    expect(textIn(await call)).toBe('"late"');
  });

  it('F23: a TLS failure is CONNECT_FAILED, and not tried again', async () => {
    const server = await httpServer();
    const store = await openStore({
      services: { tls: { url: server.url.href.replace('http:', 'https:') } },
      performance: { connectionPool: { retryDelayMs: 1 } },
    });
    const error = await failure(store.callTool('tls__echo', {}, { timeoutMs: 10_000 }));
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', executed: 'no' });
    expect(error.hint).toContain('TLS');
    expect(server.accepted).toBe(1);
  });

  it('F24: a connect that hangs, or an answer that never comes, ends at the deadline; others do not wait', async () => {
    const services = {
      hangs: { url: `http://127.0.0.1:${await hangingPort()}/mcp` },
      silent: { url: `http://127.0.0.1:${(await silentServer()).port}/mcp` },
      good: scripted(),
    };
    const performance = { connectionPool: { connectionTimeoutMs: 2_000, maxRetries: 0 } };
    const store = await openStore({ services, performance });
    const bad = ['hangs', 'silent'].map((service) => failure(store.callTool('echo', {}, { service })));
    const { ms } = await timed(() => store.callTool('good__echo', { text: 'x' }));
    expect(ms).toBeLessThan(1_900);
    for (const error of await Promise.all(bad)) expect(error).toMatchObject({ code: 'CONNECT_FAILED', executed: 'no' });
    const short = await timed(() => failure(store.callTool('echo', {}, { service: 'hangs', timeoutMs: 100 })));
    expect(short.value).toMatchObject({ code: 'TIMEOUT', executed: 'no' });
    expect(short.ms).toBeLessThan(1_000);
  });
});

describe('sessions', () => {
  it('F25: an expired session is made anew once for all waiters, and their calls are sent again', async () => {
    const server = await httpServer();
    const store = await openStore({ services: { h: { url: server.url.href } } });
    await store.callTool('h__echo', { text: 'first' });
    expect(server.calls('initialize').length).toBe(1);
    server.expireSessions();
    const executed = server.executed;
    const calls = Array.from({ length: 50 }, (_, n) => store.callTool('h__echo', { text: `${n}` }));
    for (const [n, result] of (await Promise.all(calls)).entries()) expect(textIn(result)).toBe(`"${n}"`);
    expect(server.calls('initialize').length).toBe(2);
    expect(server.executed - executed).toBe(50);
  });

  it('F25: a server that forgets every session at once is not asked for new ones without a pause', async () => {
    const server = await httpServer();
    server.fail('tools/list', { kind: 'status', status: 404 }, 10_000);
    const store = await openStore({ services: { a: { url: server.url.href } } });
    expect(await failure(store.callTool('a__echo', { text: 'x' }))).toMatchObject({ executed: 'no' });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    // Five failed starts within a minute, and what led there.
    expect(server.calls('initialize').length).toBeLessThanOrEqual(6);
  });

  it('F25: a second 404 is an error that says that nothing ran', async () => {
    const server = await httpServer();
    const store = await openStore({ services: { h: { url: server.url.href } } });
    await store.listTools();
    server.fail('tools/call', { kind: 'status', status: 404 }, 10);
    const error = await failure(store.callTool('h__echo', { text: 'x' }, { timeoutMs: 10_000 }));
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', executed: 'no', attempts: 2 });
    expect(error.message).toContain('session');
    expect(server.calls('tools/call').length).toBe(2);
    expect(server.calls('initialize').length).toBeLessThanOrEqual(3);
  });
});

describe('queues', () => {
  it('F32: a time-out or cancel in the queue takes effect at once, and the call is never sent', async () => {
    const a = scripted({}, { mcpstore: { calls: { maxConcurrentCalls: 1, queueLimit: 3 } } });
    const store = await openStore({ services: { a } });
    await store.listTools();
    const first = new AbortController();
    const running = failure(store.callTool('a__hang', {}, { signal: first.signal }));
    const abort = new AbortController();
    const queued = [
      failure(store.callTool('a__peek', { n: 1 }, { timeoutMs: 80 })),
      failure(store.callTool('a__peek', { n: 2 }, { signal: abort.signal })),
      store.callTool('a__peek', { n: 3 }),
    ] as const;
    expect(await failure(store.callTool('a__peek', { n: 4 }))).toMatchObject({
      code: 'LIMIT_EXCEEDED',
      executed: 'no',
      figures: { running: 1, waiting: 3, maxConcurrentCalls: 1, queueLimit: 3 },
    });
    const timedOut = await queued[0];
    expect(timedOut).toMatchObject({ code: 'TIMEOUT', executed: 'no', figures: { running: 1, timeoutMs: 80 } });
    expect(timedOut.message).toContain('in the queue');
    const { ms, value } = await timed(() => {
      abort.abort();
      return queued[1];
    });
    expect(value).toMatchObject({ code: 'CANCELLED', executed: 'no' });
    expect(ms).toBeLessThan(100);
    expect(store.serviceInfo('a').calls).toEqual({ running: 1, waiting: 1 });
    first.abort();
    expect((await running).code).toBe('CANCELLED');
    // The one that was left is the first that the server sees.
    expect(textIn(await queued[2])).toBe('1');
  });

  it('F32: who waits for a start that hangs gets the figures of the pool', async () => {
    const store = await openStore({ services: { a: scripted({ silent: ['initialize'] }) } });
    const abort = new AbortController();
    const cancelled = failure(store.callTool('a__echo', { text: 'x' }, { signal: abort.signal }));
    const error = await failure(store.callTool('a__echo', { text: 'x' }, { timeoutMs: 150 }));
    expect(error).toMatchObject({ code: 'TIMEOUT', executed: 'no', service: 'a' });
    abort.abort();
    expect(await cancelled).toMatchObject({ code: 'CANCELLED', executed: 'no' });
    const read = await failure(store.readResource('a', 'test://one', { timeoutMs: 150 }));
    expect(read).toMatchObject({ code: 'TIMEOUT', executed: 'no', figures: { max: 1, open: 0, timeoutMs: 150 } });
  });
});

describe('the cache', () => {
  it('F35: 1,000 equal cacheable calls are one upstream', async () => {
    const behaviour = new Behaviour();
    const { url, close } = await httpCarrier(behaviour, true);
    afterwards(close);
    const store = await openStore({ services: { h: { url } }, performance: { resultCache: { enabled: true } } });
    await store.listTools();
    const results = await Promise.all(Array.from({ length: 1_000 }, () => store.callTool('h__peek', { n: 1 })));
    expect(new Set(results.map(textIn))).toEqual(new Set(['1']));
    expect(behaviour.state.peeks).toBe(1);
    expect(store.stats().cache).toMatchObject({ misses: 1, joined: 999, entries: 1 });
    expect(Object.isFrozen(results[0]!.content)).toBe(true);
  });
});
