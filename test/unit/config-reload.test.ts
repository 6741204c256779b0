/** Knows what a change of the file takes over while a store runs, and what it leaves as the program made it. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { StoreEvents } from '../../src/events.js';
import { MCPStore } from '../../src/store.js';
import { FakeClock, settle } from '../support/fake-clock.js';
import { FakeServer } from '../support/fake-server.js';
import { tempDir } from '../support/tmp.js';

const program = (command: string): { command: string } => ({ command });

async function opened(
  content: object,
  options: Parameters<typeof MCPStore.open>[0] = {},
): Promise<{
  store: MCPStore;
  problems: StoreEvents['configProblem'][];
  change: (next: object) => Promise<StoreEvents['configChanged']>;
}> {
  const config = join(await tempDir(), 'mcp.json');
  await writeFile(config, JSON.stringify(content));
  const store = await MCPStore.open({ config, stateDir: null, clock: new FakeClock(), env: {}, ...options });
  const problems: StoreEvents['configProblem'][] = [];
  store.on('configProblem', (event) => problems.push(event));
  const change = async (next: object): Promise<StoreEvents['configChanged']> => {
    const heard = new Promise<StoreEvents['configChanged']>((resolve) => store.on('configChanged', resolve));
    await writeFile(config, JSON.stringify(next));
    return heard;
  };
  return { store, problems, change };
}

it('another service in the file undoes nothing that was changed in memory', async () => {
  const a = program('a');
  const b = program('b');
  const { store, change } = await opened({ mcpServers: { a, b } });
  await store.updateService('a', program('mine'));
  await store.deleteService('b');
  const event = await change({ mcpServers: { a, b, c: program('c') } });
  expect(event).toMatchObject({ added: ['c'], removed: [], changed: [] });
  expect(store.showConfig()).toEqual({ mcpServers: { a: program('mine'), c: program('c') } });
  await store.close();
});

it('a change of that service itself does, whatever the program made of it', async () => {
  const { store, change } = await opened({ mcpServers: { a: program('a'), b: program('b'), c: program('c') } });
  await store.updateService('a', program('mine'));
  await store.deleteService('b');
  await store.updateService('c', program('mine'));
  const event = await change({ mcpServers: { a: program('a2'), b: program('b2') } });
  expect(event).toMatchObject({ added: ['b'], removed: ['c'], changed: ['a'] });
  expect(store.showConfig()).toEqual({ mcpServers: { a: program('a2'), b: program('b2') } });
  await store.close();
});

it('what was persisted is the file’s from then on', async () => {
  const { store, problems, change } = await opened({ mcpServers: { a: program('a'), b: program('b') } });
  await store.addService('c', { ...program('c'), args: ['x'], timeout: 5 }, { persist: true });
  await store.updateService('a', program('a2'), { persist: true });
  await store.deleteService('b', { persist: true });
  const { args } = store.showConfig().mcpServers['c']!;
  const event = await change({
    mcpServers: { d: program('d'), c: { timeout: 5, args, command: 'c' }, b: program('b') },
  });
  expect(event).toMatchObject({ added: ['d', 'b'], removed: ['a'], changed: [] });
  expect(problems).toEqual([]);
  expect(await change({ mcpServers: { d: program('d') } })).toMatchObject({ removed: ['c', 'b'] });
  await store.close();
});

it('a name of the program’s own is not taken by the file, which is told', async () => {
  const { store, problems, change } = await opened({ mcpServers: {} });
  await store.addService('tools', program('mine'));
  const event = await change({ mcpServers: { tools: program('theirs') } });
  expect(event).toMatchObject({ added: [], removed: [], changed: [] });
  expect(problems.map(({ error }) => [error.code, error.service])).toEqual([['SERVICE_EXISTS', 'tools']]);
  expect(store.showConfig().mcpServers['tools']).toEqual(program('mine'));
  await change({ mcpServers: {} });
  expect(store.showConfig().mcpServers['tools']).toEqual(program('mine'));
  await change({ mcpServers: { tools: program('theirs') } });
  await store.deleteService('tools');
  expect(await change({ mcpServers: { tools: program('theirs'), x: program('x') } })).toMatchObject({
    added: ['tools', 'x'],
  });
  await store.close();
});

it('a service that becomes an agent’s own is that agent’s, under the same full name', async () => {
  const own = program('own');
  const { store, change } = await opened({ mcpServers: { 'res.own': own } });
  const agent = store.forAgent('res');
  expect(agent.listServices()).toEqual([]);
  const event = await change({ mcpstore: { agents: { res: { mcpServers: { own } } } } });
  expect(event).toMatchObject({ changed: ['res.own'] });
  expect(agent.showConfig()).toEqual({ mcpServers: { own } });
  const unset = program('${UNSET}');
  await change({ mcpServers: { 'res.own': unset } });
  expect(agent.listServices()).toEqual([]);
  await change({ mcpstore: { agents: { res: { mcpServers: { own: unset } } } } });
  expect(agent.showConfig()).toEqual({ mcpServers: { own: unset } });
  await store.close();
});
it('a change of "performance" is in force at once, as a whole or not at all', async () => {
  const performance = { calls: { callTimeoutMs: 5_000, queueLimit: 7 } };
  const own = { ...program('a'), mcpstore: { connectionPool: { maxConnections: 2 } } };
  const { store, problems, change } = await opened({ performance, mcpServers: { own } });
  store.configure({ calls: { queueLimit: 9 } });
  await change({ performance: { calls: { callTimeoutMs: 6_000, queueLimit: 8 } }, mcpServers: { own } });
  // What was set in code wins.
  expect(store.effectiveOptions.calls).toMatchObject({ callTimeoutMs: 6_000, queueLimit: 9 });
  expect(store.optionSources).toMatchObject({ 'calls.callTimeoutMs': 'file', 'calls.queueLimit': 'code' });
  const unfit = { calls: { callTimeoutMs: 4_000 }, connectionPool: { minConnections: 3 } };
  await change({ performance: unfit, mcpServers: { own } });
  expect(problems.map(({ error }) => error.message)).toEqual([
    expect.stringMatching(
      /mcp\.json:1:\d+: performance: own: connectionPool\.minConnections: 3, from the file, is above maxConnections 2, of the service itself$/,
    ),
  ]);
  expect(problems[0]!.error).toMatchObject({ service: 'own', hint: expect.stringMatching(/^Give the service both/) });
  expect(store.effectiveOptions.calls.callTimeoutMs).toBe(6_000);
  await change({ mcpServers: { own } });
  expect(problems.length).toBe(1);
  expect(store.optionSources['calls.callTimeoutMs']).toBe('default');
  await store.close();
});

it('a new timeout, and keys of other programs, take effect and end no process', async () => {
  const clock = new FakeClock();
  const server = new FakeServer({ hang: { delayMs: 1e9 }, echo: {} }, clock);
  const store = await MCPStore.open({ stateDir: null, clock, services: { a: { server, timeout: 5 } } });
  const called = store.callTool('a__echo');
  await settle(20);
  await called;
  const hanging = store.callTool('a__hang').catch((error: unknown) => error);
  await settle();
  await store.patchService('a', { timeout: 7, owner: 'me' });
  expect(store.showConfig().mcpServers['a']).toEqual({ timeout: 7, owner: 'me' });
  await clock.advance(5_000);
  expect(await hanging).toMatchObject({ code: 'TIMEOUT', figures: { timeoutMs: 5_000 } });
  const later = store.callTool('a__hang').catch((error: unknown) => error);
  await settle();
  await clock.advance(7_000);
  expect(await later).toMatchObject({ code: 'TIMEOUT', figures: { timeoutMs: 7_000 } });
  expect(server.connects).toBe(1);
  await store.patchService('a', { mcpstore: { trusted: true } });
  const again = store.callTool('a__echo');
  await settle(20);
  await again;
  expect(server.connects).toBe(2);
  await store.close();
});
