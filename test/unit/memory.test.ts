/** Knows the loop of `store.memory` on a clock and figures that the test moves: when it looks, what it gives up, what it tells. */

import { describe, expect, it } from 'vitest';
import type { MemoryEvent } from '../../src/events.js';
import { MemoryMonitor } from '../../src/memory.js';
import { sampleOf } from '../../src/observe/memory-figures.js';
import { resolvePerformance } from '../../src/option-layers.js';
import type { MemoryOptions } from '../../src/options.js';
import type { Service } from '../../src/service/service.js';
import { FakeClock } from '../support/fake-clock.js';

const MB = 1024 * 1024;
const INTERVAL_MS = 1_000;

interface FakeService {
  name: string;
  pids: number[];
  maxMemoryMb?: number;
  /** What `renew` answers, and what it was asked. */
  outcome?: 'renewed' | 'busy' | 'leased' | 'gone';
  renewed?: [pid: number, patienceMs: number][];
}

function bench(options: MemoryOptions = {}, services: FakeService[] = []) {
  const clock = new FakeClock();
  const events: MemoryEvent[] = [];
  const world = {
    usedMb: 100,
    /** Bytes in the cache, and connections that could be closed. */
    cached: 0,
    idle: 0,
    collected: true,
    rss: new Map<number, number>() as Map<number, number> | undefined,
    looks: 0,
  };
  let options_ = resolvePerformance([{ source: 'code', values: { memory: { intervalMs: INTERVAL_MS, ...options } } }])
    .options.memory;
  const list = services.map(
    (service) =>
      ({
        name: service.name,
        endpoints: [{}],
        definition: { options: { maxMemoryMb: service.maxMemoryMb } },
        get processes() {
          return service.pids;
        },
        renew: async (pid: number, patienceMs: number) => {
          service.renewed = [...(service.renewed ?? []), [pid, patienceMs]];
          return service.outcome ?? 'renewed';
        },
      }) as unknown as Service,
  );
  const memory: MemoryMonitor = new MemoryMonitor(
    {
      clock,
      services: () => list,
      cache: {
        stats: () => ({ bytes: world.cached }) as never,
        trim: (to) => {
          const bytes = world.cached - to;
          world.cached = to;
          return { entries: bytes > 0 ? 1 : 0, bytes };
        },
      },
      closeIdle: () => world.idle,
      configure: (changed) => {
        options_ = { ...options_, ...changed } as typeof options_;
        memory.configure(options_);
      },
      emit: (event) => events.push(event),
      logger: undefined,
      rssOf: async (pids) => {
        world.looks++;
        const { rss } = world;
        return rss && new Map([...pids].map((pid) => [pid, (rss.get(pid) ?? 0) * MB]));
      },
      sampleOf: (at, children, lag) => ({ ...sampleOf(at, children, lag), usedMb: world.usedMb }),
      collection: {
        await: () => {
          world.collected = false;
        },
        get done() {
          return world.collected;
        },
      },
    },
    options_,
  );
  const told = (): unknown[] => events.map((event) => ('step' in event ? [event.type, event.step] : event.type));
  return { clock, world, events, told, memory };
}

describe('sampling', () => {
  it('is off until it is switched on: no sample, no timer', async () => {
    const { clock, memory, world } = bench();
    await clock.advance(10 * INTERVAL_MS);
    expect([memory.samples.length, world.looks, clock.timers, memory.summary()]).toEqual([0, 0, 0, undefined]);
    expect(memory.stats().current).toBeUndefined();
  });

  it('begins at once and goes on at each interval, whether an option or `start` switches it on', async () => {
    for (const enabled of [true, false]) {
      const { clock, memory } = bench({ enabled });
      if (!enabled) expect(await memory.start()).toEqual(memory.samples[0]);
      await clock.advance(0);
      expect(memory.samples.length).toBe(1);
      await clock.advance(3 * INTERVAL_MS);
      expect(memory.samples.length).toBe(4);
      expect(memory.summary()?.samples).toBe(4);
      expect(memory.stats().current).toEqual(memory.samples.at(-1));
    }
  });

  it('is one loop after a second start, with its options', async () => {
    const { clock, memory } = bench();
    await memory.start();
    await memory.start({ intervalMs: 2 * INTERVAL_MS });
    expect([memory.samples.length, clock.timers]).toEqual([2, 1]);
    await clock.advance(2 * INTERVAL_MS);
    expect(memory.samples.length).toBe(3);
    await Promise.all([memory.start(), memory.start()]);
    expect(clock.timers).toBe(1);
  });

  it('ends with stop, and keeps what there is; one sample can be had all the same', async () => {
    const { clock, memory } = bench();
    await memory.start();
    memory.stop();
    await clock.advance(10 * INTERVAL_MS);
    expect([memory.samples.length, clock.timers]).toEqual([1, 0]);
    await memory.sample();
    expect([memory.samples.length, clock.timers]).toEqual([2, 0]);
  });

  it('that was stopped or closed while it looked goes on no more', async () => {
    for (const end of ['stop', 'close'] as const) {
      const { clock, memory } = bench();
      const first = memory.start();
      memory[end]();
      await first;
      await clock.advance(5 * INTERVAL_MS);
      expect([end, clock.timers]).toEqual([end, 0]);
    }
  });

  it('keeps a hundred, and sums up ten', async () => {
    const { clock, memory, world } = bench({ enabled: true });
    for (let i = 0; i < 120; i++) {
      world.usedMb = i;
      await clock.advance(INTERVAL_MS);
    }
    expect(memory.samples.length).toBe(100);
    expect(memory.samples.at(-1)?.usedMb).toBe(119);
    expect(memory.summary()).toMatchObject({
      samples: 10,
      usedMb: { current: 119, mean: 114.5, max: 119, trendPerMinute: 60 },
    });
  });

  it('has every process by its service', async () => {
    const { memory, world } = bench({}, [
      { name: 'a', pids: [11, 12] },
      { name: 'b', pids: [] },
    ]);
    world.rss = new Map([
      [11, 50],
      [12, 70],
    ]);
    expect(await memory.sample()).toMatchObject({
      children: [
        { service: 'a', pid: 11, rssMb: 50 },
        { service: 'a', pid: 12, rssMb: 70 },
      ],
      childrenMb: 120,
    });
    world.rss = undefined;
    expect(await memory.sample()).toMatchObject({ children: undefined, childrenMb: undefined });
  });

  it('refuses what it does not know', async () => {
    const { memory } = bench();
    await expect(memory.start({ enabled: false } as never)).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(memory.start(5 as never)).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });
});

describe('above the threshold', () => {
  it('gives up half of the cache, then the rest, then idle connections: each after a collection and a pause', async () => {
    const { clock, world, events, told, memory } = bench({ enabled: true });
    Object.assign(world, { usedMb: 600, cached: 1000, idle: 2 });
    await clock.advance(INTERVAL_MS);
    expect([told(), world.cached]).toEqual([[['step', 'trim']], 500]);
    // V8 has not collected: what the step did cannot be seen, so none follows.
    await clock.advance(5 * INTERVAL_MS);
    expect(told().length).toBe(1);
    world.collected = true;
    world.usedMb = 590;
    await clock.advance(INTERVAL_MS);
    expect(events[1]).toMatchObject({ type: 'effect', step: 'trim', freedMb: 10, collected: true });
    expect([told()[2], world.cached]).toEqual([['step', 'clear'], 0]);
    world.collected = true;
    await clock.advance(INTERVAL_MS);
    expect(told().length).toBe(4);
    await clock.advance(INTERVAL_MS);
    expect(events[4]).toMatchObject({ type: 'step', step: 'idle', released: { connections: 2 } });
    world.collected = true;
    await clock.advance(2 * INTERVAL_MS);
    expect(told().slice(5)).toEqual([['effect', 'idle'], 'spent']);
    await clock.advance(100 * INTERVAL_MS);
    expect(told().length).toBe(7);
    expect(memory.stats().steps).toEqual({ trim: 1, clear: 1, idle: 1 });
  });

  it('stops as soon as a step was enough', async () => {
    const { clock, world, told } = bench({ enabled: true });
    Object.assign(world, { usedMb: 600, cached: 1000, idle: 2 });
    await clock.advance(INTERVAL_MS);
    Object.assign(world, { usedMb: 440, collected: true });
    await clock.advance(100 * INTERVAL_MS);
    expect([told(), world.cached]).toEqual([[['step', 'trim'], ['effect', 'trim'], 'relieved'], 500]);
  });

  it('judges a step without a collection after ten intervals', async () => {
    const { clock, world, events, told } = bench({ enabled: true });
    Object.assign(world, { usedMb: 600, cached: 1000 });
    await clock.advance(0);
    expect(told()).toEqual([['step', 'trim']]);
    await clock.advance(9 * INTERVAL_MS);
    expect(told().length).toBe(1);
    await clock.advance(INTERVAL_MS);
    expect(events[1]).toMatchObject({ type: 'effect', collected: false, freedMb: 0 });
    expect(told()[2]).toEqual(['step', 'clear']);
  });

  it('counts what was let go and not collected yet as free, until it is cached anew', async () => {
    const { clock, world, told } = bench({ enabled: true });
    Object.assign(world, { usedMb: 520, cached: 200 * MB });
    await clock.advance(10 * INTERVAL_MS);
    // 520 − 100 are below nine tenths of 500.
    expect(told()).toEqual([['step', 'trim'], ['effect', 'trim'], 'relieved']);
    await clock.advance(50 * INTERVAL_MS);
    expect([told().length, world.cached]).toEqual([3, 100 * MB]);
    Object.assign(world, { usedMb: 605, cached: 200 * MB });
    await clock.advance(INTERVAL_MS);
    expect(told()[3]).toEqual(['step', 'trim']);
    // Collected: nothing stands for what is gone any more.
    Object.assign(world, { usedMb: 501, collected: true });
    await clock.advance(2 * INTERVAL_MS);
    expect(told().slice(4)).toEqual([
      ['effect', 'trim'],
      ['step', 'clear'],
    ]);
  });

  it('passes over what has nothing to give, and says once that nothing is left', async () => {
    const { clock, world, told, memory } = bench({ enabled: true });
    world.usedMb = 600;
    await clock.advance(50 * INTERVAL_MS);
    expect(told()).toEqual(['spent']);
    expect(memory.stats().steps).toEqual({ trim: 0, clear: 0, idle: 0 });
  });

  it('takes no step once a listener has stopped it', async () => {
    const { clock, world, told, memory, events } = bench({ enabled: true });
    Object.assign(world, { usedMb: 600, cached: 1000 });
    await clock.advance(0);
    events.push = (...more) => {
      memory.stop();
      return Array.prototype.push.apply(events, more);
    };
    world.collected = true;
    await clock.advance(10 * INTERVAL_MS);
    expect([told(), world.cached, clock.timers]).toEqual([
      [
        ['step', 'trim'],
        ['effect', 'trim'],
      ],
      500,
      0,
    ]);
  });

  it('does nothing while it is off, and begins anew when it is switched on again', async () => {
    const { clock, world, told, memory } = bench({ enabled: true });
    Object.assign(world, { usedMb: 600, cached: 1000 });
    await clock.advance(INTERVAL_MS);
    memory.stop();
    world.collected = true;
    await clock.advance(50 * INTERVAL_MS);
    expect([told().length, world.cached]).toEqual([1, 500]);
    await memory.start({ thresholdMb: 700 });
    await clock.advance(50 * INTERVAL_MS);
    expect(world.cached).toBe(500);
    await memory.start({ thresholdMb: 300 });
    expect([told()[1], world.cached]).toEqual([['step', 'trim'], 250]);
  });
});

describe('a service with a limit', () => {
  const service = (more: Partial<FakeService> = {}): FakeService => ({
    name: 'a',
    pids: [11],
    maxMemoryMb: 200,
    ...more,
  });

  it('is watched from its first state on, also while samples are off', async () => {
    const own = service();
    const { clock, world, memory, events } = bench({}, [own]);
    world.rss!.set(11, 150);
    memory.watch({ definition: { options: { maxMemoryMb: 200 } } } as never);
    await clock.advance(3 * INTERVAL_MS);
    expect([own.renewed, memory.samples.length, world.looks]).toEqual([undefined, 0, 3]);
    world.rss!.set(11, 201);
    await clock.advance(INTERVAL_MS);
    expect(own.renewed).toEqual([[11, 1_000]]);
    expect(events).toEqual([{ type: 'restarted', service: 'a', pid: 11, rssMb: 201, maxMemoryMb: 200, waitedMs: 0 }]);
    expect(memory.stats().restarts).toBe(1);
  });

  it('that is over its limit again and again is restarted ever more seldom; once below, at once', async () => {
    const own = service();
    const { clock, world } = bench({ enabled: true }, [own]);
    world.rss!.set(11, 300);
    await clock.advance(40 * INTERVAL_MS);
    // At 0 or 1, 2 later, then 4, 8 and 16.
    expect(own.renewed!.length).toBe(5);
    world.rss!.set(11, 100);
    await clock.advance(INTERVAL_MS);
    world.rss!.set(11, 300);
    await clock.advance(INTERVAL_MS);
    expect(own.renewed!.length).toBe(6);
  });

  it('whose calls do not end is asked with more patience each time, and never more than that', async () => {
    const own = service({ outcome: 'busy' });
    const { clock, world, told } = bench({ enabled: true }, [own]);
    world.rss!.set(11, 300);
    await clock.advance(8 * INTERVAL_MS);
    expect(own.renewed!.map(([, patienceMs]) => patienceMs)).toEqual(
      [1, 2, 4, 8, 16, 32, 32, 32].map((seconds) => seconds * 1_000),
    );
    expect(new Set(told())).toEqual(new Set(['kept']));
  });

  it('of which a lease is over it: told once, never ended; the biggest that may be replaced is', async () => {
    const leased = service({ outcome: 'leased' });
    const { clock, world, events } = bench({ enabled: true }, [leased]);
    world.rss!.set(11, 300);
    await clock.advance(5 * INTERVAL_MS);
    expect(events).toEqual([{ type: 'kept', service: 'a', pid: 11, rssMb: 300, maxMemoryMb: 200, why: 'leased' }]);
    const several = service({ pids: [1, 2, 3] });
    const other = bench({}, [several]);
    other.world.rss = new Map([
      [1, 250],
      [2, 400],
      [3, 100],
    ]);
    other.memory.watch({ definition: { options: { maxMemoryMb: 200 } } } as never);
    await other.clock.advance(INTERVAL_MS);
    expect(several.renewed).toEqual([[2, 1_000]]);
  });

  it('is left alone where nothing tells what it holds', async () => {
    const own = service();
    const { clock, world } = bench({ enabled: true }, [own]);
    world.rss = undefined;
    await clock.advance(5 * INTERVAL_MS);
    expect(own.renewed).toBeUndefined();
  });
});
