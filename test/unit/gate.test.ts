/** Knows how a gate has to let things begin: so many at a time, in turn, and a slow one holds its place 2 s at most. */

import { describe, expect, it } from 'vitest';
import { Gate } from '../../src/_util/gate.js';
import { FakeClock, failure, settle } from '../support/fake-clock.js';

function door(places: number): {
  clock: FakeClock;
  begun: number[];
  enter(id: number): Promise<number>;
  end(id: number, error?: Error): void;
} {
  const clock = new FakeClock();
  const gate = new Gate(places, clock);
  const begun: number[] = [];
  const ends = new Map<number, { resolve(value: number): void; reject(error: Error): void }>();
  return {
    clock,
    begun,
    enter: (id) =>
      gate.run(() => {
        begun.push(id);
        return new Promise((resolve, reject) => ends.set(id, { resolve, reject }));
      }),
    end: (id, error) => (error ? ends.get(id)!.reject(error) : ends.get(id)!.resolve(id)),
  };
}

describe('a gate', () => {
  it('lets so many begin, then the next in turn as each ends', async () => {
    const { clock, begun, enter, end } = door(2);
    const runs = [1, 2, 3, 4].map(enter);
    await settle();
    expect(begun).toEqual([1, 2]);
    end(2);
    await settle();
    expect(begun).toEqual([1, 2, 3]);
    end(1);
    await settle();
    expect(begun).toEqual([1, 2, 3, 4]);
    end(3);
    end(4);
    expect(await Promise.all(runs)).toEqual([1, 2, 3, 4]);
    expect(clock.timers).toBe(0);
  });

  it('F34: holds a place for 2 s at most, so that what hangs keeps nobody from starting', async () => {
    const { clock, begun, enter, end } = door(1);
    const first = enter(1);
    void enter(2);
    void enter(3);
    await clock.advance(1_999);
    expect(begun).toEqual([1]);
    await clock.advance(1);
    expect(begun).toEqual([1, 2]);
    // The place was given on already: its late end opens no second one.
    end(1);
    await first;
    await settle();
    expect(begun).toEqual([1, 2]);
    end(2);
    await settle();
    expect(begun).toEqual([1, 2, 3]);
  });

  it('gives the place back where what began fails, and passes the failure on', async () => {
    const { begun, enter, end } = door(1);
    const first = failure(enter(1));
    void enter(2);
    end(1, new Error('no'));
    expect((await first).message).toBe('no');
    await settle();
    expect(begun).toEqual([1, 2]);
  });

  it('has all places again after a rush', async () => {
    const { begun, enter, end, clock } = door(3);
    const runs = Array.from({ length: 50 }, (_, id) => enter(id));
    for (let id = 0; id < 50; id++) {
      await settle(1);
      end(id);
    }
    await Promise.all(runs);
    for (const id of [100, 101, 102, 103]) void enter(id);
    await settle();
    expect(begun.slice(50)).toEqual([100, 101, 102]);
    expect(clock.timers).toBe(3);
  });
});
