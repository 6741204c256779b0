/** Knows when a connection counts as one that served, and what that does to a server that keeps ending. */

import { describe, expect, it } from 'vitest';
import { type ConnectOptions, connect } from '../../src/connection/connect.js';
import type { Connection } from '../../src/connection/connection.js';
import { FakeClock, failure, settle } from '../support/fake-clock.js';
import { FakeServer, openStore, RpcFault } from '../support/fake-server.js';

async function open(server: FakeServer): Promise<Connection> {
  const sockets = { max: 1, min: 0, idleMs: 1_000 };
  const limits = { timeoutMs: 1_000, writeTimeoutMs: 1_000, stopTimeoutMs: 0, maxMessageBytes: 1e6, maxInFlight: 8 };
  const options: ConnectOptions = { clock: server.clock, sockets, ...limits };
  return connect({ kind: 'memory', server }, options);
}

const limits = (clock: FakeClock) => ({ deadline: clock.now() + 1_000, timeoutMs: 1_000, silenceMs: 0 });

describe('a connection has answered', () => {
  it.each<[string, boolean, (connection: Connection, server: FakeServer) => Promise<unknown>]>([
    ['a ping', true, (connection) => connection.ping(1_000)],
    ['a call', true, (connection, { clock }) => connection.request('tools/call', { name: 'echo' }, limits(clock))],
    [
      'a call, with an error',
      true,
      (connection, { clock }) => connection.request('tools/call', { name: 'x' }, limits(clock)),
    ],
    ['another list', true, (connection, { clock }) => connection.listAll('resources/list', 'resources', limits(clock))],
    ['the tool list alone', false, (connection, { clock }) => connection.listAll('tools/list', 'tools', limits(clock))],
    ['nothing', false, () => Promise.resolve()],
    [
      'nothing in time',
      false,
      (connection, server) => {
        server.answers.ping = false;
        const pinging = connection.ping(1_000);
        void server.clock.advance(1_010);
        return pinging;
      },
    ],
  ])('%s: %s', async (_, answered, ask) => {
    const server = new FakeServer({ echo: {} });
    server.methods['resources/list'] = () => ({ resources: [] });
    const connection = await open(server);
    await ask(connection, server).catch(() => {});
    expect(connection.answered).toBe(answered);
    await connection.close();
  });

  it('hands on what was answered first', async () => {
    const server = new FakeServer({ echo: {}, no: { run: () => Promise.reject(new RpcFault(-1, 'no')) } });
    const connection = await open(server);
    const asked = limits(server.clock);
    const error = await failure(connection.request('tools/call', { name: 'no' }, asked));
    expect(error).toMatchObject({ code: 'RPC_ERROR', rpcCode: -1, executed: 'yes' });
    expect(await connection.request('tools/call', { name: 'echo' }, asked)).toMatchObject({
      content: [{ type: 'text' }],
    });
    await connection.close();
  });
});

describe('a server that keeps ending', () => {
  it('F5: after it gave its tools and nothing else, is not started for ever', async () => {
    const clock = new FakeClock();
    const server = new FakeServer({ echo: {} }, clock);
    server.onConnect = () => void clock.after(10, () => server.drop());
    const store = await openStore({ a: server }, clock);
    void store.listTools().catch(() => {});
    await settle(20);
    for (let i = 0; i < 600; i++) await clock.advance(100);
    expect(server.lists).toBeGreaterThan(1);
    expect([store.serviceInfo('a').status, server.connects]).toEqual(['failed', 5]);
    await store.close({ drainMs: 0 });
  });

  it('after it served, is started again each time', async () => {
    const clock = new FakeClock();
    const server = new FakeServer({ echo: {} }, clock);
    server.methods['resources/list'] = () => ({ resources: [] });
    server.capabilities = { tools: {}, resources: {} };
    const store = await openStore({ a: server }, clock);
    for (let i = 0; i < 8; i++) {
      const listing = store.listResources();
      await settle(20);
      await clock.advance(500);
      await listing;
      server.drop();
      await settle(20);
    }
    await clock.advance(500);
    expect([store.serviceInfo('a').status, server.connects]).toEqual(['ready', 9]);
    await store.close({ drainMs: 0 });
  });
});
