/** Knows what a name stands for in a scope, who is asked to find out, and how long others are waited for. */

import { readdir } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { exposedName } from '../../src/catalog/names.js';
import type { MCPStore } from '../../src/store.js';
import { FakeClock, failure, settle, watch } from '../support/fake-clock.js';
import { FakeServer, type FakeTool, openStore } from '../support/fake-server.js';
import { tempDir } from '../support/tmp.js';

async function open(
  lists: Record<string, string[] | Record<string, FakeTool>>,
  options: Parameters<typeof openStore>[2] = {},
  prepare: (of: Record<string, FakeServer>) => void = () => {},
): Promise<{ clock: FakeClock; store: MCPStore; of: Record<string, FakeServer> }> {
  const clock = new FakeClock();
  const of = Object.fromEntries(
    Object.entries(lists).map(([name, tools]) => [
      name,
      new FakeServer(Array.isArray(tools) ? Object.fromEntries(tools.map((tool) => [tool, {}])) : tools, clock),
    ]),
  );
  prepare(of);
  const store = await openStore(of, clock, options);
  return { clock, store, of };
}

async function within<T>(clock: FakeClock, promise: Promise<T>, ms = 0): Promise<T> {
  const seen = watch(promise);
  await settle(20);
  await clock.advance(ms);
  expect(seen.settled, `settled within ${ms} ms`).toBe(true);
  return promise;
}

const close = (store: MCPStore): Promise<void> => store.close({ drainMs: 0 });
const names = (tools: { name: string }[]): string[] => tools.map(({ name }) => name);

describe('a name', () => {
  it('service__tool touches its service alone', async () => {
    const { clock, store, of } = await open({ a: ['read'], b: ['read'] });
    await within(clock, store.callTool('a__read'));
    expect([of['a']!.connects, of['b']!.connects]).toEqual([1, 0]);
    await close(store);
  });

  it('is looked up without a round trip once it was found', async () => {
    const { clock, store, of } = await open({ a: ['read'] });
    for (let i = 0; i < 5; i++) await within(clock, store.callTool(i % 2 ? 'a__read' : 'read'));
    expect([of['a']!.lists, of['a']!.called.length]).toEqual([1, 5]);
    await close(store);
  });

  it('without a prefix works where one service has it, and { service } picks one', async () => {
    const { clock, store, of } = await open({ a: ['read', 'both'], b: ['write', 'both'] });
    await within(clock, store.callTool('write'));
    expect(of['b']!.called).toEqual(['write']);
    await within(clock, store.callTool('both', {}, { service: 'a' }));
    expect(of['a']!.called).toEqual(['both']);
    await within(clock, store.callTool('a__both', {}, { service: 'a' }));
    expect(of['a']!.called).toEqual(['both', 'both']);
    await close(store);
  });

  it('that several services have is refused with the candidates, in the order of the services', async () => {
    const { clock, store, of } = await open({ b: ['both'], a: ['both'], c: ['other'] });
    expect(await within(clock, failure(store.callTool('both')))).toMatchObject({
      code: 'TOOL_AMBIGUOUS',
      executed: 'no',
      message: 'both: 2 services have a tool of this name: b__both, a__both',
      figures: { candidates: ['b__both', 'a__both'] },
    });
    expect([of['a']!.called, of['b']!.called]).toEqual([[], []]);
    await close(store);
  });

  it('becomes ambiguous when a second service of it turns up, and unknown when its service goes', async () => {
    const { clock, store, of } = await open({ a: ['both'] });
    await within(clock, store.callTool('both'));
    await store.addService('b', { server: new FakeServer({ both: {} }, clock) } as never);
    await within(clock, store.listTools());
    expect(await within(clock, failure(store.callTool('both')))).toMatchObject({ code: 'TOOL_AMBIGUOUS' });
    await within(clock, store.deleteService('a'), 100);
    await within(clock, store.callTool('both'));
    expect(of['a']!.called).toHaveLength(1);
    expect(await within(clock, failure(store.callTool('a__both')))).toMatchObject({ code: 'TOOL_UNKNOWN' });
    await close(store);
  });

  it('that nobody has is refused with the nearest, and nothing like it is called', async () => {
    const { clock, store, of } = await open({ files: ['read_file', 'write_file'], web: ['search'] });
    expect(await within(clock, failure(store.callTool('read_fil')))).toMatchObject({
      code: 'TOOL_UNKNOWN',
      message: 'read_fil: no service has a tool of this name; nearest: files__read_file',
    });
    expect(await within(clock, failure(store.callTool('files__raed_file')))).toMatchObject({
      code: 'TOOL_UNKNOWN',
      message: 'files__raed_file: files has no tool of this name; nearest: files__read_file, files__write_file',
      figures: { nearest: ['files__read_file', 'files__write_file'] },
    });
    expect(await within(clock, failure(store.callTool('read_file', {}, { service: 'web' })))).toMatchObject({
      code: 'TOOL_UNKNOWN',
      service: 'web',
    });
    expect(await within(clock, failure(store.callTool('x', {}, { service: 'flies' })))).toMatchObject({
      code: 'SERVICE_UNKNOWN',
      message: 'there is no service named flies; nearest: files',
      figures: { nearest: ['files'] },
    });
    expect(of['files']!.called).toEqual([]);
    await close(store);
  });

  it('of an odd tool or service is the one that listTools gives', async () => {
    const { clock, store, of } = await open({
      'my files.v2': ['read.file', '__proto__', 'a'.repeat(100)],
      my_files_v2: ['read.file'],
    });
    const tools = await within(clock, store.listTools());
    expect(new Set(names(tools)).size).toBe(4);
    for (const { name, service } of tools) {
      expect(name).toMatch(/^[a-zA-Z0-9_-]{1,64}$/);
      const before = of[service]!.called.length;
      await within(clock, store.callTool(name));
      expect(of[service]!.called.length).toBe(before + 1);
    }
    await close(store);
  });

  it('of one service is never that of another, whatever a server calls its tools and whoever is asked first', async () => {
    const mine = exposedName('my.files', 'read');
    const long = exposedName('my_files', 'r.x');
    const hostile = [mine.slice(mine.indexOf('__') + 2), long.slice(long.indexOf('__') + 2), mine, long];
    const { clock, store, of } = await open({ 'my.files': ['read'], my_files: [...hostile, 'r.x'], evil: hostile });
    // Known to the catalog: theirs alone, so far.
    for (const tool of hostile) await within(clock, store.callTool(tool, {}, { service: 'my_files' }));
    of['my_files']!.called.length = 0;
    await within(clock, store.callTool(mine));
    expect([of['my.files']!.called, of['my_files']!.called, of['evil']!.connects]).toEqual([['read'], [], 0]);
    await within(clock, store.callTool(long));
    expect([of['my_files']!.called, of['evil']!.connects]).toEqual([['r.x'], 0]);
    const all = names(await within(clock, store.listTools()));
    expect(new Set(all).size).toBe(all.length);
    await close(store);
  });

  it('that stood for a tool named like one of another service is that service’s from the moment that it is there', async () => {
    const { clock, store, of } = await open({ evil: ['files__read'] });
    await within(clock, store.callTool('files__read'));
    expect(of['evil']!.called).toEqual(['files__read']);
    const files = new FakeServer({ read: {} }, clock);
    await store.addService('files', { server: files } as never);
    await within(clock, store.callTool('files__read'));
    expect([of['evil']!.called.length, files.called]).toEqual([1, ['read']]);
    await close(store);
  });

  it('of a granted service stands for the agent’s own from the moment that it has one of that name', async () => {
    const { clock, store, of } = await open({ files: ['read'] });
    const agent = store.forAgent('ann', { services: ['files'] });
    await within(clock, agent.callTool('files__read'));
    const own = new FakeServer({ read: {} }, clock);
    await agent.addService('files', { server: own } as never);
    await within(clock, agent.callTool('files__read'));
    await within(clock, store.callTool('files__read'));
    expect([of['files']!.called.length, own.called]).toEqual([2, ['read']]);
    await within(clock, agent.deleteService('files'), 100);
    await within(clock, agent.callTool('files__read'));
    expect([of['files']!.called.length, own.called.length]).toEqual([3, 1]);
    await close(store);
  });

  it('follows the server’s list when it changes', async () => {
    const { clock, store, of } = await open({ a: ['old'] });
    await within(clock, store.callTool('a__old'));
    of['a']!.tools = { new: {} };
    of['a']!.listChanged();
    await clock.advance(300);
    await within(clock, store.callTool('a__new'));
    expect(await within(clock, failure(store.callTool('a__old')))).toMatchObject({ code: 'TOOL_UNKNOWN' });
    await close(store);
  });

  it('of a service that cannot start fails with that, its name before it', async () => {
    const { clock, store } = await open({ a: ['read'] }, {}, (of) => {
      of['a']!.onConnect = () => {
        throw new Error('no licence');
      };
    });
    const error = await within(clock, failure(store.callTool('a__read')), 30_000);
    expect(error).toMatchObject({ service: 'a', executed: 'no' });
    expect(error.message).toContain('no licence');
    await close(store);
  });
});

describe('a list', () => {
  it('has every tool in the order of services and of their own lists, with the server’s fields', async () => {
    const { clock, store } = await open({
      b: { z: { description: 'Z', annotations: { readOnlyHint: true } }, a: {} },
      a: ['m'],
    });
    const tools = await within(clock, store.listTools());
    expect(names(tools)).toEqual(['b__z', 'b__a', 'a__m']);
    expect(tools[0]).toEqual({
      name: 'b__z',
      service: 'b',
      tool: 'z',
      description: 'Z',
      annotations: { readOnlyHint: true },
      inputSchema: { type: 'object' },
    });
    expect(names(await within(clock, store.listTools({ service: 'a' })))).toEqual(['a__m']);
    await close(store);
  });

  it('follows pages', async () => {
    const all = Array.from({ length: 25 }, (_, i) => `t${i}`);
    const { clock, store, of } = await open({ a: all }, {}, (of) => {
      of['a']!.pageSize = 10;
    });
    expect(names(await within(clock, store.listTools()))).toEqual(all.map((tool) => `a__${tool}`));
    expect(of['a']!.lists).toBe(3);
    await close(store);
  });

  it('of a server without tools is empty, and it is not asked', async () => {
    const { clock, store, of } = await open({ a: ['x'] }, {}, (of) => {
      of['a']!.capabilities = {};
    });
    expect(await within(clock, store.listTools())).toEqual([]);
    expect([of['a']!.lists, store.problems()]).toEqual([0, []]);
    await close(store);
  });

  it('waits for one that is slow, at most as long as it says, and for the same one not again', async () => {
    const { clock, store, of } = await open({ a: ['x'], b: ['y'] }, {}, (of) => {
      of['b']!.answers.list = false;
    });
    const seen = watch(store.listTools());
    await clock.advance(9_999);
    expect(seen.settled).toBe(false);
    await clock.advance(1);
    expect(names(seen.value!)).toEqual(['a__x']);
    expect(store.problems()).toMatchObject([{ service: 'b', code: 'TIMEOUT' }]);
    expect(names(await within(clock, store.listTools()))).toEqual(['a__x']);
    expect(of['b']!.lists).toBe(1);
    await close(store);
  });

  it('has a time of its own', async () => {
    const { clock, store } = await open({ a: ['x'] }, {}, (of) => {
      of['a']!.answers.list = false;
    });
    expect(await within(clock, store.listTools({ timeoutMs: 50 }), 50)).toEqual([]);
    const controller = new AbortController();
    const other = await open({ a: ['x'] }, {}, (of) => {
      of['a']!.answers.list = false;
    });
    const aborted = failure(other.store.listTools({ signal: controller.signal }));
    await settle(20);
    controller.abort('enough');
    expect(await within(clock, aborted)).toMatchObject({ code: 'CANCELLED', cause: 'enough' });
    await close(store);
    await close(other.store);
  });

  it('does not wait for one that is known to fail, and has it when it is back', async () => {
    let broken = true;
    const { clock, store } = await open(
      { a: ['x'], b: ['y'] },
      { performance: { connectionPool: { maxRetries: 0 } } },
      (of) => {
        of['b']!.onConnect = () => {
          if (broken) throw new Error('down');
        };
      },
    );
    expect(names(await within(clock, store.listTools(), 100))).toEqual(['a__x']);
    expect(store.problems()).toMatchObject([{ service: 'b', message: expect.stringContaining('down') }]);
    expect(names(await within(clock, store.listTools()))).toEqual(['a__x']);
    broken = false;
    await clock.advance(5_000);
    await within(clock, store.listTools());
    await clock.advance(5_000);
    expect(names(await within(clock, store.listTools()))).toEqual(['a__x', 'b__y']);
    expect(store.problems()).toEqual([]);
    await close(store);
  });

  it('with refresh never asks nobody, with always asks everybody', async () => {
    const { clock, store, of } = await open({ a: ['x'], b: ['y'] });
    expect(await within(clock, store.listTools({ refresh: 'never' }))).toEqual([]);
    expect([of['a']!.connects, of['b']!.connects]).toEqual([0, 0]);
    await within(clock, store.listTools({ service: 'a' }));
    expect(names(await within(clock, store.listTools({ refresh: 'never' })))).toEqual(['a__x']);
    of['a']!.tools = { z: {} };
    expect(names(await within(clock, store.listTools()))).toEqual(['a__x', 'b__y']);
    expect(names(await within(clock, store.listTools({ refresh: 'always' })))).toEqual(['a__z', 'b__y']);
    expect([of['a']!.lists, of['b']!.lists]).toEqual([2, 2]);
    await close(store);
  });

  it('leaves out services that are disabled or cannot be configured, and says why of the latter', async () => {
    const clock = new FakeClock();
    const { MCPStore } = await import('../../src/store.js');
    const store = await MCPStore.open({
      stateDir: null,
      clock,
      env: {},
      services: {
        off: { command: 'nothing', disabled: true },
        unset: { command: '${NO_SUCH_VARIABLE}' },
        good: { server: new FakeServer({ x: {} }, clock) },
      },
    });
    expect(names(await within(clock, store.listTools()))).toEqual(['good__x']);
    expect(store.problems()).toMatchObject([{ service: 'unset', code: 'CONFIG_INVALID' }]);
    await close(store);
  });

  it('that is missing is told with the service’s name before it, whatever the reason', async () => {
    const { clock, store } = await open({ late: ['x'], dead: ['y'] }, {}, (of) => {
      of['late']!.answers.list = false;
      of['dead']!.onConnect = () => {
        throw new Error('no licence');
      };
    });
    await store.addService('unset', { command: '${NO_SUCH_VARIABLE}' });
    const agent = store.forAgent('ann', { services: ['dead'] });
    await within(clock, store.listTools(), 11_000);
    const problems = store.problems();
    expect(problems.map(({ service, code }) => [service, code])).toEqual([
      ['late', 'TIMEOUT'],
      ['dead', 'SERVICE_DOWN'],
      ['unset', 'CONFIG_INVALID'],
    ]);
    for (const { service, message, error } of [...problems, ...agent.problems()]) {
      expect(message.startsWith(`${service}: `), message).toBe(true);
      expect([error.message, error.service]).toEqual([message, service]);
      expect(message.split(`${service}: `)).toHaveLength(2);
    }
    expect(store.problems()).toEqual(problems);
    await close(store);
  });

  it('starts nothing where only snapshots are asked for', async () => {
    const { store, of } = await open({ a: ['x'] });
    store.listServices();
    store.serviceInfo('a');
    store.stats();
    store.problems();
    await settle(20);
    expect(of['a']!.connects).toBe(0);
    await close(store);
  });
});

describe('lists of an earlier run', () => {
  it('answer at once, start nothing, and resolve names', async () => {
    const stateDir = await tempDir();
    const first = await open({ a: ['x', 'y'] }, { stateDir });
    await first.store.listTools();
    await close(first.store);

    const clock = new FakeClock();
    const server = first.of['a']!;
    const second = await openStore({ a: server }, clock, { stateDir });
    const before = server.connects;
    expect(names(await second.listTools())).toEqual(['a__x', 'a__y']);
    expect([server.connects, second.serviceInfo('a').tools]).toEqual([before, 2]);
    await second.callTool('a__x');
    expect(server.connects).toBe(before + 1);
    expect(await failure(second.callTool('a__z'))).toMatchObject({ code: 'TOOL_UNKNOWN' });
    expect(server.connects).toBe(before + 1);
    await close(second);
  });

  it('are refreshed behind once the service runs', async () => {
    const stateDir = await tempDir();
    const first = await open({ a: ['x'] }, { stateDir });
    await first.store.listTools();
    await close(first.store);
    const server = first.of['a']!;
    server.tools = { x: {}, new: {} };
    const second = await openStore({ a: server }, first.clock, { stateDir });
    expect(names(await second.listTools())).toEqual(['a__x']);
    await second.callTool('a__x');
    await settle(20);
    expect(names(await second.listTools())).toEqual(['a__x', 'a__new']);
    await close(second);
  });

  it('are not written without a state folder', async () => {
    const folder = await tempDir();
    const { clock, store } = await open(
      { a: ['x'] },
      { stateDir: null, env: { HOME: folder, XDG_STATE_HOME: folder } },
    );
    await within(clock, store.listTools());
    await close(store);
    expect(await readdir(folder)).toEqual([]);
  });
});
