/** Knows what the result cache has to share, store, drop and keep apart, and that equal misses run once. */

import { describe, expect, it } from 'vitest';
import { type CacheMode, type Call, NewRecord } from '../../src/call.js';
import { StoreError } from '../../src/errors.js';
import { ResultCache } from '../../src/service/cache.js';
import { cachePrefix } from '../../src/service/cache-keys.js';
import { fakeCall } from '../support/fake-call.js';
import { FakeClock, failure, settle, watch } from '../support/fake-clock.js';

const TTL = 10_000;
type Result = Record<string, unknown>;

interface Ask {
  service?: string;
  tool?: string;
  scope?: string;
  args?: unknown;
  cache?: CacheMode;
  cacheable?: boolean;
  readOnly?: boolean;
  forMs?: number;
  signal?: AbortSignal;
  meta?: Result;
}

function shelf(options: { maxEntries?: number; maxBytes?: number } = {}): {
  clock: FakeClock;
  cache: ResultCache;
  /** Executions, newest last: how each ends is the test's. */
  runs: { call: Call; resolve(result?: Result): Promise<void>; reject(error: Error): Promise<void> }[];
  start(ask?: Ask): { call: Call; answer: Promise<Result> };
  /** Asks, and answers the execution where there is one. */
  ask(ask?: Ask, result?: Result): Promise<{ got: Result; how: string }>;
} {
  const clock = new FakeClock();
  clock.randoms.push(...new Array<number>(1_000).fill(0.5));
  const cache = new ResultCache({ maxEntries: 100, maxBytes: 1 << 20, ...options }, clock);
  const runs: ReturnType<typeof shelf>['runs'] = [];
  const handle = cache.around(
    (call) =>
      new Promise((resolve, reject) => {
        runs.push({
          call,
          resolve: (result = { content: [], n: runs.length }) => {
            resolve(result);
            return settle(1);
          },
          reject: (error) => {
            reject(error);
            return settle(1);
          },
        });
      }),
    TTL,
  );
  const start: ReturnType<typeof shelf>['start'] = (ask = {}) => {
    const { service = 'files', tool = 'read', scope = '', args = { path: 'a' }, forMs, meta } = ask;
    const call = fakeCall(clock, {
      params: { name: tool, arguments: args, ...(meta && { _meta: meta }) },
      cache: ask.cache,
      cacheable: ask.cacheable ?? true,
      readOnly: ask.readOnly ?? true,
      signal: ask.signal,
      cachePrefix: cachePrefix(scope, service, 'revision', tool, 'definition'),
      record: new NewRecord(scope, service, tool, clock.now()),
      ...(forMs !== undefined && { forMs }),
    });
    return { call, answer: handle(call) };
  };
  return {
    clock,
    cache,
    runs,
    start,
    ask: async (what, result) => {
      const before = runs.length;
      const { call, answer } = start(what);
      if (runs.length > before) await runs.at(-1)!.resolve(result);
      return { got: await answer, how: call.record.cache };
    },
  };
}

describe('trim', () => {
  it('drops the least used until so many bytes are left; a call under way is stored all the same', async () => {
    const { ask, start, runs, cache } = shelf();
    for (const path of ['a', 'b', 'c', 'd']) await ask({ args: { path } });
    expect((await ask({ args: { path: 'a' } })).how).toBe('hit');
    const { bytes } = cache.stats();
    const late = start({ args: { path: 'late' } });
    expect(cache.trim(bytes / 2)).toEqual({ entries: 2, bytes: bytes / 2 });
    expect(cache.stats()).toMatchObject({ entries: 2, bytes: bytes / 2, evictions: 2 });
    expect(cache.trim(bytes)).toEqual({ entries: 0, bytes: 0 });
    await runs.at(-1)!.resolve();
    await late.answer;
    for (const path of ['a', 'd', 'late']) expect((await ask({ args: { path } })).how).toBe('hit');
    expect(cache.trim(0).entries).toBe(3);
    expect(cache.stats()).toMatchObject({ entries: 0, bytes: 0 });
  });
});

describe('what is shared', () => {
  it('gives an equal call the stored result, and another call its own', async () => {
    const { ask, cache, runs } = shelf();
    const first = await ask();
    const second = await ask();
    const other = await ask({ args: { path: 'b' } });
    expect([first.how, second.how, other.how]).toEqual(['miss', 'hit', 'miss']);
    expect(second.got).toBe(first.got);
    expect(other.got).not.toBe(first.got);
    expect(runs).toHaveLength(2);
    expect(cache.stats()).toMatchObject({ hits: 1, misses: 2, joined: 0, entries: 2, evictions: 0 });
  });

  it.each([
    ['the same arguments in another order', { args: { b: 2, a: 1 } }, { args: { a: 1, b: 2 } }, 'hit'],
    [
      'nested, in another order',
      { args: { x: { b: 2, a: [1, { d: 1, c: 2 }] } } },
      { args: { x: { a: [1, { c: 2, d: 1 }], b: 2 } } },
      'hit',
    ],
    ['a text and a number', { args: { n: '1' } }, { args: { n: 1 } }, 'miss'],
    ['the order of a list', { args: { l: [1, 2] } }, { args: { l: [2, 1] } }, 'miss'],
    ['null and nothing', { args: { a: null } }, { args: {} }, 'miss'],
    ['true and "true"', { args: { a: true } }, { args: { a: 'true' } }, 'miss'],
    [
      'A5: tool a with argument b, and tool ab',
      { tool: 'a', args: { b: '' } },
      { tool: 'ab', args: { '': '' } },
      'miss',
    ],
    ['A5: service and tool cut elsewhere', { service: 'ab', tool: 'c' }, { service: 'a', tool: 'bc' }, 'miss'],
    ['A5: two agents', { scope: 'one' }, { scope: 'two' }, 'miss'],
    ['A5: the store and an agent', {}, { scope: 'one' }, 'miss'],
    ['two services', { service: 'files' }, { service: 'other' }, 'miss'],
    ['a caller’s key beside none', {}, { cache: { key: 'k' } }, 'miss'],
    ['two keys', { cache: { key: 'a' } }, { cache: { key: 'b' } }, 'miss'],
    ['a key that looks like the end of a prefix', { cache: { key: '' } }, {}, 'miss'],
    [
      'one key, two arguments',
      { args: { n: 1 }, cache: { key: 'k' } },
      { args: { n: 2 }, cache: { key: 'k' } },
      'miss',
    ],
    ['A5: one key, two agents', { scope: 'one', cache: { key: 'k' } }, { scope: 'two', cache: { key: 'k' } }, 'miss'],
  ] as [string, Ask, Ask, string][])('%s', async (_what, first, second, how) => {
    const { ask } = shelf();
    await ask(first);
    expect((await ask(second)).how).toBe(how);
    expect((await ask(first)).how).toBe('hit');
  });

  it.each([
    ['2^53 + 1', { n: 2 ** 53 + 2 }],
    ['a large number deep inside', { a: { b: [1, { c: -(2 ** 60) }] } }],
    ['1e300', { n: 1e300 }],
    ['a bigint', { n: 1n }],
  ])('A5: never a call with %s, which may differ on the wire', async (_what, args) => {
    const { ask, cache, runs } = shelf();
    expect((await ask({ args })).how).toBe('off');
    expect((await ask({ args })).how).toBe('off');
    expect([runs.length, cache.stats().entries]).toEqual([2, 0]);
  });

  it('A9: arguments that cannot be a key (a loop, a hundred thousand levels) pass by', async () => {
    const loop: Result = {};
    loop['self'] = loop;
    let deep: unknown = 1;
    for (let i = 0; i < 100_000; i++) deep = [deep];
    for (const args of [loop, { deep }]) {
      const { ask } = shelf();
      expect((await ask({ args })).how).toBe('off');
    }
  });

  it('never a call with _meta, a tool that is not cacheable, or one that says bypass', async () => {
    const { ask, cache } = shelf();
    await ask();
    expect((await ask({ meta: { trace: 1 } })).how).toBe('off');
    expect((await ask({ cacheable: false })).how).toBe('off');
    expect((await ask({ cache: 'bypass' })).how).toBe('off');
    expect(cache.stats()).toMatchObject({ entries: 1, hits: 0 });
  });

  it('never a call whose service or definition is not known yet', async () => {
    const clock = new FakeClock();
    const cache = new ResultCache({ maxEntries: 10, maxBytes: 1 << 20 }, clock);
    const handle = cache.around(() => Promise.resolve({ content: [] }), TTL);
    for (let i = 0; i < 2; i++) {
      const call = fakeCall(clock, { cacheable: true, readOnly: true, cachePrefix: '' });
      await handle(call);
      expect(call.record.cache).toBe('off');
    }
    expect(cache.stats()).toMatchObject({ entries: 0, hits: 0 });
  });

  it('opts a call in that brings a key of its own', async () => {
    const { ask } = shelf();
    const own: Ask = { cacheable: false, cache: { key: 'mine' } };
    expect((await ask(own)).how).toBe('miss');
    expect((await ask(own)).how).toBe('hit');
  });

  it('asks again with refresh, and stores that', async () => {
    const { ask } = shelf();
    await ask({}, { content: [], n: 1 });
    const fresh = await ask({ cache: 'refresh' }, { content: [], n: 2 });
    expect([fresh.how, fresh.got['n']]).toEqual(['miss', 2]);
    expect(await ask()).toMatchObject({ how: 'hit', got: { n: 2 } });
  });
});

describe('what is stored', () => {
  it('never an error result: the next call asks again', async () => {
    const { ask, cache } = shelf();
    await ask({}, { content: [], isError: true });
    expect(cache.stats().entries).toBe(0);
    expect((await ask()).how).toBe('miss');
  });

  it('no result over 1 MiB, which is passed on all the same', async () => {
    const { ask, cache } = shelf({ maxBytes: 1 << 30 });
    const large = { content: [{ type: 'text', text: 'x'.repeat(1024 * 1024) }] };
    expect((await ask({}, large)).got).toBe(large);
    expect(cache.stats().entries).toBe(0);
    const text = 'x'.repeat(1024 * 1024 - JSON.stringify({ t: '' }).length);
    await ask({}, { t: text });
    expect(cache.stats()).toMatchObject({ entries: 1, bytes: 1024 * 1024 });
  });

  it('no more than maxEntries; the least recently used goes', async () => {
    const { ask, cache } = shelf({ maxEntries: 3 });
    for (const n of [1, 2, 3]) await ask({ args: { n } });
    await ask({ args: { n: 1 } });
    await ask({ args: { n: 4 } });
    expect(cache.stats()).toMatchObject({ entries: 3, evictions: 1 });
    const hows = [];
    for (const n of [1, 3, 4]) hows.push((await ask({ args: { n } })).how);
    expect(hows).toEqual(['hit', 'hit', 'hit']);
    expect((await ask({ args: { n: 2 } })).how).toBe('miss');
  });

  it('no more than maxBytes, counted as UTF-8 JSON', async () => {
    const result = { t: 'ä'.repeat(100) };
    const bytes = Buffer.byteLength(JSON.stringify(result));
    const { ask, cache } = shelf({ maxBytes: 3 * bytes });
    for (const n of [1, 2, 3, 4, 5]) await ask({ args: { n } }, { ...result });
    expect(cache.stats()).toMatchObject({ entries: 3, bytes: 3 * bytes, evictions: 2 });
  });

  it('frozen to the last leaf, on a miss as on a hit', async () => {
    const { ask } = shelf();
    const made = (): Result => ({ content: [{ type: 'text', text: 'a' }], structuredContent: { list: [{ n: 1 }] } });
    for (const { got } of [await ask({}, made()), await ask()]) {
      expect(() => {
        (got['content'] as { text: string }[])[0]!.text = 'changed';
      }).toThrow(TypeError);
      expect(() => (got['structuredContent'] as { list: unknown[] }).list.push(1)).toThrow(TypeError);
      expect(got).toEqual(made());
    }
    // Who does not use the cache keeps a result of its own.
    expect(Object.isFrozen((await ask({ cache: 'bypass' }, made())).got)).toBe(false);
  });

  it.each([
    [0, 0.9],
    [0.5, 1],
    [0.999, 1.0998],
  ])('for its ttl ± 10 %% (random %f)', async (random, share) => {
    const { ask, clock } = shelf();
    clock.randoms[0] = random;
    await ask();
    await clock.advance(TTL * share - 1);
    expect((await ask()).how).toBe('hit');
    await clock.advance(3);
    expect((await ask()).how).toBe('miss');
  });

  it('for the ttl that the call brings', async () => {
    const { ask, clock } = shelf();
    await ask({ cache: { ttlMs: 100 } });
    await clock.advance(99);
    expect((await ask()).how).toBe('hit');
    await clock.advance(2);
    expect((await ask()).how).toBe('miss');
  });
});

describe('F35: equal calls at a time', () => {
  it('run once, however many there are', async () => {
    const { start, runs, cache } = shelf();
    const asked = Array.from({ length: 1_000 }, () => start());
    expect(runs).toHaveLength(1);
    await runs[0]!.resolve();
    const results = await Promise.all(asked.map(({ answer }) => answer));
    expect(new Set(results).size).toBe(1);
    expect(asked.map(({ call }) => call.record.cache)).toEqual(['miss', ...new Array<string>(999).fill('joined')]);
    expect(cache.stats()).toMatchObject({ misses: 1, joined: 999, hits: 0 });
  });

  it('share an error result, and no failure: the next in line runs in its place', async () => {
    const { start, runs } = shelf();
    const [first, second, third] = [start(), start(), start()];
    const failed = failure(first!.answer);
    await runs[0]!.reject(new StoreError('OUTCOME_UNKNOWN', 'lost', { executed: 'unknown' }));
    expect(await failed).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect(runs).toHaveLength(2);
    expect(runs[1]!.call).toBe(second!.call);
    await runs[1]!.resolve({ content: [], isError: true });
    expect(await second!.answer).toMatchObject({ isError: true });
    expect(await third!.answer).toMatchObject({ isError: true });
    expect(second!.call.record.cache).toBe('miss');
    expect(third!.call.record.cache).toBe('joined');
  });

  it('pass the lead on when the leader is cancelled', async () => {
    const { start, runs, ask } = shelf();
    const [first, second] = [start(), start()];
    const gone = failure(first!.answer);
    await runs[0]!.reject(new StoreError('CANCELLED', 'cancelled by the caller'));
    await gone;
    await runs[1]!.resolve();
    await second!.answer;
    expect((await ask()).how).toBe('hit');
  });

  it('each with a deadline and a signal of its own', async () => {
    const { clock, start, runs } = shelf();
    const controller = new AbortController();
    const leader = start();
    const late = failure(start({ forMs: 100 }).answer);
    const gone = failure(start({ signal: controller.signal }).answer);
    controller.abort('enough');
    expect(await gone).toMatchObject({
      code: 'CANCELLED',
      message: 'cancelled by the caller',
      executed: 'no',
      cause: 'enough',
    });
    await clock.advance(100);
    expect(await late).toMatchObject({
      code: 'TIMEOUT',
      executed: 'no',
      message: 'timed out after 100 ms, waiting for an equal call',
      figures: { timeoutMs: 100 },
    });
    await runs[0]!.resolve();
    await leader.answer;
    expect([runs.length, clock.timers]).toEqual([1, 0]);
  });

  it('do not wait for one from before, where one wants it asked anew', async () => {
    const { start, runs } = shelf();
    start();
    start({ cache: 'refresh' });
    expect(runs).toHaveLength(2);
  });

  it('keep a result for as long as the one says whose call it became', async () => {
    const { clock, ask, start, runs } = shelf();
    const first = failure(start().answer);
    const second = start({ cache: { ttlMs: 100 } });
    await runs[0]!.reject(new Error('x'));
    await first;
    await runs[1]!.resolve();
    await second.answer;
    await clock.advance(99);
    expect((await ask()).how).toBe('hit');
    await clock.advance(2);
    expect((await ask()).how).toBe('miss');
  });

  it('do not share what depends on an answer of the caller, and each asks its own', async () => {
    const { ask, cache, start, runs } = shelf();
    const [first, second] = [start(), start()];
    runs[0]!.call.record.asked++;
    await runs[0]!.resolve({ content: [], for: 'first' });
    expect(await first.answer).toMatchObject({ for: 'first' });
    expect(runs).toHaveLength(2);
    runs[1]!.call.record.asked++;
    await runs[1]!.resolve({ content: [], for: 'second' });
    expect(await second.answer).toMatchObject({ for: 'second' });
    expect(cache.stats()).toMatchObject({ entries: 0, joined: 0 });
    expect((await ask()).how).toBe('miss');
  });

  it('nobody inherits the lead who has left', async () => {
    const { start, runs } = shelf();
    const controller = new AbortController();
    const leader = failure(start().answer);
    const gone = failure(start({ signal: controller.signal }).answer);
    controller.abort();
    await runs[0]!.reject(new Error('x'));
    await Promise.all([leader, gone]);
    expect(runs).toHaveLength(1);
    start();
    expect(runs).toHaveLength(2);
  });
});

describe('what is dropped', () => {
  it('what the filter names, and it tells how many', async () => {
    const { ask, cache } = shelf();
    const all: Ask[] = [
      { service: 'a', tool: 'x' },
      { service: 'a', tool: 'y' },
      { service: 'b', tool: 'x' },
      { service: 'b', tool: 'y', scope: 'agent' },
    ];
    const left = async (): Promise<string[]> => {
      const hows = [];
      for (const one of all) hows.push((await ask(one)).how);
      return hows;
    };
    await left();
    expect(cache.clear({ service: 'a', tool: 'x' })).toBe(1);
    expect(await left()).toEqual(['miss', 'hit', 'hit', 'hit']);
    expect(cache.clear({ service: 'b' })).toBe(2);
    expect(await left()).toEqual(['hit', 'hit', 'miss', 'miss']);
    expect(cache.clear({ tool: 'y' })).toBe(2);
    expect(await left()).toEqual(['hit', 'miss', 'hit', 'miss']);
    expect(cache.clear({ scope: 'agent' })).toBe(1);
    expect(await left()).toEqual(['hit', 'hit', 'hit', 'miss']);
    expect(cache.clear()).toBe(4);
    // What was dropped, replaced or too old did not have to make room.
    expect(cache.stats()).toMatchObject({ entries: 0, bytes: 0, evictions: 0 });
  });

  it.each([
    ['of its service', { service: 'files' }],
    ['of its tool', { tool: 'read' }],
    ['of everything', {}],
  ])('a result that was asked for before a drop %s is not stored after it, also the very first', async (_what, filter) => {
    for (const seen of [false, true]) {
      const { ask, start, runs, cache } = shelf();
      if (seen) await ask({ args: { other: 1 } });
      const { answer } = start();
      cache.clear(filter);
      await runs.at(-1)!.resolve();
      await answer;
      expect((await ask()).how).toBe('miss');
    }
  });

  it('a drop of another service leaves it alone', async () => {
    const { ask, start, runs, cache } = shelf();
    const { answer } = start();
    cache.clear({ service: 'other' });
    await runs[0]!.resolve();
    await answer;
    expect((await ask()).how).toBe('hit');
  });

  it('a call that ends after a drop leaves alone who came after the drop', async () => {
    const { start, runs, cache } = shelf();
    const before = start();
    cache.clear();
    const after = start();
    await runs[0]!.resolve();
    await before.answer;
    const joined = start();
    expect(runs).toHaveLength(2);
    await runs[1]!.resolve({ content: [], n: 'after' });
    expect(await after.answer).toMatchObject({ n: 'after' });
    expect(await joined.answer).toMatchObject({ n: 'after' });
  });

  it('a call after a drop does not join one from before it', async () => {
    const { start, runs, cache } = shelf();
    const before = start();
    const joined = start();
    cache.clear({ service: 'files' });
    const after = start();
    expect(runs).toHaveLength(2);
    await runs[1]!.resolve({ content: [], n: 'after' });
    await runs[0]!.resolve({ content: [], n: 'before' });
    expect(await after.answer).toMatchObject({ n: 'after' });
    expect(await before.answer).toMatchObject({ n: 'before' });
    expect(await joined.answer).toMatchObject({ n: 'before' });
  });

  const write: Ask = { tool: 'write', cacheable: false, readOnly: false };

  it('the results of a service when a tool of it that may write has run', async () => {
    const { ask, cache } = shelf();
    await ask();
    await ask({ service: 'other' });
    await ask(write);
    expect((await ask({ service: 'other' })).how).toBe('hit');
    expect((await ask()).how).toBe('miss');
    expect(cache.stats().entries).toBe(2);
  });

  it('also when nobody knows whether it ran, not when it surely did not', async () => {
    for (const [executed, how] of [
      ['unknown', 'miss'],
      ['yes', 'miss'],
      ['no', 'hit'],
    ] as const) {
      const { ask, start, runs } = shelf();
      await ask();
      const failed = failure(start(write).answer);
      await runs.at(-1)!.reject(new StoreError('OUTCOME_UNKNOWN', 'x', { executed }));
      await failed;
      expect((await ask()).how).toBe(how);
    }
  });

  it('and a read that was under way while it ran is not stored', async () => {
    const { ask, start, runs } = shelf();
    const read = start();
    await ask(write);
    await runs[0]!.resolve();
    await read.answer;
    expect((await ask()).how).toBe('miss');
  });

  it('but a read that passes by the cache drops nothing', async () => {
    const { ask } = shelf();
    await ask();
    await ask({ cacheable: false, args: { other: 1 } });
    await ask({ cache: 'bypass' });
    expect((await ask()).how).toBe('hit');
  });
});

it('F33: keeps no flight, waiter or timer after any end', async () => {
  const { clock, start, runs } = shelf();
  const ended: Promise<unknown>[] = [];
  for (let i = 0; i < 2_000; i++) {
    const controller = new AbortController();
    const { answer } = start({ args: { n: i % 7 }, signal: controller.signal, forMs: 1 + (i % 13) });
    ended.push(watchEnd(answer));
    if (i % 3 === 0) controller.abort();
    const run = runs.shift();
    if (i % 5 === 0) await run?.reject(new Error('x'));
    else await run?.resolve({ content: [], isError: i % 2 === 0 });
    if (i % 11 === 0) await clock.advance(1);
  }
  while (runs.length > 0) await runs.shift()!.resolve();
  await clock.advance(100);
  while (runs.length > 0) await runs.shift()!.resolve();
  await Promise.all(ended);
  expect(clock.timers).toBe(0);
  // Each key can be asked again at once: no dead flight holds it.
  for (let n = 0; n < 7; n++) start({ args: { n, again: true } });
  expect(runs).toHaveLength(7);
});

it('goes with a call that may change something, also where that call is cached by a key of its own', async () => {
  const { cache, ask, start, runs } = shelf();
  const write = { tool: 'write', cacheable: false, readOnly: false, cache: { key: 'w' } };
  await ask({}, { content: [], n: 'old' });
  await ask(write);
  expect(cache.stats().entries).toBe(1);
  expect((await ask({}, { content: [], n: 'new' })).how).toBe('miss');
  // An unknown outcome may have changed it as well.
  const { answer } = start({ ...write, cache: { key: 'v' } });
  const failed = failure(answer);
  await runs.at(-1)!.reject(new StoreError('OUTCOME_UNKNOWN', 'lost', { executed: 'unknown' }));
  await failed;
  expect(cache.stats().entries).toBe(0);
});

it('A9: a result that is nested a hundred thousand levels deep is passed on, and not kept', async () => {
  const { ask, cache } = shelf();
  let deep: Result = {};
  for (let i = 0; i < 100_000; i++) deep = { deep };
  expect((await ask({}, deep)).got).toBe(deep);
  expect(cache.stats().entries).toBe(0);
});

function watchEnd(promise: Promise<unknown>): Promise<void> {
  watch(promise);
  return promise.then(
    () => {},
    () => {},
  );
}
