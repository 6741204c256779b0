/** Knows how a batch behaves that is filled call by call: what starts by itself, and that all is answered once, in order. */

import { describe, expect, it } from 'vitest';
import type { CallBatchOptions } from '../../src/call-batch.js';
import type { MCPStore } from '../../src/store.js';
import { FakeClock, settle, watch } from '../support/fake-clock.js';
import { FakeServer, openStore, text } from '../support/fake-server.js';

interface Bench {
  clock: FakeClock;
  store: MCPStore;
  /** What the tool `echo` was called with, in this order. */
  begun: unknown[];
  running(): number;
}

async function bench(performance: object = {}): Promise<Bench> {
  const clock = new FakeClock();
  const begun: unknown[] = [];
  const server = new FakeServer(
    {
      echo: {
        delayMs: 10,
        run: ({ args }) => {
          begun.push(args['n']);
          return text(String(args['n']));
        },
      },
    },
    clock,
  );
  const store = await openStore({ s: server }, clock, { performance });
  const first = store.callTool('s__echo', { n: 'first' });
  await settle();
  await clock.advance(100);
  await first;
  begun.length = 0;
  return { clock, store, begun, running: () => store.serviceInfo('s').calls.running };
}

const texts = (results: readonly { result?: unknown }[]): string[] =>
  results.map(({ result }) => (result as { content: { text: string }[] }).content[0]!.text);

describe('a batch that is filled call by call', () => {
  it('starts nothing before batchSize calls wait, then those; execute starts the rest and answers in order', async () => {
    const { clock, store, begun } = await bench();
    const batch = store.batch({ batchSize: 3 });
    batch.add('s__echo', { n: 0 }).add('s__echo', { n: 1 });
    await settle();
    expect(begun).toEqual([]);
    batch.add('s__echo', { n: 2 }).add('s__echo', { n: 3 });
    await clock.advance(100);
    expect(begun).toEqual([0, 1, 2]);
    expect(batch.size).toBe(4);
    const all = batch.execute();
    expect(batch.size).toBe(0);
    await clock.advance(100);
    const { results, totals } = await all;
    expect(texts(results)).toEqual(['0', '1', '2', '3']);
    expect(totals).toMatchObject({ calls: 4, ok: 4 });
    expect(begun).toEqual([0, 1, 2, 3]);
  });

  it('runs maxWorkers calls at a time, whoever started them', async () => {
    const { clock, store, running } = await bench({ calls: { batchSize: 2, maxWorkers: 4 } });
    const most = async (options: CallBatchOptions): Promise<number> => {
      const batch = store.batch(options);
      for (let n = 0; n < 9; n++) batch.add('s__echo', { n });
      const all = batch.execute();
      await settle();
      const seen = running();
      await clock.advance(1_000);
      expect((await all).totals.ok).toBe(9);
      return seen;
    };
    expect(await most({})).toBe(4);
    expect(await most({ maxWorkers: 2 })).toBe(2);
  });

  it('clear drops what has not been let begin; the rest is answered', async () => {
    const { clock, store, begun } = await bench();
    const batch = store.batch({ batchSize: 2 });
    for (let n = 0; n < 3; n++) batch.add('s__echo', { n });
    expect(batch.clear()).toBe(1);
    expect(batch.size).toBe(2);
    const all = batch.execute();
    await clock.advance(100);
    expect(texts((await all).results)).toEqual(['0', '1']);
    expect(begun).toEqual([0, 1]);
    expect(store.batch().clear()).toBe(0);
  });

  it('runs equal keyed calls once, also where the first of them started by itself; the next batch runs them anew', async () => {
    const { clock, store, begun } = await bench();
    const batch = store.batch({ batchSize: 1 });
    for (let round = 0; round < 2; round++) {
      batch.add('s__echo', { n: 7 }, { cacheKey: 'k' });
      await clock.advance(100);
      batch.add('s__echo', { n: 7 }, { cacheKey: 'k' }).add('s__echo', { n: 7 }, { cacheKey: 'other' });
      const all = batch.execute();
      await clock.advance(100);
      const { results } = await all;
      expect(results.map(({ fromCache }) => fromCache)).toEqual([false, true, false]);
    }
    expect(begun).toEqual([7, 7, 7, 7]);
  });

  it('an aborted batch answers for all, and never runs twice', async () => {
    const { clock, store, begun } = await bench();
    const controller = new AbortController();
    const batch = store.batch({ batchSize: 2, maxWorkers: 1, signal: controller.signal });
    for (let n = 0; n < 4; n++) batch.add('s__echo', { n });
    await settle();
    controller.abort();
    const { results } = await batch.execute();
    expect(results.map(({ status }) => status)).toEqual(['unknown', 'not_sent', 'not_sent', 'not_sent']);
    expect(await batch.execute()).toMatchObject({ results: [], totals: { calls: 0 } });
    await clock.advance(1_000);
    expect(begun.length).toBeLessThanOrEqual(1);
  });

  it('has one deadline, from its first start on', async () => {
    const { clock, store } = await bench();
    const batch = store.batch({ batchSize: 5, timeoutMs: 15, maxWorkers: 1 });
    for (let n = 0; n < 4; n++) batch.add('s__echo', { n });
    await clock.advance(1_000);
    const all = batch.execute();
    const seen = watch(all);
    await clock.advance(16);
    expect(seen.settled).toBe(true);
    const { results } = await all;
    expect(results.map(({ status }) => status)).toEqual(['ok', 'unknown', 'not_sent', 'not_sent']);
  });

  it('refuses what it cannot use, at once', async () => {
    const { store } = await bench();
    const bad: [() => unknown, string][] = [
      [() => store.batch({ batchSize: 0 }), 'batchSize'],
      [() => store.batch({ maxWorkers: 1.5 }), 'maxWorkers'],
      [() => store.batch({ concurrency: 3 } as never), 'concurrency'],
      [() => store.batch().add(5 as never), 'call.tool'],
      [() => store.batch().add('x', {}, { key: 'k' } as never), 'call.key'],
    ];
    for (const [work, path] of bad)
      expect(work, path).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', figures: { path } }));
  });
});
