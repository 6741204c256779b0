/** A disk that fails while the configuration is saved, told to the kernel's calls by strace: the file stays as it was. */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
import { tempDir } from '../support/tmp.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Adds a service to the file, and prints the error's code and whether the store took the service all the same. */
const program = `
  import { MCPStore } from 'mcpstore';
  const store = await MCPStore.open({ config: process.argv[1], stateDir: null });
  const code = await store.addService('added', { command: 'x' }, { persist: true }).then(() => 'saved', (e) => e.code);
  console.log(JSON.stringify({ code, services: store.listServices().map((service) => service.name) }));
  await store.close();
`;

beforeAll(() => {
  expect(spawnSync('strace', ['--version']).status, 'the Debian package strace is needed').toBe(0);
});

async function saveWith(config: string, faults: string[]): Promise<{ code: string; services: string[] }> {
  const traced = [...faults.flatMap((fault) => ['-e', `inject=${fault}`]), '-e', 'trace=fsync,fdatasync,rename'];
  const node = [process.execPath, '--input-type=module', '-e', program, config];
  const child = spawn('strace', ['-f', '-qq', '-o', '/dev/null', ...traced, ...node], { cwd: root });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const [code] = await once(child, 'close');
  expect(code, err).toBe(0);
  return JSON.parse(out);
}

it.each([
  ['nothing reaches the disk', ['fsync:error=EIO', 'fdatasync:error=EIO']],
  ['the disk is full at the rename', ['rename:error=ENOSPC']],
])('keeps the old file, and no other, where %s', { timeout: 60_000 }, async (_, faults) => {
  const folder = await tempDir();
  const config = join(folder, 'mcp.json');
  const before = '{\n  // mine\n  "mcpServers": {}\n}\n';
  await writeFile(config, before);
  expect(await saveWith(config, faults)).toEqual({ code: 'FILE_FAILED', services: [] });
  expect(await readFile(config, 'utf8')).toBe(before);
  expect(await readdir(folder)).toEqual(['mcp.json']);
});

it('saves where the disk works, or only the folder cannot be synced', { timeout: 60_000 }, async () => {
  const config = join(await tempDir(), 'mcp.json');
  await writeFile(config, '{ "mcpServers": {} }');
  expect(await saveWith(config, ['fsync:error=EIO:when=2+'])).toEqual({ code: 'saved', services: ['added'] });
  expect(JSON.parse(await readFile(config, 'utf8'))).toEqual({ mcpServers: { added: { command: 'x' } } });
});
