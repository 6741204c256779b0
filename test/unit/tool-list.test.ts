/** Knows when one service's list is fetched, how often at most, and what is told when it changes. */

import { describe, expect, it } from 'vitest';
import { RememberedLists } from '../../src/catalog/remembered.js';
import { StoreError } from '../../src/errors.js';
import { ToolList } from '../../src/service/tool-list.js';
import { FakeClock, failure, settle, watch } from '../support/fake-clock.js';

type Items = Record<string, unknown>[];
const tool = (name: string, more: object = {}): Record<string, unknown> => ({
  name,
  inputSchema: { type: 'object' },
  ...more,
});

function bench(): {
  clock: FakeClock;
  list: ToolList;
  fetches: { resolve(items: Items, ttlMs?: number): Promise<void>; reject(error: Error): Promise<void> }[];
  changes: number;
  skipped: number[];
} {
  const clock = new FakeClock();
  const it: ReturnType<typeof bench> = { clock, fetches: [], changes: 0, skipped: [], list: undefined as never };
  it.list = new ToolList({
    service: 'files',
    revision: 'r',
    own: {},
    clock,
    remembered: new RememberedLists(null),
    fetch: () =>
      new Promise((resolve, reject) =>
        it.fetches.push({
          resolve: (items, ttlMs) => {
            resolve({ items, ttlMs });
            return settle();
          },
          reject: (error) => {
            reject(error);
            return settle();
          },
        }),
      ),
    onChanged: () => it.changes++,
    onSkipped: (count) => it.skipped.push(count),
  });
  return it;
}

describe('a service’s tool list', () => {
  it('is fetched once for all who ask at the same time', async () => {
    const { list, fetches } = bench();
    const asked = [list.fetch(), list.fetch(), list.fetch()];
    expect([fetches.length, list.fetching]).toEqual([1, true]);
    await fetches[0]!.resolve([tool('read')]);
    expect(await Promise.all(asked)).toEqual(new Array(3).fill([tool('read')]));
    expect([list.fetching, list.size, list.stale]).toEqual([false, 1, false]);
    expect(list.get('read')).toEqual(tool('read'));
    expect(list.get('write')).toBeUndefined();
  });

  it('tells a change only where the list is another one', async () => {
    const it = bench();
    for (const [items, changes] of [
      [[tool('a')], 1],
      [[tool('a')], 1],
      [[tool('a', { description: 'new' })], 2],
      [[tool('a', { description: 'new' }), tool('b')], 3],
    ] as const) {
      const fetched = it.list.fetch();
      await it.fetches.at(-1)!.resolve([...items]);
      await fetched;
      expect(it.changes).toBe(changes);
    }
    expect([...it.list.names!]).toEqual(['a', 'b']);
  });

  it('leaves out what is no tool, counts it, and keeps the rest', async () => {
    const it = bench();
    void it.list.fetch();
    await it.fetches[0]!.resolve([
      tool('a'),
      {},
      { name: 5 },
      { name: '' },
      tool('a'),
      { name: 'b' },
      tool('__proto__'),
    ]);
    expect([...it.list.names!]).toEqual(['a', 'b', '__proto__']);
    expect(it.skipped).toEqual([4]);
    expect(it.list.get('b')).toEqual({ name: 'b', inputSchema: { type: 'object' } });
  });

  it('F20: a storm of changes costs one fetch, a quarter of a second later', async () => {
    const { clock, list, fetches } = bench();
    void list.fetch();
    await fetches[0]!.resolve([tool('a')]);
    for (let i = 0; i < 1_000; i++) list.changed();
    expect([list.stale, clock.timers]).toEqual([true, 1]);
    await clock.advance(249);
    expect(fetches).toHaveLength(1);
    await clock.advance(1);
    expect(fetches).toHaveLength(2);
    await fetches[1]!.resolve([tool('b')]);
    expect([[...list.names!], list.stale]).toEqual([['b'], false]);
  });

  it('F20: a change while a slow fetch is under way is fetched after it, since that one may have missed it', async () => {
    const { clock, list, fetches } = bench();
    void list.fetch();
    list.changed();
    await clock.advance(300);
    expect(fetches).toHaveLength(1);
    await fetches[0]!.resolve([tool('before')]);
    await clock.advance(300);
    expect(fetches).toHaveLength(2);
    await fetches[1]!.resolve([tool('after')]);
    expect([[...list.names!], list.stale]).toEqual([['after'], false]);
  });

  it('keeps the problem of a fetch that failed until one succeeds, and the list meanwhile', async () => {
    const { list, fetches } = bench();
    void list.fetch();
    await fetches[0]!.resolve([tool('a')]);
    const failed = failure(list.fetch());
    const error = new StoreError('CONNECT_FAILED', 'refused');
    await fetches[1]!.reject(error);
    expect(await failed).toBe(error);
    expect([list.problem, list.stale, list.size]).toEqual([error, true, 1]);
    void list.fetch();
    await fetches[2]!.resolve([tool('a')]);
    expect([list.problem, list.stale]).toEqual([undefined, false]);
    const odd = failure(list.fetch());
    await fetches[3]!.reject(new TypeError('x'));
    expect(await odd).toMatchObject({ code: 'PROTOCOL_ERROR', message: 'x' });
  });

  it('grows stale by the time that a modern server gives it', async () => {
    const { clock, list, fetches } = bench();
    void list.fetch();
    await fetches[0]!.resolve([tool('a')], 5_000);
    await clock.advance(4_999);
    expect(list.stale).toBe(false);
    await clock.advance(1);
    expect(list.stale).toBe(true);
  });

  it('fetches nothing more once it is closed', async () => {
    const { clock, list, fetches } = bench();
    list.changed();
    list.close();
    await clock.advance(1_000);
    expect([fetches.length, clock.timers]).toEqual([0, 0]);
  });

  it('is undefined while it was never seen', async () => {
    const { list } = bench();
    const known = watch(list.known());
    await settle();
    expect([known.value, list.live, list.size, list.names, list.stale]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      true,
    ]);
  });
});
