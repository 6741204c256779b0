/** Knows what an endpoint carries out of its machine's decisions: one start for all, back-off, idling, health, ends. */

import { describe, expect, it } from 'vitest';
import { Gate } from '../../src/_util/gate.js';
import type { Connection } from '../../src/connection/connection.js';
import { Endpoint } from '../../src/endpoint/endpoint.js';
import { mayDownload } from '../../src/endpoint/launch.js';
import type { EndpointState } from '../../src/endpoint/machine.js';
import { StoreError } from '../../src/errors.js';
import { resolvePerformance } from '../../src/option-layers.js';
import type { ConnectionPoolOptions } from '../../src/options.js';
import { FakeClock, failure, settle, watch } from '../support/fake-clock.js';
import { FakeServer } from '../support/fake-server.js';

interface Bench {
  clock: FakeClock;
  server: FakeServer;
  endpoint: Endpoint;
  states: EndpointState['name'][];
  wait(forMs?: number): Promise<Connection>;
  request(
    connection: Connection,
    method?: string,
    params?: Record<string, unknown>,
    forMs?: number,
  ): Promise<Record<string, unknown>>;
}

function bench(pool: ConnectionPoolOptions = {}): Bench {
  const clock = new FakeClock();
  const server = new FakeServer({ echo: {} }, clock);
  const states: EndpointState['name'][] = [];
  const { options } = resolvePerformance([{ source: 'service', values: { connectionPool: pool } }]);
  const endpoint = new Endpoint({
    definition: { kind: 'memory', server },
    performance: options,
    own: { connectionPool: pool },
    clock,
    gate: new Gate(8, clock),
    onState: ({ name }) => states.push(name),
    onOpened: () => {},
    onNotice: () => {},
    onLine: () => {},
  });
  return {
    clock,
    server,
    endpoint,
    states,
    wait: (forMs = 30_000) => endpoint.wait({ deadline: clock.now() + forMs, signal: undefined }, forMs),
    request: (connection, method = 'tools/call', params = { name: 'echo', arguments: {} }, forMs = 10_000) =>
      connection.request(method, params, { deadline: clock.now() + forMs, timeoutMs: forMs, silenceMs: 0 }),
  };
}

/** A connection that has answered once, given back. */
async function used({ endpoint, wait, request }: Bench): Promise<Connection> {
  const connection = await wait();
  await request(connection);
  endpoint.release(connection);
  return connection;
}

describe('starting', () => {
  it('happens once for a hundred first calls', async () => {
    const { server, endpoint, wait, states } = bench();
    const got = await Promise.all(Array.from({ length: 100 }, () => wait()));
    expect([new Set(got).size, server.connects]).toEqual([1, 1]);
    expect(states).toEqual(['starting', 'ready']);
    expect(endpoint.stats()).toMatchObject({ created: 1, reused: 99, open: 1, inFlight: 100 });
  });

  it('belongs to the service: it goes on when its first caller’s deadline is over', async () => {
    const { clock, server, endpoint, wait } = bench();
    server.onConnect = () => new Promise((resolve) => clock.after(500, resolve));
    const early = failure(wait(100));
    await clock.advance(100);
    expect(await early).toMatchObject({
      code: 'TIMEOUT',
      message: 'no connection within 100 ms (max 1, open 0, in flight 0, waiting 0)',
    });
    await clock.advance(400);
    expect(endpoint.state.name).toBe('ready');
    expect(server.connects).toBe(1);
  });

  it('that stays silent fails at its own deadline, and whoever waited is told', async () => {
    const { clock, server, endpoint, wait } = bench({ connectionTimeoutMs: 1_000 });
    server.answers.initialize = false;
    const failed = failure(wait());
    await clock.advance(1_000);
    expect(await failed).toMatchObject({
      code: 'START_FAILED',
      executed: 'no',
      message: expect.stringContaining('no answer to the handshake within 1000 ms'),
      figures: { timeoutMs: 1_000 },
    });
    expect([endpoint.state.name, server.open.size]).toEqual(['reconnecting', 0]);
    expect(endpoint.stats()).toMatchObject({ failed: 1, open: 0 });
  });

  it('waits out its back-off, however many calls come meanwhile', async () => {
    const { clock, server, endpoint, wait } = bench();
    server.onConnect = () => {
      throw new Error('down');
    };
    clock.randoms.push(0.9, 0.9);
    await failure(wait());
    expect(endpoint.state).toMatchObject({ name: 'reconnecting' });
    for (let i = 0; i < 20; i++) void wait(10_000).catch(() => {});
    await clock.advance(449);
    expect(server.connects).toBe(1);
    await clock.advance(1);
    expect(server.connects).toBe(2);
  });

  it('F5: stops after five failures, fails calls fast, and looks again after five minutes', async () => {
    const { clock, server, endpoint, wait } = bench();
    server.onConnect = () => {
      throw new Error('down');
    };
    await failure(wait());
    await clock.advance(20_000);
    expect([endpoint.state.name, server.connects]).toEqual(['failed', 5]);
    const refused = await failure(wait());
    expect(refused).toMatchObject({
      code: 'SERVICE_DOWN',
      executed: 'no',
      hint: 'restartService tries again at once.',
    });
    expect(refused.message).toMatch(/^does not start: .*down; next try in \d+ s$/);
    expect((refused['figures'] as { nextTryInMs: number }).nextTryInMs).toBeGreaterThan(200_000);
    await clock.advance(60_000);
    expect(server.connects).toBe(5);
    server.onConnect = undefined;
    await clock.advance(240_000);
    expect([endpoint.state.name, server.connects]).toEqual(['ready', 6]);
  });

  it('again waits until nothing of before is left; calls wait for it, and restarts at the same time are one', async () => {
    const of = bench();
    const { clock, server, endpoint, wait, request } = of;
    server.tools = { slow: { delayMs: 2_000 } };
    const before = await wait();
    const running = request(before, 'tools/call', { name: 'slow', arguments: {} }).finally(() =>
      endpoint.release(before),
    );
    const restarts = Promise.all([endpoint.restart(5_000), endpoint.restart(5_000)]);
    const after = watch(wait());
    await clock.advance(1_900);
    expect([endpoint.state.name, server.connects, after.settled]).toEqual(['starting', 1, false]);
    await clock.advance(200);
    await Promise.all([running, restarts]);
    await settle();
    expect([server.connects, server.open.size, endpoint.connections.length]).toEqual([2, 1, 1]);
    expect(after.value).toBe(endpoint.connections[0]);
    expect(before.closed).toBe(true);
  });

  it('a restart ends a start that is under way, and what still runs after drainMs', async () => {
    const of = bench();
    const { clock, server, endpoint, wait, request } = of;
    server.onConnect = () => new Promise(() => {});
    void wait().catch(() => {});
    await settle();
    server.onConnect = undefined;
    await endpoint.restart(1_000);
    await settle();
    expect([endpoint.state.name, server.open.size]).toEqual(['ready', 1]);
    server.tools = { slow: { delayMs: 60_000 } };
    const held = endpoint.take()!;
    const lost = failure(request(held, 'tools/call', { name: 'slow', arguments: {} }));
    const restarted = endpoint.restart(1_000);
    await clock.advance(1_000);
    await restarted;
    expect(await lost).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    await settle();
    expect([endpoint.state.name, server.open.size]).toEqual(['ready', 1]);
  });

  it('happens at once, whatever the state, with restart', async () => {
    const { clock, server, endpoint, wait } = bench();
    server.onConnect = () => {
      throw new Error('down');
    };
    await failure(wait());
    server.onConnect = undefined;
    void endpoint.restart(0);
    await settle();
    await settle();
    expect(endpoint.state.name).toBe('ready');
    await endpoint.stop(0);
    expect(await failure(wait())).toMatchObject({ code: 'SERVICE_DOWN', message: 'the service is stopped' });
    void endpoint.restart(0);
    await settle();
    await settle();
    expect([endpoint.state.name, server.open.size]).toEqual(['ready', 1]);
    await clock.advance(1_000);
  });

  it('that is stopped and begun again half way leaves one connection', async () => {
    const { clock, server, endpoint } = bench();
    server.onConnect = (connection) => new Promise((resolve) => clock.after(connection * 100, resolve));
    endpoint.use();
    await settle();
    const stopped = endpoint.stop(0);
    await clock.advance(150);
    await stopped;
    void endpoint.restart(0);
    await settle();
    await clock.advance(500);
    expect([endpoint.stats().open, server.open.size, server.connects]).toEqual([1, 1, 2]);
  });
});

describe('losing a connection', () => {
  it('starts again after a short pause, and calls wait for that', async () => {
    const it = bench();
    await used(it);
    it.clock.randoms.push(0.5);
    it.server.drop();
    await settle();
    expect(it.endpoint.state.name).toBe('reconnecting');
    const waiting = watch(it.wait());
    await it.clock.advance(249);
    expect(waiting.settled).toBe(false);
    await it.clock.advance(1);
    expect(waiting.value).toBeDefined();
    expect([it.server.connects, it.endpoint.state.name]).toEqual([2, 'ready']);
  });

  it('of several leaves the others in use', async () => {
    const it = bench({ maxConnections: 3, maxInFlightPerConnection: 1 });
    const held = await Promise.all([it.wait(), it.wait(), it.wait()]);
    expect(new Set(held).size).toBe(3);
    await held[0]!.end(new Error('gone'));
    it.endpoint.release(held[0]!);
    expect(it.endpoint.state.name).toBe('ready');
    it.endpoint.release(held[1]!);
    expect(it.endpoint.take()).toBe(held[1]);
  });

  it('that serves nobody counts like a failed start, and ends in giving up', async () => {
    const it = bench();
    it.endpoint.use();
    for (let i = 0; i < 10; i++) {
      await settle();
      it.server.drop();
      await it.clock.advance(8_000);
    }
    expect([it.endpoint.state.name, it.server.connects]).toEqual(['failed', 5]);
  });
});

describe('idling', () => {
  it('closes a process that nobody used for maxIdleTimeMs where the minimum allows it, health checks or not', async () => {
    for (const healthCheckIntervalMs of [0, 60_000]) {
      const it = bench({ minConnections: 0, maxIdleTimeMs: 300_000, healthCheckIntervalMs });
      await used(it);
      await it.clock.advance(299_000);
      expect([it.server.open.size, it.server.pings > 0]).toEqual([1, healthCheckIntervalMs > 0]);
      await it.clock.advance(2_000);
      expect([it.server.open.size, it.endpoint.state.name]).toEqual([0, 'registered']);
      expect(it.clock.timers).toBeLessThanOrEqual(1);
      await used(it);
      expect([it.server.connects, it.endpoint.state.name]).toEqual([2, 'ready']);
    }
  });

  it('leaves a process that was started once, since it may hold state', async () => {
    const it = bench({ maxIdleTimeMs: 1_000 });
    await used(it);
    await it.clock.advance(600_000);
    expect([it.server.open.size, it.server.connects]).toEqual([1, 1]);
  });
});

describe('health', () => {
  it('is asked of what idles, and "method not found" is life', async () => {
    const it = bench({ healthCheckIntervalMs: 1_000 });
    await used(it);
    await it.clock.advance(3_500);
    expect(it.server.pings).toBe(3);
    expect(it.endpoint.state.name).toBe('ready');
  });

  it('ends a connection after three silences, and makes a new one', async () => {
    const it = bench({ healthCheckIntervalMs: 1_000, healthCheckTimeoutMs: 100 });
    await used(it);
    it.server.answers.ping = false;
    await it.clock.advance(3_000);
    expect(it.server.connects).toBe(1);
    await it.clock.advance(2_000);
    expect(it.server.connects).toBe(2);
    expect(it.states).toContain('reconnecting');
  });
});

describe('ending', () => {
  it('waits for calls in flight, refuses new ones, and leaves no connection or timer', async () => {
    const it = bench();
    const connection = await it.wait();
    const closed = watch(it.endpoint.close(10_000));
    await it.clock.advance(5_000);
    expect([closed.settled, it.server.open.size]).toEqual([false, 1]);
    expect(await failure(it.wait())).toMatchObject({ code: 'STORE_CLOSED' });
    it.endpoint.release(connection);
    await it.clock.advance(50);
    expect([closed.settled, it.server.open.size, it.clock.timers]).toEqual([true, 0, 0]);
  });

  it('does not wait longer than drainMs', async () => {
    const it = bench();
    const connection = await it.wait();
    it.server.methods['nobody/answers'] = () => undefined as never;
    const answer = failure(it.request(connection, 'nobody/answers'));
    const closed = watch(it.endpoint.close(1_000));
    await it.clock.advance(1_050);
    expect(closed.settled).toBe(true);
    expect(await answer).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect(it.server.open.size).toBe(0);
  });

  it('ends a start that is under way, at once', async () => {
    for (const end of ['close', 'stop'] as const) {
      const it = bench();
      it.server.answers.initialize = false;
      it.endpoint.use();
      await settle();
      expect(it.server.open.size).toBe(1);
      const ended = watch(it.endpoint[end](0));
      await it.clock.advance(10);
      expect([ended.settled, it.server.open.size, it.clock.timers]).toEqual([true, 0, 0]);
    }
  });

  it('fails what waits, each with an error of its own', async () => {
    const it = bench();
    it.server.onConnect = () => new Promise(() => {});
    const waits = [failure(it.wait()), failure(it.wait())];
    await settle();
    void it.endpoint.close(0);
    const [a, b] = await Promise.all(waits);
    expect(a).toMatchObject({ code: 'STORE_CLOSED', executed: 'no' });
    expect(a).not.toBe(b);
  });
});

describe('a command that may download its program first', () => {
  it.each([
    ['npx', ['-y', 'x'], true],
    ['/usr/bin/npx', [], true],
    ['npx.cmd', [], true],
    ['uvx', [], true],
    ['bunx', [], true],
    ['docker', ['run', 'x'], true],
    ['pnpm', ['dlx', 'x'], true],
    ['npm', ['exec', 'x'], true],
    ['uv', ['tool', 'run', 'x'], true],
    ['npm', ['install'], false],
    ['node', ['npx'], false],
    ['my-npx', [], false],
  ] as [string, string[], boolean][])('%s %j: %s', (command, args, expected) => {
    expect(mayDownload(command, args)).toBe(expected);
  });
});

describe('closing', () => {
  it('a stop with less time ends a restart’s wait as well, though it looks a moment later', async () => {
    const { clock, server, endpoint, request } = bench();
    server.tools = { slow: { delayMs: 300_000 } };
    endpoint.use();
    await settle();
    const connection = endpoint.take()!;
    const lost = failure(request(connection, 'tools/call', { name: 'slow', arguments: {} }, 300_000));
    const restarted = watch(endpoint.restart(60_000));
    await clock.advance(7);
    const stopped = watch(endpoint.stop(1_000));
    await clock.advance(1_100);
    expect([restarted.settled, stopped.settled, server.open.size]).toEqual([true, true, 0]);
    expect(await lost).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  });

  it('simulation seed 111: a second close with less time ends what the first one still waits for', async () => {
    const { clock, server, endpoint, wait, request } = bench();
    server.tools = { slow: { delayMs: 9_000 } };
    const connection = await wait();
    const lost = failure(request(connection, 'tools/call', { name: 'slow', arguments: {} }));
    const first = watch(endpoint.close(60_000));
    await clock.advance(100);
    const second = endpoint.close(0);
    await clock.advance(50);
    await second;
    expect(first.settled).toBe(true);
    expect(await lost).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  });

  it('simulation seed 17: waits for a lease that is ending, and for one that nobody waited for any more', async () => {
    const { clock, server, endpoint } = bench();
    const forMs = (ms: number) => ({ deadline: clock.now() + ms, signal: undefined });
    server.onConnect = () => new Promise((resolve) => clock.after(200, resolve));
    const late = failure(endpoint.leases.open(forMs(100), 100));
    await clock.advance(100);
    expect(await late).toMatchObject({ code: 'TIMEOUT' });
    await clock.advance(100);
    expect(server.open.size).toBe(0);
    server.onConnect = undefined;
    const connects = server.connects;
    expect(await failure(endpoint.leases.open(forMs(0), 100))).toMatchObject({ code: 'TIMEOUT' });
    expect(server.connects).toBe(connects);
    const lease = await endpoint.leases.open(forMs(100), 100);
    void endpoint.leases.end(lease);
    await endpoint.close(0);
    expect([lease.closed, server.open.size]).toEqual([true, 0]);
  });
});

describe('F25: a session that the server forgets', () => {
  const expired = () => new StoreError('CONNECT_FAILED', 'gone', { figures: { sessionExpired: true } });

  it('is no failed start where its list was all that it was asked for', async () => {
    const { endpoint, wait, request, states } = bench();
    const connection = await wait();
    await request(connection, 'tools/list', {});
    endpoint.release(connection);
    await connection.end(expired());
    expect(await wait()).not.toBe(connection);
    expect(states).toEqual(['starting', 'ready', 'starting', 'ready']);
  });

  it.each([
    'unused',
    'under its first call',
  ])('is one where it never answered, %s: it is not made anew without a pause', async (when) => {
    const { endpoint, wait, states } = bench();
    const connection = await wait();
    if (when === 'unused') endpoint.release(connection);
    await connection.end(expired());
    expect(states).toEqual(['starting', 'ready', 'reconnecting']);
  });
});

describe('F42: time', () => {
  it('that jumps ahead by an hour, as after a suspended process, has idle connections asked at once', async () => {
    const of = bench();
    const { clock, server, endpoint } = of;
    await used(of);
    const before = server.pings;
    clock.jump(3_600_000);
    await settle();
    expect(server.pings).toBe(before + 1);
    // It does not answer any more: after three checks a new one takes its place.
    server.answers.ping = false;
    await clock.advance(4 * 60_000);
    expect(of.states.join()).toContain('degraded,reconnecting,starting,ready');
    expect(endpoint.connections).toHaveLength(1);
  });

  it('on the wall that is set back or ahead ends no call and no wait', async () => {
    const of = bench();
    const { clock, server, endpoint, request } = of;
    server.tools = { slow: { delayMs: 5_000 } };
    const connection = await of.wait();
    const answer = request(connection, 'tools/call', { name: 'slow', arguments: {} });
    const wall = clock.wall.bind(clock);
    clock.wall = () => wall() + 3_600_000;
    await clock.advance(2_500);
    clock.wall = () => wall() - 3_600_000;
    await clock.advance(2_500);
    expect(await answer).toMatchObject({ content: expect.anything() });
    endpoint.release(connection);
    expect(endpoint.state.name).toBe('ready');
  });
});
