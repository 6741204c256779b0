/** Knows that each store-wide option can change while calls run: from then on it has its effect, and nothing is lost. */

import { describe, expect, it } from 'vitest';
import type { MCPStore, PerformanceOptions } from '../../src/index.js';
import { afterwards, cleanUpAfterEach, gone, openStore, type Script, scripted, textIn } from '../support/harness.js';
import { HttpTestServer } from '../support/http-server.js';
import { failure, until } from '../support/waiting.js';

cleanUpAfterEach();

/** A store on one scripted server that runs. */
async function running(script: Script = {}, performance: PerformanceOptions = {}): Promise<MCPStore> {
  const store = await openStore({ services: { a: scripted(script) }, performance });
  await store.callTool('a__echo', { text: 'first' });
  return store;
}

const sleeping = (store: MCPStore, count: number, ms: number): Promise<unknown>[] =>
  Array.from({ length: count }, (_, n) => store.callTool('a__sleep', { ms, text: `${n}` }));

const inFlight = (store: MCPStore): number => store.serviceInfo('a').calls.running;

describe('while calls run, a change takes effect', () => {
  it('of maxConcurrentCalls: more are let in at once, fewer from then on', async () => {
    const store = await running({}, { calls: { maxConcurrentCalls: 1 } });
    const slow = sleeping(store, 6, 400);
    expect(store.serviceInfo('a').calls).toEqual({ running: 1, waiting: 5 });
    store.configure({ calls: { maxConcurrentCalls: 4 } });
    expect(store.serviceInfo('a').calls).toEqual({ running: 4, waiting: 2 });
    store.configure({ calls: { maxConcurrentCalls: 2 } });
    const seen: number[] = [];
    store.on('call', () => seen.push(inFlight(store)));
    await Promise.all(slow);
    // Those that ran before run on; nobody follows them beyond the new bound.
    expect(Math.max(...seen.slice(2))).toBeLessThanOrEqual(2);
  });

  it('of queueLimit', async () => {
    const store = await running({}, { calls: { maxConcurrentCalls: 1 } });
    const slow = sleeping(store, 3, 200);
    store.configure({ calls: { queueLimit: 2 } });
    expect(await failure(store.callTool('a__echo'))).toMatchObject({ code: 'LIMIT_EXCEEDED', executed: 'no' });
    store.configure({ calls: { queueLimit: 3 } });
    await Promise.all([...slow, store.callTool('a__echo')]);
  });

  it('of maxInFlightPerConnection', async () => {
    const store = await running(
      {},
      { connectionPool: { maxInFlightPerConnection: 1 }, calls: { maxConcurrentCalls: 9 } },
    );
    const slow = sleeping(store, 3, 300);
    const pool = (): unknown => Object.values(store.connectionStats()['a']!)[0];
    expect(pool()).toMatchObject({ inFlight: 1, waiting: 2 });
    store.configureConnectionPool({ maxInFlightPerConnection: 8 });
    expect(pool()).toMatchObject({ inFlight: 3, waiting: 0 });
    await Promise.all(slow);
  });

  it('of maxConnections over HTTP: sockets are added for those that wait, and go when they are too many', async () => {
    const server = await HttpTestServer.start({ tools: ['echo', 'slow'] });
    afterwards(() => server.close());
    const services = { a: { url: server.url.href } };
    const store = await openStore({ services, performance: { connectionPool: { maxConnections: 1 } } });
    await store.callTool('a__echo', { text: 'first' });
    const slow = Array.from({ length: 4 }, () => store.callTool('slow', { ms: 400 }, { service: 'a' }));
    await until(() => inFlight(store) === 1, 'the first is sent');
    store.configureConnectionPool({ maxConnections: 4 });
    const pool = () => Object.values(store.connectionStats()['a']!)[0]!;
    await until(() => pool().open === 4, 'four sockets');
    expect(inFlight(store)).toBe(4);
    await Promise.all(slow);
    store.configureConnectionPool({ maxConnections: 2 });
    await Promise.all(Array.from({ length: 6 }, () => store.callTool('slow', { ms: 50 }, { service: 'a' })));
    expect(pool()).toMatchObject({ open: 2, max: 2 });
    await until(() => [...server.sockets].filter((socket) => !socket.destroyed).length <= 3, 'the others are closed');
    expect(server.calls('initialize')).toHaveLength(1);
  });

  it('of minConnections and maxIdleTimeMs: what idles ends', async () => {
    const store = await running();
    const [pid] = store.serviceInfo('a').pids;
    store.configureConnectionPool({ minConnections: 0, maxIdleTimeMs: 100 });
    await until(() => gone(pid!), 'the process is gone');
    expect(textIn(await store.callTool('a__echo', { text: 'again' }))).toBe('again');
  });

  it('of healthCheckIntervalMs', async () => {
    const store = await running();
    const pings = async (): Promise<number> =>
      (JSON.parse(textIn(await store.callTool('a__state'))) as { pings: number }).pings;
    expect(await pings()).toBe(0);
    store.configureConnectionPool({ healthCheckIntervalMs: 50 });
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(await pings()).toBeGreaterThan(0);
  });

  it('of callTimeoutMs, readTimeoutMs and writeTimeoutMs', async () => {
    const store = await running();
    store.configure({ calls: { callTimeoutMs: 150 } });
    const timedOut = await failure(store.callTool('a__hang'));
    expect(timedOut).toMatchObject({ code: 'TIMEOUT', figures: { timeoutMs: 150 } });
    store.configure({ calls: { callTimeoutMs: 20_000 }, connectionPool: { readTimeoutMs: 120, writeTimeoutMs: 200 } });
    expect(await failure(store.callTool('a__hang'))).toMatchObject({ figures: { readTimeoutMs: 120 } });
    store.configureConnectionPool({ readTimeoutMs: 60_000 });
    const [pid] = store.serviceInfo('a').pids;
    process.kill(pid!, 'SIGSTOP');
    const unread = { text: 'x'.repeat(1 << 20) };
    expect(await failure(store.callTool('a__echo', unread))).toMatchObject({ figures: { writeTimeoutMs: 200 } });
    process.kill(pid!, 'SIGCONT');
  });

  it('of connectionTimeoutMs, maxRetries and retryDelayMs, at the next start', async () => {
    const store = await openStore({ services: { a: scripted({ silent: ['initialize'] }) } });
    store.configureConnectionPool({ connectionTimeoutMs: 200, maxRetries: 0 });
    const silent = await failure(store.callTool('a__echo'));
    expect(silent).toMatchObject({ code: 'START_FAILED', figures: { timeoutMs: 200 } });
    store.configureConnectionPool({ connectionTimeoutMs: 20_000 });
    await store.updateService(
      'a',
      scripted({ crash: ['tools/call'] }, { mcpstore: { trusted: true, tools: { echo: { repeatable: true } } } }),
    );
    expect(await failure(store.callTool('a__echo'))).toMatchObject({ code: 'OUTCOME_UNKNOWN', attempts: 1 });
    store.configureConnectionPool({ maxRetries: 2, retryDelayMs: 1 });
    expect(await failure(store.callTool('a__echo'))).toMatchObject({ code: 'OUTCOME_UNKNOWN', attempts: 3 });
  });

  it('of the result cache: on, other bounds, off', async () => {
    const peek = { tools: { peek: { cache: true } } };
    const store = await openStore({ services: { a: scripted({}, { mcpstore: peek }) } });
    const seen = async (n = 0): Promise<string> => textIn(await store.callTool('a__peek', { n }));
    expect(await seen()).not.toBe(await seen());
    store.enableResultCache({ maxEntries: 3, ttlMs: 60_000 });
    const kept = await seen();
    expect(await seen()).toBe(kept);
    for (const n of [1, 2]) await seen(n);
    store.configure({ resultCache: { maxEntries: 2 } });
    expect(store.stats().cache.entries).toBe(2);
    expect(await seen(2)).toBe(await seen(2));
    expect(await seen()).not.toBe(kept);
    // A time-out that changes replaces nothing: the service and what it kept go on.
    await store.patchService('a', { timeout: 20_000 });
    expect(store.stats().cache.entries).toBeGreaterThan(0);
    store.disableResultCache();
    expect(store.stats().cache.entries).toBe(0);
    expect(await seen(2)).not.toBe(await seen(2));
  });

  it('of batchConcurrency and validateArguments', async () => {
    const store = await running();
    store.configure({ calls: { batchConcurrency: 3, validateArguments: true } });
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, inFlight(store));
    }, 5);
    await store.batchCall(Array.from({ length: 9 }, () => ({ tool: 'a__sleep', arguments: { ms: 60, text: '' } })));
    clearInterval(watch);
    expect(most).toBe(3);
    const invalid = await failure(store.callTool('a__echo', { text: 5 }));
    expect(invalid).toMatchObject({ code: 'ARGUMENTS_INVALID', executed: 'no' });
  });
});

describe('a change that is wrong', () => {
  it('is refused with its path, and nothing of it is taken over', async () => {
    const own = { mcpstore: { connectionPool: { maxConnections: 3 } } };
    const store = await openStore({ services: { a: scripted({}, own) } });
    const before = store.effectiveOptions;
    const wrong: [object, RegExp][] = [
      [
        { calls: { callTimeoutMs: 5 }, connectionPool: { maxConnections: 0 } },
        /^options\.connectionPool\.maxConnections: /,
      ],
      [{ calls: { callTimeoutMs: 5, nope: 1 } }, /^options\.calls\.nope: unknown option/],
      [{ pool: {} }, /^options\.pool: unknown option/],
      [
        { calls: { callTimeoutMs: 5 }, connectionPool: { minConnections: 4 } },
        /^a: connectionPool\.minConnections: 4, given in code, is above maxConnections 3, of the service itself$/,
      ],
    ];
    for (const [options, message] of wrong) {
      expect(() => store.configure(options)).toThrow(
        expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringMatching(message) }),
      );
      expect(store.effectiveOptions).toEqual(before);
    }
  });

  it('is refused once the store is closed', async () => {
    const store = await openStore({ services: {} });
    await store.close();
    expect(() => store.configure({})).toThrow(expect.objectContaining({ code: 'STORE_CLOSED' }));
  });
});

it('the options in force and their origin are told', async () => {
  const store = await openStore({ services: {}, performance: { calls: { queueLimit: 5 } } });
  store.configure({ calls: { callTimeoutMs: 7 } });
  store.configure({ calls: { retry: { jitter: 'none' } } });
  expect(store.effectiveOptions.calls).toMatchObject({ queueLimit: 5, callTimeoutMs: 7, retry: { jitter: 'none' } });
  expect(store.optionSources).toMatchObject({
    'calls.queueLimit': 'code',
    'calls.callTimeoutMs': 'code',
    'calls.retry.jitter': 'code',
    'calls.batchConcurrency': 'default',
  });
});
