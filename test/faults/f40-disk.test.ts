/**
 * F40: no byte more can be written (a limit on the size of files stands for a full disk): the old file stays, the error
 * says so, the store goes on, and once there is room again it saves. Linux. test/system/ has real full disks.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { cleanUpAfterEach, scripted, temporaryPath } from '../support/harness.js';
import { host } from '../support/host.js';

cleanUpAfterEach(90_000);

const PROGRAM = `
  const room = new Promise((resolve) => process.once('SIGUSR2', resolve));
  const store = await MCPStore.open({ config: input.config, stateDir: input.state });
  const add = (name) =>
    store.addService(name, { command: 'x'.repeat(4_000) }, { persist: true }).then(
      () => ({ code: 'saved' }),
      ({ code, executed, figures, hint }) => ({ code, executed, figures, hint }),
    );
  const echo = async () => (await store.callTool('s__echo', { text: 'still here' })).content[0].text;
  say({ ...(await add('one')), text: await echo(), services: store.listServices().map(({ name }) => name) });
  await room;
  say({ ...(await add('two')), text: await echo(), services: store.listServices().map(({ name }) => name) });
  await store.close();
  say('closed');
`;

it('F40: a full disk is FILE_FAILED, the old file intact, the store goes on and saves again', async () => {
  const config = join(temporaryPath('full'), 'mcp.json');
  const state = temporaryPath('state');
  mkdirSync(dirname(config));
  const before = JSON.stringify({ mcpServers: { s: scripted() } });
  expect(before.length).toBeLessThan(2_000);
  writeFileSync(config, before);
  const program = host(PROGRAM, { config, state }, ['prlimit', '--fsize=2000:unlimited']);
  expect(await program.next()).toEqual({
    code: 'FILE_FAILED',
    executed: 'no',
    figures: { file: config, errno: 'EFBIG' },
    text: 'still here',
    services: ['s'],
  });
  expect(readFileSync(config, 'utf8')).toBe(before);
  expect(readdirSync(dirname(config)).filter((name) => name !== 'mcp.json')).toEqual([]);
  execFileSync('prlimit', ['--pid', String(program.pid), '--fsize=unlimited:unlimited']);
  program.child.kill('SIGUSR2');
  expect(await program.next()).toEqual({ code: 'saved', text: 'still here', services: ['s', 'two'] });
  expect(Object.keys((JSON.parse(readFileSync(config, 'utf8')) as { mcpServers: object }).mcpServers)).toEqual([
    's',
    'two',
  ]);
  expect(await program.next()).toBe('closed');
  expect(await program.ended).toBe(0);
  expect(readdirSync(state, { recursive: true }).filter((name) => String(name).endsWith('.tmp'))).toEqual([]);
});
