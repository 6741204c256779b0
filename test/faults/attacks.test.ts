/** A5, A6, A7, A12: attacks on the library through its public surface, each by its number. */

import { cpSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
// @ts-expect-error: a script of the project, plain JavaScript.
import { build } from '../../scripts/build.mjs';
import type { ServiceConfig } from '../../src/index.js';
import { cleanUpAfterEach, openStore, scripted, temporaryPath, textIn } from '../support/harness.js';
import { host } from '../support/host.js';
import { failure } from '../support/waiting.js';

cleanUpAfterEach(90_000);
const root = fileURLToPath(new URL('../..', import.meta.url));

it('A5: a cached result is not given under other credentials', async () => {
  const service = (TOKEN: string): ServiceConfig => ({ ...scripted(), env: { TOKEN } });
  const store = await openStore({ services: { s: service('one') }, performance: { resultCache: { enabled: true } } });
  const ask = async (): Promise<string> =>
    textIn(await store.callTool('s__env', { name: 'TOKEN' }, { cache: { key: 'k' } }));
  expect([await ask(), await ask()]).toEqual(['one', 'one']);
  expect(store.stats().cache.hits).toBe(1);
  await store.updateService('s', service('two'));
  expect(await ask()).toBe('two');
});

it('A5: agents with equal calls and keys get results of their own', async () => {
  const store = await openStore({ services: { s: scripted() }, performance: { resultCache: { enabled: true } } });
  const [one, two] = ['one', 'two'].map((id) => store.forAgent(id, { services: ['s'] }));
  const ask = async (scope: typeof one): Promise<string> =>
    textIn(await scope!.callTool('s__peek', { n: 1 }, { cache: { key: 'k' } }));
  expect([await ask(one), await ask(two), await ask(store as never), await ask(one)]).toEqual(['1', '2', '3', '1']);
});

it('A6: names that a file system, a terminal or JavaScript would read otherwise are refused everywhere', async () => {
  const store = await openStore({ services: {} });
  for (const name of [
    '..',
    '../x',
    'a/b',
    'a\\b',
    'a\0b',
    'CON',
    'nul.txt',
    '__proto__',
    'constructor',
    '\u001b[2J',
    '\u202Eb',
    '',
  ]) {
    expect((await failure(store.addService(name, { command: 'x' }))).code, name).toBe('OPTION_INVALID');
    const given = failure(store.addService(JSON.parse(`{${JSON.stringify(name)}:{"command":"x"}}`)));
    expect(['OPTION_INVALID', 'CONFIG_INVALID'], name).toContain((await given).code);
    const agent = failure(Promise.resolve().then(() => store.forAgent(name)));
    expect((await agent).code, name).toBe('OPTION_INVALID');
  }
  expect(store.listServices()).toEqual([]);
});

it('A7: shell syntax in a command, its arguments, folder and environment is text', async () => {
  const trace = temporaryPath('trace');
  const tricks = [
    `; touch ${trace}`,
    `$(touch ${trace})`,
    `\`touch ${trace}\``,
    `| touch ${trace}`,
    `&& touch ${trace}`,
    `\n touch ${trace}`,
  ];
  const store = await openStore({ services: {} });
  for (const [i, trick] of tricks.entries()) {
    await store.addService(`command${i}`, { command: `${process.execPath} ${trick}` });
    expect((await failure(store.callTool(`command${i}__echo`, {}))).code, trick).toBe('SPAWN_FAILED');
    const { command, args, ...rest } = scripted();
    await store.addService(`args${i}`, { ...rest, command: command!, args: [...args!, trick], env: { TRICK: trick } });
    expect(textIn(await store.callTool(`args${i}__env`, { name: 'TRICK' }))).toBe(trick);
  }
  expect(existsSync(trace)).toBe(false);
});

/** What a library could touch of its host. */
const LOOK = `
  const look = () => ({
    events: Object.fromEntries(process.eventNames().map((name) => [String(name), process.listenerCount(name)])),
    // zod, which the MCP SDK brings, shares its registry between its copies there.
    globals: Reflect.ownKeys(globalThis).map(String).filter((name) => !name.startsWith('__zod_')).sort(),
    prototypes: [Object, Array, Function, Promise, String, Map].map((of) => Reflect.ownKeys(of.prototype).length),
    same: [process.emit, process.exit, process.emitWarning, globalThis.fetch, console.log, JSON.parse, Error.prepareStackTrace]
      .map((value, i) => Object.is(value, before[i])),
    cwd: process.cwd(), title: process.title, umask: process.umask(), env: { ...process.env }, stack: Error.stackTraceLimit,
  });
  const before = [process.emit, process.exit, process.emitWarning, globalThis.fetch, console.log, JSON.parse, Error.prepareStackTrace];
`;

it('A12: nothing of the host program is touched, by a call, a failure or the end', async () => {
  const program = host(
    `${LOOK}
    const first = look();
    const store = await MCPStore.open({ services: input, stateDir: null });
    await store.callTool('s__echo', { text: 'x' }, { validateArguments: true });
    await store.callTool('s__exit', {}).catch(() => {});
    await store.callTool('none__x', {}).catch(() => {});
    const during = look();
    await store.close();
    say([first, during, look()]);`,
    { s: scripted(), none: { command: 'no-such-command' } },
  );
  const [first, during, after] = await program.next<object[]>();
  expect(during).toEqual(first);
  expect(after).toEqual(first);
  expect(await program.ended).toBe(0);
});

it('A12: it works beside a second copy of itself, and each knows the errors of the other', async () => {
  const copy = temporaryPath('copy');
  mkdirSync(copy);
  for (const part of ['dist', 'package.json']) cpSync(join(root, part), join(copy, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  const program = host(
    `const mine = await import('mcpstore');
    const other = await import(input.url);
    const stores = await Promise.all([mine, other].map((one) => one.MCPStore.open({ services: input.services, stateDir: input.state })));
    const texts = await Promise.all(stores.map((store, i) => store.callTool('s__echo', { text: String(i) }).then((r) => r.content[0].text)));
    const errors = await Promise.all(stores.map((store) => store.callTool('s__nope').catch((error) => error)));
    say({ texts, apart: mine.MCPStore !== other.MCPStore, known: [mine.isStoreError(errors[1]), other.isStoreError(errors[0])] });
    await Promise.all(stores.map((store) => store.close()));`,
    {
      url: pathToFileURL(join(copy, 'dist/index.js')).href,
      services: { s: scripted() },
      state: temporaryPath('state'),
    },
  );
  expect(await program.next()).toEqual({ texts: ['0', '1'], apart: true, known: [true, true] });
  expect(await program.ended).toBe(0);
});

beforeAll(() => build(), 120_000);
