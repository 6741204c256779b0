/** A disk that fails while the configuration is saved, told to the kernel's calls by strace: the file stays as it was. */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
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
  const trace = ['fsync', 'fdatasync', 'rename', ...faults.map((fault) => fault.split(':')[0])];
  const traced = [...faults.flatMap((fault) => ['-e', `inject=${fault}`]), '-e', `trace=${trace.join()}`];
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
  ['the disk fails at the rename', ['rename:error=EIO']],
  ['the new file cannot get its mode', ['fchmod:error=EIO']],
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

/** The same program in a mount namespace of its own, where `mount` was run before. */
const HELD = `
  import { MCPStore } from 'mcpstore';
  const { config, state, server } = JSON.parse(process.argv[1]);
  const store = await MCPStore.open({ config, stateDir: state });
  const add = () =>
    store.addService('added', { command: 'x'.repeat(40_000) }, { persist: true }).then(
      () => ({ code: 'saved' }),
      ({ code, figures }) => ({ code, errno: figures.errno }),
    );
  await store.addService('s', server);
  const told = await add();
  const { content } = await store.callTool('s__echo', { text: 'still here' });
  await store.close();
  console.log(JSON.stringify({ ...told, text: content[0].text }));
`;

it.each([
  [
    'full',
    'mount -t tmpfs -o size=64k tmpfs "$1" && cp "$2" "$1/mcp.json" && head -c 40000 /dev/zero >"$1/ballast"',
    'ENOSPC',
  ],
  ['read-only', 'cp "$2" "$1/mcp.json" && mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"', 'EROFS'],
])(
  'F40: on a disk that is %s a save is FILE_FAILED, and the store goes on',
  { timeout: 60_000 },
  async (_, mount, errno) => {
    const folder = await tempDir();
    const disk = join(folder, 'disk');
    await mkdir(disk);
    const original = join(folder, 'mcp.json');
    const before = '{ "mcpServers": {} } // mine';
    await writeFile(original, before);
    const server = { command: process.execPath, args: [join(root, 'test/support/scripted-server.mjs')] };
    const input = JSON.stringify({ config: join(disk, 'mcp.json'), state: join(disk, 'state'), server });
    const shell = `${mount} && shift 2 && "$@" && cat "$0" && ls -A "$(dirname "$0")" | grep -v -e ballast -e state | wc -l`;
    const node = [process.execPath, '--input-type=module', '-e', HELD, input];
    const args = ['-rm', 'sh', '-ec', shell, join(disk, 'mcp.json'), disk, original, ...node];
    const { stdout, stderr, status } = spawnSync('unshare', args, { cwd: root, encoding: 'utf8' });
    expect(status, stderr).toBe(0);
    const [told, ...rest] = stdout.trim().split('\n');
    expect(JSON.parse(told!)).toEqual({ code: 'FILE_FAILED', errno, text: 'still here' });
    // The old file, and no other.
    expect(rest.join('')).toMatch(/^\{ "mcpServers": \{\} \} \/\/ mine1$/);
  },
);
