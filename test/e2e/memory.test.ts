/** Knows `store.memory` with real processes and V8's own collections: what it sees, what it gives up, whom it replaces. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import type { MemoryEvent, MemorySample } from '../../src/index.js';
import { Collection } from '../../src/observe/collection.js';
import { cleanUpAfterEach, gone, openStore, scripted, starts, textIn } from '../support/harness.js';
import { failure, until } from '../support/waiting.js';

cleanUpAfterEach(90_000);

const onLinux = process.platform === 'linux' ? describe : describe.skip;

/** Collections by V8's own means, which no host of ours is asked for. */
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as (options?: { type: 'minor' }) => void;

const turns = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

it('a collection is noticed when it has been, and not before; one of what is young is none', async () => {
  const collection = new Collection();
  expect(collection.done).toBe(true);
  for (let i = 0; i < 3; i++) collect({ type: 'minor' });
  collection.await();
  await turns();
  expect(collection.done).toBe(false);
  for (let i = 0; i < 3; i++) collect({ type: 'minor' });
  await turns();
  expect(collection.done).toBe(false);
  collect();
  await until(() => collection.done, 'it is noticed');
  collection.await();
  expect(collection.done).toBe(false);
});

describe('with results in the cache', () => {
  it.each([
    true,
    false,
  ])('a threshold (%s) gives them up, half first, and what they held is free after a collection', async (enabled) => {
    const performance = { resultCache: { enabled: true }, memory: { enabled, thresholdMb: 1, intervalMs: 100 } };
    const services = { a: scripted({}, { mcpstore: { tools: { big: { cache: true } } } }) };
    const store = await openStore({ services, performance });
    const events: MemoryEvent[] = [];
    // Nothing is owned yet, so nothing is given up before there is.
    store.memory.stop();
    store.on('memory', (event) => events.push(event));
    for (let n = 0; n < 40; n++) await store.callTool('a__big', { chars: 1_000_000 - n });
    collect();
    const before = await store.memory.sample();
    expect(store.stats().cache).toMatchObject({ entries: 40 });
    if (enabled) await store.memory.start();
    const seen = (type: string, step: string): MemoryEvent | undefined =>
      events.find((event) => event.type === type && 'step' in event && event.step === step);
    if (enabled) {
      expect(seen('step', 'trim')).toMatchObject({ released: { entries: 20 } });
      const judged = (step: string): MemoryEvent | undefined => {
        collect();
        return seen('effect', step);
      };
      await until(() => judged('trim'), 'the step is judged');
      await until(() => judged('clear'), 'the next is');
      expect(seen('effect', 'trim')).toMatchObject({ collected: true });
    }
    collect();
    const after = await store.memory.sample();
    expect(store.stats().cache.entries).toBe(enabled ? 0 : 40);
    expect(store.stats().memory.steps).toEqual({ trim: enabled ? 1 : 0, clear: enabled ? 1 : 0, idle: 0 });
    if (enabled) expect(before.heapUsedMb - after.heapUsedMb).toBeGreaterThan(30);
    else expect(Math.abs(before.heapUsedMb - after.heapUsedMb)).toBeLessThan(8);
    // The next call is made, and kept, as ever.
    expect(textIn(await store.callTool('a__big', { chars: 16 }))).toBe('0123456789abcdef');
    expect(store.stats().cache.entries).toBe(enabled ? 1 : 41);
  });
});

it('idle connections are closed down to their minimum; a call under way is not touched', async () => {
  const idle = scripted({}, { mcpstore: { connectionPool: { minConnections: 0 } } });
  const [kept, busy] = [scripted(), scripted({}, { mcpstore: { connectionPool: { minConnections: 0 } } })];
  const store = await openStore({ services: { idle, kept, busy } });
  await Promise.all(['idle', 'kept', 'busy'].map((name) => store.callTool(`${name}__echo`, { text: '' })));
  const slow = store.callTool('busy__sleep', { ms: 1_500, text: 'through' });
  const events: MemoryEvent[] = [];
  store.on('memory', (event) => events.push(event));
  await new Promise((resolve) => setTimeout(resolve, 150));
  await store.memory.start({ thresholdMb: 1, intervalMs: 100 });
  expect(events[0]).toMatchObject({ type: 'step', step: 'idle', released: { entries: 0, connections: 1 } });
  await until(() => gone(starts(idle.pidFile)[0]![0]!), 'the idle one is gone');
  expect(store.listServices().map(({ status }) => status)).toEqual(['registered', 'ready', 'ready']);
  expect(textIn(await slow)).toBe('through');
  expect(textIn(await store.callTool('idle__echo', { text: 'again' }))).toBe('again');
});

onLinux('the processes of a service', () => {
  it('are in the samples with what they started, leases too', async () => {
    const services = { a: scripted({ fork: true }), b: scripted() };
    const store = await openStore({ services });
    expect(await store.memory.sample()).toMatchObject({ children: [], childrenMb: 0 });
    await Promise.all([store.callTool('a__echo', { text: '' }), store.callTool('b__leak', { mb: 100 })]);
    const seen = (sample: MemorySample): [string, number, boolean][] =>
      sample.children!.map(({ service, pid, rssMb }) => [service, pid, rssMb > 60]).sort() as never;
    const [a, b] = [starts(services.a.pidFile)[0]![0]!, starts(services.b.pidFile)[0]![0]!];
    const sample = await store.memory.sample();
    expect(seen(sample)).toEqual([
      ['a', a, true],
      ['b', b, true],
    ]);
    expect(sample.children!.find(({ service }) => service === 'b')!.rssMb).toBeGreaterThan(130);
    await store.lease('b', async (lease) => {
      await lease.callTool('echo', { text: '' });
      expect((await store.memory.sample()).children!.length).toBe(3);
    });
    await store.memory.start({ intervalMs: 100 });
    expect(store.metrics.prometheus()).toMatch(/^mcpstore_child_memory_bytes\{service="b"\} \d{9}$/m);
    expect(store.stats().memory.current!.children!.length).toBe(2);
  });

  it('over its limit is replaced between calls: under load no call fails, and none is run twice', async () => {
    const services = { a: scripted({}, { mcpstore: { maxMemoryMb: 150 } }) };
    const store = await openStore({ services, performance: { memory: { intervalMs: 200 } } });
    const restarted: Extract<MemoryEvent, { type: 'restarted' }>[] = [];
    store.on('memory', (event) => event.type === 'restarted' && restarted.push(event));
    const outcomes = { calls: 0, failed: 0 };
    const end = Date.now() + 60_000;
    const caller = async (): Promise<void> => {
      while (restarted.length < 3 && Date.now() < end) {
        outcomes.calls++;
        await store.callTool('a__leak', { mb: 10, ms: 20 }).catch(() => outcomes.failed++);
      }
    };
    await Promise.all(Array.from({ length: 4 }, caller));
    expect(outcomes.failed).toBe(0);
    expect(restarted.length).toBeGreaterThanOrEqual(3);
    expect(restarted[0]).toMatchObject({ type: 'restarted', service: 'a', maxMemoryMb: 150 });
    const pids = starts(services.a.pidFile).map(([pid]) => pid!);
    expect(pids.slice(0, 3)).toEqual(restarted.slice(0, 3).map(({ pid }) => pid));
    await until(() => pids.slice(0, -1).every(gone), 'the old ones are gone');
    expect(store.stats().memory).toMatchObject({ restarts: restarted.length, current: undefined });
    expect(store.stats().calls).toMatchObject({ failed: 0, unknown: 0, retries: 0 });
  });

  it('without a limit is left alone', async () => {
    const services = { a: scripted() };
    const store = await openStore({ services, performance: { memory: { enabled: true, intervalMs: 100 } } });
    await store.callTool('a__leak', { mb: 200 });
    await until(() => (store.memory.summary()?.childrenMb?.current ?? 0) > 200, 'it is seen');
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(starts(services.a.pidFile).length).toBe(1);
  });

  it('that is busy goes on: its call ends, and then it is replaced; a lease ends with its owner alone', async () => {
    const services = { a: scripted({}, { mcpstore: { maxMemoryMb: 150 } }) };
    const store = await openStore({ services, performance: { memory: { intervalMs: 100 } } });
    const events: MemoryEvent[] = [];
    store.on('memory', (event) => events.push(event));
    const slow = store.callTool('a__leak', { mb: 150, ms: 2_500 });
    await until(() => events.some(({ type }) => type === 'kept'), 'it is kept');
    expect(textIn(await store.callTool('a__echo', { text: 'meanwhile' }))).toBe('meanwhile');
    expect(textIn(await slow)).toBe('1');
    await until(() => events.some(({ type }) => type === 'restarted'), 'it is replaced');
    expect(events[0]).toMatchObject({ type: 'kept', why: 'busy' });
    expect(textIn(await store.callTool('a__leak', { mb: 1 }))).toBe('1');

    events.length = 0;
    await store.lease('a', async (lease) => {
      await lease.callTool('leak', { mb: 150 });
      await until(() => events.length > 0, 'it is told');
      expect(events[0]).toMatchObject({ type: 'kept', why: 'leased' });
      expect(textIn(await lease.callTool('leak', { mb: 1 }))).toBe('2');
    });
    expect(events.length).toBe(1);
  });

  it('of each agent are watched, and replaced one by one', async () => {
    const services = { a: scripted({}, { mcpstore: { maxMemoryMb: 150, sharing: 'agent' } }) };
    const store = await openStore({ services, performance: { memory: { intervalMs: 100 } } });
    const events: MemoryEvent[] = [];
    store.on('memory', (event) => events.push(event));
    const [one, two] = ['one', 'two'].map((id) => store.forAgent(id, { services: ['a'] }));
    await two!.callTool('a__counter');
    await one!.callTool('a__leak', { mb: 150 });
    await until(() => events.length > 0, 'it is replaced');
    expect(textIn(await one!.callTool('a__leak', { mb: 1 }))).toBe('1');
    expect(textIn(await two!.callTool('a__counter'))).toBe('2');
  });
});

describe('options', () => {
  it('switch it on and off while it runs, and are told', async () => {
    const store = await openStore({ services: {} });
    expect(store.effectiveOptions.memory).toEqual({ enabled: false, thresholdMb: 500, intervalMs: 30_000 });
    await store.memory.start({ thresholdMb: 900, intervalMs: 100 });
    expect(store.effectiveOptions.memory).toEqual({ enabled: true, thresholdMb: 900, intervalMs: 100 });
    expect(store.optionSources['memory.thresholdMb']).toBe('code');
    await until(() => store.memory.samples.length > 2, 'samples');
    expect(store.memory.summary()!.loopLagMs!.current).toBeGreaterThanOrEqual(0);
    store.configure({ memory: { enabled: false } });
    const count = store.memory.samples.length;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(store.memory.samples.length).toBe(count);
    store.configure({ memory: { enabled: true } });
    await until(() => store.memory.samples.length > count, 'it goes on');
    await store.close();
    expect(await failure(store.memory.start())).toMatchObject({ code: 'STORE_CLOSED' });
  });

  it('are refused where they are wrong, or could have no effect', async () => {
    const bad: [object, string][] = [
      [{ performance: { memory: { thresholdMb: 0 } } }, 'performance.memory.thresholdMb'],
      [{ performance: { memory: { intervalMs: 99 } } }, 'performance.memory.intervalMs'],
      [{ performance: { memory: { limitMb: 5 } } }, 'performance.memory.limitMb'],
      [{ services: { a: { command: 'a', mcpstore: { maxMemoryMb: 0 } } } }, 'services.a.mcpstore.maxMemoryMb'],
      [
        { services: { a: { url: 'http://localhost:1/mcp', mcpstore: { maxMemoryMb: 9 } } } },
        'services.a.mcpstore.maxMemoryMb',
      ],
      [
        { services: { a: { command: 'a', mcpstore: { maxMemoryMb: 9, sharing: 'call' } } } },
        'services.a.mcpstore.maxMemoryMb',
      ],
      [{ services: { a: { server: {}, mcpstore: { maxMemoryMb: 9 } } } }, 'services.a.mcpstore.maxMemoryMb'],
      [
        { services: { a: { mcpstore: { maxMemoryMb: 9, endpoints: [{ url: 'http://localhost:1/mcp' }] } } } },
        'services.a.mcpstore.maxMemoryMb',
      ],
    ];
    for (const [options, path] of bad)
      expect(await failure(openStore({ services: {}, ...options })), path).toMatchObject({
        code: 'OPTION_INVALID',
        figures: { path },
      });
  });
});
