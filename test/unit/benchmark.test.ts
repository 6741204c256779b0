/** Knows what a benchmark of a store measures and leaves out: warm-up, the result cache, failures, and its own options. */

import { describe, expect, it } from 'vitest';
import { type MCPStore, PerformanceBenchmark } from '../../src/index.js';
import { FakeClock, failure } from '../support/fake-clock.js';
import { FakeServer, openStore, text } from '../support/fake-server.js';
import { drive, fakeTime } from '../support/fake-time.js';

async function bench(options: Parameters<typeof openStore>[2] = {}) {
  const clock = new FakeClock();
  const server = new FakeServer(
    {
      read: { annotations: { readOnlyHint: true }, delayMs: 10 },
      fails: { run: () => ({ isError: true, ...text('no') }) },
    },
    clock,
  );
  const store = await openStore({ s: server }, clock, options);
  await drive(clock, store.listTools());
  const benchmark = new PerformanceBenchmark(store, fakeTime(clock));
  const run = (...args: Parameters<PerformanceBenchmark['run']>) => drive(clock, benchmark.run(...args));
  return { clock, server, store, benchmark, run };
}

describe('a run', () => {
  it('has the figures of its calls, and keeps them', async () => {
    const { server, store, benchmark, run } = await bench();
    const result = await run('reading', () => store.callTool('s__read'), { iterations: 20, warmup: 4, concurrency: 2 });
    expect(result).toMatchObject({
      ...{ name: 'reading', iterations: 20, errors: 0, toolErrors: 0, successRate: 1, warmup: 4, concurrency: 2 },
      ...{ meanMs: 10, minMs: 10, maxMs: 10, p50Ms: 10, p95Ms: 10, p99Ms: 10, callsPerSecond: 200, durationMs: 100 },
    });
    expect(server.called).toHaveLength(24);
    expect(server.mostRunning).toBe(2);
    const other = await run('failing', () => store.callTool('s__fails'), { iterations: 3, warmup: 0 });
    expect(benchmark.results).toEqual([result, other]);
    let printed = '';
    benchmark.print((part) => {
      printed += part;
    });
    expect(printed).toMatch(/^reading \(closed loop, 2 at a time[\s\S]*\nfailing \(/);
    await store.close();
  });

  it('keeps what happens while it warms up out of every figure', async () => {
    const { clock, store, run } = await bench();
    let calls = 0;
    const seen: number[] = [];
    const work = async (iteration: number): Promise<void> => {
      seen.push(iteration);
      if (++calls === 1) throw new Error('not ready yet');
      await new Promise<void>((resolve) => void clock.after(calls <= 5 ? 500 : 2, resolve));
    };
    const result = await run('x', work, { iterations: 10, warmup: 5 });
    expect(result).toMatchObject({ iterations: 10, maxMs: 2, errors: 0, durationMs: 20 });
    expect(seen).toEqual([0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await store.close();
  });

  it('counts errors and results with isError apart', async () => {
    const { store, run } = await bench();
    const tools = ['s__fails', 's__nope', 's__read', 's__read'];
    const work = (i: number) => store.callTool(tools[i % 4]!);
    const result = await run('x', work, { iterations: 8, warmup: 0 });
    expect(result).toMatchObject({ iterations: 8, errors: 2, toolErrors: 2, successRate: 0.5, minMs: 10, maxMs: 10 });
    expect(result.errorCodes).toEqual({ TOOL_UNKNOWN: 2 });
    await store.close();
  });

  it('goes on for a time in place of a number', async () => {
    const { store, run } = await bench();
    const result = await run('x', () => store.callTool('s__read'), { durationMs: 95, warmup: 0 });
    expect(result).toMatchObject({ iterations: 10, durationMs: 100 });
    await store.close();
  });

  it('begins calls at a rate, for a number or for a time', async () => {
    const { server, store, run } = await bench();
    const work = () => store.callTool('s__read');
    const counted = await run('x', work, { ratePerSecond: 200, iterations: 11, warmup: 0 });
    expect(counted).toMatchObject({ iterations: 11, ratePerSecond: 200, durationMs: 60, p99Ms: 10 });
    expect(counted.concurrency).toBeUndefined();
    expect(server.mostRunning).toBeGreaterThanOrEqual(2);
    const timed = await run('x', work, { ratePerSecond: 200, durationMs: 100, warmup: 0 });
    expect(timed.iterations).toBe(20);
    await store.close();
  });

  it('ends when its signal says so', async () => {
    const { clock, benchmark, store, run } = await bench();
    const controller = new AbortController();
    clock.after(50, () => controller.abort('enough'));
    const work = () => new Promise(() => {});
    const error = await failure(run('x', work, { signal: controller.signal }));
    expect(error).toMatchObject({ code: 'CANCELLED', cause: 'enough' });
    expect(await failure(run('x', work, { signal: controller.signal }))).toMatchObject({ code: 'CANCELLED' });
    expect(benchmark.results).toEqual([]);
    await store.close();
  });
});

describe('the result cache', () => {
  const performance = { resultCache: { enabled: true } };

  it('answers no call of a run, and has what it had afterwards', async () => {
    const { clock, server, store, run } = await bench({ performance, own: { s: { resultCache: { enabled: true } } } });
    await drive(clock, store.callTool('s__read'));
    // Equal calls under way would otherwise run once, too.
    const result = await run('x', () => store.callTool('s__read'), { iterations: 20, concurrency: 4, warmup: 2 });
    expect(server.called).toHaveLength(1 + 22);
    expect(result.minMs).toBe(10);
    expect(store.stats().cache).toMatchObject({ entries: 1, hits: 0, joined: 0 });
    await drive(clock, store.callTool('s__read'));
    expect(store.stats().cache.hits).toBe(1);
    await store.close();
  });

  it('is measured where that is asked for', async () => {
    const { server, store, run } = await bench({ performance });
    const result = await run('x', () => store.callTool('s__read'), { iterations: 20, warmup: 1, cache: true });
    expect(server.called).toHaveLength(1);
    expect(result.maxMs).toBe(0);
    await store.close();
  });

  it('is out of the way until the last of several runs has ended, however it ends', async () => {
    const { clock, server, store, benchmark } = await bench({ performance });
    const read = () => store.callTool('s__read');
    const controller = new AbortController();
    const cut = benchmark.run('a', () => new Promise(() => {}), { signal: controller.signal });
    const whole = benchmark.run('b', read, { iterations: 5, warmup: 0 });
    controller.abort();
    await failure(cut);
    await drive(clock, whole);
    expect(server.called).toHaveLength(5);
    await drive(clock, read());
    await drive(clock, read());
    expect(server.called).toHaveLength(6);
    await store.close();
  });
});

describe('options', () => {
  it('come from performance.benchmark, also as it is changed, and a run has the last word', async () => {
    const { store, run } = await bench({ performance: { benchmark: { iterations: 4, warmup: 0, concurrency: 2 } } });
    expect(store.effectiveOptions.benchmark).toEqual({ iterations: 4, warmup: 0, concurrency: 2 });
    const work = () => store.callTool('s__read');
    expect(await run('x', work)).toMatchObject({ iterations: 4, warmup: 0, concurrency: 2, durationMs: 20 });
    store.configure({ benchmark: { iterations: 6 } });
    expect(store.optionSources['benchmark.iterations']).toBe('code');
    expect(await run('x', work)).toMatchObject({ iterations: 6, concurrency: 2 });
    const given = { warmup: 1, concurrency: 1, iterations: undefined as never };
    expect(await run('x', work, given)).toMatchObject({ iterations: 6, warmup: 1, concurrency: 1 });
    await store.close();
  });

  it('are 100 calls, 10 before, one at a time, where nobody says anything', async () => {
    const { server, store, run } = await bench();
    const work = () => store.callTool('s__read');
    expect(await run('x', work)).toMatchObject({ iterations: 100, warmup: 10, concurrency: 1 });
    expect(server.called).toHaveLength(110);
    await store.close();
  });

  it.each([
    [{ iteration: 5 }, 'iteration', 'unknown option'],
    [{ iterations: 0 }, 'iterations', 'at least 1, got 0'],
    [{ iterations: 1.5 }, 'iterations', 'got 1.5'],
    [{ warmup: -1 }, 'warmup', 'at least 0, got -1'],
    [{ concurrency: 0 }, 'concurrency', 'at least 1'],
    [{ durationMs: 0 }, 'durationMs', 'above 0'],
    [{ ratePerSecond: 0 }, 'ratePerSecond', 'above 0'],
    [{ ratePerSecond: Number.POSITIVE_INFINITY }, 'ratePerSecond', 'a number of calls a second'],
    [{ cache: 'no' }, 'cache', 'true or false'],
    [{ signal: 5 }, 'signal', 'an AbortSignal'],
    [{ durationMs: 5, iterations: 5 }, 'durationMs', 'does not go with iterations'],
    [{ ratePerSecond: 5, concurrency: 5 }, 'ratePerSecond', 'does not go with concurrency'],
    [5, 'options', 'expected an object'],
  ])('%j is refused, and nothing is called', async (options, path, message) => {
    const { server, store, run } = await bench();
    const error = await failure(run('x', () => store.callTool('s__read'), options as never));
    expect(error).toMatchObject({ code: 'OPTION_INVALID', figures: { path } });
    expect(error.message.startsWith(`${path}: `)).toBe(true);
    expect(error.message).toContain(message);
    expect(server.called).toEqual([]);
    await store.close();
  });

  it('that are no store, no name, no function, are refused', async () => {
    const { store, benchmark } = await bench();
    const refused = { code: 'OPTION_INVALID' };
    expect(() => new PerformanceBenchmark({} as MCPStore)).toThrow(expect.objectContaining(refused));
    expect(await failure(benchmark.run(5 as never, () => {}))).toMatchObject({ ...refused, figures: { path: 'name' } });
    expect(await failure(benchmark.run('x', 5 as never))).toMatchObject({ ...refused, figures: { path: 'fn' } });
    expect(() => benchmark.print(5 as never)).toThrow(expect.objectContaining(refused));
    await store.close();
  });
});
