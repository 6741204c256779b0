/** F41: two stores in two processes, and a person with an editor, change one file: nothing is lost, all hear of all. */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { MCPStore } from '../../src/index.js';
import { afterwards, cleanUpAfterEach, temporaryPath } from '../support/harness.js';
import { host } from '../support/host.js';
import { until } from '../support/waiting.js';

cleanUpAfterEach(120_000);

const EACH = 15;
const PROGRAM = `
  const store = await MCPStore.open({ config: input.config, stateDir: null });
  const until = async (wanted) => {
    while (store.listServices().length < wanted) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  await Promise.all(Array.from({ length: input.each }, (_, i) =>
    store.addService(input.who + i, { command: '\${COMMAND}' }, { persist: true })));
  say('added');
  await until(input.all);
  say(store.listServices().map(({ name }) => name).sort());
  await store.close();
`;

it('F41: two processes that persist at once lose nothing, and each takes over what the other wrote', async () => {
  const config = join(temporaryPath('two'), 'mcp.json');
  mkdirSync(dirname(config));
  writeFileSync(config, '{\n  // mine\n  "mcpServers": {}\n}\n');
  const store = await MCPStore.open({ config, stateDir: null });
  afterwards(() => store.close({ drainMs: 0 }));
  const programs = ['a', 'b'].map((who) => host(PROGRAM, { config, who, each: EACH, all: 3 * EACH }));
  for (let i = 0; i < EACH; i++) await store.addService(`c${i}`, { command: 'c' }, { persist: true });
  for (const program of programs) expect(await program.next()).toBe('added');
  const names = ['a', 'b', 'c'].flatMap((who) => Array.from({ length: EACH }, (_, i) => `${who}${i}`)).sort();
  for (const program of programs) expect(await program.next()).toEqual(names);
  await until(() => store.listServices().length === names.length, 'all services', 30_000);
  const text = readFileSync(config, 'utf8');
  expect(text).toContain('// mine');
  for (const name of names) expect(text.split(`"${name}"`)).toHaveLength(2);
  expect(text).toContain('"${COMMAND}"');
  expect(readdirSync(dirname(config))).toEqual(['mcp.json']);
});

it('F41: what an editor saves while the store saves is kept: both are in the file', async () => {
  const config = join(temporaryPath('editor'), 'mcp.json');
  mkdirSync(dirname(config));
  writeFileSync(config, '{ "mcpServers": {} }');
  const store = await MCPStore.open({ config, stateDir: null });
  afterwards(() => store.close({ drainMs: 0 }));
  for (let i = 0; i < 20; i++) {
    // As editors do: read, change, write beside it, rename. It knows of no lock, so only ours is before or after.
    const mine = store.addService(`mine${i}`, { command: 'x' }, { persist: true });
    const seen = JSON.parse(readFileSync(config, 'utf8')) as { mcpServers: Record<string, unknown> };
    seen.mcpServers[`editor${i}`] = { command: 'e' };
    await writeFile(`${config}.swp`, JSON.stringify(seen));
    await rename(`${config}.swp`, config);
    await mine;
    const names = Object.keys((JSON.parse(readFileSync(config, 'utf8')) as typeof seen).mcpServers);
    expect(names).toContain(`editor${i}`);
    // Where our save came between the editor's look and its rename, it is the editor that overwrote it.
    expect(names.length).toBeGreaterThan(i);
  }
});
