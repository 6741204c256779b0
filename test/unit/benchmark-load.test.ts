/** Knows that a closed loop keeps so many calls under way, that an open one begins them by the clock, and from when latency counts. */

import { describe, expect, it } from 'vitest';
import { closedLoop, type Ended, type LoadTime, openLoop, systemTime } from '../../src/benchmark/load.js';
import { FakeClock } from '../support/fake-clock.js';
import { drive, fakeTime } from '../support/fake-time.js';

function bench(): {
  clock: FakeClock;
  time: LoadTime;
  latencies: number[];
  ended: Ended[];
  onEnd: (latencyMs: number, ended: Ended) => void;
  /** When each call began, by the clock, from 0 on. */
  begun: number[];
  most(): number;
  /** A call that takes so long. */
  takes(ms: (iteration: number) => number): (iteration: number) => Promise<number>;
} {
  const clock = new FakeClock();
  const start = clock.now();
  const latencies: number[] = [];
  const ended: Ended[] = [];
  const begun: number[] = [];
  let underWay = 0;
  let most = 0;
  return {
    clock,
    time: fakeTime(clock),
    latencies,
    ended,
    begun,
    onEnd: (latencyMs, end) => {
      latencies.push(latencyMs);
      ended.push(end);
    },
    most: () => most,
    takes: (ms) => async (iteration) => {
      begun.push(clock.now() - start);
      most = Math.max(most, ++underWay);
      await new Promise<void>((resolve) => void clock.after(ms(iteration), resolve));
      underWay--;
      return iteration;
    },
  };
}

const FOREVER = Number.POSITIVE_INFINITY;

/**
 * A server that takes one request at a time, 1 ms each, and once does nothing for a second. Whoever asks it waits in
 * its line.
 */
function stallsOnce(clock: FakeClock, at: number): () => Promise<void> {
  const stall = clock.now() + at;
  let freeAt = clock.now();
  return () => {
    let from = Math.max(freeAt, clock.now());
    if (from >= stall && from < stall + 1_000) from = stall + 1_000;
    freeAt = from + 1;
    return new Promise((resolve) => void clock.after(freeAt - clock.now(), resolve));
  };
}

describe('a closed loop', () => {
  it('keeps as many under way as it is told, and begins the next when one has ended', async () => {
    const { clock, time, onEnd, latencies, begun, takes, most } = bench();
    const plan = { calls: 10, durationMs: FOREVER, concurrency: 2 };
    const call = takes(() => 10);
    await drive(clock, closedLoop(call, plan, time, undefined, onEnd));
    expect(latencies).toEqual(new Array(10).fill(10));
    expect(begun).toEqual([0, 0, 10, 10, 20, 20, 30, 30, 40, 40]);
    expect(most()).toBe(2);
  });

  it('begins no call when its time is over, and waits for those under way', async () => {
    const { clock, time, onEnd, latencies, begun, takes } = bench();
    const plan = { calls: FOREVER, durationMs: 25, concurrency: 1 };
    const call = takes(() => 10);
    await drive(clock, closedLoop(call, plan, time, undefined, onEnd));
    expect(begun).toEqual([0, 10, 20]);
    expect(latencies).toEqual([10, 10, 10]);
  });

  it('begins no call after its signal', async () => {
    const { clock, time, onEnd, begun, takes } = bench();
    const controller = new AbortController();
    clock.after(15, () => controller.abort());
    const plan = { calls: 10, durationMs: FOREVER, concurrency: 1 };
    const call = takes(() => 10);
    await drive(clock, closedLoop(call, plan, time, controller.signal, onEnd));
    expect(begun).toEqual([0, 10]);
  });

  it('tells what each became, also where it throws at once', async () => {
    const { clock, time, onEnd, ended } = bench();
    const fault = new Error('no');
    const work = (i: number): unknown => {
      if (i === 0) throw fault;
      return i === 1 ? Promise.reject(fault) : i;
    };
    await drive(clock, closedLoop(work, { calls: 3, durationMs: FOREVER, concurrency: 1 }, time, undefined, onEnd));
    expect(ended).toEqual([{ thrown: fault }, { thrown: fault }, { result: 2 }]);
  });

  it('lets signals be heard though no call waits for anything', async () => {
    const controller = new AbortController();
    setImmediate(() => controller.abort());
    let calls = 0;
    const plan = { calls: FOREVER, durationMs: 20_000, concurrency: 1 };
    await closedLoop(
      () => calls++,
      plan,
      systemTime,
      controller.signal,
      () => {},
    );
    expect(calls).toBeGreaterThan(0);
  });
});

describe('an open loop', () => {
  it('begins calls at equal distances, whether or not others have ended', async () => {
    const { clock, time, onEnd, latencies, begun, takes, most } = bench();
    const work = takes((i) => (i === 1 ? 35 : 5));
    await drive(clock, openLoop(work, { calls: 5, ratePerSecond: 100 }, time, undefined, onEnd));
    expect(begun).toEqual([0, 10, 20, 30, 40]);
    expect(latencies.sort((a, b) => a - b)).toEqual([5, 5, 5, 5, 35]);
    expect(most()).toBe(2);
  });

  it('counts from when a call was meant to begin, where it begins late', async () => {
    const { clock, onEnd, latencies } = bench();
    // A process that was busy for 30 ms: the second call begins late by that.
    const time: LoadTime = {
      clock,
      until: (at) => new Promise((resolve) => void clock.after(at - clock.now() + 30, resolve)),
    };
    await drive(
      clock,
      openLoop(() => {}, { calls: 2, ratePerSecond: 100 }, time, undefined, onEnd),
    );
    expect(latencies).toEqual([0, 30]);
  });

  it('begins no call after its signal, and waits for those under way', async () => {
    const { clock, time, onEnd, latencies, begun, takes } = bench();
    const controller = new AbortController();
    clock.after(15, () => controller.abort());
    const work = takes(() => 100);
    await drive(clock, openLoop(work, { calls: 10, ratePerSecond: 100 }, time, controller.signal, onEnd));
    expect(begun).toEqual([0, 10]);
    expect(latencies).toEqual([100, 100]);
  });

  it('shows a stall that a closed loop hides: the calls that would have come meanwhile have waited too', async () => {
    const p99 = (values: number[]): number => values.sort((a, b) => a - b)[Math.ceil(values.length * 0.99) - 1]!;
    const [closed, open] = [bench(), bench()];
    const one = stallsOnce(closed.clock, 2_000);
    const plan = { calls: 4_000, durationMs: FOREVER, concurrency: 1 };
    await drive(closed.clock, closedLoop(one, plan, closed.time, undefined, closed.onEnd));
    const other = stallsOnce(open.clock, 2_000);
    const load = { calls: 2_000, ratePerSecond: 500 };
    await drive(open.clock, openLoop(other, load, open.time, undefined, open.onEnd));
    // The closed loop met the stall with one call of four thousand.
    expect(closed.latencies.filter((ms) => ms > 1)).toHaveLength(1);
    expect(p99(closed.latencies)).toBe(1);
    expect(p99(open.latencies)).toBeGreaterThan(900);
    expect(open.latencies.filter((ms) => ms > 100).length).toBeGreaterThan(400);
  });
});

it('the system’s time is never early, and late by less than timers are', async () => {
  const { clock, until } = systemTime;
  for (const ms of [0.3, 1.5, 5.25]) {
    const at = clock.now() + ms;
    await until(at);
    expect(clock.now()).toBeGreaterThanOrEqual(at);
  }
});
