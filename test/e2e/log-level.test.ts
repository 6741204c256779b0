/** Knows that a log level holds for every connection of a service: those that are open, and those opened later. */

import { expect, it } from 'vitest';
import type { ServerSource } from '../../src/index.js';
import { afterwards, cleanUpAfterEach, openStore, scripted } from '../support/harness.js';
import { HttpTestServer } from '../support/http-server.js';
import { failure, timed } from '../support/waiting.js';

cleanUpAfterEach();

it('of a legacy server: each process is told, also one that starts later', async () => {
  const more = { mcpstore: { connectionPool: { maxConnections: 2, minConnections: 2, maxInFlightPerConnection: 1 } } };
  const store = await openStore({ services: { a: scripted({}, more) } });
  /** How many processes there are, and which levels each has heard. */
  const heard = async (): Promise<unknown[]> => {
    // As many calls at a time as there may be processes: each process gets one.
    const busy = [1, 2].map(() => store.callTool('a__sleep', { ms: 300 }));
    await Promise.all(busy);
    const logs = await Promise.all([1, 2].map(() => store.callTool('a__received')));
    return logs.map(({ structuredContent }) =>
      (structuredContent as { log: string[] }).log.filter((line) => line.startsWith('logging/setLevel')),
    );
  };
  expect(await heard()).toEqual([[], []]);
  await store.setLogLevel('a', 'warning');
  for (const levels of await heard()) expect(levels).toContain('logging/setLevel warning');
  await store.restartService('a');
  for (const levels of await heard()) expect(levels).toEqual(['logging/setLevel warning']);
});

it('of a server that does not answer it any more: neither a start nor the end of the store waits for that', async () => {
  let told = 0;
  const resultOf = (method: string, params: Record<string, unknown> | undefined): Record<string, unknown> => {
    if (method === 'initialize') {
      const capabilities = { tools: {}, logging: {} };
      return { protocolVersion: params!['protocolVersion'], capabilities, serverInfo: { name: 'mute', version: '1' } };
    }
    return method === 'tools/list' ? { tools: [{ name: 'echo', inputSchema: { type: 'object' } }] } : { content: [] };
  };
  const server: ServerSource = {
    connect: async (transport) => {
      transport.onmessage = (message) => {
        if (!('id' in message && 'method' in message)) return;
        if (message.method === 'logging/setLevel' && ++told > 1) return;
        void transport.send({ jsonrpc: '2.0', id: message.id, result: resultOf(message.method, message.params) });
      };
      await transport.start();
    },
  };
  const store = await openStore({ services: { a: { server } } });
  await store.setLogLevel('a', 'info');
  const { ms } = await timed(async () => {
    await store.restartService('a');
    await store.callTool('a__echo');
    await store.close();
  });
  expect(told).toBeGreaterThan(1);
  expect(ms).toBeLessThan(10_000);
});

it('of a modern server: each request says it', async () => {
  const server = await HttpTestServer.start({ era: 'modern' });
  afterwards(() => server.close());
  const store = await openStore({ services: { a: { url: server.url.href } } });
  await store.callTool('a__echo', { text: 'before' });
  await store.setLogLevel('a', 'debug');
  await store.callTool('a__echo', { text: 'after' });
  await store.lease('a', (lease) => lease.callTool('echo', { text: 'own' }));
  const levels = server
    .calls('tools/call')
    .map(({ message }) => message!.params!._meta!['io.modelcontextprotocol/logLevel']);
  expect(levels).toEqual([undefined, 'debug', 'debug']);
  expect(server.calls('logging/setLevel')).toEqual([]);
});

it('is refused where the server cannot, and where it is none', async () => {
  const server = await HttpTestServer.start();
  afterwards(() => server.close());
  const store = await openStore({ services: { a: { url: server.url.href } } });
  expect(await failure(store.setLogLevel('a', 'debug'))).toMatchObject({ code: 'RPC_ERROR', rpcCode: -32601 });
  expect(await failure(store.setLogLevel('a', 5 as never))).toMatchObject({ figures: { path: 'level' } });
});
