/** Knows when a store tells that a service does badly: rules, levels, cool-down, and that it is over. */

import { expect, it } from 'vitest';
import type { Alert, AlertRule, MCPStore, OpenOptions, PerformanceOptions } from '../../src/index.js';
import { ALERT_RULES } from '../../src/index.js';
import { FakeClock, failure } from '../support/fake-clock.js';
import { FakeServer, type FakeTool, openStore, RpcFault, text } from '../support/fake-server.js';

const INTERVAL = 30_000;
const MINUTE = 60_000;

interface Scene {
  clock: FakeClock;
  store: MCPStore;
  server: FakeServer;
  told: Alert[];
  /** Calls that end well, and calls that do not. */
  calls(good: number, bad?: number): Promise<void>;
}

async function open(
  monitoring: NonNullable<PerformanceOptions['monitoring']> = {},
  more: Omit<OpenOptions, 'services' | 'clock'> = {},
): Promise<Scene> {
  const clock = new FakeClock();
  const tools: Record<string, FakeTool> = {
    read: {},
    slow: { delayMs: 8_000 },
    bad: { run: () => ({ ...text('no'), isError: true }) },
    faulty: {
      run: () => {
        throw new RpcFault(-32000, 'broken');
      },
    },
  };
  const server = new FakeServer(tools, clock);
  const store = await openStore({ files: server }, clock, { ...more, performance: { monitoring } });
  const told: Alert[] = [];
  store.on('alert', (alert) => told.push(alert));
  const calls = async (good: number, bad = 0): Promise<void> => {
    for (let i = 0; i < good; i++) await store.callTool('files__read');
    for (let i = 0; i < bad; i++) await store.callTool('files__bad');
  };
  return { clock, store, server, told, calls };
}

const brief = (alerts: readonly Alert[]): string[] => alerts.map(({ rule, state }) => `${rule} ${state}`);

it('tells of a high error rate, again after the cool-down, and that it is over', async () => {
  const { clock, store, told, calls } = await open();
  const began = clock.wall();
  await calls(10, 2);
  expect(told).toEqual([]);
  await clock.advance(INTERVAL);
  const health = store.health().services['files'];
  expect(told).toEqual([
    {
      rule: 'error-rate',
      service: 'files',
      level: 'error',
      state: 'firing',
      message: 'files: 2 of 12 calls failed',
      since: began + INTERVAL,
      at: began + INTERVAL,
      health,
    },
  ]);
  expect(store.alerts.active).toEqual(told);
  await clock.advance(4 * MINUTE);
  expect(told).toHaveLength(1);
  await calls(10, 2);
  await clock.advance(MINUTE);
  expect(brief(told)).toEqual(['error-rate firing', 'error-rate firing']);
  expect(told[1]).toMatchObject({ since: began + INTERVAL, at: began + INTERVAL + 5 * MINUTE });
  // No more calls count then.
  await clock.advance(6 * MINUTE);
  expect(brief(told).slice(2)).toEqual(['error-rate resolved']);
  expect(told[2]).toMatchObject({ message: 'files: 2 of 12 calls failed (no longer)', since: began + INTERVAL });
  expect(store.alerts.active).toEqual([]);
  expect(store.alerts.history).toEqual([...told].reverse());
  await store.close();
});

it('tells of nothing where all is well, few calls say little, or their callers cancelled', async () => {
  const { clock, store, told, calls } = await open();
  await calls(30, 3);
  await clock.advance(INTERVAL);
  for (let i = 0; i < 10; i++) await failure(store.callTool('files__read', {}, { signal: AbortSignal.abort() }));
  await clock.advance(10 * MINUTE);
  await calls(0, 9);
  await clock.advance(10 * MINUTE);
  expect(told).toEqual([]);
  await store.close();
});

it('tells of slow calls and of a service that is down, and when it is back', async () => {
  const { clock, store, server, told } = await open();
  const slow = Array.from({ length: 10 }, () => store.callTool('files__slow'));
  await clock.advance(INTERVAL);
  await Promise.all(slow);
  expect(told).toMatchObject([{ rule: 'slow-response', level: 'warning', message: 'files: calls take 8000 ms' }]);
  server.onConnect = () => {
    throw new Error('no licence');
  };
  server.drop();
  await clock.advance(2 * MINUTE);
  expect(brief(told).slice(1)).toEqual(['service-down firing']);
  expect(told[1]).toMatchObject({
    level: 'critical',
    message: 'files cannot be used: failed',
    health: { uptimeMs: 0 },
  });
  expect(told[1]!.health.problem?.message).toContain('no licence');
  server.onConnect = undefined;
  await store.restartService('files');
  await clock.advance(INTERVAL);
  expect(brief(told)).toContain('service-down resolved');
  await store.close();
});

it('does not tell twice within the cool-down, whatever comes and goes', async () => {
  let bad = false;
  const rule: AlertRule = { name: 'mine', when: () => bad, cooldownMs: 100_000, message: '{service} {nothing}' };
  const { clock, store, told, calls } = await open({ rules: [rule], intervalMs: 10_000 });
  const tick = async (now: boolean): Promise<void> => {
    bad = now;
    await calls(1);
    await clock.advance(10_000);
  };
  for (const now of [true, false, true, false]) await tick(now);
  expect(brief(told)).toEqual(['mine firing', 'mine resolved']);
  expect(told[0]).toMatchObject({ message: 'files {nothing}', level: 'warning' });
  for (let i = 0; i < 6; i++) await tick(true);
  expect(brief(told)).toEqual(['mine firing', 'mine resolved']);
  await tick(true);
  expect(brief(told).slice(2)).toEqual(['mine firing']);
  await tick(false);
  expect(brief(told).slice(3)).toEqual(['mine resolved']);
  await store.close();
});

it('takes rules as data and as functions, and makes their message where there is none', async () => {
  const rules: AlertRule[] = [
    { name: 'busy', when: { metric: 'calls', above: 4 }, level: 'info' },
    { name: 'lonely', when: { metric: 'connections', below: 1 } },
    { name: 'fine', when: { status: 'ready' } },
    { name: 'own', when: (health) => health.tools === 4 && health.uptimeMs > 0 },
    {
      name: 'broken',
      when: () => {
        throw new Error('mine');
      },
    },
  ];
  const logged: object[] = [];
  const say = (fields: object, message: string): unknown => logged.push({ ...fields, message });
  const logger = { debug: () => {}, info: say, warn: say, error: say };
  const { clock, store, told, calls } = await open({ rules }, { logger });
  await calls(5);
  await clock.advance(2 * INTERVAL);
  expect(told.map(({ message }) => message)).toEqual(['files: busy, calls is 5', 'files: fine', 'files: own']);
  expect(logged).toEqual([
    { rule: 'busy', service: 'files', level: 'info', state: 'firing', message: 'files: busy, calls is 5' },
    { rule: 'fine', service: 'files', level: 'warning', state: 'firing', message: 'files: fine' },
    { rule: 'own', service: 'files', level: 'warning', state: 'firing', message: 'files: own' },
    { rule: 'broken', error: 'mine', message: 'the rule of an alert failed' },
  ]);
  store.configure({ monitoring: { rules: [] } });
  await clock.advance(INTERVAL);
  expect(brief(told).slice(3)).toEqual(['busy resolved', 'fine resolved', 'own resolved']);
  await store.close();
});

it('ends the alerts of a service that is removed', async () => {
  const rules: AlertRule[] = [{ name: 'fine', when: { status: 'ready' } }];
  const { clock, store, told, calls } = await open({ rules });
  await calls(1);
  await clock.advance(INTERVAL);
  await store.deleteService('files');
  await clock.advance(INTERVAL);
  expect(told.at(-1)).toMatchObject({ state: 'resolved', message: 'files: fine (the service is gone)' });
  await store.close();
});

it('has one timer while services are used, and none before, after a quiet while, without rules, when off and closed', async () => {
  const { clock, store, calls } = await open();
  expect(clock.timers).toBe(0);
  await calls(1);
  await clock.advance(8 * MINUTE);
  // What is left belongs to the connection.
  const others = clock.timers;
  await calls(1);
  expect(clock.timers).toBe(others + 1);
  store.configure({ monitoring: { intervalMs: 1_000 } });
  expect(clock.timers).toBe(others + 1);
  store.configure({ monitoring: { enabled: false } });
  expect(clock.timers).toBe(others);
  await calls(1);
  expect(clock.timers).toBe(others);
  store.configure({ monitoring: { enabled: true, rules: [] } });
  await calls(1);
  expect(clock.timers).toBe(others);
  store.configure({ monitoring: { rules: ALERT_RULES } });
  await calls(1);
  expect(clock.timers).toBe(others + 1);
  await store.close();
  expect(clock.timers).toBe(0);
});

it('forgets what is true when monitoring is switched off, and goes on while an alert lasts', async () => {
  const { clock, store, told, calls, server } = await open({ intervalMs: 1_000 });
  await calls(1);
  server.onConnect = () => {
    throw new Error('no');
  };
  server.drop();
  await clock.advance(30 * MINUTE);
  const before = told.length;
  expect(before).toBeGreaterThan(5);
  expect(store.alerts.active).toMatchObject([{ rule: 'service-down' }]);
  store.disablePerformanceMonitoring();
  expect(store.alerts.active).toEqual([]);
  await clock.advance(30 * MINUTE);
  expect(told).toHaveLength(before);
  await store.close();
});

it('refuses a rule that is none, with its path, in code and in a file', async () => {
  const wrong: [unknown, string][] = [
    [{}, 'rules: expected an array of rules'],
    [[1], 'rules.0: expected an object'],
    [[{ when: { status: 'failed' } }], 'rules.0.name: expected a text that is not empty'],
    [[{ name: 'a', when: { status: 'down' } }], 'rules.0.when.status: expected of registered, starting, ready'],
    [[{ name: 'a', when: { status: [] } }], 'rules.0.when.status: expected of'],
    [[{ name: 'a', when: { status: 'failed', above: 1 } }], 'rules.0.when.above: goes with "metric"'],
    [[{ name: 'a', when: { metric: 'rate', above: 1 } }], 'rules.0.when.metric: expected one of errorRate, errors'],
    [[{ name: 'a', when: { metric: 'calls' } }], 'rules.0.when: needs "above" or "below"'],
    [[{ name: 'a', when: { metric: 'calls', above: '1' } }], 'rules.0.when.above: expected a number'],
    [[{ name: 'a', when: 'always' }], 'rules.0.when: expected an object'],
    [[{ name: 'a', when: () => true, level: 'bad' }], 'rules.0.level: expected one of info, warning, error, critical'],
    [[{ name: 'a', when: () => true, cooldownMs: -1 }], 'rules.0.cooldownMs: expected a whole number'],
    [[{ name: 'a', when: () => true, message: 1 }], 'rules.0.message: expected a text'],
    [[{ name: 'a', when: () => true, after: 1 }], 'rules.0.after: unknown option'],
    [[...ALERT_RULES, ALERT_RULES[0]], 'rules.3.name: there is a rule named "service-down" already'],
  ];
  const { store } = await open();
  for (const [rules, message] of wrong) {
    const error = await failure((async () => store.configure({ monitoring: { rules } } as never))());
    expect([error['code'], error.message]).toEqual([
      'OPTION_INVALID',
      expect.stringContaining(`monitoring.${message}`),
    ]);
  }
  expect(store.effectiveOptions.monitoring.rules).toBe(ALERT_RULES);
  await store.close();
});
