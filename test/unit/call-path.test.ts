/** Knows the path of a call through a whole store: the order of its hops, what bounds it, and what its end leaves. */

import { describe, expect, it } from 'vitest';
import type { CallRecord } from '../../src/call.js';
import type { MCPStore } from '../../src/store.js';
import { FakeClock, failure, settle, watch } from '../support/fake-clock.js';
import { FakeServer, type FakeTool, openStore, text } from '../support/fake-server.js';

const read = { annotations: { readOnlyHint: true } };

async function open(
  tools: Record<string, FakeTool>,
  options: Parameters<typeof openStore>[2] = {},
): Promise<{ clock: FakeClock; server: FakeServer; store: MCPStore; records: CallRecord[] }> {
  const clock = new FakeClock();
  const server = new FakeServer(tools, clock);
  const store = await openStore({ s: server }, clock, options);
  const records: CallRecord[] = [];
  store.on('call', (record) => records.push(record));
  await store.listTools();
  return { clock, server, store, records };
}

const cached = { performance: { resultCache: { enabled: true } } };

describe('the order of the hops', () => {
  it('a hit costs no permit, no connection and no attempt', async () => {
    const { clock, server, store, records } = await open(
      { read: { ...read }, slow: { ...read, delayMs: 1_000 } },
      { performance: { resultCache: { enabled: true }, calls: { maxConcurrentCalls: 1, queueLimit: 0 } } },
    );
    await store.callTool('s__read');
    const busy = store.callTool('s__slow');
    await settle();
    expect(await store.callTool('s__read')).toEqual(text('read {}'));
    expect(records.at(-1)).toMatchObject({ cache: 'hit', attempts: 0, callMs: 0, queueMs: 0, outcome: 'ok' });
    await clock.advance(1_000);
    await busy;
    expect(server.called).toEqual(['read', 'slow']);
    await store.close();
  });

  it('F35: a thousand equal calls at a time are one at the server', async () => {
    const { clock, server, store } = await open({ read: { ...read, delayMs: 10 } }, cached);
    const calls = Promise.all(Array.from({ length: 1_000 }, () => store.callTool('s__read', { a: 1 })));
    await clock.advance(10);
    expect(new Set(await calls).size).toBe(1);
    expect([server.called.length, store.stats().cache.joined]).toEqual([1, 999]);
    await store.close();
  });

  it('over a lease a call is one attempt, and its record says where and for how long', async () => {
    const { clock, store, records } = await open({ slow: { delayMs: 1_000 } });
    const leased = store.lease('s', (lease) => lease.callTool('slow'));
    await clock.advance(1_000);
    await leased;
    expect(records.at(-1)).toMatchObject({ endpoint: 'in memory', attempts: 1, queueMs: 0, callMs: 1_000 });
    await store.close();
  });

  it('a retry asks for a permit anew and counts as an attempt of the same call', async () => {
    const { clock, server, store, records } = await open(
      {
        flaky: {
          ...read,
          run: ({ connection, hangUp }) => {
            if (connection === 1) hangUp();
            return text('ok');
          },
        },
      },
      { own: { s: { trusted: true } } },
    );
    const call = watch(store.callTool('s__flaky'));
    await clock.advance(2_000);
    expect(call.value).toEqual(text('ok'));
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({ attempts: 2, outcome: 'ok' });
    expect(server.called).toEqual(['flaky', 'flaky']);
    await store.close();
  });

  it('a call that pauses before its retry holds no permit', async () => {
    const { clock, store } = await open(
      {
        dies: {
          run: ({ connection, hangUp }) => {
            if (connection === 1) hangUp();
            return text('ok');
          },
        },
        fast: {},
      },
      {
        performance: {
          calls: { maxConcurrentCalls: 1, retry: { jitter: 'none' } },
          connectionPool: { retryDelayMs: 5_000 },
        },
        own: { s: { tools: { dies: { repeatable: true } } } },
      },
    );
    const pausing = watch(store.callTool('s__dies'));
    await clock.advance(1_000);
    const other = watch(store.callTool('s__fast'));
    await clock.advance(1_000);
    expect([pausing.settled, other.value]).toEqual([false, text('fast {}')]);
    await clock.advance(4_000);
    expect(pausing.value).toEqual(text('ok'));
    await store.close();
  });

  it.each([
    ['hints on a service that is not trusted', read, {}, 1],
    ['hints on a trusted one', read, { trusted: true }, 2],
    ['idempotentHint on a trusted one', { annotations: { idempotentHint: true } }, { trusted: true }, 2],
    ['no hints on a trusted one', {}, { trusted: true }, 1],
    ['the user’s word', {}, { tools: { dies: { repeatable: true } } }, 2],
    ['the user’s word against hints', read, { trusted: true, tools: { dies: { repeatable: false } } }, 1],
  ])('a lost answer is asked for again only where that does no harm: %s', async (_what, hints, own, attempts) => {
    const { clock, server, store } = await open(
      {
        dies: {
          ...hints,
          run: ({ connection, hangUp }) => {
            if (connection === 1) hangUp();
            return text('ok');
          },
        },
      },
      { own: { s: own } },
    );
    const call = watch(store.callTool('s__dies'));
    await clock.advance(5_000);
    expect(server.called).toHaveLength(attempts);
    if (attempts === 2) expect(call.value).toEqual(text('ok'));
    else expect(call.error).toMatchObject({ code: 'OUTCOME_UNKNOWN', executed: 'unknown', attempts: 1 });
    await store.close();
  });

  it('a tool’s own error is a result: not repeated, not cached, no trouble of the connection', async () => {
    const result = { content: [], isError: true };
    const { server, store } = await open(
      { fails: { ...read, run: () => result } },
      { ...cached, own: { s: { trusted: true } } },
    );
    for (let i = 0; i < 20; i++) expect(await store.callTool('s__fails')).toMatchObject(result);
    expect([server.called.length, server.connects, store.serviceInfo('s').status]).toEqual([20, 1, 'ready']);
    expect(await failure(store.callTool('s__fails', {}, { throwOnToolError: true }))).toMatchObject({
      code: 'TOOL_ERROR',
      executed: 'yes',
    });
    await store.close();
  });

  it('keeps agents’ results apart, and one agent’s own', async () => {
    const { server, store } = await open({ read: { ...read } }, cached);
    const [a, b] = [store.forAgent('a', { services: ['s'] }), store.forAgent('b', { services: ['s'] })];
    for (const scope of [store, a, b, a, b, store]) await scope.callTool('s__read');
    expect(server.called).toHaveLength(3);
    await store.close();
  });

  it('drops a service’s results when it says that its tools changed', async () => {
    const { clock, server, store } = await open({ read: { ...read } }, cached);
    await store.callTool('s__read');
    server.listChanged();
    await settle();
    await store.callTool('s__read');
    expect(server.called).toHaveLength(2);
    await clock.advance(300);
    await store.close();
  });

  it('never exceeds a service’s limit', async () => {
    const { clock, server, store } = await open(
      { slow: { delayMs: 10 } },
      { performance: { calls: { maxConcurrentCalls: 7 } } },
    );
    const calls = Promise.all(Array.from({ length: 100 }, () => store.callTool('s__slow')));
    await settle();
    expect(store.serviceInfo('s').calls).toEqual({ running: 7, waiting: 93 });
    await clock.advance(10 * Math.ceil(100 / 7));
    await calls;
    expect(server.mostRunning).toBe(7);
    await store.close();
  });
});

describe('what bounds a call', () => {
  it('one deadline over queue, connect, attempts and pauses', async () => {
    const { clock, server, store } = await open({ x: {} });
    server.onConnect = () => {
      throw new Error('down');
    };
    server.drop();
    await settle();
    const call = watch(store.callTool('s__x', {}, { timeoutMs: 3_000 }));
    await clock.advance(3_000);
    expect(call.error).toMatchObject({ executed: 'no', service: 's' });
    await store.close({ drainMs: 0 });
  });

  it('a wait for a permit, which its record tells, whether it got one or not', async () => {
    const { clock, store, records } = await open(
      { slow: { delayMs: 1_000 } },
      { performance: { calls: { maxConcurrentCalls: 1 } } },
    );
    const calls = [store.callTool('s__slow'), store.callTool('s__slow')];
    const late = watch(store.callTool('s__slow', {}, { timeoutMs: 300 }));
    await clock.advance(300);
    expect(late.error).toMatchObject({ code: 'TIMEOUT', executed: 'no' });
    await clock.advance(1_700);
    await Promise.all(calls);
    expect(records.map(({ queueMs, callMs }) => [queueMs, callMs])).toEqual([
      [300, 0],
      [0, 1_000],
      [1_000, 1_000],
    ]);
    await store.close();
  });

  it('silence, which progress puts off', async () => {
    const { clock, store } = await open({
      works: {
        run: async ({ progress }) => {
          for (let i = 0; i < 5; i++) {
            await new Promise<void>((resolve) => clock.after(50_000, resolve));
            progress(i);
          }
          return text('done');
        },
      },
      sleeps: { delayMs: 100_000 },
    });
    const heard: number[] = [];
    const works = watch(store.callTool('s__works', {}, { onProgress: ({ progress }) => heard.push(progress) }));
    const sleeps = watch(store.callTool('s__sleeps'));
    await clock.advance(61_000);
    expect(sleeps.error).toMatchObject({ code: 'TIMEOUT', figures: { readTimeoutMs: 60_000 } });
    await clock.advance(200_000);
    expect([works.value, heard]).toEqual([text('done'), [0, 1, 2, 3, 4]]);
    await store.close();
  });

  it('not the default silence where the caller or the service gives a time of its own', async () => {
    const { clock, store } = await open({ sleeps: { delayMs: 100_000 } });
    const call = watch(store.callTool('s__sleeps', {}, { timeoutMs: 200_000 }));
    await clock.advance(100_000);
    expect(call.value).toBeDefined();
    await store.close();
    const set = await open(
      { sleeps: { delayMs: 100_000 } },
      { performance: { connectionPool: { readTimeoutMs: 5_000 } } },
    );
    const other = watch(set.store.callTool('s__sleeps', {}, { timeoutMs: 200_000 }));
    await set.clock.advance(5_100);
    expect(other.error).toMatchObject({ code: 'TIMEOUT', figures: { readTimeoutMs: 5_000 } });
    await set.store.close();
  });

  it('F17: an answer after the time-out is dropped, and the server was told', async () => {
    const { clock, server, store } = await open({
      stubborn: { run: () => new Promise((resolve) => clock.after(500, () => resolve(text('late')))) },
      fast: {},
    });
    const call = watch(store.callTool('s__stubborn', {}, { timeoutMs: 100 }));
    await clock.advance(110);
    expect([call.error, server.cancelled]).toMatchObject([{ code: 'TIMEOUT', executed: 'unknown' }, 1]);
    await clock.advance(1_000);
    expect(await store.callTool('s__fast')).toEqual(text('fast {}'));
    expect(server.connects).toBe(1);
    await store.close({ drainMs: 0 });
  });

  it('F33: thousands of cancels in every phase leave no permit, waiter, timer or listener', async () => {
    const { clock, server, store } = await open(
      { x: { delayMs: 5 } },
      {
        performance: { calls: { maxConcurrentCalls: 8 } },
        own: { s: { connectionPool: { maxConnections: 3, maxInFlightPerConnection: 2 } } },
      },
    );
    const ended: Promise<unknown>[] = [];
    for (let i = 0; i < 5_000; i++) {
      const controller = new AbortController();
      const timeoutMs = 1 + Math.floor(clock.random() * 40);
      ended.push(store.callTool('s__x', { i }, { signal: controller.signal, timeoutMs }).catch(() => {}));
      const when = clock.random();
      if (when < 0.2) controller.abort();
      else if (when < 0.7) clock.after(clock.random() * 20, () => controller.abort());
      if (i % 10 === 0) await clock.advance(2);
      if (i % 500 === 499) server.drop();
    }
    await clock.advance(2_000);
    await Promise.all(ended);
    const info = store.serviceInfo('s');
    expect([info.calls, server.running]).toEqual([{ running: 0, waiting: 0 }, 0]);
    for (const pool of Object.values(info.connections)) expect(pool).toMatchObject({ inFlight: 0, waiting: 0 });
    const { calls, ok, notSent, unknown } = store.stats().calls;
    expect([calls, ok + notSent + unknown]).toEqual([5_000, 5_000]);
    expect(ok).toBeGreaterThan(100);
    await store.close();
    expect([clock.timers, server.open.size]).toEqual([0, 0]);
  }, 60_000);
});

describe('the end of a store', () => {
  it('lets calls in flight finish, refuses new ones, and leaves nothing', async () => {
    const { clock, server, store } = await open({ slow: { delayMs: 1_000 } });
    const call = watch(store.callTool('s__slow'));
    await settle();
    const closed = watch(store.close());
    expect(await failure(store.callTool('s__slow'))).toMatchObject({ code: 'STORE_CLOSED' });
    expect(await failure(store.listTools())).toMatchObject({ code: 'STORE_CLOSED' });
    await clock.advance(900);
    expect([call.settled, closed.settled]).toEqual([false, false]);
    await clock.advance(200);
    expect([call.value, closed.settled]).toEqual([text('slow {}'), true]);
    expect([server.open.size, clock.timers]).toEqual([0, 0]);
    await store.close();
  });

  it('ends what does not finish in time, and what waits, at once', async () => {
    const { clock, server, store } = await open(
      { slow: { delayMs: 60_000 } },
      { performance: { calls: { maxConcurrentCalls: 1 } } },
    );
    const running = watch(store.callTool('s__slow'));
    const waiting = watch(store.callTool('s__slow'));
    await settle();
    const closed = watch(store.close({ drainMs: 2_000 }));
    await settle();
    expect(waiting.error).toMatchObject({ code: 'STORE_CLOSED', executed: 'no' });
    await clock.advance(2_100);
    expect(running.error).toMatchObject({ code: 'OUTCOME_UNKNOWN', executed: 'unknown' });
    expect([closed.settled, server.open.size, clock.timers]).toEqual([true, 0, 0]);
  });

  it('ends a call that pauses before it tries again', async () => {
    const { clock, server, store } = await open({ x: {} }, { performance: { calls: { retry: { jitter: 'none' } } } });
    server.onConnect = () => {
      throw new Error('down');
    };
    server.drop();
    const call = watch(store.callTool('s__x'));
    await clock.advance(600);
    expect(call.settled).toBe(false);
    const closed = watch(store.close());
    await clock.advance(100);
    expect([call.error, closed.settled]).toMatchObject([{ code: 'STORE_CLOSED', executed: 'no' }, true]);
    expect(clock.timers).toBe(0);
  });
});

it('F44: one service that hangs does not delay another', async () => {
  const clock = new FakeClock();
  const bad = new FakeServer({ x: { delayMs: 1_000_000 } }, clock);
  const good = new FakeServer({ x: { delayMs: 5 } }, clock);
  const store = await openStore({ bad, good }, clock);
  const hanging = Array.from({ length: 500 }, () => failure(store.callTool('bad__x', {}, { timeoutMs: 60_000 })));
  await settle(20);
  for (let i = 0; i < 10; i++) {
    const call = watch(store.callTool('good__x'));
    await settle(20);
    await clock.advance(5);
    expect(call.value).toEqual(text('x {}'));
  }
  await clock.advance(61_000);
  for (const error of await Promise.all(hanging)) expect(error).toMatchObject({ code: 'TIMEOUT' });
  await store.close();
});

describe('what a caller says that is wrong', () => {
  it('is refused with its place, and never as a failure of the language', async () => {
    const { store } = await open({ echo: {} });
    const bad = (value: unknown): never => value as never;
    const refused = async (act: () => unknown): Promise<unknown> => {
      try {
        await act();
      } catch (error) {
        const { code, figures } = error as { code?: string; figures?: { path?: string } };
        return [code, figures?.path];
      }
      return 'taken';
    };
    expect(await refused(() => store.callTool(bad(5)))).toEqual(['OPTION_INVALID', 'name']);
    expect(await refused(() => store.callTool(bad(undefined)))).toEqual(['OPTION_INVALID', 'name']);
    expect(await refused(() => store.findTool(bad(undefined)))).toEqual(['OPTION_INVALID', 'name']);
    expect(await refused(() => store.batchCall([], bad(null)))).toEqual(['OPTION_INVALID', 'options']);
    expect(await refused(() => store.clearCache({ tool: bad(5) }))).toEqual(['OPTION_INVALID', 'tool']);
    expect(await refused(() => store.checkServices(bad({ foo: 1 })))).toEqual(['OPTION_INVALID', 'foo']);
    expect(await refused(() => store.readResource('s', 'x:y', { signal: bad(5) }))).toEqual([
      'OPTION_INVALID',
      'signal',
    ]);
    await store.close();
  });

  it('a batch resolves also where the store is closed, and where its time is over before a call begins', async () => {
    const { clock, store } = await open({ slow: { delayMs: 50 } });
    const batch = store.batchCall([{ tool: 's__slow' }, { tool: 's__slow' }], { concurrency: 1, timeoutMs: 50.2 });
    await clock.advance(100);
    for (const { error } of (await batch).results) expect(error?.figures?.['timeoutMs'] ?? 1).toBeGreaterThanOrEqual(1);
    await store.close();
    const { results } = await store.batchCall([{ tool: 's__slow' }]);
    expect(results[0]).toMatchObject({ status: 'not_sent', error: { code: 'STORE_CLOSED' } });
  });
});

describe('cached results', () => {
  it('of one agent are not dropped by another; a tool is named as a caller names it', async () => {
    const { server, store } = await open({ read: { ...read } }, cached);
    const [a, b] = ['a', 'b'].map((id) => store.forAgent(id, { services: ['s'] }));
    await a!.callTool('s__read');
    await b!.callTool('s__read');
    expect(a!.clearCache()).toBe(1);
    await b!.callTool('s__read');
    expect(server.called).toHaveLength(2);
    await store.callTool('s__read');
    expect(store.clearCache({ tool: 's__read' })).toBe(2);
    await store.close();
  });

  it('go with what a lease may have changed', async () => {
    const { server, store } = await open({ read: { ...read }, write: {} }, cached);
    await store.callTool('s__read');
    await store.lease('s', (lease) => lease.callTool('write'));
    await store.callTool('s__read');
    expect(server.called).toEqual(['read', 'write', 'read']);
    await store.close();
  });
});
