/** A server that does not stop talking: a budget for what it says unasked, the last word kept, in the end a new process. */

import type { Transport } from '@modelcontextprotocol/client';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ServerSource, StoreEvents } from '../../src/index.js';
import { afterwards, allGone, cleanUp, openStore, scripted, textIn } from '../support/harness.js';
import { HttpTestServer } from '../support/http-server.js';
import { until } from '../support/waiting.js';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 });
afterEach(cleanUp);

const LOG = '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":$N}}';

/** A server object that answers calls, and says on its newest connection whatever it is told to. */
function flooding(): { server: ServerSource; say: (data: number) => void; connects: () => number } {
  let newest: Transport | undefined;
  let connects = 0;
  const resultOf = (method: string, params: Record<string, unknown> | undefined): Record<string, unknown> => {
    if (method === 'initialize') {
      const capabilities = { tools: {}, logging: {} };
      return { protocolVersion: params!['protocolVersion'], capabilities, serverInfo: { name: 'local', version: '1' } };
    }
    if (method === 'tools/list') return { tools: [{ name: 'echo', inputSchema: { type: 'object' } }] };
    return { content: [{ type: 'text', text: (params!['arguments'] as { text: string }).text }] };
  };
  const server: ServerSource = {
    connect: async (transport) => {
      connects++;
      newest = transport;
      transport.onmessage = (message) => {
        if ('id' in message && 'method' in message)
          void transport.send({ jsonrpc: '2.0', id: message.id, result: resultOf(message.method, message.params) });
      };
      await transport.start();
    },
  };
  const say = (data: number): void =>
    void newest?.send({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data } });
  return { server, say, connects: () => connects };
}

describe('F11: a flood of notifications', () => {
  it('reaches listeners within the budget, its last word too, and answers come through', async () => {
    const store = await openStore({ services: { a: scripted() } });
    await store.listTools();
    const seen: unknown[] = [];
    store.on('log', (event) => seen.push(event.data));
    const COUNT = 50_000;
    const since = performance.now();
    const flood = store.callTool('a__spam', { line: LOG, count: COUNT });
    for (let n = 0; n < 20; n++) expect(textIn(await store.callTool('a__echo', { text: `${n}` }))).toBe(`${n}`);
    await flood;
    await until(() => seen.at(-1) === COUNT - 1, 'the last word');
    const seconds = (performance.now() - since) / 1_000;
    expect(seen.length).toBeGreaterThanOrEqual(2_000);
    // What is kept of the rest is handed on four times a second.
    expect(seen.length).toBeLessThanOrEqual(2_000 + (1_000 + 4) * seconds + 1);
    expect(seen.length).toBeLessThan(COUNT / 2);
    expect(Object.values(store.connectionStats()['a']!)[0]).toMatchObject({ created: 1, open: 1 });
  });

  it('without end: a new process, once the calls of the old one have ended', async () => {
    const floods = {
      notifications: LOG,
      requests: '{"jsonrpc":"2.0","id":$N,"method":"roots/list"}',
      answers: '{"jsonrpc":"2.0","id":"c9$N","result":{}}',
      progress: '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"c9$N"}}',
    };
    const names = Object.keys(floods);
    const store = await openStore({ services: Object.fromEntries(names.map((name) => [name, scripted()])) });
    await store.listTools();
    const old = names.map((name) => store.serviceInfo(name).pids[0]!);
    const states: StoreEvents['state'][] = [];
    store.on('state', (event) => states.push(event));
    for (const [service, line] of Object.entries(floods)) await store.callTool('spam', { line }, { service });
    const slow = names.map((service) => store.callTool('sleep', { ms: 14_000, text: service }, { service }));
    for (const [i, service] of names.entries()) {
      const given = (event: StoreEvents['state']): boolean =>
        event.service === service && event.status === 'reconnecting';
      const lost = await until(() => states.find(given), `${service} is given up`, 20_000);
      expect(lost.error?.message, service).toMatch(/unasked for 10 s/);
      const fresh = await store.waitService(service, { timeoutMs: 10_000 });
      expect(fresh.pids).not.toContain(old[i]);
      expect(textIn(await store.callTool('echo', { text: 'quiet' }, { service }))).toBe('quiet');
    }
    expect((await Promise.all(slow)).map(textIn)).toEqual(names);
    await allGone(old);
  });

  it('without end over HTTP and in this process: heard within the budget, then on a new connection', async () => {
    const remote = await HttpTestServer.start({ stream: true });
    afterwards(() => remote.close());
    const local = flooding();
    const store = await openStore({ services: { remote: { url: remote.url.href }, local: { server: local.server } } });
    await Promise.all(['remote', 'local'].map((service) => store.callTool('echo', { text: 'first' }, { service })));
    await until(() => remote.openStreams === 1, 'the stream of the server’s own messages');
    const heard = { remote: 0, local: 0 };
    store.on('log', ({ service }) => heard[service as 'remote' | 'local']++);
    const lost: StoreEvents['state'][] = [];
    store.on('state', (event) => event.status === 'reconnecting' && lost.push(event));
    const since = performance.now();
    const timer = setInterval(() => {
      for (let n = 0; n < 400; n++) {
        remote.push({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: n } });
        local.say(n);
      }
    }, 100);
    afterwards(() => clearInterval(timer));
    for (const service of ['remote', 'local'] as const) {
      const event = await until(() => lost.find((one) => one.service === service), `${service} is given up`, 30_000);
      expect(event.error?.message, service).toMatch(/unasked for 10 s/);
      const seconds = (performance.now() - since) / 1_000;
      expect(heard[service], service).toBeGreaterThan(2_000);
      // The new connection may say as much at once as the old one did.
      expect(heard[service], service).toBeLessThanOrEqual(2 * 2_000 + (1_000 + 4) * seconds + 1);
      expect(textIn(await store.callTool('echo', { text: 'again' }, { service }))).toContain('again');
    }
    clearInterval(timer);
    expect(remote.calls('initialize')).toHaveLength(2);
    expect(local.connects()).toBe(2);
  });
});
