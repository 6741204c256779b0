/** Knows what a store's history has to say: the last calls, what is kept of each, and to whom. */

import { expect, it } from 'vitest';
import type { CallRecord, HistoryEntry, MCPStore, PerformanceOptions } from '../../src/index.js';
import { FakeClock, failure } from '../support/fake-clock.js';
import { FakeServer, type FakeTool, openStore, RpcFault, text } from '../support/fake-server.js';

const TOOLS: Record<string, FakeTool> = {
  read: {},
  slow: { delayMs: 2_000 },
  refuses: { run: () => ({ ...text('no'), isError: true }) },
  faulty: {
    run: () => {
      throw new RpcFault(-32000, 'broken');
    },
  },
};

type Monitoring = NonNullable<PerformanceOptions['monitoring']>;

async function open(
  monitoring: Monitoring = {},
  names = ['files'],
): Promise<{ clock: FakeClock; store: MCPStore; wall: () => number }> {
  const clock = new FakeClock();
  const servers = Object.fromEntries(names.map((name) => [name, new FakeServer(TOOLS, clock)]));
  const store = await openStore(servers, clock, { performance: { monitoring } });
  return { clock, store, wall: () => clock.wall() };
}

const tools = (entries: readonly HistoryEntry[]): string[] => entries.map(({ tool }) => tool);

it('has the last calls, the newest first, with all that is known of each', async () => {
  const { clock, store, wall } = await open();
  const began = wall();
  await store.callTool('files__read', { path: 'a' });
  const slow = store.callTool('files__slow');
  await clock.advance(2_000);
  await slow;
  await store.callTool('files__refuses', {});
  await failure(store.callTool('files__faulty', { text: 'é' }));
  await failure(store.callTool('files__faulty', { none: 1n } as never));
  const { entries, more } = await store.history.query();
  expect([tools(entries), more]).toEqual([['faulty', 'faulty', 'refuses', 'slow', 'read'], false]);
  const [loop, faulty, refuses, second, first] = entries;
  expect(first).toEqual({
    at: began,
    scope: '',
    service: 'files',
    tool: 'read',
    outcome: 'ok',
    code: undefined,
    executed: 'yes',
    endpoint: expect.any(String),
    attempts: 1,
    cache: 'off',
    asked: 0,
    argumentBytes: '{"path":"a"}'.length,
    queueMs: 0,
    connectMs: expect.any(Number),
    callMs: expect.any(Number),
    totalMs: expect.any(Number),
  });
  expect(second).toMatchObject({ at: began, totalMs: 2_000, argumentBytes: 2 });
  expect(refuses).toMatchObject({ at: began + 2_000, outcome: 'tool_error', executed: 'yes' });
  expect(faulty).toMatchObject({ outcome: 'failed', code: 'RPC_ERROR', argumentBytes: 13 });
  expect(loop).toMatchObject({ code: 'ARGUMENTS_INVALID', outcome: 'not_sent', argumentBytes: undefined });
  await store.close();
});

it('finds calls by service, tool, outcome and time, and gives no more than it is asked for', async () => {
  const { clock, store, wall } = await open({}, ['a', 'b']);
  await store.callTool('a__read');
  await clock.advance(1_000);
  const second = wall();
  await store.callTool('b__read');
  await store.callTool('b__refuses');
  await clock.advance(1_000);
  const third = wall();
  await failure(store.callTool('a__faulty'));
  const found = async (query: object): Promise<string[]> =>
    (await store.history.query(query)).entries.map(({ service, tool }) => `${service} ${tool}`);
  expect(await found({ service: 'a' })).toEqual(['a faulty', 'a read']);
  expect(await found({ tool: 'read' })).toEqual(['b read', 'a read']);
  expect(await found({ tool: 'b__read' })).toEqual(['b read']);
  expect(await found({ service: 'b', tool: 'read' })).toEqual(['b read']);
  expect(await found({ outcome: 'tool_error' })).toEqual(['b refuses']);
  expect(await found({ outcome: ['tool_error', 'failed'] })).toEqual(['a faulty', 'b refuses']);
  expect(await found({ since: second })).toEqual(['a faulty', 'b refuses', 'b read']);
  expect(await found({ since: new Date(second), until: third })).toEqual(['b refuses', 'b read']);
  expect(await found({ service: 'c' })).toEqual([]);
  expect(await store.history.query({ limit: 1 })).toMatchObject({ entries: [{ tool: 'faulty' }], more: true });
  expect(await store.history.query({ limit: 4 })).toMatchObject({ more: false });
  await store.close();
});

it('keeps as many as it is told to, also when that changes', async () => {
  const { store } = await open({ historySize: 3 });
  const kept = async (): Promise<(number | undefined)[]> =>
    (await store.history.query()).entries.map(({ argumentBytes }) => argumentBytes);
  // Arguments of 8, 9, 10 … bytes tell the calls apart.
  const call = async (n: number): Promise<unknown> => store.callTool('files__read', { x: 'x'.repeat(n - 8) });
  for (const n of [8, 9, 10, 11, 12]) await call(n);
  expect(await kept()).toEqual([12, 11, 10]);
  store.configure({ monitoring: { historySize: 5 } });
  for (const n of [13, 14]) await call(n);
  expect(await kept()).toEqual([14, 13, 12, 11, 10]);
  await call(15);
  expect(await kept()).toEqual([15, 14, 13, 12, 11]);
  store.configure({ monitoring: { historySize: 2 } });
  expect(await kept()).toEqual([15, 14]);
  await call(16);
  expect(await kept()).toEqual([16, 15]);
  store.configure({ monitoring: { historySize: 0 } });
  await call(17);
  expect(await kept()).toEqual([]);
  store.configure({ monitoring: { historySize: 1 } });
  await call(18);
  expect(await kept()).toEqual([18]);
  await store.close();
});

it('is off with monitoring: nothing is added, and no call is measured', async () => {
  const { store } = await open();
  const records: CallRecord[] = [];
  store.on('call', (record) => records.push(record));
  await store.callTool('files__read', {});
  store.disablePerformanceMonitoring();
  await failure(store.callTool('files__faulty', {}));
  expect(tools((await store.history.query()).entries)).toEqual(['read']);
  store.enablePerformanceMonitoring();
  await store.callTool('files__refuses', {});
  expect(tools((await store.history.query()).entries)).toEqual(['refuses', 'read']);
  expect(records.map(({ argumentBytes }) => argumentBytes)).toEqual([2, undefined, 2]);
  await store.close();
});

it('keeps arguments by choice: their size, themselves without secrets, or all of them', async () => {
  const { store } = await open();
  const args = {
    path: 'a',
    password: 'hunter2',
    nested: [{ apiKey: { deep: 1 }, header: 'Authorization: Bearer abcdef123456' }],
    url: 'see postgres://me:pass-word@db/x',
  };
  const keptOf = async (sent: Record<string, unknown>): Promise<HistoryEntry> => {
    await store.callTool('files__read', sent);
    return (await store.history.query({ limit: 1 })).entries[0]!;
  };
  expect(await keptOf(args)).not.toHaveProperty('arguments');
  store.configure({ monitoring: { historyArguments: 'redacted' } });
  expect((await keptOf(args)).arguments).toEqual({
    path: 'a',
    password: '***',
    nested: [{ apiKey: '***', header: 'Authorization: Bearer ***' }],
    url: 'see postgres://me:***@db/x',
  });
  store.configure({ monitoring: { historyArguments: 'full' } });
  const mine = { list: [1] };
  await keptOf(mine);
  mine.list.push(2);
  expect((await store.history.query({ limit: 1 })).entries[0]!.arguments).toEqual({ list: [1] });
  expect((await keptOf(args)).arguments).toEqual(args);
  const large = await keptOf({ text: 'x'.repeat(20_000) });
  expect(large).not.toHaveProperty('arguments');
  expect(large.argumentBytes).toBe(20_011);
  await store.close();
});

it('keeps arguments as the server gets them, and makes no copy of what is too large', async () => {
  const { store } = await open({ historyArguments: 'redacted' });
  await store.callTool('files__read', { when: new Date(0), at: new URL('http://user:pass-word@x/') });
  expect((await store.history.query()).entries[0]!.arguments).toEqual({
    when: '1970-01-01T00:00:00.000Z',
    at: 'http://user:***@x/',
  });
  const readsWith = async (historyArguments: 'size' | 'redacted' | 'full'): Promise<number> => {
    store.configure({ monitoring: { historyArguments } });
    let reads = 0;
    const text = { toJSON: () => 'x'.repeat(20_000 + 0 * reads++) };
    await store.callTool('files__read', { text });
    return reads;
  };
  const fewest = await readsWith('size');
  expect([await readsWith('redacted'), await readsWith('full')]).toEqual([fewest, fewest]);
  await store.close();
});

it('is read as it was when somebody asked, whatever settles meanwhile', async () => {
  const { store } = await open({ historySize: 50 });
  for (let i = 0; i < 50; i++) await store.callTool('files__read', { i });
  // Reading has a pause after each entry, as calls have at each step.
  const asked = store.history.query({ limit: 100 });
  const calls = Promise.all(Array.from({ length: 50 }, () => store.callTool('files__read', { later: true })));
  const { entries } = await asked;
  await calls;
  expect(entries.map(({ argumentBytes }) => argumentBytes)).toEqual(
    Array.from({ length: 50 }, (_, i) => `{"i":${49 - i}}`.length),
  );
  await store.close();
});

it('may be as long as one likes', async () => {
  const { store } = await open({ historySize: Number.MAX_SAFE_INTEGER });
  for (const path of ['a', 'b']) await store.callTool('files__read', { path });
  expect((await store.history.query()).entries).toHaveLength(2);
  await store.close();
});

it('shows an agent its own calls alone, under its own names', async () => {
  const { store } = await open({ historyArguments: 'full' }, ['shared']);
  const clock = new FakeClock();
  const [one, two] = ['one', 'two'].map((id) => store.forAgent(id, { services: ['shared'] }));
  await one!.addService('mine', { server: new FakeServer(TOOLS, clock) } as never);
  await store.callTool('shared__read', { of: 'store' });
  await one!.callTool('mine__read', { of: 'one' });
  await one!.callTool('shared__read', { of: 'one' });
  await two!.callTool('shared__read', { of: 'two' });
  const seen = async (scope: Pick<MCPStore, 'history'>, query = {}): Promise<string[]> =>
    (await scope.history.query(query)).entries.map(
      ({ service, arguments: args }) => `${service} ${(args as { of: string }).of}`,
    );
  expect(await seen(one!)).toEqual(['shared one', 'mine one']);
  expect(await seen(one!, { service: 'mine' })).toEqual(['mine one']);
  expect(await seen(one!, { tool: 'mine__read' })).toEqual(['mine one']);
  expect(await seen(two!)).toEqual(['shared two']);
  expect(await seen(two!, { service: 'one.mine' })).toEqual([]);
  expect(await seen(store)).toEqual(['shared two', 'shared one', 'one.mine one', 'shared store']);
  expect(await seen(store, { service: 'one.mine' })).toEqual(['one.mine one']);
  expect((await two!.history.report()).calls).toBe(1);
  expect(await two!.history.export('json')).not.toContain('"one"');
  await store.close();
});

it('reports how tools were used, in all, by service, by tool and by period', async () => {
  const { clock, store } = await open({}, ['a', 'b']);
  // To the beginning of a period, by the clock's own wall.
  await clock.advance(60_000 - (clock.wall() % 60_000));
  const minute = clock.wall();
  for (let i = 0; i < 4; i++) await store.callTool('a__read');
  await store.callTool('a__refuses');
  await clock.advance(60_000);
  const slow = store.callTool('b__slow');
  await clock.advance(2_000);
  await slow;
  const cancelled = failure(store.callTool('b__slow', {}, { signal: AbortSignal.abort() }));
  await cancelled;
  await failure(store.callTool('b__faulty'));
  await failure(store.callTool('b__faulty'));
  const report = await store.history.report({ periodMs: 60_000, top: 2 });
  const brief = ({ tool, calls, errors }: { tool: string; calls: number; errors: number }) => [tool, calls, errors];
  expect(report).toMatchObject({ calls: 9, errors: 3, successRate: 6 / 9, meanMs: 2_000 / 9, maxMs: 2_000 });
  expect([report.firstAt, report.lastAt]).toEqual([minute, minute + 62_000]);
  expect(report.services).toEqual([
    { service: 'a', calls: 5, errors: 1, successRate: 4 / 5, meanMs: 0, maxMs: 0 },
    { service: 'b', calls: 4, errors: 2, successRate: 1 / 2, meanMs: 500, maxMs: 2_000 },
  ]);
  expect(report.tools.map(brief)).toEqual([
    ['read', 4, 0],
    ['faulty', 2, 2],
    ['slow', 2, 0],
    ['refuses', 1, 1],
  ]);
  expect(report.mostUsed.map(brief)).toEqual([
    ['read', 4, 0],
    ['faulty', 2, 2],
  ]);
  expect(report.slowest[0]).toMatchObject({ service: 'b', tool: 'slow', meanMs: 1_000 });
  expect(report.mostFailing.map(brief)).toEqual([
    ['faulty', 2, 2],
    ['refuses', 1, 1],
  ]);
  expect(report.periods.map(({ startsAt, calls, errors }) => [startsAt - minute, calls, errors])).toEqual([
    [0, 5, 1],
    [60_000, 4, 2],
  ]);
  expect(await store.history.report({ service: 'a', outcome: 'ok' })).toMatchObject({ calls: 4, successRate: 1 });
  expect(await store.history.report({ service: 'none' })).toMatchObject({
    ...{ calls: 0, successRate: 1, meanMs: 0, firstAt: undefined, services: [], periods: [] },
  });
  await store.close();
});

it('exports JSON and CSV, in which no name is a formula', async () => {
  const clock = new FakeClock();
  const tools: Record<string, FakeTool> = { '=cmd("x")': {}, 'two\nlines,"quoted"': {} };
  const server = new FakeServer(tools, clock);
  const performance = { monitoring: { historyArguments: 'full' as const } };
  const store = await openStore({ files: server }, clock, { performance });
  for (const tool of Object.keys(tools)) await store.lease('files', (lease) => lease.callTool(tool, { a: '1,5' }));
  const json = JSON.parse(await store.history.export('json'));
  expect(json).toEqual(JSON.parse(JSON.stringify((await store.history.query()).entries)));
  const csv = await store.history.export('csv', { limit: 1 });
  const [head, ...rest] = csv.split('\r\n');
  expect(head!.split(',').slice(0, 5)).toEqual(['at', 'scope', 'service', 'tool', 'outcome']);
  const at = new Date(json[0].at).toISOString();
  expect(rest.join('\r\n')).toMatch(
    new RegExp(`^${at},,files,"two\\nlines,""quoted""",ok,,yes,.*,"{""a"":""1,5""}"\r\n$`, 's'),
  );
  expect(await store.history.export('csv')).toContain(`,"'=cmd(""x"")",`);
  await store.close();
});

it('refuses what is no filter, with its path', async () => {
  const { store } = await open();
  const wrong: [object, string][] = [
    [{ limit: 0 }, 'limit: expected a whole number, at least 1'],
    [{ limit: 1.5 }, 'limit: expected a whole number, at least 1'],
    [{ since: 'yesterday' }, 'since: expected a Date, or milliseconds since the epoch'],
    [{ until: new Date('x') }, 'until: expected a Date, or milliseconds since the epoch'],
    [{ outcome: 'error' }, 'outcome: expected of "ok", "tool_error", "failed", "unknown", "not_sent" one, or several'],
    [{ tool: 1 }, 'tool: expected the name of a tool'],
    [{ service: 1 }, 'service: expected the name of a service'],
    [{ from: 'disk' }, 'from: expected "memory" or "file"'],
    [{ from: 'file' }, 'from: expected "memory": this store has no stateDir, and so no file'],
    [{ tools: [] }, 'tools: unknown option'],
  ];
  for (const [query, message] of wrong) {
    const error = await failure(store.history.query(query as never));
    expect([error['code'], error.message]).toEqual(['OPTION_INVALID', expect.stringContaining(message)]);
  }
  expect((await failure(store.history.report({ periodMs: 0 }))).message).toContain('periodMs');
  expect((await failure(store.history.export('xml' as never))).message).toContain('format');
  await store.close();
});
