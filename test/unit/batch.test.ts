/** Knows how many calls in one batch have to run: in order, bounded, each on its own, and never after its end. */

import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { type BatchCall, type BatchEntry, type BatchOptions, batchCall, batchStream } from '../../src/batch.js';
import { StoreError } from '../../src/errors.js';
import type { MCPStore } from '../../src/store.js';
import { FakeClock, failure, settle, watch } from '../support/fake-clock.js';
import { FakeServer, openStore, RpcFault, text } from '../support/fake-server.js';

function entry(status: BatchEntry['status'] = 'ok', fields: Partial<BatchEntry> = {}): BatchEntry {
  return { status, durationMs: 1, fromCache: false, attempts: 1, ...fields };
}

/** A batch whose calls take what `ms` says and end as `as` says. */
function bench(concurrency = 3): {
  clock: FakeClock;
  begun: string[];
  mostRunning: number;
  parts: Parameters<typeof batchCall>[2];
  run(calls: BatchCall[], options?: BatchOptions): ReturnType<typeof batchCall>;
} {
  const clock = new FakeClock();
  let running = 0;
  const it: ReturnType<typeof bench> = {
    clock,
    begun: [],
    mostRunning: 0,
    run: (calls, options = {}) => batchCall(calls, options, it.parts),
    parts: {
      clock,
      concurrency,
      observe: () => {},
      run: async (call, { signal }) => {
        it.begun.push(call.tool);
        it.mostRunning = Math.max(it.mostRunning, ++running);
        const { ms = 10, as = 'ok' } = (call.arguments ?? {}) as { ms?: number; as?: BatchEntry['status'] };
        const done = await new Promise<boolean>((resolve) => {
          if (signal.aborted) return resolve(false);
          const timer = clock.after(ms, () => resolve(true));
          signal.addEventListener('abort', () => {
            timer.cancel();
            resolve(false);
          });
        });
        running--;
        return done
          ? entry(as)
          : entry('unknown', { error: new StoreError('CANCELLED', 'cancelled', { executed: 'unknown' }) });
      },
    },
  };
  return it;
}

const call = (tool: string, args: Record<string, unknown> = {}, more: Partial<BatchCall> = {}): BatchCall => ({
  tool,
  arguments: args,
  ...more,
});

async function finish<T>(clock: FakeClock, promise: Promise<T>, ms = 100_000): Promise<T> {
  const seen = watch(promise);
  await clock.advance(ms);
  expect(seen.settled).toBe(true);
  return promise;
}

describe('a batch', () => {
  it('gives the results in input order, whatever the order in which they finish', async () => {
    const { clock, run } = bench(10);
    const statuses = ['ok', 'tool_error', 'failed', 'ok', 'unknown'] as const;
    const calls = statuses.map((as, i) => call(`t${i}`, { as, ms: 100 - i * 10 }));
    const { results, totals, durationMs } = await finish(clock, run(calls));
    expect(results.map(({ status }) => status)).toEqual(statuses);
    expect(totals).toEqual({ calls: 5, ok: 2, tool_error: 1, failed: 1, unknown: 1, not_sent: 0, fromCache: 0 });
    expect(durationMs).toBe(100);
  });

  it('runs so many at a time and takes the next as soon as any has ended: no chunk waits for its slowest', async () => {
    const it = bench(2);
    // One slow call and nine fast ones: with chunks of two this would take longer.
    const calls = [call('slow', { ms: 900 }), ...Array.from({ length: 9 }, (_, i) => call(`t${i}`, { ms: 100 }))];
    const { durationMs } = await finish(it.clock, it.run(calls));
    expect([durationMs, it.mostRunning]).toEqual([900, 2]);
    expect(it.begun).toEqual(calls.map(({ tool }) => tool));
  });

  it('of no calls is over at once', async () => {
    const { clock, run } = bench();
    expect(await run([])).toEqual({
      results: [],
      totals: { calls: 0, ok: 0, tool_error: 0, failed: 0, unknown: 0, not_sent: 0, fromCache: 0 },
      durationMs: 0,
    });
    expect(clock.timers).toBe(0);
  });

  it.each([
    'tool_error',
    'failed',
    'unknown',
    'not_sent',
  ] as const)('with stopOnError begins nothing after an entry that is %s, and lets end what runs', async (as) => {
    const it = bench(2);
    const calls = [call('a', { ms: 50 }), call('b', { ms: 10, as }), call('c'), call('d')];
    const { results } = await finish(it.clock, it.run(calls, { stopOnError: true }));
    expect(results.map(({ status }) => status)).toEqual(['ok', as, 'not_sent', 'not_sent']);
    expect(results[2]!.error).toMatchObject({ code: 'CANCELLED', executed: 'no' });
    expect(it.begun).toEqual(['a', 'b']);
  });

  it('without it goes on', async () => {
    const it = bench(1);
    const { totals } = await finish(
      it.clock,
      it.run([call('a', { as: 'tool_error' }), call('b', { as: 'failed' }), call('c')]),
    );
    expect(totals).toMatchObject({ ok: 1, tool_error: 1, failed: 1, not_sent: 0 });
  });

  it('begins nothing after its deadline', async () => {
    const it = bench(1);
    const { results } = await finish(
      it.clock,
      it.run(
        ['a', 'b', 'c', 'd'].map((tool) => call(tool)),
        { timeoutMs: 25 },
      ),
    );
    expect(results.map(({ status }) => status)).toEqual(['ok', 'ok', 'ok', 'not_sent']);
    expect(results[3]!.error).toMatchObject({
      code: 'TIMEOUT',
      executed: 'no',
      message: 'the batch timed out after 25 ms',
      figures: { timeoutMs: 25 },
    });
    expect([it.begun, it.clock.timers]).toEqual([['a', 'b', 'c'], 0]);
  });

  it('ends with an abort: what runs is cancelled, what has not begun is not sent', async () => {
    const it = bench(2);
    const controller = new AbortController();
    const seen = watch(
      it.run(
        ['a', 'b', 'c', 'd'].map((tool) => call(tool)),
        { signal: controller.signal },
      ),
    );
    await it.clock.advance(5);
    const reason = new Error('enough');
    controller.abort(reason);
    await settle();
    expect(seen.value!.results.map(({ status }) => status)).toEqual(['unknown', 'unknown', 'not_sent', 'not_sent']);
    expect(seen.value!.results[3]!.error).toMatchObject({ code: 'CANCELLED', cause: reason });
    await it.clock.advance(1_000);
    expect([it.begun, it.clock.timers]).toEqual([['a', 'b'], 0]);
  });

  it('leaves no listener on a signal that outlives it', async () => {
    const it = bench(2);
    const { signal } = new AbortController();
    await finish(it.clock, it.run([call('a'), call('b'), call('c')], { signal }));
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('that was aborted before it began runs nothing', async () => {
    const it = bench();
    const { totals } = await it.run([call('a'), call('b')], { signal: AbortSignal.abort() });
    expect([totals.not_sent, it.begun]).toEqual([2, []]);
  });
});

describe('equal calls with a key', () => {
  const keyed = (tool: string, args: Record<string, unknown> = {}, cacheKey = 'k'): BatchCall =>
    call(tool, args, { cacheKey });

  it('run once, the others have its result from the cache', async () => {
    const it = bench(5);
    const calls = [keyed('a', { x: 1, y: 2 }), keyed('a', { y: 2, x: 1 }), keyed('a', { x: 1, y: 2 })];
    const { results, totals } = await finish(it.clock, it.run(calls));
    expect(it.begun).toEqual(['a']);
    expect(results.map(({ fromCache, attempts }) => [fromCache, attempts])).toEqual([
      [false, 1],
      [true, 0],
      [true, 0],
    ]);
    expect(totals).toMatchObject({ ok: 3, fromCache: 2 });
  });

  it('share nothing with another tool, other arguments, another key, another service, or none', async () => {
    const it = bench(10);
    const calls = [
      keyed('a'),
      keyed('b'),
      keyed('a', { x: 1 }),
      keyed('a', {}, 'other'),
      call('a', {}, { cacheKey: 'k', service: 's' }),
      call('a'),
      call('a'),
      keyed('a', { n: 2 ** 60 }),
      keyed('a', { n: 2 ** 60 }),
    ];
    const { totals } = await finish(it.clock, it.run(calls));
    expect([it.begun.length, totals.fromCache]).toEqual([calls.length, 0]);
  });

  it.each(['tool_error', 'failed', 'unknown'] as const)('share no %s: an equal one runs again', async (as) => {
    const it = bench(5);
    const { totals } = await finish(it.clock, it.run([keyed('a', { as }), keyed('a', { as })]));
    expect([it.begun.length, totals[as]]).toEqual([2, 2]);
  });

  it('of which the first fails do not run after stopOnError', async () => {
    const it = bench(5);
    const calls = [keyed('a', { as: 'failed' }), keyed('a', { as: 'failed' }), keyed('a', { as: 'failed' })];
    const { results } = await finish(it.clock, it.run(calls, { stopOnError: true }));
    expect(it.begun).toEqual(['a']);
    expect(results.map(({ status }) => status)).toEqual(['failed', 'not_sent', 'not_sent']);
  });

  it('of which the first is cut off by the deadline do not run after it', async () => {
    const it = bench(5);
    const calls = [keyed('a', { as: 'unknown', ms: 20 }), keyed('a', { as: 'unknown', ms: 20 })];
    const { results } = await finish(it.clock, it.run(calls, { timeoutMs: 10 }));
    expect(it.begun).toEqual(['a']);
    expect(results.map(({ status }) => status)).toEqual(['unknown', 'not_sent']);
  });
});

describe('entries as they finish', () => {
  it('are told once each, with their index, and a listener that throws ends the batch', async () => {
    const it = bench(3);
    const told: number[] = [];
    await finish(
      it.clock,
      it.run(
        [30, 10, 20].map((ms, i) => call(`t${i}`, { ms })),
        { onResult: ({ index }) => told.push(index) },
      ),
    );
    expect(told).toEqual([1, 2, 0]);

    const other = bench(1);
    const broken = new Error('disk full');
    const { results } = await finish(
      other.clock,
      other.run(
        ['a', 'b', 'c'].map((tool) => call(tool)),
        {
          onResult: () => {
            throw broken;
          },
        },
      ),
    );
    expect(results.map(({ status }) => status)).toEqual(['ok', 'not_sent', 'not_sent']);
    expect(results[1]!.error).toMatchObject({
      code: 'CANCELLED',
      message: 'onResult failed: disk full',
      cause: broken,
    });
  });

  it('come out of a stream in the order in which they finish, each once', async () => {
    const it = bench(3);
    const seen: number[] = [];
    const reading = (async () => {
      for await (const { index } of batchStream(
        [30, 10, 20, 5].map((ms, i) => call(`t${i}`, { ms })),
        {},
        it.parts,
      ))
        seen.push(index);
    })();
    await finish(it.clock, reading);
    expect(seen).toEqual([1, 3, 2, 0]);
  });

  it('stop when the stream is left: nothing more begins and what runs is cancelled', async () => {
    const it = bench(2);
    const reading = (async () => {
      for await (const { index } of batchStream(
        ['a', 'b', 'c', 'd'].map((tool, i) => call(tool, { ms: 10 + i * 50 })),
        {},
        it.parts,
      ))
        return index;
      return -1;
    })();
    expect(await finish(it.clock, reading)).toBe(0);
    expect(it.begun).toEqual(['a', 'b', 'c']);
    await it.clock.advance(1_000);
    expect([it.begun.length, it.clock.timers]).toEqual([3, 0]);
  });

  it('begin when somebody reads, not before', async () => {
    const it = bench();
    const stream = batchStream([call('a')], {}, it.parts);
    await settle();
    expect(it.begun).toEqual([]);
    await stream.return();
    expect(it.begun).toEqual([]);
  });
});

describe('a batch of a store', () => {
  async function open(): Promise<{ clock: FakeClock; server: FakeServer; store: MCPStore }> {
    const clock = new FakeClock();
    const server = new FakeServer(
      {
        fast: { delayMs: 10 },
        slow: { delayMs: 1_000 },
        fails: { run: () => ({ ...text('no such file'), isError: true }) },
        broken: {
          run: () => {
            throw new RpcFault(-32603, 'broken');
          },
        },
        ignores: { run: () => text('whatever') },
        dies: {
          run: ({ hangUp }) => {
            hangUp();
            return text('never heard');
          },
        },
      },
      clock,
    );
    const store = await openStore({ s: server }, clock, {});
    const listed = store.listTools();
    await clock.advance(1_000);
    await listed;
    return { clock, server, store };
  }

  it('says of each entry what became of it', async () => {
    const { clock, store } = await open();
    const loop: Record<string, unknown> = {};
    loop['self'] = loop;
    const calls = [
      call('s__fast'),
      call('fails'),
      call('s__broken'),
      call('s__nothing'),
      call('s__ignores', loop, { cacheKey: 'k' }),
      null as never,
      { tool: 5 } as never,
      { tool: 's__fast', arguments: [] } as never,
      { tool: 's__fast', argument: {} } as never,
      call('fast', {}, { service: 'nobody' }),
    ];
    const { results, totals } = await finish(clock, store.batchCall(calls));
    expect(results.map(({ status, error }) => [status, error?.code])).toEqual([
      ['ok', undefined],
      ['tool_error', undefined],
      ['failed', 'RPC_ERROR'],
      ['not_sent', 'TOOL_UNKNOWN'],
      ['not_sent', 'ARGUMENTS_INVALID'],
      ['not_sent', 'OPTION_INVALID'],
      ['not_sent', 'OPTION_INVALID'],
      ['not_sent', 'ARGUMENTS_INVALID'],
      ['not_sent', 'OPTION_INVALID'],
      ['not_sent', 'SERVICE_UNKNOWN'],
    ]);
    for (const { status, error } of results) if (status === 'not_sent') expect(error!.executed).toBe('no');
    expect(results[2]!.error).toMatchObject({ executed: 'yes', attempts: 1, message: 's__broken: broken' });
    expect(results[0]).toMatchObject({ durationMs: 10, attempts: 1, fromCache: false });
    expect(totals).toMatchObject({ calls: 10, ok: 1, tool_error: 1, failed: 1, not_sent: 7 });
    await store.close();
  });

  it('says unknown where a call was sent and its connection lost, with its attempts', async () => {
    const { clock, store } = await open();
    const { results } = await finish(clock, store.batchCall([call('s__dies')]));
    expect(results[0]).toMatchObject({
      status: 'unknown',
      attempts: 1,
      error: { code: 'OUTCOME_UNKNOWN', attempts: 1 },
    });
    await store.close();
  });

  it('at its deadline: sent is unknown, in line is not sent, and the message has the batch’s own time', async () => {
    const { clock, server, store } = await open();
    const batch = store.batchCall([call('s__slow'), call('s__slow'), call('s__fast')], {
      timeoutMs: 100,
      concurrency: 2,
    });
    const { results, durationMs } = await finish(clock, batch, 500);
    expect(results.map(({ status, error }) => [status, error?.code])).toEqual([
      ['unknown', 'TIMEOUT'],
      ['unknown', 'TIMEOUT'],
      ['not_sent', 'TIMEOUT'],
    ]);
    expect(results[0]!.error!.message).toBe('s__slow: timed out after 100 ms, waiting for the answer');
    expect(durationMs).toBeLessThan(110);
    expect([server.cancelled, server.running]).toEqual([2, 0]);
    await store.close();
  });

  it('keeps its deadline also while a list has to be asked for', async () => {
    const clock = new FakeClock();
    const server = new FakeServer({ fast: {} }, clock);
    server.answers.list = false;
    const store = await openStore({ s: server }, clock);
    const batch = store.batchCall([call('s__fast'), call('fast')], { timeoutMs: 100 });
    const { results } = await finish(clock, batch, 500);
    expect(results.map(({ status }) => status)).toEqual(['not_sent', 'not_sent']);
    await store.close({ drainMs: 0 });
  });

  it('after an abort leaves nothing running, here or at the server', async () => {
    const { clock, server, store } = await open();
    const controller = new AbortController();
    const calls = Array.from({ length: 50 }, () => call('s__slow'));
    const seen = watch(store.batchCall(calls, { signal: controller.signal, concurrency: 10 }));
    await clock.advance(100);
    expect(server.running).toBe(10);
    controller.abort();
    await settle();
    expect(seen.value!.totals).toMatchObject({ unknown: 10, not_sent: 40 });
    expect([server.running, server.cancelled]).toEqual([0, 10]);
    await clock.advance(10_000);
    expect(server.called).toHaveLength(10);
    expect(store.listServices()[0]!.calls).toEqual({ running: 0, waiting: 0 });
    await store.close();
    expect(clock.timers).toBe(0);
  });

  it('shares a keyed call across batches while the result cache is on', async () => {
    const clock = new FakeClock();
    const server = new FakeServer({ fast: {} }, clock);
    const store = await openStore({ s: server }, clock, { performance: { resultCache: { enabled: true } } });
    const keyed = call('s__fast', { a: 1 }, { cacheKey: 'k' });
    for (const fromCache of [0, 2])
      expect((await finish(clock, store.batchCall([keyed, keyed]))).totals.fromCache).toBe(fromCache || 1);
    expect(server.called).toHaveLength(1);
    await store.close();
  });

  it('refuses bad options before anything runs', async () => {
    const { server, store } = await open();
    for (const [calls, options, path] of [
      ['x', {}, 'calls'],
      [[], { concurrency: 0 }, 'concurrency'],
      [[], { timeoutMs: -1 }, 'timeoutMs'],
      [[], { callTimeoutMs: '5' }, 'callTimeoutMs'],
      [[], { concurency: 5 }, 'concurency'],
      [[], { stopOnError: 'yes' }, 'stopOnError'],
      [[], { signal: {} }, 'signal'],
      [[], { onResult: 5 }, 'onResult'],
      [[], { cache: 'sometimes' }, 'cache'],
    ] as const)
      expect(await failure(store.batchCall(calls as never, options as never))).toMatchObject({
        code: 'OPTION_INVALID',
        message: expect.stringContaining(`${path}: `),
      });
    expect(server.called).toEqual([]);
    await store.close();
    // Closed or not, it resolves: each call says itself that it was not sent.
    expect(await store.batchCall([])).toMatchObject({ results: [] });
  });
});
