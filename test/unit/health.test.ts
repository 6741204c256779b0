/** Knows what is told of how services do: their state, their calls of late, and to whom. */

import { expect, it } from 'vitest';
import { FakeClock, failure } from '../support/fake-clock.js';
import { FakeServer, openStore, RpcFault, text } from '../support/fake-server.js';

const tools = {
  read: {},
  slow: { delayMs: 1_000 },
  bad: { run: () => ({ ...text('no'), isError: true }) },
  faulty: {
    run: (): never => {
      throw new RpcFault(-32000, 'broken');
    },
  },
};

it('has state, uptime, tools, connections, calls, errors, times and the last activity of each service', async () => {
  const clock = new FakeClock();
  const servers = { a: new FakeServer(tools, clock), b: new FakeServer(tools, clock) };
  const store = await openStore(servers, clock);
  expect(store.health().services['b']).toEqual({
    service: 'b',
    status: 'registered',
    problem: undefined,
    uptimeMs: 0,
    tools: undefined,
    connections: 0,
    calls: 0,
    errors: 0,
    errorRate: 0,
    meanMs: 0,
    p95Ms: 0,
    lastActivityAt: undefined,
  });
  await store.callTool('a__read');
  const slow = store.callTool('a__slow');
  await clock.advance(1_000);
  await slow;
  await store.callTool('a__bad');
  await failure(store.callTool('a__faulty'));
  const ended = clock.wall();
  await clock.advance(5_000);
  const { services, system, at } = store.health();
  const { p95Ms, ...rest } = services['a']!;
  expect(rest).toEqual({
    service: 'a',
    status: 'ready',
    problem: undefined,
    uptimeMs: 6_000,
    tools: 4,
    connections: 1,
    calls: 4,
    errors: 2,
    errorRate: 0.5,
    meanMs: 250,
    lastActivityAt: ended,
  });
  expect(Math.abs(p95Ms / 1_000 - 1)).toBeLessThan(0.1);
  expect([at, system.uptimeMs, system.childProcesses]).toEqual([clock.wall(), 6_000, 0]);
  expect(system.rssBytes).toBeGreaterThan(system.heapUsedBytes);
  expect(system.heapUsedBytes).toBeGreaterThan(1_000_000);
  expect(system.cpuMs).toBeGreaterThan(0);
  expect(system.eventLoopUtilization).toBeGreaterThan(0);
  expect(system.eventLoopUtilization).toBeLessThanOrEqual(1);
  servers.a.onConnect = () => {
    throw new Error('gone');
  };
  servers.a.drop();
  await clock.advance(60_000);
  expect(store.health().services['a']).toMatchObject({
    status: 'failed',
    problem: { code: expect.any(String), message: expect.stringContaining('gone') },
    uptimeMs: 0,
    connections: 0,
  });
  await clock.advance(300_000);
  expect(store.health().services['a']).toMatchObject({ calls: 0, errorRate: 0, meanMs: 0, lastActivityAt: ended });
  await store.close();
});

it('counts uptime from the start, through a failure that it lived through', async () => {
  const clock = new FakeClock();
  const server = new FakeServer(tools, clock);
  server.answers.ping = false;
  const store = await openStore({ a: server }, clock);
  await store.callTool('a__read');
  await clock.advance(66_000);
  expect(store.health().services['a']).toMatchObject({ status: 'degraded', uptimeMs: 66_000 });
  await store.callTool('a__read');
  expect(store.health().services['a']).toMatchObject({ status: 'ready', uptimeMs: 66_000 });
  await store.restartService('a');
  await store.waitService('a');
  await clock.advance(1_000);
  expect(store.health().services['a']!.uptimeMs).toBe(1_000);
  await store.close();
});

it('shows an agent what it sees, and of calls its own', async () => {
  const clock = new FakeClock();
  const store = await openStore({ shared: new FakeServer(tools, clock), hidden: new FakeServer(tools, clock) }, clock);
  const agent = store.forAgent('one', { services: ['shared'] });
  await agent.addService('mine', { server: new FakeServer(tools, clock) } as never);
  await store.callTool('shared__bad');
  await store.forAgent('two', { services: ['shared'] }).callTool('shared__read');
  await agent.callTool('shared__read');
  await agent.callTool('mine__read');
  const seen = agent.health().services;
  expect(Object.keys(seen).sort()).toEqual(['mine', 'shared']);
  expect(seen['shared']).toMatchObject({ service: 'shared', status: 'ready', calls: 1, errors: 0 });
  expect(seen['mine']).toMatchObject({ service: 'mine', calls: 1 });
  const all = store.health().services;
  expect(Object.keys(all).sort()).toEqual(['hidden', 'one.mine', 'shared']);
  expect(all['shared']).toMatchObject({ calls: 3, errors: 1 });
  store.disablePerformanceMonitoring();
  await agent.callTool('mine__read');
  expect(agent.health().services['mine']!.calls).toBe(1);
  await store.close();
});
