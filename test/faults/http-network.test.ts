/** Networks between us and a server that break, stall and trickle, by a proxy that makes them: F28–F31, and reuse. */

import { describe, expect, it } from 'vitest';
import type { MCPStore, OpenOptions } from '../../src/index.js';
import { afterwards, cleanUpAfterEach, openStore, textIn } from '../support/harness.js';
import { host } from '../support/host.js';
import { type HttpServerOptions, HttpTestServer } from '../support/http-server.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { failure, timed, until } from '../support/waiting.js';

cleanUpAfterEach();

interface Setup {
  readonly server: HttpTestServer;
  readonly proxy: TcpProxy;
  readonly store: MCPStore;
}

/** A store whose service `h` is a scripted server behind a proxy; its list is there, and so is its session. */
async function behindProxy(options: HttpServerOptions = {}, more: OpenOptions = {}): Promise<Setup> {
  const server = await HttpTestServer.start(options);
  afterwards(() => server.close());
  const proxy = await TcpProxy.start(server.url.port);
  afterwards(() => proxy.down());
  const store = await openStore({ services: { h: { url: proxy.url(server.url) } }, ...more });
  await store.listTools({ timeoutMs: 20_000 });
  return { server, proxy, store };
}

const echo = (store: MCPStore, text: string, timeoutMs = 20_000): Promise<string> =>
  store.callTool('h__echo', { text }, { timeoutMs }).then(textIn);

describe('F29: the connection breaks while the answer comes', () => {
  const answers = ['json', 'sse'] as const;
  const ends = ['reset_peer', 'limit_data'] as const;
  const cases = answers.flatMap((reply) => ends.map((kind) => [kind, reply] as const));
  it.each(cases)('%s in the middle of %s: unknown, not sent again, and the session goes on', async (kind, reply) => {
    const { server, proxy, store } = await behindProxy({ reply });
    const executed = server.executed;
    proxy.set({ kind, bytes: 250 });
    const error = await failure(echo(store, 'x'.repeat(1_000)));
    expect(error).toMatchObject({ code: 'OUTCOME_UNKNOWN', executed: 'unknown', attempts: 1 });
    expect(server.executed - executed).toBe(1);
    proxy.set();
    expect(await echo(store, 'again')).toBe('"again"');
    // A lost socket is no lost session.
    expect(server.calls('initialize')).toHaveLength(1);
  });

  it('before the first byte of it, the same', async () => {
    const { server, proxy, store } = await behindProxy();
    proxy.set({ kind: 'reset_peer', bytes: 0 });
    expect(await failure(echo(store, 'x'))).toMatchObject({ code: 'OUTCOME_UNKNOWN', executed: 'unknown' });
    expect(server.executed).toBe(1);
  });

  it('a call that may be repeated is sent again, and its second answer counts', async () => {
    const server = await HttpTestServer.start();
    afterwards(() => server.close());
    const mcpstore = { tools: { echo: { repeatable: true } }, connectionPool: { retryDelayMs: 1 } };
    const store = await openStore({ services: { h: { url: server.url.href, mcpstore } } });
    for (const kind of ['reset', 'reset-mid-json', 'reset-mid-sse', 'empty-sse'] as const) {
      server.fail('tools/call', { kind });
      expect(await echo(store, kind), kind).toBe(`"${kind}"`);
    }
    expect(server.calls('tools/call')).toHaveLength(8);
    expect(server.calls('initialize')).toHaveLength(1);
  });

  it('a legacy server that numbers its events is asked for the rest; a modern one never', async () => {
    const legacy = await behindProxy({ eventIds: true, stream: true });
    legacy.server.fail('tools/call', { kind: 'reset-mid-sse' });
    expect(await echo(legacy.store, 'kept')).toBe('"kept"');
    expect(legacy.server.calls('GET').at(-1)!.headers['last-event-id']).toBeDefined();
    expect(legacy.server.calls('tools/call')).toHaveLength(1);
    const modern = await behindProxy({ era: 'modern', eventIds: true });
    modern.server.fail('tools/call', { kind: 'reset-mid-sse' });
    expect(await failure(echo(modern.store, 'lost'))).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect(modern.server.calls('GET')).toEqual([]);
  });
});

describe('a process that waits for the rest of an answer', () => {
  it('goes on until it is there, though no socket is open meanwhile', async () => {
    const server = await HttpTestServer.start({ eventIds: true });
    afterwards(() => server.close());
    server.fail('tools/call', { kind: 'reset-mid-sse' });
    const program = `
      const store = await MCPStore.open({ stateDir: null, services: { h: { url: input } } });
      say((await store.callTool('h__echo', { text: 'kept' })).content[0].text);
      await store.close();`;
    const child = host(program, server.url.href);
    expect(await child.next()).toBe('"kept"');
    expect(await child.ended).toBe(0);
  });
});

describe('F30: the answer trickles', () => {
  const slow = { kind: 'bandwidth', bytesPerSecond: 20 } as const;
  it.each([
    'json',
    'sse',
  ] as const)('as %s: the deadline of the call is the end, however alive it looks', async (reply) => {
    const { proxy, store } = await behindProxy({ reply });
    proxy.set(slow);
    const { ms, value } = await timed(() => failure(echo(store, 'x', 500)));
    expect(value).toMatchObject({ code: 'TIMEOUT', executed: 'unknown', figures: { timeoutMs: 500 } });
    expect(ms).toBeLessThan(2_000);
    proxy.set();
    expect(await echo(store, 'still here')).toBe('"still here"');
  });

  it('in the handshake: the deadline of the connect', async () => {
    const server = await HttpTestServer.start();
    afterwards(() => server.close());
    const proxy = await TcpProxy.start(server.url.port);
    afterwards(() => proxy.down());
    proxy.set(slow);
    const performance = { connectionPool: { connectionTimeoutMs: 500, maxRetries: 0 } };
    const store = await openStore({ services: { h: { url: proxy.url(server.url) } }, performance });
    const { ms, value } = await timed(() => failure(echo(store, 'x')));
    expect(value).toMatchObject({ code: 'CONNECT_FAILED', executed: 'no', figures: { timeoutMs: 500 } });
    expect(ms).toBeLessThan(5_000);
    await until(() => proxy.open === 0, 'nothing is left of it');
  });

  it('a network that stalls: the deadline, and the next call on a new socket', async () => {
    const { proxy, store } = await behindProxy();
    proxy.set({ kind: 'timeout', ms: 0 });
    expect(await failure(echo(store, 'x', 300))).toMatchObject({ code: 'TIMEOUT', executed: 'unknown' });
    proxy.set();
    expect(await echo(store, 'y')).toBe('"y"');
  });
});

describe('networks that are only slow', () => {
  const text = 'äß漢字🎉'.repeat(20);
  it.each([
    ['cut into single bytes', { kind: 'slicer', bytes: 1 }],
    ['late', { kind: 'latency', ms: 50 }],
    ['closed late by the server', { kind: 'slow_close', ms: 500 }],
  ] as const)('%s: answers come as they were sent', async (_what, toxic) => {
    for (const reply of ['json', 'sse'] as const) {
      const { proxy, store } = await behindProxy({ reply });
      proxy.set(toxic);
      const calls = Array.from({ length: 5 }, (_, n) => echo(store, `${text}${n}`));
      expect(await Promise.all(calls)).toEqual(calls.map((_, n) => JSON.stringify(`${text}${n}`)));
    }
  });
});

describe('F31: the server goes and comes back', () => {
  it('a network that was down: the session is still good', async () => {
    const performance = { connectionPool: { maxRetries: 20, retryDelayMs: 20 } };
    const { server, proxy, store } = await behindProxy({}, { performance });
    await proxy.down();
    const figures = () => Object.values(store.connectionStats()['h']!)[0]!;
    await until(() => figures().open === 0, 'it shows');
    const call = echo(store, 'waits');
    await until(() => figures().failed > 0, 'a connect was refused');
    await proxy.up();
    expect(await call).toBe('"waits"');
    expect(server.executed).toBe(1);
    expect(server.calls('initialize')).toHaveLength(1);
  });

  it('a restart under load: each call once or unknown, one new session for all', async () => {
    const { server, store } = await behindProxy({ tools: ['echo', 'slow'] });
    const slow = (n: number) => failure(store.callTool('h__slow', { ms: 300, text: n }));
    const calls = Array.from({ length: 8 }, (_, n) => slow(n));
    await until(() => server.calls('tools/call').length === 8, 'all under way');
    await server.restart();
    for (const call of calls) expect(await call).toMatchObject({ code: 'OUTCOME_UNKNOWN', executed: 'unknown' });
    expect(server.calls('tools/call')).toHaveLength(8);
    const after = Array.from({ length: 30 }, (_, n) => echo(store, `${n}`));
    expect(await Promise.all(after)).toEqual(after.map((_, n) => `"${n}"`));
    expect(server.calls('initialize')).toHaveLength(2);
  });

  it('a rolling deploy, in which one server after the other forgets its sessions', async () => {
    // Not a retry, so also without any.
    const performance = { connectionPool: { maxRetries: 0 } };
    const { server, store } = await behindProxy({}, { performance });
    for (let round = 1; round <= 3; round++) {
      server.expireSessions();
      const calls = Array.from({ length: 20 }, (_, n) => echo(store, `${n}`));
      expect(await Promise.all(calls)).toEqual(calls.map((_, n) => `"${n}"`));
      expect(server.calls('initialize')).toHaveLength(1 + round);
    }
    expect(server.executed).toBe(60);
  });
});

describe('connections are used again', () => {
  it.each([
    ['one after the other', 1, 100],
    ['eight at a time', 8, 100],
  ])('%s: as many connections as calls at a time, whatever their number', async (_what, atOnce, rounds) => {
    const { proxy, store } = await behindProxy();
    const before = proxy.accepted;
    for (let round = 0; round < rounds; round++)
      await Promise.all(Array.from({ length: atOnce }, () => echo(store, 'x')));
    expect(proxy.accepted - before).toBeLessThanOrEqual(atOnce - 1);
    const [stats] = Object.values(store.connectionStats()['h']!);
    // Over HTTP these figures count sockets.
    expect(stats).toMatchObject({ failed: 0, inFlight: 0 });
    expect(stats!.created).toBeLessThanOrEqual(atOnce);
  });
});
