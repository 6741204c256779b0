/** Knows how calls are spread over replicas: strategies, ejection, ramp, failover, stickiness and fresh connections. */

import { describe, expect, it } from 'vitest';
import { Gate } from '../../src/_util/gate.js';
import type { EndpointDefinition } from '../../src/config/definition.js';
import { OUT_MS, RAMP_MS, TRIP_FAILURES } from '../../src/endpoint/limits.js';
import { StoreError } from '../../src/errors.js';
import { resolvePerformance } from '../../src/option-layers.js';
import type { PerformanceOptions, ServiceOptions } from '../../src/options.js';
import { Path } from '../../src/service/path.js';
import { fakeCall } from '../support/fake-call.js';
import { FakeClock, failure, settle, watch } from '../support/fake-clock.js';
import { FakeServer, RpcFault } from '../support/fake-server.js';

interface Replicas {
  clock: FakeClock;
  servers: FakeServer[];
  path: Path;
  /** Each state that an endpoint came into, as `name`. */
  states: string[];
  call(fields?: Parameters<typeof fakeCall>[1]): Promise<Record<string, unknown>>;
  /** Calls that each server got so far. */
  counts(): number[];
}

/** A service with so many replicas, each answering after its own time. */
function replicas(
  delays: readonly number[],
  options: ServiceOptions & { weights?: number[]; performance?: PerformanceOptions } = {},
): Replicas {
  const { weights, performance = {}, ...own } = options;
  const clock = new FakeClock(7);
  const servers = delays.map((delayMs) => new FakeServer({ echo: { delayMs } }, clock));
  const states: string[] = [];
  const endpoints = servers.map(
    (server, i): EndpointDefinition => ({ kind: 'memory', server, ...(weights && { weight: weights[i]! }) }),
  );
  const path: Path = new Path({
    definition: {
      name: 's',
      endpoints,
      options: own,
      disabled: false,
      callTimeoutMs: undefined,
      revision: '',
      settingsRevision: '',
      config: {},
    },
    performance: resolvePerformance([{ source: 'code', values: performance }]).options,
    clock,
    gate: new Gate(8, clock),
    onState: ({ name }) => states.push(name),
    // As a service does it: a server that answers its list has started.
    onOpened: () => {
      const limits = { deadline: clock.now() + 10_000, timeoutMs: 10_000, signal: undefined };
      path.list('tools/list', 'tools', 'tools', limits).catch(() => {});
    },
    onNotice: () => {},
    onLine: () => {},
  });
  return {
    clock,
    servers,
    path,
    states,
    call: (fields) => path.handle(fakeCall(clock, { params: { name: 'echo', arguments: {} }, ...fields })),
    counts: () => servers.map((server) => server.called.length),
  };
}

/** So many calls, so many at a time; the time that each took. */
async function load(of: Replicas, calls: number, atATime: number, fields: object = {}): Promise<number[]> {
  const times: number[] = [];
  let left = calls;
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const since = of.clock.now();
      await of.call(fields);
      times.push(of.clock.now() - since);
    }
  };
  const workers = watch(Promise.all(Array.from({ length: atATime }, worker)));
  while (!workers.settled) await of.clock.advance(1);
  if (workers.error) throw workers.error;
  return times;
}

/** Ends its connection in place of an answer. */
const CRASHING = {
  echo: {
    run: ({ hangUp }: { hangUp: () => void }): Promise<never> => {
      hangUp();
      return new Promise(() => {});
    },
  },
};

const p99 = (times: readonly number[]): number => [...times].sort((a, b) => a - b)[Math.ceil(times.length * 0.99) - 1]!;
const down = (server: FakeServer): void => {
  server.onConnect = () => {
    throw new Error('down');
  };
};

describe('strategies', () => {
  it('round-robin takes turns', async () => {
    const of = replicas([1, 1, 1], { balance: 'round-robin' });
    await load(of, 3, 1);
    await of.clock.advance(10);
    const before = of.counts();
    await load(of, 30, 1);
    expect(of.counts().map((count, i) => count - before[i]!)).toEqual([10, 10, 10]);
  });

  it('weighted takes turns by weight, smoothly', async () => {
    const of = replicas([1, 1], { balance: 'weighted', weights: [3, 1] });
    await load(of, 4, 1);
    await of.clock.advance(RAMP_MS);
    for (const server of of.servers) server.called.length = 0;
    await load(of, 40, 1);
    expect(of.counts()).toEqual([30, 10]);
  });

  it('least-in-flight gives to the one that is least busy for its weight', async () => {
    const of = replicas([1_000, 1_000], { balance: 'least-in-flight', weights: [2, 1] });
    void of.call();
    await settle();
    await of.clock.advance(RAMP_MS);
    for (let i = 0; i < 30; i++) void of.call();
    await settle();
    expect(of.servers.map((server) => server.running)).toEqual([20, 10]);
  });

  it('with 1 of 4 ten times as slow, p99 stays within 1.5 times that of three good ones; round-robin does not', async () => {
    const run = async (delays: number[], options: ServiceOptions): Promise<number> => {
      const of = replicas(delays, options);
      await load(of, 400, 16);
      return p99(await load(of, 4_000, 16));
    };
    const good = await run([10, 10, 10], {});
    expect(await run([10, 10, 10, 100], {})).toBeLessThanOrEqual(1.5 * good);
    expect(await run([10, 10, 10, 100], { balance: 'round-robin' })).toBeGreaterThan(1.5 * good);
  });

  it('tries a slow one again after a while, and gives it its share once it is fast', async () => {
    const of = replicas([10, 100]);
    await load(of, 100, 4);
    of.servers[1]!.tools = { echo: { delayMs: 10 } };
    await of.clock.advance(60_000);
    for (const server of of.servers) server.called.length = 0;
    await load(of, 400, 4);
    expect(Math.min(...of.counts())).toBeGreaterThan(120);
  });
});

describe('bad endpoints', () => {
  it('with 1 of 4 dead, no call fails that may be repeated', async () => {
    const of = replicas([5, 5, 5, 5]);
    down(of.servers[3]!);
    expect(await load(of, 400, 32)).toHaveLength(400);
    expect(of.counts()[3]).toBe(0);
  });

  it('one whose calls fail is ejected for a growing time, comes back by one call, and is given its share step by step', async () => {
    const of = replicas([5, 5, 5]);
    await load(of, 60, 4, { repeatable: true });
    const bad = of.servers[0]!;
    bad.tools = CRASHING;
    for (let i = 0; i < 300 && of.path.endpoints[0]!.state.name !== 'ejected'; i++)
      await load(of, 10, 1, { repeatable: true });
    expect(of.path.endpoints[0]!.state.name).toBe('ejected');
    const calls = bad.called.length;
    await load(of, 50, 4, { repeatable: true });
    expect(bad.called.length).toBe(calls);
    // Still bad: one call finds out, at the first try and at the second, which comes after twice the time.
    await of.clock.advance(OUT_MS);
    await load(of, 20, 4, { repeatable: true });
    expect([bad.called.length, of.path.endpoints[0]!.state.name]).toEqual([calls + 1, 'ejected']);
    await of.clock.advance(OUT_MS);
    await load(of, 20, 4, { repeatable: true });
    expect(bad.called.length).toBe(calls + 1);
    bad.tools = { echo: { delayMs: 5 } };
    await of.clock.advance(OUT_MS);
    await load(of, 20, 4);
    expect(of.path.endpoints[0]!.state.name).toBe('ready');
    expect(of.path.endpoints[0]!.ramp(of.clock.now())).toBeLessThan(0.2);
    await of.clock.advance(RAMP_MS);
    expect(of.path.endpoints[0]!.ramp(of.clock.now())).toBe(1);
  });

  it('a call that may not be repeated is not sent to another', async () => {
    const of = replicas([5, 5]);
    await load(of, 20, 2);
    for (const server of of.servers) server.tools = CRASHING;
    const before = of.counts().reduce((a, b) => a + b);
    expect(await failure(of.call())).toMatchObject({ code: 'OUTCOME_UNKNOWN', executed: 'unknown' });
    expect(of.counts().reduce((a, b) => a + b)).toBe(before + 1);
  });

  it('F37: at most half are ejected, and where none is left the least bad is tried', async () => {
    const of = replicas([5, 5]);
    await load(of, 20, 2);
    for (const server of of.servers) server.tools = CRASHING;
    for (let i = 0; i < 40; i++) {
      const call = failure(of.call());
      await of.clock.advance(600);
      await call;
    }
    expect(of.path.endpoints.filter(({ state }) => state.name === 'ejected').length).toBeLessThanOrEqual(1);
    expect(of.states.filter((name) => name === 'ejected').length).toBeGreaterThan(0);
    // One is out, the other cannot start any more.
    const other = of.path.endpoints.findIndex(({ state }) => state.name !== 'ejected');
    await of.path.endpoints[other]!.stop(0);
    const out = of.servers[1 - other]!;
    out.tools = { echo: { delayMs: 5 } };
    const answer = of.call();
    await of.clock.advance(1_000);
    expect(await answer).toMatchObject({ content: expect.anything() });
  });

  it('an error answer and isError say nothing against an endpoint', async () => {
    const of = replicas([5, 5]);
    await load(of, 20, 2);
    for (const server of of.servers)
      server.tools = {
        echo: {
          run: () => {
            throw new RpcFault(-32_000, 'no');
          },
        },
      };
    for (let i = 0; i < 4 * TRIP_FAILURES; i++) expect(await failure(of.call())).toMatchObject({ code: 'RPC_ERROR' });
    expect(of.path.endpoints.map(({ state }) => state.name)).toEqual(['ready', 'ready']);
  });

  it('slowness alone ejects nobody', async () => {
    const of = replicas([60_000], {});
    void of.call({ forMs: 10 }).catch(() => {});
    await of.clock.advance(20);
    for (let i = 0; i < 3 * TRIP_FAILURES; i++) {
      const call = failure(of.call({ forMs: 10 }));
      await of.clock.advance(20);
      expect(await call).toMatchObject({ code: 'TIMEOUT' });
    }
    expect(of.path.endpoints[0]!.state.name).toBe('ready');
  });
});

describe('the breaker of a service with one endpoint', () => {
  it('does not count what was never sent: a server that was away is used as soon as it is back', async () => {
    const of = replicas([5], { performance: { connectionPool: { maxRetries: 0 } } });
    await load(of, 2, 1);
    const [endpoint] = of.path.endpoints;
    for (let i = 0; i < 3 * TRIP_FAILURES; i++) {
      const connection = endpoint!.take()!;
      const refused = new StoreError('CONNECT_FAILED', 'connection refused');
      const limits = { deadline: of.clock.now() + 1_000, signal: undefined };
      endpoint!.done(connection, limits, 'call', of.clock.now(), of.clock.now(), refused);
    }
    expect(endpoint!.state.name).toBe('ready');
    await load(of, 2, 1);
  });

  it('fails fast with the time of the next try; then one call probes and the others still fail fast', async () => {
    const of = replicas([5], { performance: { connectionPool: { maxRetries: 0 } } });
    await load(of, 2, 1);
    const server = of.servers[0]!;
    server.tools = CRASHING;
    for (let i = 0; i < TRIP_FAILURES; i++) {
      const call = failure(of.call());
      await of.clock.advance(600);
      expect(await call).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    }
    expect(of.path.endpoints[0]!.state.name).toBe('breaker_open');
    const calls = server.called.length;
    const refused = (await failure(of.call())) as unknown as StoreError;
    expect(refused).toMatchObject({ code: 'SERVICE_DOWN', executed: 'no' });
    expect(refused.message).toMatch(/^its last calls failed: .*; next try in \d+ s$/);
    expect(refused.figures?.['nextTryInMs']).toBeGreaterThan(OUT_MS - 1_000);
    expect(server.called.length).toBe(calls);
    await of.clock.advance(OUT_MS);
    server.tools = { echo: { delayMs: 50 } };
    const answers = Array.from({ length: 10 }, () => watch(of.call()));
    await of.clock.advance(100);
    expect(answers.filter(({ value }) => value !== undefined)).toHaveLength(1);
    expect(answers.filter(({ error }) => (error as StoreError | undefined)?.code === 'SERVICE_DOWN')).toHaveLength(9);
    expect(of.path.endpoints[0]!.state.name).toBe('ready');
  });
});

it('a replica that was stopped for idleness comes back when there is more to do than one call', async () => {
  const connectionPool = { minConnections: 0, maxIdleTimeMs: 1_000 };
  const of = replicas([5, 5], { connectionPool, performance: { connectionPool } });
  await load(of, 4, 2);
  await of.path.endpoints[1]!.closeIdle(0);
  expect(of.path.endpoints[1]!.state.name).toBe('registered');
  await load(of, 4, 1);
  expect(of.path.endpoints[1]!.state.name).toBe('registered');
  await load(of, 30, 4);
  expect(of.path.endpoints[1]!.state.name).toBe('ready');
});

describe('who shares connections', () => {
  it('an agent stays with one replica, and moves only where that one is gone', async () => {
    const of = replicas([5, 5, 5], { sharing: 'agent' });
    await load(of, 30, 4);
    const used = of.counts().map((count) => count > 0);
    expect(used.filter(Boolean)).toHaveLength(1);
    await of.path.endpoints[used.indexOf(true)]!.stop(0);
    await load(of, 30, 4);
    expect(of.counts().filter((count) => count > 0)).toHaveLength(2);
  });

  it('a fresh connection for each call, and none left of it', async () => {
    const of = replicas([5], { sharing: 'call', connectionPool: { maxConnections: 4 } });
    await load(of, 12, 6);
    expect([of.servers[0]!.connects, of.servers[0]!.open.size]).toEqual([12, 0]);
    expect(of.servers[0]!.mostRunning).toBe(4);
  });
});

const dies = (): never => {
  throw new Error('no');
};
const echo = ({ clock }: Replicas) => fakeCall(clock, { params: { name: 'echo', arguments: {} } });

describe('a lease over replicas', () => {
  it('is opened at another where one cannot be reached, and that one is asked last from then on', async () => {
    const of = replicas([1, 1]);
    of.servers[0]!.onConnect = dies;
    for (let i = 0; i < 3; i++) {
      const lease = watch(of.path.lease((handle) => handle(echo(of)), 60_000));
      await of.clock.advance(1_000);
      expect([lease.settled, lease.error]).toEqual([true, undefined]);
    }
    expect(of.servers.map(({ connects, open }) => [connects, open.size])).toEqual([
      [1, 0],
      [3, 0],
    ]);
  });

  it('goes to those through which calls flow', async () => {
    const of = replicas([1, 1]);
    of.path.endpoints[1]!.use();
    await of.clock.advance(10);
    await of.path.lease(() => Promise.resolve(), 60_000);
    expect(of.servers.map(({ connects }) => connects)).toEqual([0, 2]);
  });

  it('fails fast while the breaker is open, with the time of the next try', async () => {
    const of = replicas([1]);
    of.servers[0]!.tools = {
      echo: {
        run: ({ hangUp }) => {
          hangUp();
          return new Promise(() => {});
        },
      },
    };
    for (let i = 0; i < TRIP_FAILURES; i++) {
      const lost = watch(of.call());
      await of.clock.advance(2_000);
      expect(lost.settled).toBe(true);
    }
    expect(of.path.best.state.name).toBe('breaker_open');
    const connects = of.servers[0]!.connects;
    const error = await failure(of.path.lease(() => Promise.resolve(), 60_000));
    expect(error).toMatchObject({ code: 'SERVICE_DOWN', figures: { nextTryInMs: expect.any(Number) } });
    expect(of.servers[0]!.connects).toBe(connects);
  });
});

describe('a lease while the breaker waits to be probed', () => {
  /** A replica whose calls crashed it until it was taken out of use, and which may be probed now. */
  async function probing(): Promise<Replicas> {
    const of = replicas([1]);
    of.servers[0]!.tools = { echo: { run: ({ hangUp }) => [hangUp(), new Promise(() => {})][1] as Promise<never> } };
    for (let i = 0; i < TRIP_FAILURES; i++) {
      void of.call().catch(() => {});
      await of.clock.advance(2_000);
    }
    await of.clock.advance(OUT_MS);
    expect(of.path.best.state).toMatchObject({ name: 'probing', busy: false });
    return of;
  }

  it('probes while it is opened: others fail fast', async () => {
    const of = await probing();
    of.servers[0]!.onConnect = () => new Promise((resolve) => of.clock.after(100, resolve));
    const leases = [1, 2].map(() => watch(of.path.lease(() => Promise.resolve('open'), 60_000)));
    await settle();
    expect(of.path.best.state).toMatchObject({ name: 'probing', busy: true });
    expect(await failure(of.call())).toMatchObject({ code: 'SERVICE_DOWN' });
    expect(leases[1]!.error).toMatchObject({ code: 'SERVICE_DOWN' });
    await of.clock.advance(100);
    expect(leases[0]!.value).toBe('open');
    // A start shows that it starts; the next call finds out more.
    expect(of.path.best.state).toMatchObject({ name: 'probing', busy: false });
  });

  it('whose start fails has its endpoint started again after a pause', async () => {
    const of = await probing();
    of.servers[0]!.onConnect = dies;
    const lease = watch(of.path.lease(() => Promise.resolve(), 100));
    await of.clock.advance(100);
    expect([lease.settled, of.path.best.state.name]).toEqual([true, 'reconnecting']);
  });

  it('and whose call is answered lets the others through, whether or not there is a connection for them', async () => {
    const of = await probing();
    of.servers[0]!.tools = { echo: {} };
    await of.path.lease((handle) => handle(echo(of)), 60_000);
    expect(of.path.best.state.name).toBe('registered');
    const call = watch(of.call());
    await of.clock.advance(10);
    expect([call.settled, call.error, of.path.best.state.name]).toEqual([true, undefined, 'ready']);
  });

  it('and whose call fails opens it again, for longer', async () => {
    const of = await probing();
    const lost = await failure(of.path.lease((handle) => handle(echo(of)), 60_000));
    expect(lost).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect(of.path.best.state).toMatchObject({ name: 'breaker_open', nextTryAt: of.clock.now() + 2 * OUT_MS });
  });

  it('that is idle is in nobody’s way', async () => {
    const of = await probing();
    of.servers[0]!.tools = { echo: {} };
    let end = (): void => {};
    const lease = of.path.lease(() => new Promise<void>((resolve) => (end = resolve)), 60_000);
    await of.clock.advance(10);
    const call = watch(of.call());
    await of.clock.advance(10);
    expect([call.settled, call.error]).toEqual([true, undefined]);
    end();
    await lease;
  });
});

it('calls over leases count for the breaker as all others do', async () => {
  const of = replicas([1]);
  of.path.start(60_000);
  await of.clock.advance(10);
  of.servers[0]!.tools = { echo: { run: ({ hangUp }) => [hangUp(), new Promise(() => {})][1] as Promise<never> } };
  for (let i = 0; i < TRIP_FAILURES; i++) {
    expect(of.path.best.state.name).not.toBe('breaker_open');
    await of.clock.advance(1);
    await of.path.lease((handle) => failure(handle(echo(of))), 60_000);
  }
  expect(of.path.best.state.name).toBe('breaker_open');
  expect(await failure(of.call())).toMatchObject({ code: 'SERVICE_DOWN' });
});

describe('a start that no call asked for', () => {
  it.each([
    ['shared', [1, 1], [1, 1]],
    ['agent', [1, 0], [1, 0]],
    ['call', [1, 0], [0, 0]],
  ] as const)('with sharing %j begins what its calls will use', async (sharing, open, kept) => {
    const of = replicas([1, 1], { sharing });
    const begun = [0, 0];
    of.servers.forEach((server, i) => {
      server.onConnect = () => void begun[i]!++;
    });
    of.path.start(60_000);
    await of.clock.advance(100);
    expect(of.path.best.state.name).toBe('ready');
    expect([begun, of.servers.map((server) => server.open.size)]).toEqual([open, kept]);
  });

  it('finds another replica where one cannot be reached', async () => {
    const of = replicas([1, 1], { sharing: 'agent' });
    of.servers[0]!.onConnect = () => {
      throw new Error('no');
    };
    of.path.start(60_000);
    await of.clock.advance(1_000);
    expect([of.path.best.state.name, of.servers[1]!.connects]).toEqual(['ready', 1]);
  });
});

describe('a restart', () => {
  it.each([
    ['shared', [1, 1], [1, 1]],
    ['agent', [0, 1], [0, 1]],
    ['call', [1, 0], [0, 0]],
  ] as const)('with sharing %j begins what its calls will use', async (sharing, begun, kept) => {
    const of = replicas([1, 1], { sharing });
    // The first of two is out at first, so one that keeps state runs at the second.
    of.servers[0]!.onConnect = () => {
      throw new Error('no');
    };
    const called = watch(of.call());
    await of.clock.advance(1_000);
    expect([called.settled, called.error]).toEqual([true, undefined]);
    const connects = [0, 0];
    of.servers.forEach((server, i) => {
      server.onConnect = () => void connects[i]!++;
    });
    const restarted = watch(of.path.restart(1_000, 60_000));
    await of.clock.advance(1_100);
    expect([restarted.settled, restarted.error]).toEqual([true, undefined]);
    expect(of.path.best.state.name).toBe('ready');
    expect([connects, of.servers.map((server) => server.open.size)]).toEqual([begun, kept]);
    const again = watch(of.call());
    await of.clock.advance(10);
    expect([again.settled, again.error]).toEqual([true, undefined]);
  });

  it('begins what a call waits for, and what was stopped', async () => {
    const of = replicas([1, 1], { sharing: 'agent' });
    const restarted = of.path.restart(1_000, undefined);
    const waits = watch(of.call());
    await of.clock.advance(10);
    await restarted;
    expect([waits.settled, waits.error]).toEqual([true, undefined]);
    await of.path.stop(0);
    await of.path.restart(0, 60_000);
    await of.clock.advance(10);
    expect(of.servers.map(({ open }) => open.size)).toEqual([1, 0]);
  });
});
