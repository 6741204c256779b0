/** The end of a store, and what it tells while it lives: closing under load, events, the logger, and no secret in any of it. */

import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { isStoreError, type Logger, MCPStore, type StoreEventName } from '../../src/index.js';
import { Behaviour } from '../support/behaviour.mjs';
import { httpCarrier, serverV2 } from '../support/carriers.js';
import { afterwards, allGone, cleanUpAfterEach, openStore, scripted, starts, textIn } from '../support/harness.js';
import { HttpTestServer } from '../support/http-server.js';
import { failure, timed, until } from '../support/waiting.js';

cleanUpAfterEach();

const EVENTS: StoreEventName[] = [
  'state',
  'serviceAdded',
  'serviceRemoved',
  'toolsChanged',
  'promptsChanged',
  'resourcesChanged',
  'resourceUpdated',
  'log',
  'output',
  'configChanged',
  'configProblem',
  'call',
];

/** Everything that a store says of itself, from now on. */
function listen(store: MCPStore): unknown[] {
  const told: unknown[] = [];
  for (const name of EVENTS) store.on(name, (event) => told.push({ name, event }));
  return told;
}

describe('closing', () => {
  it('under load: what is in flight finishes, what is new is refused, nothing is left', async () => {
    const { url, close } = await httpCarrier(new Behaviour(), true);
    afterwards(close);
    const [a, b] = [scripted(), scripted({ stubborn: true })];
    const store = await openStore({ services: { a, b, h: { url }, m: { server: serverV2(new Behaviour()) } } });
    await store.listTools({ timeoutMs: 25_000 });
    const calls = ['a', 'b', 'h', 'm'].flatMap((name) =>
      Array.from({ length: 50 }, (_, n) => store.callTool(`${name}__sleep`, { ms: 300, text: `${name}${n}` })),
    );
    await Promise.all(['a', 'b', 'm'].map((name) => store.callTool(`${name}__echo`, { text: 'sent' })));
    const closing = store.close();
    expect(await failure(store.callTool('a__echo', { text: 'x' }))).toMatchObject({
      code: 'STORE_CLOSED',
      executed: 'no',
    });
    expect((await failure(store.listTools())).code).toBe('STORE_CLOSED');
    expect((await failure(store.addService('c', scripted()))).code).toBe('STORE_CLOSED');
    const settled = await Promise.allSettled(calls);
    for (const one of settled)
      if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'STORE_CLOSED', executed: 'no' });
    // Only what waited in the line of the ten HTTP sockets may be refused.
    expect(settled.filter((one) => one.status === 'fulfilled').length).toBeGreaterThanOrEqual(150);
    await closing;
    expect(store.close()).toBe(store.close());
    await allGone([...starts(a.pidFile), ...starts(b.pidFile)].flat(), 100);
  });

  it('with calls that never end: they are settled at drainMs, each telling that it may have run', async () => {
    const a = scripted();
    const store = await openStore({ services: { a }, performance: { calls: { maxConcurrentCalls: 3 } } });
    await store.listTools();
    const calls = Array.from({ length: 5 }, () => failure(store.callTool('a__hang')));
    await until(() => store.serviceInfo('a').calls.waiting === 2);
    const { ms } = await timed(() => store.close({ drainMs: 200 }));
    expect(ms).toBeLessThan(4_000);
    const executed = (await Promise.all(calls)).map((error) => error.executed);
    expect(executed.sort()).toEqual(['no', 'no', 'unknown', 'unknown', 'unknown']);
  });

  it('before anything was started, twice, and by `await using`', async () => {
    const a = scripted();
    await (await openStore({ services: { a } })).close();
    expect(starts(a.pidFile)).toEqual([]);
    const b = scripted();
    {
      await using store = await MCPStore.open({ services: { b }, stateDir: null });
      await store.callTool('b__echo', { text: 'x' });
    }
    await allGone(starts(b.pidFile).flat(), 100);
  });

  it('leaves no socket, pipe, process or timer in this process', async () => {
    const count = (): Record<string, number> => {
      const counts: Record<string, number> = {};
      for (const name of process.getActiveResourcesInfo()) counts[name] = (counts[name] ?? 0) + 1;
      return counts;
    };
    const round = async (): Promise<void> => {
      const { url, close } = await httpCarrier(new Behaviour(), false);
      const services = { a: scripted(), h: { url }, m: { server: serverV2(new Behaviour()) } };
      const store = await openStore({ services });
      await store.listTools();
      await failure(store.callTool('a__hang', {}, { timeoutMs: 50 }));
      await failure(store.callTool('h__hang', {}, { timeoutMs: 50 }));
      await store.close();
      await close();
    };
    await round();
    await new Promise((resolve) => setImmediate(resolve));
    const before = count();
    for (let n = 0; n < 3; n++) await round();
    const same = (): boolean => Object.entries(count()).every(([name, n]) => n <= (before[name] ?? 0));
    await until(same, 'as many resources as before', 3_000).catch(() => expect(count()).toEqual(before));
  });
});

it('tells what happens by events and the logger, and bears listeners that throw', async () => {
  const logged: { level: string; fields: object; message: string }[] = [];
  const level = (name: string) => (fields: object, message: string) =>
    void logged.push({ level: name, fields, message });
  const logger: Logger = { debug: level('debug'), info: level('info'), warn: level('warn'), error: level('error') };
  const store = await openStore({
    services: { a: scripted() },
    logger,
    performance: { connectionPool: { maxRetries: 0 } },
  });
  const told = listen(store) as { name: string; event: Record<string, unknown> }[];
  store.on('call', () => {
    throw new Error('a bad listener');
  });
  const off = store.on('call', () => expect.unreachable());
  off();
  expect(textIn(await store.callTool('a__echo', { text: 'x' }))).toBe('x');
  await store.callTool('a__log', { data: 'hello' });
  await failure(store.callTool('a__exit', { code: 3, stderr: 'bye' }));
  await store.addService('bad', { command: '/nowhere/at-all' });
  await failure(store.callTool('echo', {}, { service: 'bad' }));
  const names = new Set(told.map((one) => one.name));
  for (const name of ['state', 'call', 'log', 'output', 'serviceAdded']) expect(names).toContain(name);
  const call = told.find((one) => one.name === 'call')!.event;
  expect(call).toMatchObject({ service: 'a', tool: 'echo', outcome: 'ok', attempts: 1, cache: 'off', executed: 'yes' });
  expect(call['totalMs']).toBeGreaterThanOrEqual(call['callMs'] as number);
  expect(logged.filter((entry) => entry.level === 'error').map((entry) => entry.message)).toContain(
    'an event listener failed',
  );
  expect(logged.some((entry) => entry.level === 'warn' && 'code' in entry.fields)).toBe(true);
});

describe('secrets', () => {
  const CANARY = 'canary-5e1f0b77c2';

  it('of env, headers and URL are in nothing that the store says, whatever fails', async () => {
    const bad = await HttpTestServer.start();
    afterwards(() => bad.close());
    const echoing = { kind: 'status', status: 500, body: `Bearer ${CANARY}-h and ?key=${CANARY}-q are wrong` } as const;
    const { url, close } = await httpCarrier(new Behaviour(), true);
    afterwards(close);
    const headers = { Authorization: `Bearer \${TOKEN}-h`, 'X-Key': `\${TOKEN}-x` };
    const env = { API_KEY: '${TOKEN}-e' };
    const services = {
      works: scripted({}, { env }),
      ends: scripted({ exitAtStart: { code: 1, stderr: 'cannot use key $API_KEY' } }, { env }),
      missing: { command: '/nowhere/at-all', args: ['--key', '${TOKEN}-a'], env },
      web: { url: `${url}?key=\${TOKEN}-q`, headers },
      broken: { url: `${bad.url.href}?key=\${TOKEN}-q`, headers },
      refused: { url: 'http://user:${TOKEN}-p@127.0.0.1:9/mcp?key=${TOKEN}-q', headers },
      unset: { url: 'http://127.0.0.1:9/mcp?key=${TOKEN}-q&x=${NOT_SET}', headers },
    };
    const logged: unknown[] = [];
    const log = (fields: object, message: string): void => void logged.push({ fields, message });
    const store = await openStore({
      services,
      env: { TOKEN: CANARY },
      logger: { debug: log, info: log, warn: log, error: log },
      performance: { connectionPool: { maxRetries: 0 } },
    });
    const told = listen(store);
    const errors: unknown[] = [];
    const attempt = async (promise: Promise<unknown>): Promise<void> => {
      await promise.catch((error: unknown) => {
        expect(isStoreError(error)).toBe(true);
        errors.push(error, (error as { toJSON(): unknown }).toJSON());
      });
    };
    bad.fail('initialize', echoing, 1);
    bad.fail('server/discover', echoing, 1);
    for (const name of Object.keys(services)) await attempt(store.callTool('echo', { text: name }, { service: name }));
    await store.restartService('broken');
    await attempt(store.callTool('broken__echo', { text: 'x' }));
    bad.fail('tools/call', echoing, 1);
    await attempt(store.callTool('broken__echo', { text: 'x' }));
    bad.fail('tools/call', { kind: 'reset' }, 1);
    await attempt(store.callTool('broken__echo', { text: 'x' }));
    await attempt(store.callTool('works__exit', { code: 1, stderr: 'died with $API_KEY' }));
    expect(errors.length).toBeGreaterThan(10);
    expect(inspect(errors)).toContain('died with ***');
    const said = { errors, logged, told, stats: store.stats(), info: store.listServices(), problems: store.problems() };
    const everything = inspect(said, { depth: 12, maxStringLength: null, maxArrayLength: null, showHidden: true });
    const at = everything.indexOf(CANARY);
    expect(at === -1 ? '' : everything.slice(Math.max(0, at - 300), at + 100)).toBe('');
    expect(inspect(store.showConfig(), { depth: 9 })).not.toContain(CANARY);
    await store.close();
  });
});
