/** Knows what becomes of calls and leases that have a connection of their own when their service or store ends. */

import { describe, expect, it } from 'vitest';
import { FakeClock, failure, settle, watch } from '../support/fake-clock.js';
import { FakeServer, openStore } from '../support/fake-server.js';

/** A store whose calls each have a connection of their own, with one under way that answers after `delayMs`. */
async function underWay(delayMs: number) {
  const clock = new FakeClock();
  const server = new FakeServer({ slow: { delayMs } }, clock);
  const store = await openStore({ s: server }, clock, {
    own: { s: { sharing: 'call', connectionPool: { maxConnections: 4 } } },
  });
  const listed = watch(store.listTools());
  await clock.advance(10);
  expect(listed.settled).toBe(true);
  const call = watch(store.callTool('s__slow'));
  await settle();
  expect(server.running).toBe(1);
  return { clock, server, store, call };
}

describe('a call with a connection of its own', () => {
  it('is waited for when the store closes', async () => {
    const { clock, store, call } = await underWay(1_000);
    const closing = watch(store.close());
    await clock.advance(500);
    expect([closing.settled, call.settled]).toEqual([false, false]);
    await clock.advance(600);
    expect(call.error).toBe(undefined);
    expect(closing.settled).toBe(true);
  });

  it('has the shorter time where a store is closed twice', async () => {
    const { clock, store, call } = await underWay(60_000);
    const closing = watch(store.close({ drainMs: 20_000 }));
    await clock.advance(100);
    expect(closing.settled).toBe(false);
    const again = watch(store.close({ drainMs: 0 }));
    await clock.advance(100);
    expect([closing.settled, again.settled]).toEqual([true, true]);
    expect(call.error).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  });

  it('ends with its connection when the time of a stop is over', async () => {
    const { clock, server, store, call } = await underWay(60_000);
    const stopping = watch(store.disconnectService('s', { drainMs: 1_000 }));
    await clock.advance(500);
    expect(call.settled).toBe(false);
    await clock.advance(600);
    expect(stopping.settled).toBe(true);
    expect(call.error).toMatchObject({ code: 'OUTCOME_UNKNOWN', executed: 'unknown' });
    expect(server.open.size).toBe(0);
    await store.close();
  });

  it('ends with its connection when the time of a restart is over', async () => {
    const { clock, store, call } = await underWay(60_000);
    const restarting = watch(store.restartService('s', { drainMs: 1_000 }));
    await clock.advance(1_100);
    expect(restarting.settled).toBe(true);
    expect(call.error).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    await store.close();
  });
});

describe('while a restart drains', () => {
  it('calls and leases that have connections of their own wait for the new start, without an attempt', async () => {
    const { clock, server, store, call } = await underWay(500);
    const restarting = watch(store.restartService('s'));
    await clock.advance(10);
    const { connects } = server;
    const leased = watch(store.lease('s', (lease) => lease.callTool('slow')));
    const next = watch(store.callTool('s__slow', {}, { timeoutMs: 2_000 }));
    const late = watch(store.callTool('s__slow', {}, { timeoutMs: 100 }));
    await clock.advance(200);
    expect(server.connects).toBe(connects);
    expect([call.settled, restarting.settled, leased.settled, next.settled]).toEqual([false, false, false, false]);
    expect(late.error).toMatchObject({ code: 'TIMEOUT', executed: 'no', attempts: 0 });
    await clock.advance(400);
    expect([call.error, restarting.settled]).toEqual([undefined, true]);
    await clock.advance(600);
    expect([leased.error, next.error]).toEqual([undefined, undefined]);
    expect([leased.settled, next.settled]).toEqual([true, true]);
    expect(store.stats().services['s']!.retries).toBe(0);
    await store.close();
  });

  it('a stop and a close refuse those that wait at once', async () => {
    for (const end of ['disconnectService', 'close'] as const) {
      const { clock, store } = await underWay(500);
      void store.restartService('s');
      await clock.advance(10);
      const waiting = [watch(store.lease('s', (lease) => lease.callTool('slow'))), watch(store.callTool('s__slow'))];
      await clock.advance(10);
      const ended = watch(end === 'close' ? store.close() : store.disconnectService('s'));
      await clock.advance(10);
      const code = end === 'close' ? 'STORE_CLOSED' : 'SERVICE_DOWN';
      expect(waiting.map(({ error }) => error)).toMatchObject([{ code }, { code }]);
      expect(ended.settled).toBe(false);
      await clock.advance(600);
      expect(ended.settled).toBe(true);
      await store.close();
    }
  });
});

describe('F5: the endpoint of such calls', () => {
  async function service(tools: ConstructorParameters<typeof FakeServer>[0], options: object = {}) {
    const clock = new FakeClock();
    const server = new FakeServer(tools, clock);
    const own = { s: { sharing: 'call', connectionPool: { maxRetries: 0, ...options } } };
    const store = await openStore({ s: server }, clock, { own });
    const listed = watch(store.listTools());
    await clock.advance(10);
    expect(listed.settled).toBe(true);
    return { clock, server, store };
  }

  it('opens its breaker after five that failed, lets one probe, and is used again', async () => {
    const crash = ({ hangUp }: { hangUp: () => void }): Promise<never> => {
      hangUp();
      return new Promise(() => {});
    };
    const { clock, server, store } = await service({ echo: { run: crash } }, { maxConnections: 2 });
    for (let i = 0; i < 5; i++) {
      expect(await failure(store.callTool('s__echo'))).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
      await clock.advance(1);
    }
    const { connects } = server;
    expect(await failure(store.callTool('s__echo'))).toMatchObject({
      code: 'SERVICE_DOWN',
      figures: { nextTryInMs: expect.any(Number) },
    });
    expect(server.connects).toBe(connects);
    server.tools = { echo: {} };
    await clock.advance(10_000);
    const both = await Promise.allSettled([store.callTool('s__echo'), store.callTool('s__echo')]);
    expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(store.serviceInfo('s').status).toBe('ready');
    await store.close();
  });

  it('gives up after five starts that failed, and those that fail together count once', async () => {
    const { clock, server, store } = await service({ echo: {} }, { maxConnections: 3 });
    server.onConnect = () => {
      throw new Error('down');
    };
    const { connects } = server;
    await Promise.all([1, 2, 3].map(() => failure(store.callTool('s__echo'))));
    expect(store.serviceInfo('s').status).toBe('reconnecting');
    for (let i = 0; i < 20; i++) {
      await clock.advance(100);
      await failure(store.callTool('s__echo'));
    }
    expect(store.serviceInfo('s').status).toBe('failed');
    expect(server.connects - connects).toBeLessThanOrEqual(3 + 5);
    await store.close();
  });
});

describe('a restart where each agent has connections of its own', () => {
  it('starts anew what runs, and where nothing does, one alone', async () => {
    const clock = new FakeClock();
    const server = new FakeServer({ echo: {} }, clock);
    const store = await openStore({ s: server }, clock, { own: { s: { sharing: 'agent' } } });
    const [x, y] = [store.forAgent('x', { services: ['s'] }), store.forAgent('y', { services: ['s'] })];
    for (const agent of [x, y]) expect(await agent.callTool('s__echo')).toMatchObject({ content: [{}] });
    // The store's own has asked for the list.
    expect(server.open.size).toBe(3);
    await store.restartService('s');
    await settle(20);
    expect([server.open.size, server.connects]).toEqual([3, 6]);
    await store.disconnectService('s');
    await store.restartService('s');
    await settle(20);
    expect([server.open.size, server.connects]).toEqual([1, 7]);
    for (const agent of [x, y]) expect(await agent.callTool('s__echo')).toMatchObject({ content: [{}] });
    expect(server.open.size).toBe(3);
    await store.close();
  });
});

it('a store that closes while a list is awaited says so to the call that waits for it', async () => {
  const clock = new FakeClock();
  const server = new FakeServer({}, clock);
  server.answers.list = false;
  const store = await openStore({ s: server }, clock);
  const call = failure(store.callTool('s__echo'));
  await settle();
  await store.close({ drainMs: 0 });
  expect(await call).toMatchObject({ code: 'STORE_CLOSED', executed: 'no' });
});

it('whoever waits for a status is told when the service goes, whether it ever ran or not', async () => {
  const clock = new FakeClock();
  const store = await openStore({ a: new FakeServer({}, clock), b: new FakeServer({}, clock) }, clock);
  const removed = failure(store.waitService('a', { status: 'ejected' }));
  const closed = failure(
    store.waitService('b', { status: 'ready' }).then(() => store.waitService('b', { status: 'ejected' })),
  );
  const stopped = store.waitService('b', { status: 'stopped' });
  await settle();
  await store.deleteService('a');
  expect(await removed).toMatchObject({ code: 'STORE_CLOSED', service: 'a' });
  await store.close();
  expect(await closed).toMatchObject({ code: 'STORE_CLOSED', service: 'b' });
  expect((await stopped).status).toBe('stopped');
  expect(clock.timers).toBe(0);
});
