/** Knows how the connections of one endpoint have to be lent, waited for, grown, closed and counted. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Connection } from '../../src/connection/connection.js';
import { Pool } from '../../src/endpoint/pool.js';
import { FakeClock, failure, settle, watch } from '../support/fake-clock.js';

interface Fake {
  id: number;
  capacity: number;
  closeIdle: () => number;
  inFlight: number;
  used: number;
  closed: boolean;
  lastUsedAt: number;
  sockets: { open: number; idle: number; opened: number; failed: number } | undefined;
  onClose: ((reason: Error) => void) | undefined;
  close(): Promise<void>;
  /** It ends by itself. */
  die(reason?: Error): void;
}

interface Bench {
  clock: FakeClock;
  pool: Pool;
  all: Fake[];
  /** Opens that are under way, oldest first. */
  opens: { resolve(): Fake; reject(error: Error): void }[];
  lost: { left: number; reason: Error }[];
  emptied: number;
  take(): Fake | undefined;
  wait(forMs?: number, signal?: AbortSignal): Promise<Fake>;
  release(connection: Fake): void;
  /** Opens one connection as an endpoint does. */
  start(): Promise<Fake>;
}

function bench(options: { min?: number; max?: number; capacity?: number; maxIdleTimeMs?: number } = {}): Bench {
  const { min = 0, max = 1, capacity = 10, maxIdleTimeMs = 1_000 } = options;
  const clock = new FakeClock();
  const fake = (): Fake => {
    const connection: Fake = {
      id: bench.all.length,
      capacity,
      inFlight: 0,
      used: 0,
      closed: false,
      lastUsedAt: clock.now(),
      sockets: undefined,
      onClose: undefined,
      closeIdle: () => 0,
      close: () => {
        connection.closed = true;
        return Promise.resolve();
      },
      die: (reason = new Error('died')) => {
        connection.closed = true;
        connection.onClose?.(reason);
      },
    };
    bench.all.push(connection);
    return connection;
  };
  const pool = new Pool({
    size: { min, max },
    capacity,
    maxIdleTimeMs,
    clock,
    open: () =>
      new Promise((resolve, reject) => {
        bench.opens.push({
          resolve: () => {
            const connection = fake();
            resolve(connection as unknown as Connection);
            return connection;
          },
          reject,
        });
      }),
    onOpened: () => {},
    onLost: (_connection, reason, left) => bench.lost.push({ left, reason }),
    onEmpty: () => bench.emptied++,
  });
  const bench: Bench = {
    clock,
    pool,
    all: [],
    opens: [],
    lost: [],
    emptied: 0,
    take: () => pool.take() as unknown as Fake | undefined,
    wait: (forMs = 30_000, signal) =>
      pool.wait({ deadline: clock.now() + forMs, signal }, forMs) as unknown as Promise<Fake>,
    release: (connection) => pool.release(connection as unknown as Connection, clock.now()),
    start: async () => {
      const adding = pool.add();
      bench.opens.shift()!.resolve();
      return (await adding) as unknown as Fake;
    },
  };
  return bench;
}

describe('lending', () => {
  it('lends the connection with the fewest calls in flight', async () => {
    const { take, release, start } = bench({ max: 3 });
    const [a, b, c] = [await start(), await start(), await start()];
    expect([take(), take(), take()].map((got) => got!.id).sort()).toEqual([a.id, b.id, c.id]);
    take();
    take();
    release(b);
    release(b);
    expect(take()).toBe(b);
  });

  it('lends none beyond its capacity', async () => {
    const { take, start } = bench({ capacity: 2 });
    const a = await start();
    expect([take(), take(), take()]).toEqual([a, a, undefined]);
    expect(a.inFlight).toBe(2);
  });

  it('gives a slot that comes free to the oldest waiter', async () => {
    const { take, wait, release, start } = bench({ capacity: 1 });
    const a = await start();
    take();
    const order: number[] = [];
    for (const n of [1, 2, 3])
      void wait().then((connection) => {
        order.push(n);
        return connection;
      });
    for (const expected of [[1], [1, 2], [1, 2, 3]]) {
      release(a);
      await settle();
      expect(order).toEqual(expected);
      // Nobody who comes now gets past those that wait.
      expect(take()).toBeUndefined();
    }
  });

  it('counts what was created, reused, failed and timed out', async () => {
    const { clock, pool, take, release, start, opens, wait } = bench({ capacity: 1, max: 2 });
    const a = await start();
    take();
    release(a);
    take();
    const late = failure(wait(50));
    opens.shift()!.reject(new Error('refused'));
    await clock.advance(50);
    await late;
    expect(pool.stats()).toEqual({
      created: 1,
      reused: 1,
      failed: 1,
      open: 1,
      opening: 0,
      idle: 0,
      inFlight: 1,
      waiting: 0,
      timeouts: 1,
      max: 2,
    });
  });
});

describe('waiting', () => {
  it('ends at the deadline with the figures and the last failed connect as cause', async () => {
    const { clock, take, wait, start, opens } = bench({ capacity: 10, max: 4 });
    for (let i = 0; i < 3; i++) await start();
    for (let i = 0; i < 30; i++) take();
    // Growing for the next one fails, and later succeeds: then the failure is history.
    const waits = [failure(wait())];
    const refused = new Error('connection refused');
    opens.shift()!.reject(refused);
    await settle();
    for (let i = 0; i < 5; i++) void wait(60_000).catch(() => {});
    await clock.advance(30_000);
    expect(await waits[0]).toMatchObject({
      code: 'TIMEOUT',
      executed: 'no',
      cause: refused,
      message: 'no connection within 30000 ms (max 4, open 3, in flight 30, waiting 5)',
      figures: { max: 4, open: 3, inFlight: 30, waiting: 5, timeoutMs: 30_000 },
    });
  });

  it('names no failure that a later connect made history', async () => {
    const { clock, take, wait, start, opens } = bench({ capacity: 1, max: 2 });
    await start();
    take();
    const served = watch(wait());
    opens.shift()!.reject(new Error('connection refused'));
    await clock.advance(2_000);
    void wait(60_000).catch(() => {});
    opens.shift()!.resolve();
    await settle();
    expect(served.value).toBeDefined();
    const late = failure(wait(1_000));
    await clock.advance(1_000);
    expect((await late).cause).toBeUndefined();
  });

  it('says so in exactly these words', async () => {
    const { clock, take, wait, start } = bench({ capacity: 10, max: 4 });
    for (let i = 0; i < 4; i++) await start();
    for (let i = 0; i < 40; i++) take();
    const first = failure(wait());
    for (let i = 0; i < 12; i++) void wait(60_000).catch(() => {});
    await clock.advance(30_000);
    const error = await first;
    expect(error.message).toBe('no connection within 30000 ms (max 4, open 4, in flight 40, waiting 12)');
    expect(error.cause).toBeUndefined();
  });

  it('ends at once when the caller aborts, and leaves the slot to the next', async () => {
    const { clock, pool, take, wait, release, start } = bench({ capacity: 1, min: 1 });
    const a = await start();
    take();
    const controller = new AbortController();
    const gone = failure(wait(1_000, controller.signal));
    const stays = watch(wait(1_000));
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await gone).toMatchObject({ code: 'CANCELLED', executed: 'no', cause: reason });
    release(a);
    await settle();
    expect(stays.value).toBe(a);
    expect([pool.stats().waiting, clock.timers]).toEqual([0, 0]);
  });

  it('ends all with an error each when it is refused', async () => {
    const { pool, wait, start, take } = bench({ capacity: 1 });
    await start();
    take();
    const errors = [failure(wait()), failure(wait())];
    pool.refuse(() => new Error('stopped'));
    const [a, b] = await Promise.all(errors);
    expect(a!.message).toBe('stopped');
    expect(a).not.toBe(b);
  });
});

describe('opening', () => {
  it('serves a hundred first calls with one connection that has room for them', async () => {
    const { pool, opens, wait } = bench({ capacity: 128, max: 10 });
    void pool.add();
    const waits = Array.from({ length: 100 }, () => wait());
    expect(opens).toHaveLength(1);
    opens[0]!.resolve();
    const got = new Set(await Promise.all(waits));
    expect(got.size).toBe(1);
    expect(pool.stats()).toMatchObject({ created: 1, reused: 99, inFlight: 100, waiting: 0 });
  });

  it('opens none by itself while its endpoint opens none: when to start is the endpoint’s to say', async () => {
    const { pool, opens, wait } = bench({ capacity: 1, max: 4 });
    const waits = [watch(wait()), watch(wait())];
    await settle();
    expect(opens).toHaveLength(0);
    void pool.add();
    opens[0]!.resolve();
    await settle();
    expect(waits[0]!.settled).toBe(true);
  });

  it('opens as many at once as a spike can fill, never more than the maximum', async () => {
    const { pool, opens, wait } = bench({ capacity: 1, max: 10 });
    void pool.add();
    const waits = Array.from({ length: 50 }, () => watch(wait()));
    expect(opens).toHaveLength(10);
    for (const open of opens) open.resolve();
    await settle();
    expect(opens).toHaveLength(10);
    expect(pool.stats()).toMatchObject({ open: 10, inFlight: 10, waiting: 40, created: 10 });
    expect(waits.filter(({ settled }) => settled)).toHaveLength(10);
  });

  it('opens only what those that wait can fill', () => {
    const { pool, opens, wait } = bench({ capacity: 4, max: 10 });
    void pool.add();
    for (let i = 0; i < 9; i++) void wait();
    expect(opens).toHaveLength(3);
  });

  it('opens one more behind where all are busy, and lends meanwhile', async () => {
    const { take, opens, start, pool } = bench({ capacity: 10, max: 3 });
    const a = await start();
    expect(take()).toBe(a);
    expect(opens).toHaveLength(0);
    expect(take()).toBe(a);
    expect(opens).toHaveLength(1);
    expect(take()).toBe(a);
    expect(opens).toHaveLength(1);
    opens[0]!.resolve();
    await settle();
    expect(take()).not.toBe(a);
    expect(pool.stats()).toMatchObject({ open: 2, inFlight: 4 });
  });

  it('pauses for a second after growing failed, and goes on with what is open', async () => {
    const { clock, take, opens, start } = bench({ capacity: 10, max: 3 });
    const a = await start();
    take();
    take();
    opens.shift()!.reject(new Error('no more'));
    await settle();
    for (let i = 0; i < 3; i++) expect(take()).toBe(a);
    expect(opens).toHaveLength(0);
    await clock.advance(999);
    take();
    expect(opens).toHaveLength(0);
    await clock.advance(1);
    take();
    expect(opens).toHaveLength(1);
  });

  it('closes a connection that comes open after it was closed, or that ended while it was opened', async () => {
    const { pool, opens, all } = bench();
    const late = failure(pool.add());
    await pool.close();
    opens.shift()!.resolve();
    expect(await late).toMatchObject({ code: 'CONNECT_FAILED', figures: { retryable: false } });
    expect(all[0]!.closed).toBe(true);
    const other = bench();
    const ended = failure(other.pool.add());
    other.opens.shift()!.resolve().closed = true;
    expect(await ended).toMatchObject({ code: 'CONNECT_FAILED', figures: { retryable: true } });
    expect(other.pool.size).toBe(0);
  });
});

describe('closing', () => {
  it('closes what is idle down to the minimum, the longest unused first, never one in use', async () => {
    const { clock, pool, all, take, release, start } = bench({ min: 1, max: 4, maxIdleTimeMs: 1_000 });
    for (let i = 0; i < 4; i++) await start();
    const used = [take()!, take()!, take()!, take()!];
    await clock.advance(100);
    for (const connection of used.slice(1)) {
      release(connection);
      await clock.advance(10);
    }
    await clock.advance(5_000);
    // One is in use and counts for the minimum; the idle ones are all gone.
    expect(all.map(({ closed }) => closed)).toEqual(all.map((connection) => connection !== used[0]));
    expect(pool.stats()).toMatchObject({ open: 1, inFlight: 1 });
    release(used[0]!);
    await clock.advance(5_000);
    expect(used[0]!.closed).toBe(false);
    expect(clock.timers).toBe(0);
  });

  it('keeps the most recently used ones', async () => {
    const { clock, all, take, release, start } = bench({ min: 2, max: 3, maxIdleTimeMs: 1_000 });
    for (let i = 0; i < 3; i++) await start();
    const [a, b, c] = [take()!, take()!, take()!];
    for (const connection of [b, a, c]) {
      release(connection);
      await clock.advance(10);
    }
    await clock.advance(2_000);
    expect(all.filter(({ closed }) => closed)).toEqual([b]);
  });

  it('tells that it is empty when the last one was idle for long enough, not before', async () => {
    const it = bench({ min: 0, maxIdleTimeMs: 1_000 });
    const a = await it.start();
    it.take();
    it.release(a);
    await it.clock.advance(600);
    it.take();
    it.release(a);
    await it.clock.advance(999);
    expect([a.closed, it.emptied]).toEqual([false, 0]);
    await it.clock.advance(11);
    expect([a.closed, it.emptied, it.pool.size]).toEqual([true, 1, 0]);
    expect(it.clock.timers).toBe(0);
  });

  it('closes one that was opened for a spike and came too late to be used', async () => {
    const it = bench({ min: 1, max: 2, maxIdleTimeMs: 1_000 });
    const a = await it.start();
    it.take();
    it.take();
    it.release(a);
    it.release(a);
    const b = it.opens.shift()!.resolve();
    await it.clock.advance(1_100);
    expect([a.closed, b.closed].filter(Boolean)).toHaveLength(1);
  });

  it('closes idle ones on demand, and tells how many', async () => {
    const { clock, pool, take, start } = bench({ min: 1, max: 4 });
    for (let i = 0; i < 4; i++) await start();
    take();
    await clock.advance(10);
    expect(pool.closeIdle(20)).toBe(0);
    expect(pool.closeIdle(10)).toBe(3);
    expect(pool.size).toBe(1);
  });

  it('closes everything at once when it is closed', async () => {
    const { clock, pool, take, start, all } = bench({ max: 2 });
    await start();
    await start();
    take();
    await pool.close();
    expect(all.every(({ closed }) => closed)).toBe(true);
    expect([pool.size, clock.timers]).toEqual([0, 0]);
  });
});

describe('losing', () => {
  it('tells each loss with how many are left, and lends the others', async () => {
    const { pool, take, start, lost } = bench({ max: 2 });
    const [a, b] = [await start(), await start()];
    const reason = new Error('exited');
    a.die(reason);
    expect(lost).toEqual([{ left: 1, reason }]);
    expect(take()).toBe(b);
    b.die();
    expect(lost[1]!.left).toBe(0);
    expect([take(), pool.size]).toEqual([undefined, 0]);
  });

  it('takes back a call of a lost connection without giving its slot to anybody', async () => {
    const { pool, take, release, wait, start } = bench({ capacity: 1, max: 1 });
    const a = await start();
    take();
    const waiting = watch(wait());
    a.die();
    release(a);
    await settle();
    expect(waiting.settled).toBe(false);
    const b = await start();
    await settle();
    expect(waiting.value).toBe(b);
    expect(pool.inFlight).toBe(1);
  });

  it('adds the figures of sockets over connections that come and go', async () => {
    const { pool, start } = bench({ capacity: 10 });
    const a = await start();
    a.sockets = { open: 2, idle: 1, opened: 5, failed: 1 };
    expect(pool.stats()).toMatchObject({ created: 5, failed: 1, open: 2, idle: 1, max: 10 });
    a.die();
    expect(pool.stats()).toMatchObject({ created: 5, failed: 1, open: 0, idle: 0 });
    const b = await start();
    b.sockets = { open: 1, idle: 0, opened: 1, failed: 0 };
    expect(pool.stats()).toMatchObject({ created: 6, failed: 1, open: 1 });
  });
});

it('keeps its promises over any sequence of takes, waits, releases, losses and time', async () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.constant('call' as const) },
    { weight: 4, arbitrary: fc.constant('end' as const) },
    { weight: 2, arbitrary: fc.constant('open' as const) },
    { weight: 1, arbitrary: fc.constant('refuse' as const) },
    { weight: 1, arbitrary: fc.constant('die' as const) },
    { weight: 1, arbitrary: fc.constant('abort' as const) },
    { weight: 2, arbitrary: fc.constant('time' as const) },
  );
  const plan = fc.array(fc.tuple(step, fc.nat(20)), { maxLength: 80, size: 'max' });
  await fc.assert(
    fc.asyncProperty(
      plan,
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 4 }),
      async (steps, capacity, max) => {
        const { clock, pool, opens, all, take, wait, release } = bench({ capacity, max, maxIdleTimeMs: 50 });
        const held: Fake[] = [];
        const controllers: AbortController[] = [];
        let asked = 0;
        let ended = 0;
        let waited = 0;
        const open = (): void => void pool.add().catch(() => {});
        open();
        for (const [what, n] of steps) {
          if (what === 'call') {
            asked++;
            const got = take();
            if (got) held.push(got);
            else {
              const controller = new AbortController();
              controllers.push(controller);
              waited++;
              wait(100, controller.signal).then(
                (connection) => {
                  waited--;
                  held.push(connection);
                },
                () => {
                  waited--;
                  ended++;
                },
              );
            }
          } else if (what === 'end' && held.length > 0) {
            release(held.splice(n % held.length, 1)[0]!);
            ended++;
          } else if (what === 'open') opens.shift()?.resolve();
          else if (what === 'refuse') opens.shift()?.reject(new Error('refused'));
          else if (what === 'die' && all.length > 0) all[n % all.length]!.die();
          else if (what === 'abort') controllers[n % Math.max(controllers.length, 1)]?.abort();
          else if (what === 'time') clock.jump(n * 5);
          await settle(1);
          if (pool.size + pool.stats().opening === 0) open();
          const stats = pool.stats();
          expect(stats.open + stats.opening).toBeLessThanOrEqual(max);
          for (const connection of all) {
            expect(connection.inFlight).toBeGreaterThanOrEqual(0);
            expect(connection.inFlight).toBeLessThanOrEqual(capacity);
          }
          // Nobody waits while there is room.
          if (stats.waiting > 0) expect(stats.inFlight).toBe(stats.open * capacity);
          expect(stats.waiting).toBe(waited);
          expect(asked).toBe(ended + waited + held.length);
        }
      },
    ),
    { seed: 61, numRuns: 200 },
  );
});
