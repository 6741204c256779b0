/** Knows how a line of waiters has to behave: the oldest first, each with its own end, nothing left behind. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../src/_util/clock.js';
import { WaitQueue } from '../../src/_util/wait-queue.js';
import { FakeClock, failure, settle, watch } from '../support/fake-clock.js';

const refuse = (why: string): Error => new Error(why);

describe('a line of waiters', () => {
  it('serves the oldest first', async () => {
    const clock = new FakeClock();
    const line = new WaitQueue<number>(clock);
    const limits = { deadline: Number.POSITIVE_INFINITY, signal: undefined };
    const waits = [line.wait(limits, refuse), line.wait(limits, refuse), line.wait(limits, refuse)];
    for (const value of [1, 2, 3]) expect(line.give(value)).toBe(true);
    expect(await Promise.all(waits)).toEqual([1, 2, 3]);
    expect(line.give(4)).toBe(false);
    expect(clock.timers).toBe(0);
  });

  it('ends each wait at its own deadline, and only that one', async () => {
    const clock = new FakeClock();
    const line = new WaitQueue<number>(clock);
    const short = watch(line.wait({ deadline: clock.now() + 10, signal: undefined }, refuse));
    const long = watch(line.wait({ deadline: clock.now() + 20, signal: undefined }, refuse));
    await clock.advance(9);
    expect(short.settled).toBe(false);
    await clock.advance(1);
    expect(short.error).toEqual(new Error('timeout'));
    expect([long.settled, line.size]).toEqual([false, 1]);
    line.give(7);
    await settle();
    expect(long.value).toBe(7);
    expect(clock.timers).toBe(0);
  });

  it('looks again where a timer rang too early, as those over 2^31 ms do', async () => {
    const clock = new FakeClock();
    const line = new WaitQueue<number>(clock);
    const cut = Object.assign(Object.create(clock) as FakeClock, {
      now: () => clock.now(),
      after: (ms: number, fn: () => void) => clock.after(Math.min(ms, 1_000), fn),
    });
    const seen = watch(new WaitQueue<number>(cut).wait({ deadline: clock.now() + 2_500, signal: undefined }, refuse));
    await clock.advance(2_499);
    expect(seen.settled).toBe(false);
    await clock.advance(1);
    expect(seen.error).toEqual(new Error('timeout'));
    expect(line.size).toBe(0);
  });

  it('refuses at once where the signal is aborted already, without taking a place', async () => {
    const clock = new FakeClock();
    const line = new WaitQueue<number>(clock);
    const error = await failure(line.wait({ deadline: clock.now() + 10, signal: AbortSignal.abort() }, refuse));
    expect(error.message).toBe('cancelled');
    expect([line.size, clock.timers]).toEqual([0, 0]);
  });

  it('lets one go that is aborted, from any place in the line', async () => {
    for (const place of [0, 1, 2]) {
      const clock = new FakeClock();
      const line = new WaitQueue<number>(clock);
      const controllers = [0, 1, 2].map(() => new AbortController());
      const seen = controllers.map(({ signal }) => watch(line.wait({ deadline: clock.now() + 10, signal }, refuse)));
      controllers[place]!.abort();
      expect(line.size).toBe(2);
      line.give(1);
      line.give(2);
      await settle();
      const others = seen.filter((_, i) => i !== place);
      expect(others.map(({ value }) => value)).toEqual([1, 2]);
      expect(seen[place]!.error).toEqual(new Error('cancelled'));
      expect([line.size, clock.timers]).toEqual([0, 0]);
    }
  });

  it('fails all, each with an error of its own', async () => {
    const clock = new FakeClock();
    const line = new WaitQueue<number>(clock);
    const limits = { deadline: clock.now() + 10, signal: undefined };
    const waits = [failure(line.wait(limits, refuse)), failure(line.wait(limits, refuse))];
    line.failAll(() => new Error('closed'));
    const [a, b] = await Promise.all(waits);
    expect([a!.message, b!.message]).toEqual(['closed', 'closed']);
    expect(a).not.toBe(b);
    expect([line.size, clock.timers]).toEqual([0, 0]);
  });

  it('keeps the process alive while somebody waits, also where a timer ends before the deadline', async () => {
    // Only timers that keep a process alive are told here.
    const alive = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const kept: boolean[] = [];
    let line: WaitQueue<number>;
    const waiting = new Promise<number>((resolve, reject) => {
      // Timers have an upper bound, so a long wait takes several.
      const bounded: Clock = {
        ...systemClock,
        after: (ms, fn, keepAlive) => {
          const before = alive();
          const timer = systemClock.after(Math.min(ms, 2), fn, keepAlive);
          if (kept.push(alive() > before) === 3) line.give(1);
          return timer;
        },
      };
      line = new WaitQueue(bounded);
      line.wait({ deadline: bounded.now() + 60_000, signal: undefined }, refuse).then(resolve, reject);
    });
    expect(await waiting).toBe(1);
    expect(kept).toEqual([true, true, true]);
  });

  it('behaves as a plain list of waiters does, whatever is given, aborted or late', async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 50 }) }),
      fc.record({ do: fc.constant('give' as const) }),
      fc.record({ do: fc.constant('abort' as const), which: fc.nat(20) }),
      fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 20 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
        const clock = new FakeClock();
        const line = new WaitQueue<number>(clock);
        const model: { id: number; deadline: number; controller: AbortController }[] = [];
        const expected = new Map<number, string>();
        const actual = new Map<number, string>();
        let ids = 0;
        let given = 0;
        for (const it of steps) {
          if (it.do === 'wait') {
            const waiter = { id: ids++, deadline: clock.now() + it.ms, controller: new AbortController() };
            model.push(waiter);
            line.wait({ deadline: waiter.deadline, signal: waiter.controller.signal }, refuse).then(
              (value) => actual.set(waiter.id, `got ${value}`),
              (error: Error) => actual.set(waiter.id, error.message),
            );
          } else if (it.do === 'give') {
            const first = model.shift();
            expect(line.give(given)).toBe(first !== undefined);
            if (first) expected.set(first.id, `got ${given}`);
            given++;
          } else if (it.do === 'abort') {
            const [gone] = model.splice(Math.min(it.which, model.length), 1);
            gone?.controller.abort();
            if (gone) expected.set(gone.id, 'cancelled');
          } else {
            clock.jump(it.ms);
            for (const late of model.filter(({ deadline }) => deadline <= clock.now())) {
              expected.set(late.id, 'timeout');
              model.splice(model.indexOf(late), 1);
            }
          }
          expect([line.size, clock.timers]).toEqual([model.length, Math.min(model.length, 1)]);
        }
        await Promise.resolve();
        await Promise.resolve();
        expect(actual).toEqual(expected);
      }),
      { seed: 11, numRuns: 300 },
    );
  });
});
