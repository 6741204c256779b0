/** Knows which connections are asked whether they live, how often, and after how many silences one is ended. */

import { describe, expect, it } from 'vitest';
import type { Connection } from '../../src/connection/connection.js';
import { Supervisor } from '../../src/endpoint/supervise.js';
import { FakeClock } from '../support/fake-clock.js';

interface Fake {
  inFlight: number;
  used: number;
  closed: boolean;
  lastUsedAt: number;
  pings: number;
  lives: boolean;
  ended: string | undefined;
  whilePinged: (() => void) | undefined;
}

interface Bench {
  clock: FakeClock;
  supervisor: Supervisor;
  add(): Fake;
  all: Fake[];
  /** What it told, in order. */
  told: ('missed' | 'alive')[];
}

function bench(intervalMs = 1_000): Bench {
  const clock = new FakeClock();
  const all: Fake[] = [];
  const told: Bench['told'] = [];
  const supervisor = new Supervisor({
    clock,
    intervalMs,
    timeoutMs: 100,
    connections: () => all.filter(({ closed }) => !closed) as unknown as Connection[],
    onMiss: () => told.push('missed'),
    onAlive: () => told.push('alive'),
  });
  const add = (): Fake => {
    const fake = {
      inFlight: 0,
      used: 0,
      closed: false,
      lastUsedAt: clock.now(),
      pings: 0,
      lives: true,
      ended: undefined as string | undefined,
      whilePinged: undefined as (() => void) | undefined,
      ping: async (timeoutMs: number) => {
        fake.pings++;
        fake.whilePinged?.();
        if (!fake.lives) {
          await new Promise<void>((resolve) => clock.after(timeoutMs, resolve));
          throw new Error('silent');
        }
      },
      end: (reason: Error) => {
        fake.closed = true;
        fake.ended = reason.message;
        return Promise.resolve();
      },
    };
    all.push(fake);
    supervisor.watch();
    return fake;
  };
  return { clock, supervisor, add, all, told };
}

describe('health checks', () => {
  it('ask what is idle, once an interval', async () => {
    const { clock, add } = bench();
    const idle = add();
    await clock.advance(999);
    expect(idle.pings).toBe(0);
    await clock.advance(3_001);
    expect(idle.pings).toBe(4);
  });

  it('leave alone what is busy or was used just now: traffic is proof enough', async () => {
    const { clock, add } = bench();
    const busy = add();
    busy.inFlight = 1;
    const recent = add();
    for (let i = 0; i < 5; i++) {
      recent.lastUsedAt = clock.now();
      await clock.advance(999);
    }
    expect([busy.pings, recent.pings]).toEqual([0, 0]);
  });

  it('end a connection after three silences in a row, not before', async () => {
    const { clock, add } = bench();
    const fake = add();
    fake.lives = false;
    await clock.advance(2_500);
    expect([fake.pings, fake.ended]).toEqual([2, undefined]);
    await clock.advance(1_500);
    expect([fake.pings, fake.ended]).toEqual([3, 'no answer to 3 health checks']);
  });

  it('begin to count anew after an answer', async () => {
    const { clock, add } = bench();
    const fake = add();
    for (let i = 0; i < 3; i++) {
      fake.lives = false;
      await clock.advance(2_200);
      fake.lives = true;
      await clock.advance(1_100);
    }
    expect(fake.ended).toBeUndefined();
    expect(fake.pings).toBeGreaterThan(6);
  });

  it('count no silence of a connection that was used meanwhile', async () => {
    const { clock, add } = bench();
    const fake = add();
    fake.lives = false;
    fake.whilePinged = () => fake.used++;
    await clock.advance(10_000);
    expect(fake.pings).toBeGreaterThan(5);
    expect(fake.ended).toBeUndefined();
  });

  it('do not wait for one silent connection to ask another', async () => {
    const { clock, add } = bench();
    const [silent, lively] = [add(), add()];
    silent.lives = false;
    await clock.advance(1_000);
    expect([silent.pings, lively.pings]).toEqual([1, 1]);
  });

  it('stop when there is nothing to ask, when told to, and never begin with an interval of 0', async () => {
    const { clock, add, all, supervisor } = bench();
    add();
    all[0]!.closed = true;
    await clock.advance(2_000);
    expect(clock.timers).toBe(0);
    const next = add();
    expect(clock.timers).toBe(1);
    supervisor.stop();
    await clock.advance(5_000);
    supervisor.watch();
    expect([next.pings, clock.timers]).toEqual([0, 0]);
    const off = bench(0);
    off.add();
    expect(off.clock.timers).toBe(0);
  });
});
