/** Knows that an object has one owner at a time, that there are never more than allowed, and that none keeps its last use. */

import { expect, it } from 'vitest';
import { ObjectPool } from '../../src/index.js';
import { failure } from '../support/fake-clock.js';

interface Slot {
  held?: object | undefined;
}

const slots = (maxSize = 2): ObjectPool<Slot> =>
  new ObjectPool<Slot>(() => ({}), {
    maxSize,
    reset: (slot) => {
      slot.held = undefined;
    },
  });

function thrown(work: () => unknown): Error & Record<string, unknown> {
  try {
    work();
  } catch (error) {
    return error as Error & Record<string, unknown>;
  }
  throw new Error('it was accepted');
}

it('lends an object again after it came back, and counts that', () => {
  const pool = slots();
  expect(pool.stats).toEqual({ size: 0, active: 0, maxSize: 2, created: 0, reused: 0, reuseRate: 0 });
  const first = pool.acquire();
  expect(pool.stats).toMatchObject({ size: 0, active: 1, created: 1 });
  pool.release(first);
  expect(pool.stats).toMatchObject({ size: 1, active: 0 });
  expect(pool.acquire()).toBe(first);
  pool.release(first);
  expect(pool.acquire()).toBe(first);
  expect(pool.stats).toEqual({ size: 0, active: 1, maxSize: 2, created: 1, reused: 2, reuseRate: 2 / 3 });
});

it('holds 100 objects unless told otherwise', () => {
  expect(new ObjectPool(() => ({})).stats.maxSize).toBe(100);
});

it('refuses one more than maxSize with the figures, and lends again when one is back', () => {
  const pool = slots(2);
  const [a, b] = [pool.acquire(), pool.acquire()];
  expect(a).not.toBe(b);
  expect(thrown(() => pool.acquire())).toMatchObject({
    code: 'LIMIT_EXCEEDED',
    executed: 'no',
    figures: { active: 2, maxSize: 2 },
    hint: expect.stringContaining('maxSize'),
  });
  expect(pool.stats).toMatchObject({ active: 2, created: 2 });
  pool.release(b);
  expect(pool.acquire()).toBe(b);
});

it('gives an object one owner: a second release, and one of another’s object, is an error', () => {
  const pool = slots();
  const object = pool.acquire();
  pool.release(object);
  expect(thrown(() => pool.release(object))).toMatchObject({ code: 'OPTION_INVALID', figures: { path: 'object' } });
  expect(thrown(() => pool.release({}))).toMatchObject({ code: 'OPTION_INVALID' });
  expect(pool.stats).toMatchObject({ size: 1, active: 0 });
  expect(pool.acquire()).not.toBe(pool.acquire());
});

it('empties an object when it comes back, not when it is lent again', () => {
  const pool = slots();
  const object = pool.acquire();
  object.held = { big: true };
  pool.release(object);
  expect(object.held).toBeUndefined();
});

it('drops an object that cannot be emptied', () => {
  const pool = new ObjectPool<Slot>(() => ({}), {
    reset: () => {
      throw new Error('stuck');
    },
  });
  const object = pool.acquire();
  expect(() => pool.release(object)).toThrow('stuck');
  expect(pool.stats).toMatchObject({ size: 0, active: 0 });
  expect(pool.acquire()).not.toBe(object);
});

it('never has more than maxSize, also where emptying one lends another', () => {
  const pool: ObjectPool<Slot> = new ObjectPool<Slot>(() => ({}), { maxSize: 1, reset: () => void pool.acquire() });
  pool.release(pool.acquire());
  expect(pool.stats).toMatchObject({ size: 0, active: 1 });
});

it('takes an object back after use, whatever happens', async () => {
  const pool = slots();
  expect(pool.use((slot) => (slot.held === undefined ? pool.stats.active : 0))).toBe(1);
  expect(() =>
    pool.use(() => {
      throw new Error('sync');
    }),
  ).toThrow('sync');
  let finish!: (value: number) => void;
  const using = pool.use(() => new Promise<number>((resolve) => (finish = resolve)));
  expect(pool.stats.active).toBe(1);
  finish(7);
  expect(await using).toBe(7);
  expect((await failure(pool.use(() => Promise.reject(new Error('async'))))).message).toBe('async');
  expect(pool.stats).toMatchObject({ size: 1, active: 0, created: 1, reused: 3 });
});

it('drops what waits on clear; what is lent comes back', () => {
  const pool = slots();
  const [a, b] = [pool.acquire(), pool.acquire()];
  pool.release(a);
  expect(pool.clear()).toBe(1);
  expect(pool.clear()).toBe(0);
  pool.release(b);
  expect(pool.stats).toMatchObject({ size: 1, active: 0 });
  expect(pool.acquire()).toBe(b);
});

it('refuses what it cannot work with', () => {
  const bad: [unknown[], string][] = [
    [[5], 'create'],
    [[() => ({}), 5], 'options'],
    [[() => ({}), { maxSize: 0 }], 'maxSize'],
    [[() => ({}), { maxSize: 1.5 }], 'maxSize'],
    [[() => ({}), { reset: 5 }], 'reset'],
    [[() => ({}), { max: 5 }], 'max'],
  ];
  for (const [args, path] of bad)
    expect(thrown(() => new ObjectPool(...(args as [() => object])))).toMatchObject({
      code: 'OPTION_INVALID',
      figures: { path },
    });
  const one = {};
  const same = new ObjectPool(() => one);
  same.acquire();
  expect(thrown(() => same.acquire())).toMatchObject({ code: 'OPTION_INVALID', figures: { path: 'create' } });
  expect(same.stats).toMatchObject({ active: 1, created: 1 });
  expect(thrown(() => new ObjectPool(() => 5 as never).acquire())).toMatchObject({ code: 'OPTION_INVALID' });
  expect(thrown(() => same.use(5 as never))).toMatchObject({ code: 'OPTION_INVALID', figures: { path: 'fn' } });
});
