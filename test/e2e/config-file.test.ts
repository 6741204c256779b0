/** A store on an `mcp.json`: what it takes from the file, what it writes to it, and edits while calls are under way. */

import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { MCPStore, type StoreEvents } from '../../src/index.js';
import {
  allGone,
  cleanUpAfterEach,
  gone,
  openStore,
  scripted,
  starts,
  temporaryPath,
  textIn,
} from '../support/harness.js';
import { failure, until } from '../support/waiting.js';

cleanUpAfterEach();

const json = (value: unknown): string => JSON.stringify(value, null, 2);

function write(content: unknown, path = temporaryPath('mcp.json')): string {
  writeFileSync(path, typeof content === 'string' ? content : json(content));
  return path;
}

describe('reading', () => {
  it('fills variables, inputs and defaults in; what is not set fails its service alone', async () => {
    const config = write({
      inputs: [{ id: 'colour', type: 'promptString', default: 'red' }],
      servers: {
        a: {
          ...scripted(),
          env: {
            ONE: '${ONE}',
            TWO: '${TWO:-two}',
            THREE: '${env:ONE}',
            FOUR: '${input:colour}',
            FIVE: '${input:secret}',
          },
        },
        b: { ...scripted(), env: { ONE: '${NOT_SET}' } },
      },
    });
    const store = await openStore({ config, env: { ONE: 'eins' }, inputs: { secret: 'geheim' } });
    const value = async (name: string): Promise<string> => textIn(await store.callTool('a__env', { name }));
    expect(await Promise.all(['ONE', 'TWO', 'THREE', 'FOUR', 'FIVE'].map(value))).toEqual([
      'eins',
      'two',
      'eins',
      'red',
      'geheim',
    ]);
    expect(store.serviceInfo('b')).toMatchObject({ status: 'failed', problem: { code: 'CONFIG_INVALID' } });
    expect(store.serviceInfo('b').problem!.message).toContain('NOT_SET');
    const error = await failure(store.callTool('echo', {}, { service: 'b' }));
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', executed: 'no' });
    expect(store.showConfig().mcpServers['a']!.env).toMatchObject({ ONE: '${ONE}', FIVE: '${input:secret}' });
  });

  it('gives a server its declared environment and little else', async () => {
    vi.stubEnv('MCPSTORE_TEST_CANARY', 'leaked');
    const store = await openStore({ services: { a: scripted({}, { env: { GIVEN: 'yes' } }) } });
    const value = async (name: string): Promise<string> => textIn(await store.callTool('a__env', { name }));
    expect(await Promise.all(['GIVEN', 'MCPSTORE_TEST_CANARY'].map(value))).toEqual(['yes', '']);
    expect(await value('PATH')).toBe(process.env['PATH']);
  });

  it('refuses a file that does not parse or has a wrong type, with its place, and leaves it alone', async () => {
    const bad: [string, RegExp][] = [
      ['{ "mcpServers": { "a": { "command": 7 } } }', /command/],
      ['{ "mcpServers": { "a": { "command": "x" }, } ', /:1:/],
      ['{ "mcpServers": {}, "mcpstore": { "wrong": 1 } }', /wrong/],
      ['[]', /object/],
    ];
    for (const [text, about] of bad) {
      const config = write(text);
      const error = await failure(MCPStore.open({ config, stateDir: null }));
      expect(error.code, text).toBe('CONFIG_INVALID');
      expect(error.message).toContain('mcp.json');
      expect(error.message).toMatch(about);
      expect(readFileSync(config, 'utf8')).toBe(text);
    }
  });

  it("takes a service's timeout as its callTimeoutMs, seconds below 1,000", async () => {
    const config = write({ mcpServers: { a: { ...scripted(), timeout: 1 }, b: { ...scripted(), timeout: 1500 } } });
    const store = await openStore({ config });
    await store.listTools();
    const errors = await Promise.all(['a', 'b'].map((name) => failure(store.callTool(`${name}__hang`))));
    expect(errors.map((error) => error.figures?.['timeoutMs'])).toEqual([1_000, 1_500]);
  });
});

describe('writing', () => {
  const TEXT = `// mine
{
  "$schema": "kept",
  "mcpServers": {
    // the first
    "a": { "command": "echo", "args": ["\${HOME}"], "owner": "me" }, /* and */
  },
  "theirs": { "x": [1, 2] }
}
`;

  it('keeps comments, order, unknown keys and templates; without persist it writes nothing', async () => {
    const config = write(TEXT);
    const store = await openStore({ config, watch: false });
    await store.addService('memory', scripted());
    expect(readFileSync(config, 'utf8')).toBe(TEXT);
    await store.addService('b', { command: 'echo', env: { TOKEN: '${TOKEN}' } }, { persist: true });
    const text = readFileSync(config, 'utf8');
    for (const part of [
      '// mine',
      '// the first',
      '/* and */',
      '"$schema": "kept"',
      '"${HOME}"',
      '"owner": "me"',
      '${TOKEN}',
    ])
      expect(text).toContain(part);
    expect(text).not.toContain('memory');
    await store.deleteService('b', { persist: true });
    expect(readFileSync(config, 'utf8')).toContain('"theirs": { "x": [1, 2] }');
    const again = await openStore({ config });
    expect(again.listServices().map((service) => service.name)).toEqual(['a']);
  });

  it('saves an agent and its services, and reads them back', async () => {
    const config = write({ mcpServers: { a: scripted() }, mcpstore: { agents: { r: { services: ['a'] } } } });
    const store = await openStore({ config, watch: false });
    await store.forAgent('r').addService('own', scripted(), { persist: true });
    const again = await openStore({ config });
    const names = again
      .forAgent('r')
      .listServices()
      .map((service) => service.name);
    expect(names.sort()).toEqual(['a', 'own']);
  });
});

describe('edits while it runs', () => {
  it('restart only what changed, and calls in flight finish', async () => {
    const services = { same: scripted(), changes: scripted(), goes: scripted() };
    const config = write({ mcpServers: services });
    const store = await openStore({ config });
    await store.addService('code', scripted());
    const changed: StoreEvents['configChanged'][] = [];
    store.on('configChanged', (event) => changed.push(event));
    await store.listTools();
    const pid = (name: string): number => store.serviceInfo(name).pids[0]!;
    const before = { same: pid('same'), changes: pid('changes'), goes: pid('goes'), code: pid('code') };
    const flying = ['changes', 'goes'].map((name) => store.callTool(`${name}__sleep`, { ms: 1_200, text: name }));
    let answered = false;
    void flying[0]!.then(() => {
      answered = true;
    });
    for (const name of ['changes', 'goes']) await store.callTool(`${name}__echo`, { text: 'sent' });
    const { goes, ...rest } = services;
    const next = { ...rest, changes: { ...services.changes, env: { NEW: 'env' } }, comes: scripted() };
    write({ mcpServers: next }, config);
    await until(() => changed.length > 0, 'configChanged');
    expect(changed[0]).toMatchObject({ added: ['comes'], removed: ['goes'], changed: ['changes'] });
    expect(textIn(await store.callTool('changes__env', { name: 'NEW' }))).toBe('env');
    expect(textIn(await store.callTool('comes__echo', { text: 'new' }))).toBe('new');
    expect((await failure(store.callTool('goes__echo', {}))).code).toBe('TOOL_UNKNOWN');
    expect([pid('same'), pid('code')]).toEqual([before.same, before.code]);
    // On a slow machine its call may have been answered by now: then it may be gone.
    expect(gone(before.changes) && !answered).toBe(false);
    expect((await Promise.all(flying)).map(textIn)).toEqual(['changes', 'goes']);
    await allGone([before.changes, before.goes]);
    expect(starts(services.same.pidFile).length).toBe(1);
  });

  it('that are broken change nothing and are told; the good one after that is taken', async () => {
    const a = scripted();
    const config = write({ mcpServers: { a } });
    const store = await openStore({ config });
    const problems: StoreEvents['configProblem'][] = [];
    const changed: StoreEvents['configChanged'][] = [];
    store.on('configProblem', (event) => problems.push(event));
    store.on('configChanged', (event) => changed.push(event));
    await store.callTool('a__counter');
    write('{ "mcpServers": { "a": ', config);
    await until(() => problems.length > 0, 'configProblem');
    expect(problems[0]!.error).toMatchObject({ code: 'CONFIG_INVALID' });
    expect(textIn(await store.callTool('a__counter'))).toBe('2');
    write({ mcpServers: { a, b: scripted() } }, config);
    await until(() => changed.length > 0, 'configChanged');
    expect(textIn(await store.callTool('a__counter'))).toBe('3');
    expect(store.listServices().map((service) => service.name)).toEqual(['a', 'b']);
  });
});
