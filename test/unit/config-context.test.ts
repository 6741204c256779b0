/** Knows that what is changed in code reads its paths, variables and inputs as what stands in the file does. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { ServiceConfig } from '../../src/config/definition.js';
import { MCPStore } from '../../src/store.js';
import { FakeClock } from '../support/fake-clock.js';
import { tempDir } from '../support/tmp.js';

/** Usable only below the folder of the file, with the file's inputs. */
const v: ServiceConfig = { command: '${input:program}', cwd: 'sub', envFile: '.env' };

async function project(services: object): Promise<{ config: string; store: MCPStore }> {
  const folder = await tempDir();
  const config = join(folder, 'mcp.json');
  await mkdir(join(folder, 'sub'));
  await writeFile(join(folder, '.env'), 'A=1\n');
  const inputs = [{ id: 'program', type: 'promptString', default: 'node' }];
  await writeFile(config, JSON.stringify({ inputs, mcpServers: services }));
  const store = await MCPStore.open({
    config,
    stateDir: null,
    clock: new FakeClock(),
    env: {},
    watch: false,
    services: { opened: v },
  });
  return { config, store };
}

it('patched, updated, added, opened with, an agent’s own, persisted or not', async () => {
  const { store } = await project({ v });
  await store.patchService('v', { timeout: 30 });
  expect(store.serviceInfo('v')).toMatchObject({ status: 'registered', problem: undefined });
  await store.updateService('v', { ...v, args: ['x'] });
  await store.addService('added', v);
  await store.addService('saved', v, { persist: true });
  await store.patchService('v', { timeout: 40 }, { persist: true });
  await store.forAgent('ann').addService('own', v);
  await store.forAgent('bob').addService('own', v, { persist: true });
  for (const { name, status, problem } of store.listServices())
    expect({ status, problem }, name).toEqual({ status: 'registered', problem: undefined });
  expect(store.listServices().length).toBe(6);
  await store.close();
});

it('a problem has a place in the file where it stands there, and none where it does not', async () => {
  const { store } = await project({});
  await store.addService('saved', { command: '${UNSET}' }, { persist: true });
  await store.addService('added', { command: '${UNSET}' });
  const problem = (name: string): string => store.serviceInfo(name).problem!.message;
  expect(problem('saved')).toMatch(/mcp\.json:\d+:\d+: mcpServers\.saved\.command: /);
  expect(problem('added')).toMatch(/^mcpServers\.added\.command: /);
  await store.close();
});
