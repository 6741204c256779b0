/** The life of services in a store: added, started, waited for, stopped, replaced, closed, each without the others' trouble. */

import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { MCPStore, type ServiceConfig, type StoreEvents } from '../../src/index.js';
import { Behaviour } from '../support/behaviour.mjs';
import { httpCarrier, serverV2 } from '../support/carriers.js';
import {
  afterwards,
  allGone,
  cleanUpAfterEach,
  gone,
  openStore,
  scripted,
  starts,
  temporaryPath,
  textIn,
} from '../support/harness.js';
import { failure, timed, until } from '../support/waiting.js';

cleanUpAfterEach();

describe('adding', () => {
  it('takes every form: a definition, a URL, a map, { mcpServers }, a file, a server object', async () => {
    const { url, close } = await httpCarrier(new Behaviour(), true);
    afterwards(close);
    const file = temporaryPath('more.json');
    writeFileSync(file, `{ "servers": { "filed": ${JSON.stringify(scripted())}, /* and */ } }`);
    const store = await openStore();
    expect(await store.addService('one', scripted())).toEqual(['one']);
    expect(await store.addService('web', url)).toEqual(['web']);
    expect(await store.addService({ two: scripted(), three: scripted() })).toEqual(['two', 'three']);
    expect(await store.addService({ mcpServers: { four: scripted() } })).toEqual(['four']);
    expect(await store.addService(file)).toEqual(['filed']);
    expect(await store.addService('here', { server: serverV2(new Behaviour()) })).toEqual(['here']);
    const names = ['one', 'web', 'two', 'three', 'four', 'filed', 'here'];
    expect(store.listServices().map((service) => service.name)).toEqual(names);
    for (const service of names)
      expect(textIn(await store.callTool('echo', { text: service }, { service }))).toBe(service);
    expect(store.showConfig().mcpServers['one']).toMatchObject({ command: process.execPath });
  });

  it('refuses what it cannot use, and then adds nothing', async () => {
    const store = await openStore({ services: { one: scripted() } });
    const refused: [() => Promise<unknown>, string][] = [
      [() => store.addService({ two: scripted(), one: scripted() }), 'SERVICE_EXISTS'],
      [() => store.addService('../up', scripted()), 'OPTION_INVALID'],
      [() => store.addService('odd', { command: 7 } as never), 'OPTION_INVALID'],
      [() => store.addService('odd', { command: 'x', mcpstore: { nonsense: 1 } } as never), 'OPTION_INVALID'],
      [() => store.addService('nothing'), 'OPTION_INVALID'],
      [() => store.addService('/nowhere/file.json'), 'FILE_FAILED'],
      [() => store.updateService('missing', scripted()), 'SERVICE_UNKNOWN'],
      [() => store.addService('x', scripted(), { persist: true }), 'OPTION_INVALID'],
    ];
    for (const [attempt, code] of refused) {
      const error = await failure(attempt());
      expect(error.code, error.message).toBe(code);
      expect(error.executed).toBe('no');
    }
    expect(store.listServices().map((service) => service.name)).toEqual(['one']);
  });

  it('replaces, patches and removes; calls in flight finish on the old one', async () => {
    const events: string[] = [];
    const old = scripted({ names: ['only_old'] });
    const store = await openStore({ services: { a: old, b: scripted() } });
    store.on('serviceRemoved', ({ service }) => events.push(`- ${service}`));
    store.on('serviceAdded', ({ service }) => events.push(`+ ${service}`));
    await store.listTools();
    const slow = store.callTool('a__sleep', { ms: 500, text: 'old' });
    await store.callTool('a__echo', { text: 'sent' });
    await store.updateService('a', scripted({ names: ['only_new'] }));
    expect(textIn(await store.callTool('a__only_new'))).toBe('only_new');
    expect(textIn(await slow)).toBe('old');
    await allGone(starts(old.pidFile).flat());
    expect((await failure(store.callTool('a__only_old'))).code).toBe('TOOL_UNKNOWN');
    await store.patchService('a', { env: { COLOUR: 'blue' } });
    expect(textIn(await store.callTool('a__env', { name: 'COLOUR' }))).toBe('blue');
    expect(store.listServices().map((service) => service.name)).toEqual(['a', 'b']);
    await store.deleteService('a');
    await store.addService('c', scripted());
    expect(events).toEqual(['- a', '+ c']);
    expect((await failure(store.callTool('a__echo', {}))).code).toBe('TOOL_UNKNOWN');
  });
});

describe('starting and stopping', () => {
  it('waits for a status, restarts, disconnects', async () => {
    const a = scripted();
    const store = await openStore({ services: { a } });
    const states: StoreEvents['state'][] = [];
    store.on('state', (event) => states.push(event));
    const first = await store.waitService('a');
    expect(first).toMatchObject({ status: 'ready', server: { name: 'scripted' }, instructions: 'Be kind.' });
    await store.restartService('a');
    const second = await store.waitService('a');
    expect(second.pids).not.toEqual(first.pids);
    expect(first.pids.map(gone)).toEqual([true]);
    await store.listTools();
    await store.disconnectService('a');
    expect(store.serviceInfo('a')).toMatchObject({ status: 'stopped', pids: [] });
    const error = await failure(store.callTool('a__echo', { text: 'x' }));
    expect(error).toMatchObject({ code: 'SERVICE_DOWN', executed: 'no' });
    expect((await store.listTools()).length).toBeGreaterThan(5);
    expect((await failure(store.waitService('a'))).code).toBe('SERVICE_DOWN');
    const waiting = store.waitService('a', { status: 'ready', timeoutMs: 10_000 }).catch((thrown) => thrown.code);
    await store.restartService('a');
    expect(textIn(await store.callTool('a__echo', { text: 'x' }))).toBe('x');
    await waiting;
    expect(await failure(store.waitService('a', { status: 'failed', timeoutMs: 50 }))).toMatchObject({
      code: 'TIMEOUT',
    });
    // A restart lets calls wait, so it is a start; only who disconnects stops.
    expect(states.map((event) => event.status).slice(0, 5)).toEqual([
      'starting',
      'ready',
      'starting',
      'ready',
      'stopped',
    ]);
  });

  it("starts all at once where start is 'eager', and none where it is lazy or disabled", async () => {
    const services = { a: scripted(), b: scripted(), off: scripted({}, { disabled: true }) };
    const store = await openStore({ services, start: 'eager' });
    await until(() => store.listServices().filter((one) => one.status === 'ready').length === 2, 'both run');
    expect(store.serviceInfo('off')).toMatchObject({ status: 'stopped', disabled: true });
    const lazy = await openStore({ services: { c: scripted() } });
    expect(lazy.serviceInfo('c').status).toBe('registered');
    expect(await failure(store.callTool('echo', {}, { service: 'off' }))).toMatchObject({ executed: 'no' });
    expect(starts(services.off.pidFile)).toEqual([]);
  });

  it('makes one process of 100 first calls', async () => {
    const a = scripted();
    const store = await openStore({ services: { a } });
    const calls = Array.from({ length: 100 }, (_, n) => store.callTool('a__echo', { text: `${n}` }));
    expect((await Promise.all(calls)).map(textIn)).toEqual(calls.map((_, n) => `${n}`));
    expect(starts(a.pidFile).length).toBe(1);
    expect(Object.values(store.connectionStats()['a']!)[0]).toMatchObject({ created: 1, open: 1, failed: 0 });
  });

  it('lets a start outlive the deadline of its first caller', async () => {
    const a = scripted({ startDelayMs: 800 });
    const store = await openStore({ services: { a } });
    const error = await failure(store.callTool('a__echo', { text: 'x' }, { timeoutMs: 100 }));
    expect(error).toMatchObject({ code: 'TIMEOUT', executed: 'no' });
    expect(textIn(await store.callTool('a__echo', { text: 'y' }))).toBe('y');
    expect(starts(a.pidFile).length).toBe(1);
  });

  it('keeps the trouble of one service from the calls and lists of the others', async () => {
    const services = {
      hangs: scripted({ silent: ['initialize'] }),
      ends: scripted({ exitAtStart: { code: 1, stderr: 'no' } }),
      mute: scripted({ silent: ['tools/list'] }),
      good: scripted(),
    };
    const store = await openStore({ services });
    const call = await timed(() => store.callTool('good__echo', { text: 'x' }));
    expect(call.ms).toBeLessThan(5_000);
    const first = await timed(() => store.listTools({ timeoutMs: 1_500 }));
    expect(new Set(first.value.map((tool) => tool.service))).toEqual(new Set(['good']));
    expect(first.ms).toBeLessThan(3_000);
    // Those that did not answer are known now, and nobody waits for them again.
    const second = await timed(() => store.listTools());
    expect(second.ms).toBeLessThan(200);
    expect(second.value).toEqual(first.value);
    const problems = Object.fromEntries(store.problems().map(({ service, code }) => [service, code]));
    expect(problems).toEqual({ hangs: 'TIMEOUT', ends: 'START_FAILED', mute: 'TIMEOUT' });
  });
});

describe('what is remembered', () => {
  it('lists 20 known services, and finds their tools, with 0 processes started', async () => {
    const stateDir = temporaryPath('state');
    const names = Array.from({ length: 20 }, (_, n) => `s${n}`);
    const source = (): ServiceConfig => ({ server: () => serverV2(new Behaviour()) });
    const services = Object.fromEntries(names.map((name, n) => [name, n === 0 ? scripted() : source()]));
    const first = await openStore({ services, stateDir });
    const tools = await first.listTools({ timeoutMs: 25_000 });
    expect(new Set(tools.map((tool) => tool.service)).size).toBe(20);
    await first.close();
    const pidFile = (services['s0'] as { pidFile: string }).pidFile;
    const known = await openStore({ services, stateDir });
    const { ms, value } = await timed(() => known.listTools());
    expect(value.map((tool) => tool.name)).toEqual(tools.map((tool) => tool.name));
    expect(ms).toBeLessThan(1_000);
    expect(known.listServices().map((service) => service.status)).toEqual(names.map(() => 'registered'));
    expect(starts(pidFile).length).toBe(1);
    // The first call starts its own service alone.
    expect(textIn(await known.callTool('s0__echo', { text: 'x' }))).toBe('x');
    expect(known.listServices().filter((service) => service.status !== 'registered').length).toBe(1);
  });
});

it('opens two stores side by side that know nothing of each other', async () => {
  const [a, b] = [scripted(), scripted()];
  const one = await openStore({ services: { s: a } });
  const two = await openStore({ services: { s: b } });
  await one.callTool('s__counter');
  expect(textIn(await one.callTool('s__counter'))).toBe('2');
  expect(textIn(await two.callTool('s__counter'))).toBe('1');
  await one.close();
  expect(textIn(await two.callTool('s__counter'))).toBe('2');
  expect(one.stats().calls.calls).toBe(2);
});

it('checks the options of open', async () => {
  for (const options of [
    { start: 'soon' },
    { nonsense: 1 },
    { logger: {} },
    { performance: { calls: { timeout: 1 } } },
  ])
    expect((await failure(MCPStore.open(options as never))).code).toBe('OPTION_INVALID');
});
