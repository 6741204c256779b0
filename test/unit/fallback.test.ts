/** Knows what answers in place of a call that failed on its way, when nothing may, and how all of it is told. */

import { afterEach, describe, expect, it } from 'vitest';
import { type CallRecord, fallbackOf } from '../../src/call.js';
import type { ServiceConfig } from '../../src/config/definition.js';
import { StoreError } from '../../src/errors.js';
import type { PerformanceOptions, ToolFallback, ToolPolicy } from '../../src/options.js';
import type { MCPStore } from '../../src/store.js';
import { FakeClock, failure, settle, watch } from '../support/fake-clock.js';
import { FakeServer, openStore, RpcFault, text } from '../support/fake-server.js';

const PERFORMANCE: PerformanceOptions = { connectionPool: { maxRetries: 0 } };

let open: MCPStore[] = [];
afterEach(async () => {
  await Promise.all(open.map((store) => store.close({ drainMs: 0 })));
  open = [];
});

interface World {
  clock: FakeClock;
  a: FakeServer;
  b: FakeServer;
  store: MCPStore;
  records: CallRecord[];
  /** `a` is gone, and given up by the store: calls fail at once. Takes `DOWN_MS`. */
  down(): Promise<void>;
}

const DOWN_MS = 60_000;

/** Ends the server's connections and refuses new ones, until the store has given it up. */
async function fell(server: FakeServer, name: string, store: MCPStore, clock: FakeClock): Promise<void> {
  server.onConnect = () => {
    throw new Error('connection refused');
  };
  server.drop();
  void store.listTools({ service: name, refresh: 'always' });
  await clock.advance(DOWN_MS);
  expect(store.serviceInfo(name).status).toBe('failed');
}

/** Services `a` and `b` with the tools `get` and `set`; `policy` is for `a`'s `get`. */
async function world(policy: ToolPolicy, options: PerformanceOptions = PERFORMANCE, more: object = {}): Promise<World> {
  const clock = new FakeClock();
  const a = new FakeServer({ get: {}, set: {} }, clock);
  const b = new FakeServer({ get: {}, set: {} }, clock);
  const own = { a: { tools: { get: policy }, ...more } };
  const store = await openStore({ a, b }, clock, { performance: options, own });
  open.push(store);
  const records: CallRecord[] = [];
  store.on('call', (record) => records.push({ ...record }));
  return { clock, a, b, store, records, down: () => fell(a, 'a', store, clock) };
}

const fails = (code: string, fields: object = {}) => ({ code, ...fields });

describe('the last good result', () => {
  it('answers with its age, and every record of it tells the truth', async () => {
    const { store, down, records } = await world({ fallback: 'cached' });
    const good = await store.callTool('a__get', { id: 1 });
    expect(fallbackOf(good)).toBeUndefined();
    await down();
    const result = await store.callTool('a__get', { id: 1 });
    expect(result.content).toEqual(good.content);
    expect(fallbackOf(result)).toEqual({ from: 'cached', code: 'SERVICE_DOWN', executed: 'no', ageMs: DOWN_MS });
    expect(result._meta).toEqual({ 'mcpstore/fallback': fallbackOf(result) });
    expect(records.at(-1)).toMatchObject({ outcome: 'not_sent', code: 'SERVICE_DOWN', fallback: 'cached' });
    const { calls, errors, cache } = store.stats();
    expect(calls).toMatchObject({ calls: 2, ok: 1, notSent: 1, fallbacks: 1, cacheHits: 0 });
    expect(errors).toMatchObject({ total: 1, byCode: { SERVICE_DOWN: 1 }, fallbacks: 1 });
    expect([cache.hits, cache.entries]).toEqual([0, 1]);
    expect(store.metrics.prometheus()).toContain('mcpstore_call_fallbacks_total{service="a",tool="get"} 1');
  });

  it('is that of an equal call of the same scope alone', async () => {
    const { store, down } = await world({ fallback: 'cached' });
    const one = store.forAgent('one', { services: ['a'] });
    const two = store.forAgent('two', { services: ['a'] });
    await one.callTool('a__get', { id: 1 });
    await one.callTool('a__get', { id: 1 }, { cache: { key: 'other' } });
    await down();
    expect(fallbackOf(await one.callTool('a__get', { id: 1 }))).toMatchObject({ from: 'cached' });
    const none = fails('SERVICE_DOWN', { figures: { fallbacks: [{ from: 'cached', why: 'nothing is kept' }] } });
    expect(await failure(one.callTool('a__get', { id: 2 }))).toMatchObject(none);
    expect(await failure(two.callTool('a__get', { id: 1 }))).toMatchObject(none);
    expect(await failure(store.callTool('a__get', { id: 1 }))).toMatchObject(none);
    // Who wants nothing of the cache gets nothing of it, and what `meta` says is part of no key.
    expect(await failure(one.callTool('a__get', { id: 1 }, { cache: 'bypass' }))).toMatchObject(none);
    expect(await failure(one.callTool('a__get', { id: 1 }, { meta: { user: 'x' } }))).toMatchObject(none);
    const resume = store.suspendResultCache();
    expect(await failure(one.callTool('a__get', { id: 1 }))).toMatchObject(none);
    resume();
  });

  it('is not older than maxAgeMs', async () => {
    const { clock, store, down } = await world({ fallback: { cached: { maxAgeMs: 60_000 } } });
    await store.callTool('a__get');
    await down();
    expect(fallbackOf(await store.callTool('a__get'))).toMatchObject({ ageMs: 60_000 });
    await clock.advance(1);
    expect(await failure(store.callTool('a__get'))).toMatchObject(
      fails('SERVICE_DOWN', { figures: { fallbacks: [{ from: 'cached', why: 'too old' }] } }),
    );
  });

  it('is never a failed one, and never a fallback itself', async () => {
    const { a, store, down } = await world({ fallback: ['cached', { value: 'none' }] });
    await store.callTool('a__get');
    a.tools['get'] = { run: () => ({ ...text('broken'), isError: true }) };
    const bad = await store.callTool('a__get');
    expect([bad.isError, fallbackOf(bad)]).toEqual([true, undefined]);
    await down();
    for (let i = 1; i <= 2; i++) {
      const result = await store.callTool('a__get');
      expect(result.content).toEqual([{ type: 'text', text: 'get {}' }]);
      expect(fallbackOf(result)).toMatchObject({ from: 'cached', ageMs: DOWN_MS });
    }
  });

  it('outlives writes and the end of the ttl, which end what the cache answers; clearCache drops it', async () => {
    const cached = { connectionPool: { maxRetries: 0 }, resultCache: { enabled: true, ttlMs: 1_000 } };
    const { a, store, down } = await world({ cache: true, fallback: 'cached' }, cached);
    await store.callTool('a__get');
    await store.callTool('a__get');
    expect(store.stats().cache).toMatchObject({ hits: 1, entries: 2 });
    await store.callTool('a__set');
    expect(store.stats().cache.entries).toBe(1);
    await store.callTool('a__get');
    expect(a.called).toEqual(['get', 'set', 'get']);
    await down();
    expect(fallbackOf(await store.callTool('a__get'))).toMatchObject({ ageMs: DOWN_MS });
    store.clearCache({ service: 'a', tool: 'get' });
    expect(await failure(store.callTool('a__get'))).toMatchObject(fails('SERVICE_DOWN'));
  });

  it('is not kept of a call that was under way when somebody cleared the cache', async () => {
    const { a, clock, store } = await world({ fallback: 'cached' });
    a.tools['get'] = { delayMs: 1_000 };
    const call = store.callTool('a__get');
    await clock.advance(500);
    store.clearCache();
    await clock.advance(500);
    await call;
    expect(store.stats().cache.entries).toBe(0);
  });

  it('is kept within the bounds of the result cache, the least used goes first', async () => {
    const { store, down } = await world({ fallback: 'cached' }, { ...PERFORMANCE, resultCache: { maxEntries: 10 } });
    for (let id = 0; id < 100; id++) await store.callTool('a__get', { id });
    expect(store.stats().cache).toMatchObject({ entries: 10, evictions: 90 });
    await down();
    expect(await failure(store.callTool('a__get', { id: 0 }))).toMatchObject(fails('SERVICE_DOWN'));
    expect(fallbackOf(await store.callTool('a__get', { id: 99 }))).toMatchObject({ from: 'cached' });
  });

  it('goes with its service, and is not kept of tools without the option', async () => {
    const { store } = await world({ fallback: 'cached' });
    await store.callTool('a__get');
    await store.callTool('a__set');
    await store.callTool('b__get');
    expect(store.stats().cache.entries).toBe(1);
    await store.deleteService('a');
    expect(store.stats().cache.entries).toBe(0);
  });
});

describe('a value', () => {
  it.each([
    ['none', { content: [{ type: 'text', text: 'none' }] }],
    [{ rate: 1 }, { content: [{ type: 'text', text: '{"rate":1}' }], structuredContent: { rate: 1 } }],
    [
      { ...text('sorry'), isError: true },
      { content: [{ type: 'text', text: 'sorry' }], isError: true },
    ],
  ])('%j', async (value, expected) => {
    const { store, down } = await world({ fallback: { value } as ToolFallback });
    await store.callTool('a__get');
    await down();
    const { _meta, ...result } = await store.callTool('a__get');
    expect(result).toEqual(expected);
    expect(_meta).toEqual({ 'mcpstore/fallback': { from: 'value', code: 'SERVICE_DOWN', executed: 'no' } });
    // What callers do to it is theirs.
    (result.content[0] as { text: string }).text = 'changed';
    expect(await store.callTool('a__get')).toMatchObject(expected);
  });

  it('answers also for a service that never gave a list', async () => {
    const { store, down, records } = await world({ fallback: ['cached', { value: 'none' }] });
    await down();
    expect(fallbackOf(await store.callTool('a__get'))).toMatchObject({ from: 'value', code: 'SERVICE_DOWN' });
    expect(fallbackOf(await store.callTool('get', {}, { service: 'a' }))).toMatchObject({ from: 'value' });
    expect(records.at(-1)).toMatchObject({ service: 'a', tool: 'get', outcome: 'not_sent', fallback: 'value' });
    expect(await failure(store.callTool('a__set'))).toMatchObject(fails('SERVICE_DOWN'));
    expect(await failure(store.callTool('a__get', {}, { fallback: false }))).toMatchObject(fails('SERVICE_DOWN'));
  });

  it('answers for a service that is stopped, and in a batch as an entry that says so', async () => {
    const { store } = await world({ fallback: { value: 'none' } });
    await store.callTool('a__get');
    await store.disconnectService('a');
    const { results, totals } = await store.batchCall([{ tool: 'a__get' }, { tool: 'a__set' }, { tool: 'b__get' }]);
    expect(results.map(({ status, fallback }) => [status, fallback])).toEqual([
      ['ok', 'value'],
      ['not_sent', undefined],
      ['ok', undefined],
    ]);
    expect(totals).toMatchObject({ ok: 2, not_sent: 1 });
  });
});

describe('another service', () => {
  it('is asked with the same arguments, as a call of its own', async () => {
    const { b, store, down, records } = await world({ fallback: { service: 'b', tool: 'set' } });
    await store.callTool('a__get');
    await down();
    const result = await store.callTool('a__get', { id: 7 }, { throwOnToolError: true });
    expect(result.content).toEqual([{ type: 'text', text: 'set {"id":7}' }]);
    const mark = { from: 'service', code: 'SERVICE_DOWN', executed: 'no', service: 'b', tool: 'set' };
    expect(fallbackOf(result)).toEqual(mark);
    expect(b.called).toEqual(['set']);
    const told = records.slice(-2).map(({ service, tool, outcome, fallback }) => [service, tool, outcome, fallback]);
    expect(told).toEqual([
      ['b', 'set', 'ok', undefined],
      ['a', 'get', 'not_sent', 'service'],
    ]);
  });

  it('is not asked where the call may have run, unless repeating does no harm', async () => {
    const run = ({ hangUp }: { hangUp: () => void }): Promise<never> => {
      hangUp();
      return new Promise(() => {});
    };
    const unsafe = await world({ fallback: { service: 'b' } });
    unsafe.a.tools['get'] = { run };
    expect(await failure(unsafe.store.callTool('a__get'))).toMatchObject(
      fails('OUTCOME_UNKNOWN', {
        executed: 'unknown',
        figures: { fallbacks: [{ service: 'b', why: 'it may have run, and is not repeatable' }] },
      }),
    );
    expect(unsafe.b.called).toEqual([]);
    const safe = await world({ repeatable: true, fallback: { service: 'b' } });
    safe.a.tools['get'] = { run };
    expect(fallbackOf(await safe.store.callTool('a__get'))).toMatchObject({ from: 'service', executed: 'unknown' });
    expect([safe.a.called, safe.b.called]).toEqual([['get'], ['get']]);
  });

  it('has no fallback of its own: nothing goes round', async () => {
    const clock = new FakeClock();
    const [a, b] = [new FakeServer({ get: {} }, clock), new FakeServer({ get: {} }, clock)];
    const to = (service: string): object => ({ tools: { get: { fallback: { service } } } });
    const store = await openStore({ a, b }, clock, { performance: PERFORMANCE, own: { a: to('b'), b: to('a') } });
    open.push(store);
    await store.callTool('a__get');
    await store.callTool('b__get');
    await fell(a, 'a', store, clock);
    await fell(b, 'b', store, clock);
    const records: CallRecord[] = [];
    store.on('call', (record) => records.push({ ...record }));
    expect(await failure(store.callTool('a__get'))).toMatchObject({ code: 'SERVICE_DOWN', service: 'a' });
    expect(records.map(({ service }) => service)).toEqual(['b', 'a']);
  });

  it('that is unknown, or that its caller does not see, is told, and the next one answers', async () => {
    const { store, down } = await world({ fallback: [{ service: 'nobody' }, { service: 'b' }] });
    const agent = store.forAgent('one', { services: ['a'] });
    await store.callTool('a__get');
    await agent.callTool('a__get');
    await down();
    expect(fallbackOf(await store.callTool('a__get'))).toMatchObject({ service: 'b' });
    expect(await failure(agent.callTool('a__get'))).toMatchObject({
      figures: {
        fallbacks: [
          { from: 'service', service: 'nobody', why: 'SERVICE_UNKNOWN' },
          { from: 'service', service: 'b', why: 'SERVICE_UNKNOWN' },
        ],
      },
    });
  });

  it('has what is left of the deadline, and after it the next one answers', async () => {
    const fallback = [{ service: 'b' }, { value: 'late' }];
    const { clock, a, b, store } = await world(
      { repeatable: true, fallback },
      {
        connectionPool: { maxRetries: 0, readTimeoutMs: 2_000 },
        calls: { callTimeoutMs: 5_000 },
      },
    );
    await store.callTool('a__get');
    a.tools['get'] = { delayMs: 60_000 };
    b.tools['get'] = { delayMs: 1_500 };
    const quick = watch(store.callTool('a__get'));
    await clock.advance(3_499);
    expect(quick.settled).toBe(false);
    await clock.advance(1);
    expect(fallbackOf(quick.value)).toMatchObject({ from: 'service', code: 'TIMEOUT', executed: 'unknown' });
    b.tools['get'] = { delayMs: 60_000 };
    const slow = watch(store.callTool('a__get'));
    await clock.advance(5_000);
    expect(fallbackOf(slow.value)).toMatchObject({ from: 'value', code: 'TIMEOUT' });
  });

  it('is given up where the caller cancels', async () => {
    const { clock, b, store, down } = await world({ fallback: [{ service: 'b' }, { value: 'late' }] });
    await store.callTool('a__get');
    await store.callTool('b__get');
    b.tools['get'] = { delayMs: 10_000 };
    await down();
    const controller = new AbortController();
    const seen = watch(store.callTool('a__get', {}, { signal: controller.signal }));
    await clock.advance(10);
    controller.abort(new Error('enough'));
    await settle();
    expect(seen.error).toMatchObject({ code: 'CANCELLED', service: 'a', cause: { message: 'enough' } });
    expect(store.stats().services['a']).toMatchObject({ fallbacks: 0, errorCodes: { CANCELLED: 1 } });
  });
});

describe('when nothing answers in its place', () => {
  it.each([
    ['an error answer', new RpcFault(-32000, 'no'), 'RPC_ERROR'],
    ['refused arguments', new RpcFault(-32602, 'bad arguments'), 'RPC_ERROR'],
  ])('%s', async (_what, fault, code) => {
    const { a, store } = await world({ fallback: { value: 'none' } });
    a.tools['get'] = {
      run: () => {
        throw fault;
      },
    };
    expect(await failure(store.callTool('a__get'))).toMatchObject({ code, executed: 'yes' });
  });

  it('the caller’s own mistakes and ends', async () => {
    const { store } = await world({ fallback: { value: 'none' } });
    await store.callTool('a__get');
    const bad = failure(store.callTool('a__get', [] as never));
    expect(await bad).toMatchObject(fails('ARGUMENTS_INVALID'));
    const cancelled = store.callTool('a__get', {}, { signal: AbortSignal.abort() });
    expect(await failure(cancelled)).toMatchObject(fails('CANCELLED'));
    expect(await failure(store.callTool('a__gte'))).toMatchObject(fails('TOOL_UNKNOWN'));
    expect(await failure(store.callTool('a__get', {}, { fallback: 1 as never }))).toMatchObject(
      fails('OPTION_INVALID'),
    );
    await store.close();
    expect(await failure(store.callTool('a__get'))).toMatchObject(fails('STORE_CLOSED'));
  });

  it('a full line is a failure of the way', async () => {
    const { clock, a, store } = await world(
      { fallback: { value: 'busy' } },
      { ...PERFORMANCE, calls: { maxConcurrentCalls: 1, queueLimit: 0 } },
    );
    a.tools['get'] = { delayMs: 100 };
    await store.listTools();
    const first = watch(store.callTool('a__get'));
    expect(fallbackOf(await store.callTool('a__get'))).toMatchObject({ code: 'LIMIT_EXCEEDED' });
    await clock.advance(100);
    expect(fallbackOf(first.value)).toBeUndefined();
    expect(first.settled).toBe(true);
  });
});

describe('what is configured', () => {
  const refused: [unknown, string][] = [
    ['stale', 'fallback'],
    [{}, 'fallback'],
    [{ cached: {}, value: 'x' }, 'fallback'],
    [{ cached: { maxAgeMs: 0 } }, 'fallback.cached.maxAgeMs'],
    [{ cached: true }, 'fallback.cached'],
    [{ value: 1 }, 'fallback.value'],
    [{ service: '' }, 'fallback.service'],
    [{ service: 'b', tool: 1 }, 'fallback.tool'],
    [{ value: 'x', tool: 'y' }, 'fallback.tool'],
    [['cached', { other: 1 }], 'fallback.1.other'],
    [{ service: 'a' }, 'fallback'],
    [{ service: 'a', tool: 'get' }, 'fallback'],
  ];
  it.each(refused)('%j is refused with its path', async (fallback, path) => {
    const store = await openStore({}, new FakeClock());
    open.push(store);
    const config = { command: 'x', mcpstore: { tools: { get: { fallback } } } };
    const error = await failure(store.addService('a', config as ServiceConfig));
    expect(error).toBeInstanceOf(StoreError);
    expect([error['code'], (error['figures'] as { path: string }).path]).toEqual([
      'OPTION_INVALID',
      `services.a.mcpstore.tools.get.${path}`,
    ]);
  });

  it('counts from the next call on when the service is changed', async () => {
    const { a, clock, store, down } = await world({});
    await store.callTool('a__get');
    await down();
    expect(await failure(store.callTool('a__get'))).toMatchObject(fails('SERVICE_DOWN'));
    const own = { tools: { get: { fallback: { value: 'none' } } } };
    await store.updateService('a', { server: a, mcpstore: own });
    const seen = watch(store.callTool('a__get'));
    await clock.advance(DOWN_MS);
    expect(fallbackOf(seen.value)).toMatchObject({ from: 'value' });
  });
});
