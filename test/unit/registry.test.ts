/** Knows what a store says of its configuration, and that services come and go without taking each other's names. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { MCPStore } from '../../src/store.js';
import { FakeClock, failure, settle } from '../support/fake-clock.js';
import { FakeServer } from '../support/fake-server.js';
import { tempDir } from '../support/tmp.js';

const unset = { command: '${NO_SUCH_COMMAND}', args: ['${NO_SUCH}'], env: { TOKEN: '${NO_TOKEN}' }, timeout: 7 };

function open(options: Parameters<typeof MCPStore.open>[0] = {}): Promise<MCPStore> {
  return MCPStore.open({ stateDir: null, clock: new FakeClock(), env: {}, services: {}, ...options });
}

it('a service that cannot be filled in is shown as it was written, wherever it came from', async () => {
  const folder = await tempDir();
  const config = join(folder, 'mcp.json');
  await writeFile(config, JSON.stringify({ mcpServers: { filed: unset } }));
  const store = await open({ config, watch: false, services: { opened: unset } });
  await store.addService('added', unset);
  const agent = store.forAgent('ann');
  await agent.addService('own', unset);
  for (const name of ['filed', 'opened', 'added', 'ann.own']) {
    expect(store.serviceInfo(name)).toMatchObject({ status: 'failed', problem: { code: 'CONFIG_INVALID' } });
    expect(store.showConfig().mcpServers[name], name).toEqual(unset);
  }
  expect(agent.showConfig()).toEqual({ mcpServers: { own: unset } });
  await store.close();
});

it('and it can be patched into one that can', async () => {
  const store = await open({ services: { a: unset } });
  expect(await failure(store.callTool('a__x'))).toMatchObject({ code: 'CONFIG_INVALID' });
  await store.patchService('a', { args: [] });
  expect(store.showConfig().mcpServers['a']).toEqual({ ...unset, args: [] });
  await store.patchService('a', { command: 'node', env: { TOKEN: 'x' } });
  expect(store.showConfig().mcpServers['a']).toEqual({ command: 'node', args: [], env: { TOKEN: 'x' }, timeout: 7 });
  expect(store.serviceInfo('a')).toMatchObject({ status: 'registered', problem: undefined, kind: 'stdio' });
  await store.close();
});

it('a change of the file shows, also where the service is unusable for the same reason as before', async () => {
  const config = join(await tempDir(), 'mcp.json');
  await writeFile(config, JSON.stringify({ mcpServers: { a: unset } }));
  const store = await open({ config });
  const changed = new Promise((resolve) => store.on('configChanged', resolve));
  const later = { ...unset, timeout: 9 };
  await writeFile(config, JSON.stringify({ mcpServers: { a: later } }));
  expect(await changed).toMatchObject({ changed: ['a'] });
  expect(store.showConfig().mcpServers['a']).toEqual(later);
  await store.close();
});

it('a service that the file adds has its own names from then on, also those that a tool was called by before', async () => {
  const clock = new FakeClock();
  const folder = await tempDir();
  const config = join(folder, 'mcp.json');
  await writeFile(config, '{ "mcpServers": {} }');
  const evil = new FakeServer({ files__read: {} }, clock);
  const store = await open({ config, clock, services: { evil: { server: evil } } });
  const call = async (): Promise<unknown> => {
    const called = store.callTool('files__read').catch((error: unknown) => error);
    await settle(20);
    await clock.advance(60_000);
    return called;
  };
  expect(await call()).toMatchObject({ content: [{ text: expect.stringContaining('files__read') }] });
  const changed = new Promise((resolve) => store.on('configChanged', resolve));
  await writeFile(config, JSON.stringify({ mcpServers: { files: unset } }));
  await changed;
  expect(await call()).toMatchObject({ code: 'CONFIG_INVALID', service: 'files' });
  expect(evil.called).toEqual(['files__read']);
  await store.close();
});
