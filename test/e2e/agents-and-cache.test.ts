/** What callers share and what they do not: agents, leases, batches, streams of batches, the result cache. */

import { describe, expect, it } from 'vitest';
import type { BatchEntry, MCPStore, ServiceConfig } from '../../src/index.js';
import { cleanUpAfterEach, openStore, type Script, scripted, starts, textIn } from '../support/harness.js';
import { failure, timed, until } from '../support/waiting.js';

cleanUpAfterEach();

const CACHED = { resultCache: { enabled: true } } as const;

async function storeOf(script: Script = {}, more: ServiceConfig = {}, performance = {}): Promise<MCPStore> {
  return openStore({ services: { a: scripted(script, more) }, performance });
}

const peek = async (from: Pick<MCPStore, 'callTool'>, n: number, options = {}): Promise<string> =>
  textIn(await from.callTool('a__peek', { n }, options));

describe('agents', () => {
  it('see their own services under local names, and those of the store that they were given', async () => {
    const store = await openStore({ services: { a: scripted(), b: scripted() } });
    const agent = store.forAgent('researcher', { services: ['a'] });
    expect(await agent.addService('own', scripted({ names: ['mine'] }))).toEqual(['own']);
    expect(agent.listServices().map((service) => service.name)).toEqual(['a', 'own']);
    expect(store.listServices().map((service) => service.name)).toEqual(['a', 'b', 'researcher.own']);
    expect(textIn(await agent.callTool('own__mine'))).toBe('mine');
    expect(textIn(await agent.callTool('mine'))).toBe('mine');
    expect(textIn(await agent.callTool('a__echo', { text: 'given' }))).toBe('given');
    expect((await failure(agent.callTool('echo', {}, { service: 'b' }))).code).toBe('SERVICE_UNKNOWN');
    expect((await agent.listTools()).map((tool) => tool.service)).not.toContain('b');
    expect((await failure(agent.deleteService('a'))).executed).toBe('no');
    // The same id is the same view; another one sees nothing of it.
    expect(store.forAgent('researcher')).toBe(agent);
    expect(store.forAgent('other').listServices()).toEqual([]);
    expect(() => store.forAgent('other', { services: ['nobody'] })).toThrow(/nobody/);
    expect(() => store.forAgent('../up')).toThrow(/agent id/);
  });

  it('share processes by default, and never results of the cache', async () => {
    const a = scripted();
    const store = await openStore({ services: { a }, performance: CACHED });
    const [one, two] = ['one', 'two'].map((id) => store.forAgent(id, { services: ['a'] }));
    expect([await peek(store, 7), await peek(one!, 7), await peek(two!, 7)]).toEqual(['1', '2', '3']);
    expect([await peek(store, 7), await peek(one!, 7), await peek(two!, 7)]).toEqual(['1', '2', '3']);
    expect(starts(a.pidFile).length).toBe(1);
    expect(store.stats().cache).toMatchObject({ hits: 3, misses: 3, entries: 3 });
  });
});

describe('leases', () => {
  it('pin one connection of their own, which ends with them', async () => {
    const a = scripted();
    const store = await openStore({ services: { a } });
    await store.callTool('a__counter');
    const inside = await store.lease('a', async (lease) => {
      await lease.callTool('counter');
      const other = store.callTool('a__counter');
      const own = textIn(await lease.callTool('counter'));
      expect(textIn(await other)).toBe('2');
      expect(await lease.request('ping')).toEqual({});
      return own;
    });
    expect(inside).toBe('2');
    expect(textIn(await store.callTool('a__counter'))).toBe('3');
    expect(starts(a.pidFile).length).toBe(2);
    const thrown = store.lease('a', () => Promise.reject(new Error('mine')));
    await expect(thrown).rejects.toThrow('mine');
  });

  it('end with the store', async () => {
    const a = scripted();
    const store = await openStore({ services: { a } });
    const lease = store.lease('a', async (own) => {
      await own.callTool('echo', { text: 'open' });
      void store.close({ drainMs: 100 });
      return failure(own.callTool('hang'));
    });
    expect(await lease).toMatchObject({ code: 'OUTCOME_UNKNOWN', executed: 'unknown' });
  });
});

describe('batches', () => {
  it('say for each entry what became of it, in input order', async () => {
    const store = await storeOf();
    // Starting is not what is asked here.
    await store.listTools();
    const cyclic: Record<string, unknown> = {};
    cyclic['self'] = cyclic;
    const seen: (BatchEntry & { index: number })[] = [];
    const { results, totals, durationMs } = await store.batchCall(
      [
        { tool: 'a__sleep', arguments: { ms: 200, text: 'slow' } },
        { tool: 'a__tool_error' },
        { tool: 'a__rpc_error' },
        { tool: 'a__hang' },
        { tool: 'a__nothing' },
        { tool: 'a__mirror', arguments: cyclic },
        { tool: 7 } as never,
        { tool: 'echo', service: 'a', arguments: { text: 'bare' } },
      ],
      { callTimeoutMs: 600, onResult: (entry) => seen.push(entry) },
    );
    const statuses = ['ok', 'tool_error', 'failed', 'unknown', 'not_sent', 'not_sent', 'not_sent', 'ok'];
    expect(results.map((entry) => entry.status)).toEqual(statuses);
    expect(totals).toEqual({ calls: 8, ok: 2, tool_error: 1, failed: 1, unknown: 1, not_sent: 3, fromCache: 0 });
    expect(results.map((entry) => entry.error?.code)).toEqual([
      undefined,
      undefined,
      'RPC_ERROR',
      'TIMEOUT',
      'TOOL_UNKNOWN',
      'ARGUMENTS_INVALID',
      'OPTION_INVALID',
      undefined,
    ]);
    expect(textIn(results[0]!.result)).toBe('slow');
    expect(textIn(results[7]!.result)).toBe('bare');
    expect(results[3]!.attempts).toBe(1);
    expect(durationMs).toBeGreaterThanOrEqual(590);
    expect(seen.map((entry) => entry.index).sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(seen.at(-1)!.index).toBe(3);
  });

  it('stop at the first error, at the deadline, and at an abort, leaving nothing running', async () => {
    const store = await storeOf();
    await store.listTools();
    const stopped = await store.batchCall(
      [{ tool: 'a__peek' }, { tool: 'a__tool_error' }, { tool: 'a__peek' }, { tool: 'a__peek' }],
      { stopOnError: true, concurrency: 1 },
    );
    expect(stopped.results.map((entry) => entry.status)).toEqual(['ok', 'tool_error', 'not_sent', 'not_sent']);
    const hanging = Array.from({ length: 10 }, () => ({ tool: 'a__hang' }));
    const late = await timed(() => store.batchCall(hanging, { timeoutMs: 200, concurrency: 3 }));
    expect(late.value.totals).toMatchObject({ unknown: 3, not_sent: 7 });
    expect(late.ms).toBeLessThan(2_000);
    const abort = new AbortController();
    const running = store.batchCall(hanging, { signal: abort.signal, concurrency: 4 });
    await store.callTool('a__echo', { text: 'sent' });
    abort.abort();
    expect((await running).totals).toMatchObject({ unknown: 4, not_sent: 6 });
    const state = async (): Promise<unknown> => (await store.callTool('a__state')).structuredContent;
    await until(async () => ((await state()) as { cancelled: number }).cancelled === 7, 'cancelled on the wire');
    expect(store.serviceInfo('a').calls).toEqual({ running: 0, waiting: 0 });
  });

  it('share one execution of equal calls only where a key says so', async () => {
    const store = await storeOf();
    const calls = Array.from({ length: 6 }, (_, n) => ({
      tool: 'a__peek',
      arguments: { n: 1 },
      ...(n > 1 && { cacheKey: 'k' }),
    }));
    const { results, totals } = await store.batchCall(calls, { concurrency: 6 });
    expect(new Set(results.slice(2).map((entry) => textIn(entry.result))).size).toBe(1);
    expect(new Set(results.map((entry) => textIn(entry.result))).size).toBe(3);
    expect(totals).toMatchObject({ ok: 6, fromCache: 3 });
  });

  it('give a stream, the first finished first; who stops reading cancels the rest', async () => {
    const store = await storeOf();
    await store.listTools();
    const calls = [300, 10, 150].map((ms) => ({ tool: 'a__sleep', arguments: { ms } }));
    const order: number[] = [];
    for await (const entry of store.batchStream(calls)) order.push(entry.index);
    expect(order).toEqual([1, 2, 0]);
    const many = [{ tool: 'a__peek' }, ...Array.from({ length: 30 }, () => ({ tool: 'a__hang' }))];
    const { ms } = await timed(async () => {
      for await (const entry of store.batchStream(many, { concurrency: 5 })) {
        expect(entry.index).toBe(0);
        break;
      }
    });
    expect(ms).toBeLessThan(2_000);
    expect(store.serviceInfo('a').calls.running).toBe(0);
  });
});

describe('the cache', () => {
  it('is off until it is switched on, and then for tools that only read, or that the user names', async () => {
    const off = await storeOf();
    expect([await peek(off, 1), await peek(off, 1)]).toEqual(['1', '2']);
    const on = await storeOf({}, { mcpstore: { tools: { mirror: { cache: true } } } }, CACHED);
    expect([await peek(on, 1), await peek(on, 1), await peek(on, 2)]).toEqual(['1', '1', '2']);
    const mirror = (): Promise<unknown> => on.callTool('a__mirror', { b: 1, a: { d: 1, c: 2 } });
    expect(await mirror()).toBe(await mirror());
    expect(on.stats().cache).toMatchObject({ hits: 2, misses: 3 });
  });

  it('obeys each call: refresh, bypass, a ttl, a key', async () => {
    const store = await storeOf({}, {}, CACHED);
    expect(await peek(store, 1)).toBe('1');
    expect(await peek(store, 1, { cache: 'bypass' })).toBe('2');
    expect(await peek(store, 1)).toBe('1');
    expect(await peek(store, 1, { cache: 'refresh' })).toBe('3');
    expect(await peek(store, 1)).toBe('3');
    expect(await peek(store, 1, { cache: { key: 'mine' } })).toBe('4');
    expect(await peek(store, 1, { cache: { key: 'mine' } })).toBe('4');
    expect(await peek(store, 2, { cache: { ttlMs: 20 } })).toBe('5');
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(await peek(store, 2)).toBe('6');
  });

  it('is dropped by a writing call, by clearCache, and by a changed list; errors are never kept', async () => {
    const store = await storeOf({}, { mcpstore: { tools: { tool_error: { cache: true } } } }, CACHED);
    expect([await peek(store, 1), await peek(store, 1)]).toEqual(['1', '1']);
    await store.callTool('a__counter');
    expect(await peek(store, 1)).toBe('2');
    expect(store.clearCache({ service: 'a', tool: 'peek' })).toBe(1);
    expect(await peek(store, 1)).toBe('3');
    const changed = new Promise((resolve) => store.on('toolsChanged', resolve));
    await store.callTool('a__grow', { name: 'new' });
    await changed;
    expect(await peek(store, 1)).toBe('4');
    await store.callTool('a__tool_error');
    await store.callTool('a__tool_error');
    expect(store.stats().cache.entries).toBe(1);
    expect(store.clearCache()).toBe(1);
  });
});
