/** A change of the file is heard however it is written; what is half written is never taken. */

import { open, rename, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ConfigDocument } from '../../src/config/definition.js';
import { ConfigFile } from '../../src/config/save.js';
import type { StoreError } from '../../src/errors.js';
import { tempDir } from '../support/tmp.js';

let file: string;
const stops: (() => void)[] = [];
beforeEach(async () => {
  file = join(await tempDir(), 'mcp.json');
});
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

const withService = (name: string): string => `{ "mcpServers": { "${name}": { "command": "x" } } }`;

/** What a watcher hears, in order; `next` waits for it with a bound. */
class Heard {
  readonly all: string[] = [];
  #wake: (() => void) | undefined;
  #taken = 0;

  constructor(config: ConfigFile) {
    const hear = (what: string): void => {
      this.all.push(what);
      this.#wake?.();
    };
    const onChange = (document: ConfigDocument): void => hear([...document.services.keys()].join());
    stops.push(config.watch(onChange, (error: StoreError) => hear(error.code)));
  }

  async next(): Promise<string> {
    const end = performance.now() + 8_000;
    while (this.all.length <= this.#taken) {
      if (performance.now() > end) throw new Error('nothing was heard within 8 s');
      await new Promise<void>((done) => {
        this.#wake = done;
        setTimeout(done, 100);
      });
    }
    return this.all[this.#taken++]!;
  }
}

async function watched(text = withService('first')): Promise<[ConfigFile, Heard]> {
  await writeFile(file, text);
  const config = new ConfigFile(file);
  await config.load();
  return [config, new Heard(config)];
}

describe('watching', () => {
  it('hears an editor that writes in place, and one that renames', async () => {
    const [config, heard] = await watched();
    await writeFile(file, withService('in-place'));
    expect(await heard.next()).toBe('in-place');
    for (const name of ['renamed', 'renamed-again']) {
      await writeFile(`${file}.swp`, withService(name));
      await rename(`${file}.swp`, file);
      expect(await heard.next()).toBe(name);
    }
    expect([...config.current()!.services.keys()]).toEqual(['renamed-again']);
  });

  it('hears one that removes the file and makes it anew', async () => {
    const [, heard] = await watched();
    await unlink(file);
    await writeFile(file, withService('anew'));
    expect(await heard.next()).toBe('anew');
  });

  it('never takes a file that is half written (F41)', async () => {
    const [config, heard] = await watched();
    const text = withService('whole');
    const handle = await open(file, 'w');
    for (const char of text) {
      await handle.write(char);
      await new Promise((done) => setTimeout(done, 5));
      const names = [...config.current()!.services.keys()].join();
      expect(['first', 'whole']).toContain(names);
    }
    await handle.close();
    // A writer that pauses for long may be reported, but nothing of what it wrote is taken.
    while (heard.all.at(-1) !== 'whole') await heard.next();
    expect(heard.all.filter((what) => what !== 'CONFIG_INVALID')).toEqual(['whole']);
  });

  it('reports a wrong or missing file once, keeps the last good one, and tells when it is good again', async () => {
    const [config, heard] = await watched();
    await writeFile(file, '{ "mcpServers": ');
    expect(await heard.next()).toBe('CONFIG_INVALID');
    expect([...config.current()!.services.keys()]).toEqual(['first']);
    await unlink(file);
    expect(await heard.next()).toBe('FILE_FAILED');
    await writeFile(file, withService('first'));
    expect(await heard.next()).toBe('first');
    expect(heard.all).toEqual(['CONFIG_INVALID', 'FILE_FAILED', 'first']);
  });

  it('does not hear our own edits, but what others wrote before them', async () => {
    const [config, heard] = await watched();
    await config.edit((edit) => edit.setService('ours', { command: 'x' }));
    await writeFile(file, withService('others'));
    expect(await heard.next()).toBe('others');
    await writeFile(file, withService('theirs'));
    await config.edit((edit) => edit.setService('own', { command: 'x' }));
    const seen = [await heard.next()];
    if (seen[0] === 'theirs') seen.push(await heard.next().catch(() => ''));
    await writeFile(file, withService('last'));
    while (heard.all.at(-1) !== 'last') await heard.next();
    expect(heard.all.filter((what) => !['others', 'theirs', 'theirs,own', 'last'].includes(what))).toEqual([]);
  });

  it.skipIf(process.platform === 'win32')(
    'follows a link to a file in another folder, and a link that is changed',
    async () => {
      const other = await tempDir();
      await writeFile(join(other, 'a.json'), withService('first'));
      await writeFile(join(other, 'b.json'), withService('b'));
      await symlink(join(other, 'a.json'), file);
      const config = new ConfigFile(file);
      await config.load();
      const heard = new Heard(config);
      await writeFile(join(other, 'a.json'), withService('a'));
      expect(await heard.next()).toBe('a');
      await symlink(join(other, 'b.json'), `${file}.new`);
      await rename(`${file}.new`, file);
      expect(await heard.next()).toBe('b');
      await config.edit((edit) => edit.setService('c', { command: 'x' }));
      await writeFile(join(other, 'b.json'), withService('d'));
      expect(await heard.next()).toBe('d');
    },
  );

  it('tells each listener, whatever another does, until it is stopped', async () => {
    const [config, heard] = await watched();
    stops.push(
      config.watch(
        () => {
          throw new Error('mine');
        },
        () => {},
      ),
    );
    const late = new Heard(config);
    await writeFile(file, withService('a'));
    expect([await heard.next(), await late.next()]).toEqual(['a', 'a']);
    stops.at(-1)!();
    await writeFile(file, withService('b'));
    expect(await heard.next()).toBe('b');
    expect(late.all).toEqual(['a']);
  });
});
