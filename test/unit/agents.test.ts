/** Knows whose a service is: an agent's own, the store's, or one that an agent was given; and what that means in the file. */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Scope } from '../../src/scope.js';
import { MCPStore } from '../../src/store.js';
import { FakeClock, failure } from '../support/fake-clock.js';
import { tempDir } from '../support/tmp.js';

const a = { command: 'a' };
const b = { command: 'b' };

function open(options: Parameters<typeof MCPStore.open>[0] = {}): Promise<MCPStore> {
  return MCPStore.open({ stateDir: null, clock: new FakeClock(), env: {}, watch: false, ...options });
}

async function fileOf(content: unknown): Promise<string> {
  const config = join(await tempDir(), 'mcp.json');
  await writeFile(config, JSON.stringify(content, null, 2));
  return config;
}

const inFile = async (config: string): Promise<unknown> => JSON.parse(await readFile(config, 'utf8'));
const names = (scope: Scope): string[] => scope.listServices().map((service) => service.name);
const ownOf = (agent: string, mcpServers: object): object => ({ agents: { [agent]: { mcpServers } } });

describe("the store changes an agent's service in the file", () => {
  const before = { mcpServers: { a }, mcpstore: ownOf('res', { own: a }) };

  it('where it stands: updated, patched', async () => {
    const config = await fileOf(before);
    const store = await open({ config });
    await store.updateService('res.own', b, { persist: true });
    expect(await inFile(config)).toEqual({ mcpServers: { a }, mcpstore: ownOf('res', { own: b }) });
    await store.patchService('res.own', { timeout: 30 }, { persist: true });
    const after = { mcpServers: { a }, mcpstore: ownOf('res', { own: { ...b, timeout: 30 } }) };
    expect(await inFile(config)).toEqual(after);
    await store.close();
    const again = await open({ config });
    expect(names(again)).toEqual(['a', 'res.own']);
    expect(names(again.forAgent('res'))).toEqual(['own']);
    await again.close();
  });

  it('and removes it from there', async () => {
    const config = await fileOf(before);
    const store = await open({ config });
    await store.deleteService('res.own', { persist: true });
    expect(await inFile(config)).toEqual({ mcpServers: { a }, mcpstore: ownOf('res', {}) });
    await store.close();
  });

  it('also with all others', async () => {
    const config = await fileOf(before);
    const store = await open({ config });
    await store.resetConfig({ persist: true });
    expect(await inFile(config)).toEqual({ mcpServers: {}, mcpstore: ownOf('res', {}) });
    await store.close();
  });
});

describe('a full name that occurs twice in the file', () => {
  it('is refused with its place', async () => {
    const config = await fileOf({ mcpServers: { 'res.own': a }, mcpstore: ownOf('res', { own: b }) });
    const error = await failure(open({ config }));
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', figures: { line: 11 } });
    expect(error.message).toMatch(/mcp\.json:11:\d+: mcpstore\.agents\.res\.mcpServers\.own: .*"res\.own"/);
  });

  it('also between two agents', async () => {
    const agents = { 'x.y': { mcpServers: { z: a } }, x: { mcpServers: { 'y.z': b } } };
    const error = await failure(open({ config: await fileOf({ mcpstore: { agents } }) }));
    expect(error).toMatchObject({ code: 'CONFIG_INVALID' });
    expect(error.message).toContain('mcpstore.agents.x.mcpServers["y.z"]');
  });
});
describe('a dot in a name', () => {
  it('gives an agent nothing of the store', async () => {
    const store = await open({ services: { 'team.secret': a } });
    const team = store.forAgent('team');
    expect(names(team)).toEqual([]);
    expect(team.showConfig()).toEqual({ mcpServers: {} });
    for (const work of [
      team.deleteService('secret'),
      team.updateService('secret', b),
      team.callTool('x', {}, { service: 'secret' }),
    ])
      expect(await failure(work)).toMatchObject({ code: 'SERVICE_UNKNOWN' });
    expect(await failure(team.addService('secret', b))).toMatchObject({ code: 'SERVICE_EXISTS' });
    await team.resetConfig();
    expect(store.showConfig()).toEqual({ mcpServers: { 'team.secret': a } });
    await store.close();
  });

  it('gives an agent nothing of another', async () => {
    const store = await open({ services: {} });
    await store.forAgent('a.b').addService('c', a);
    expect(names(store.forAgent('a'))).toEqual([]);
    expect(await failure(store.forAgent('a').deleteService('b.c'))).toMatchObject({ code: 'SERVICE_UNKNOWN' });
    expect(await failure(store.forAgent('a').addService('b.c', b))).toMatchObject({ code: 'SERVICE_EXISTS' });
    expect(names(store.forAgent('a.b'))).toEqual(['c']);
    await store.close();
  });

  it('hides no service that an agent was given', async () => {
    const store = await open({ services: { secret: a, 'team.secret': b } });
    const team = store.forAgent('team', { services: ['secret', 'team.secret'] });
    expect(team.showConfig()).toEqual({ mcpServers: { secret: a, 'team.secret': b } });
    await store.close();
  });
});
describe('what the file gives an agent', () => {
  const files = { files: a, wiki: b };
  const granting = (...services: string[]): object => ({
    mcpServers: files,
    mcpstore: { agents: { res: { services } } },
  });

  async function changed(store: MCPStore, config: string, content: object): Promise<void> {
    const heard = new Promise((resolve) => store.on('configChanged', resolve));
    await writeFile(config, JSON.stringify(content));
    await heard;
  }

  it('is taken back with it: changed, the list gone, the agent gone', async () => {
    const config = await fileOf(granting('files'));
    const store = await open({ config, watch: true });
    const agent = store.forAgent('res');
    expect(names(agent)).toEqual(['files']);
    await changed(store, config, granting('wiki'));
    expect(names(agent)).toEqual(['wiki']);
    await changed(store, config, { mcpServers: files, mcpstore: { agents: { res: {} } } });
    expect(names(agent)).toEqual([]);
    expect(await failure(agent.callTool('x', {}, { service: 'wiki' }))).toMatchObject({ code: 'SERVICE_UNKNOWN' });
    await changed(store, config, granting('files'));
    expect(names(agent)).toEqual(['files']);
    await changed(store, config, { mcpServers: files });
    expect(names(agent)).toEqual([]);
    await store.close();
  });

  it('takes nothing from what code gave', async () => {
    const config = await fileOf(granting('files'));
    const store = await open({ config, watch: true });
    const agent = store.forAgent('res', { services: ['wiki'] });
    await changed(store, config, granting('files', 'wiki'));
    expect(names(agent)).toEqual(['wiki']);
    await changed(store, config, { mcpServers: files });
    expect(names(agent)).toEqual(['wiki']);
    await store.close();
  });
});
