/** Edits of a config file on disk: nothing is lost, by others writing too, by a kill, by a full disk. */

import { type ChildProcess, spawn } from 'node:child_process';
import * as promises from 'node:fs/promises';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { FileCalls } from '../../src/_util/atomic-file.js';
import { parseConfig } from '../../src/config/load.js';
import { ConfigFile } from '../../src/config/save.js';
import { isStoreError } from '../../src/errors.js';
import { compileSources } from '../support/compiled.js';
import { tempDir } from '../support/tmp.js';

const root = await tempDir();
let compiled: string;
let file: string;
let count = 0;
beforeAll(async () => {
  compiled = await compileSources(root);
}, 60_000);
beforeEach(() => {
  file = join(root, String(++count), 'mcp.json');
});

async function given(text: string): Promise<ConfigFile> {
  await mkdir(join(file, '..'), { recursive: true });
  await writeFile(file, text);
  return new ConfigFile(file);
}

/** A Node process that runs `body` with `ConfigFile` of src/ and the file's path. */
function run(body: string): ChildProcess {
  const from = pathToFileURL(join(compiled, 'config/save.js')).href;
  const code = `import { ConfigFile } from ${JSON.stringify(from)}; const path = ${JSON.stringify(file)}; ${body}`;
  return spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
}

const ended = (child: ChildProcess): Promise<unknown> => new Promise((done) => child.once('close', done));

describe('an edit', () => {
  it('makes a file that is not there, with its folder, for the user alone', async () => {
    const config = new ConfigFile(file);
    const document = await config.edit((edit) => edit.setService('files', { command: 'npx', args: ['${X}'] }));
    expect(document.services.get('files')).toEqual({ command: 'npx', args: ['${X}'] });
    expect(config.current()).toBe(document);
    expect(await readFile(file, 'utf8')).toBe(
      '{\n  "mcpServers": {\n    "files": {\n      "command": "npx",\n      "args": [\n        "${X}"\n      ]\n    }\n  }\n}\n',
    );
    if (process.platform !== 'win32') expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readdir(join(file, '..'))).toEqual(['mcp.json']);
  });

  it('works on what is on disk, keeps its byte-order mark, and finds the services under "servers"', async () => {
    const config = await given('{"servers":{}}');
    await config.load();
    await writeFile(file, '\uFEFF{ "servers": { "a": { "command": "a" } } } // end\n');
    const document = await config.edit((edit) => {
      expect([...edit.document.services.keys()]).toEqual(['a']);
      edit.setService('b', { url: 'https://b.example' });
      expect(edit.removeService('a')).toBe(true);
      expect(edit.removeService('a')).toBe(false);
      edit.set(['performance', 'calls', 'callTimeoutMs'], 5);
    });
    expect([...document.services.keys()]).toEqual(['b']);
    expect(await readFile(file, 'utf8')).toBe(
      '\uFEFF{ "servers": { "b": { "url": "https://b.example" } }, "performance": { "calls": { "callTimeoutMs": 5 } } } // end\n',
    );
  });

  it('writes nothing where nothing changes', async () => {
    const config = await given('{ "mcpServers": { "a": { "command": "a" } } }');
    const before = await stat(file, { bigint: true });
    await config.edit((edit) => edit.setService('a', { command: 'a' }));
    expect((await stat(file, { bigint: true })).ino).toBe(before.ino);
  });

  it('never writes over a file that is no config, nor makes one', async () => {
    for (const bad of ['', '{ "mcpServers": { "a"', '{ "mcpServers": { "a": {} } }', '\uFFFE']) {
      const config = await given(bad);
      const edit = config.edit((e) => e.setService('b', { command: 'b' }));
      await expect(edit).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
      expect(await readFile(file, 'utf8')).toBe(bad);
    }
    const latin = Buffer.from('{ "mcpServers": {} } // \xe9', 'latin1');
    const config = await given('{}');
    await writeFile(file, latin);
    await expect(config.edit((e) => e.setService('b', { command: 'b' }))).rejects.toThrow('this is not UTF-8 text');
    await writeFile(file, '{}');
    await expect(config.edit((e) => e.setService('b', { command: 5 as unknown as string }))).rejects.toThrow(
      'mcpServers.b.command: expected a string',
    );
    await expect(config.edit((e) => e.setService('b', { server: () => {} }))).rejects.toThrow('cannot be saved');
    expect(await readFile(file, 'utf8')).toBe('{}');
  });

  it('throws what its function throws, and goes on after it', async () => {
    const config = await given('{}');
    const own = Object.assign(new Error('mine'), { code: 'EMINE' });
    await expect(
      config.edit(() => {
        throw own;
      }),
    ).rejects.toBe(own);
    await config.edit((e) => e.set(['a'], 1));
    expect(await readdir(join(file, '..'))).toEqual(['mcp.json']);
  });

  it('starts again when another program writes in between', async () => {
    const config = await given('{ "mcpServers": {} }');
    let runs = 0;
    const calls: FileCalls = {
      ...promises,
      // The last moment before the file is compared and replaced.
      async readdir(path: string) {
        if (runs === 1) await writeFile(file, '{ "mcpServers": { "editor": { "command": "e" } } }');
        return await promises.readdir(path);
      },
    } as unknown as FileCalls;
    const document = await new ConfigFile(config.path, calls).edit((e) => {
      runs++;
      e.setService('ours', { command: 'o' });
    });
    expect(runs).toBe(2);
    expect([...document.services.keys()]).toEqual(['editor', 'ours']);
  });

  it('fails as FILE_FAILED with the old file intact when the disk does, and works again after (F40)', async () => {
    const config = await given('{}');
    await config.load();
    const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    let isFull = true;
    const calls: FileCalls = {
      ...promises,
      rename: async (from: string, to: string) => {
        if (isFull) throw full;
        await promises.rename(from, to);
      },
    } as FileCalls;
    const failing = new ConfigFile(file, calls);
    const error: unknown = await failing.edit((e) => e.set(['a'], 1)).catch((e: unknown) => e);
    expect(isStoreError(error, 'FILE_FAILED') && error.figures).toEqual({ file, errno: 'ENOSPC' });
    expect((error as Error).message).toBe(`${file}: cannot write: ENOSPC: no space left on device`);
    expect(await readFile(file, 'utf8')).toBe('{}');
    isFull = false;
    await failing.edit((e) => e.set(['a'], 1));
    expect(parseConfig(await readFile(file, 'utf8')).foreign).toHaveLength(1);
  });

  it('is told as FILE_FAILED where there is nothing to read', async () => {
    await expect(new ConfigFile(file).load()).rejects.toMatchObject({
      code: 'FILE_FAILED',
      figures: { errno: 'ENOENT' },
    });
    await expect(new ConfigFile(root).load()).rejects.toMatchObject({
      code: 'FILE_FAILED',
      figures: { errno: 'EISDIR' },
    });
  });
});

describe('two processes', () => {
  it('that edit at the same time lose nothing (F41)', async () => {
    await given('{\n  // mine\n  "mcpServers": {}\n}\n');
    const each = 25;
    const loop = (who: string): string =>
      `for (let i = 0; i < ${each}; i++) await new ConfigFile(path).edit((e) => e.setService('${who}' + i, { command: '\${X}' }));`;
    const mine = new ConfigFile(file);
    await Promise.all([
      ended(run(loop('a'))),
      ended(run(loop('b'))),
      (async () => {
        for (let i = 0; i < each; i++) await mine.edit((e) => e.setService(`c${i}`, { command: 'c' }));
      })(),
    ]);
    const document = await mine.load();
    expect(document.services.size).toBe(3 * each);
    expect(document.text).toContain('// mine');
    expect(await readdir(join(file, '..'))).toEqual(['mcp.json']);
  }, 30_000);

  it('leave the old file or the new one when one is killed while it saves, and the next edit need not wait (F39)', async () => {
    await given('{ "mcpServers": {} } // mine');
    const body = `const config = new ConfigFile(path); console.log('go');
      for (let i = 0; ; i++) await config.edit((e) => e.setService('s' + (i % 50), { command: 'x'.repeat(20_000), args: [String(i)] }));`;
    for (let trial = 0; trial < 8; trial++) {
      const child = run(body);
      await new Promise((done) => child.stdout!.once('data', done));
      await new Promise((done) => setTimeout(done, 15 + Math.random() * 40));
      child.kill('SIGKILL');
      await ended(child);
      const document = parseConfig(await readFile(file, 'utf8'), file);
      expect(document.text.endsWith('// mine')).toBe(true);
      const begin = performance.now();
      await new ConfigFile(file).edit((e) => e.set(['trial'], trial));
      expect(performance.now() - begin).toBeLessThan(3_000);
    }
  }, 30_000);
});
