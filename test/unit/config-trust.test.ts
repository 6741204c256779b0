/** A config of somebody else runs nothing before its content was approved, and where the user's own files are. */

import { readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { defaultStateDir, userConfigPath } from '../../src/config/places.js';
import { approve, isApproved, keepApproval } from '../../src/config/trust.js';
import { tempDir } from '../support/tmp.js';

let folder: string;
let state: string;
let file: string;
beforeEach(async () => {
  folder = await tempDir();
  state = join(folder, 'state');
  file = join(folder, 'mcp.json');
  await writeFile(file, TEXT);
});

const TEXT = '{ "mcpServers": { "a": { "command": "a" } } }';

describe('approval (A11)', () => {
  it('is of exactly this content of exactly this file', async () => {
    expect(await isApproved(state, file, TEXT)).toBe(false);
    await approve(state, file, TEXT);
    expect(await isApproved(state, file, TEXT)).toBe(true);
    expect(await isApproved(state, file, `${TEXT} `)).toBe(false);
    const copy = join(folder, 'copy.json');
    await writeFile(copy, TEXT);
    expect(await isApproved(state, copy, TEXT)).toBe(false);
    await approve(state, file, `${TEXT}\n`);
    expect(await isApproved(state, file, TEXT)).toBe(false);
  });

  it('is not needed without services, of agents neither', async () => {
    expect(await isApproved(state, file, '{ "performance": {} }')).toBe(true);
    const agent = '{ "mcpstore": { "agents": { "b": { "mcpServers": { "x": { "command": "x" } } } } } }';
    expect(await isApproved(state, file, agent)).toBe(false);
    await expect(isApproved(state, file, '{')).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it.skipIf(process.platform === 'win32')('knows the file by its real path', async () => {
    const link = join(folder, 'link.json');
    await symlink(file, link);
    await approve(state, link, TEXT);
    expect(await isApproved(state, file, TEXT)).toBe(true);
  });

  it('is remembered privately, for many files at once', async () => {
    const files = Array.from({ length: 8 }, (_, i) => join(folder, `${i}.json`));
    await Promise.all(files.map((path) => writeFile(path, TEXT)));
    await Promise.all(files.map((path) => approve(state, path, TEXT)));
    expect(await Promise.all(files.map((path) => isApproved(state, path, TEXT)))).toEqual(files.map(() => true));
    if (process.platform !== 'win32') expect((await stat(join(state, 'approved.json'))).mode & 0o777).toBe(0o600);
    expect(await readFile(join(state, 'approved.json'), 'utf8')).not.toContain('command');
  });

  it('is refused when its list is damaged, and never written over it', async () => {
    await approve(state, file, TEXT);
    for (const damaged of ['{', '[]', '{"files":1}', 'null']) {
      await writeFile(join(state, 'approved.json'), damaged);
      expect(await isApproved(state, file, TEXT)).toBe(false);
      await expect(approve(state, file, TEXT)).rejects.toMatchObject({
        code: 'FILE_FAILED',
        hint: expect.stringContaining('Delete it') as string,
      });
      expect(await readFile(join(state, 'approved.json'), 'utf8')).toBe(damaged);
    }
  });

  it("is handed on by the user's own edit, from an approved content alone", async () => {
    await keepApproval(state, file, TEXT, `${TEXT} `);
    expect(await isApproved(state, file, TEXT)).toBe(false);
    await approve(state, file, TEXT);
    await keepApproval(state, file, TEXT, `${TEXT}\n`);
    expect(await isApproved(state, file, `${TEXT}\n`)).toBe(true);
    await keepApproval(state, file, undefined, TEXT);
    expect(await isApproved(state, file, TEXT)).toBe(true);
  });

  it('is never remembered without a state folder', async () => {
    await approve(null, file, TEXT);
    expect(await isApproved(null, file, TEXT)).toBe(false);
  });
});

describe('places', () => {
  it("are the platform's own", () => {
    const at = (platform: NodeJS.Platform, env: Record<string, string>, home: string): string[] => [
      defaultStateDir({ platform, env, home }),
      userConfigPath({ platform, home }),
    ];
    expect(at('linux', {}, '/home/me')).toEqual(['/home/me/.local/state/mcpstore', '/home/me/.mcpstore/mcp.json']);
    expect(at('linux', { XDG_STATE_HOME: '/x' }, '/home/me')[0]).toBe('/x/mcpstore');
    expect(at('linux', { XDG_STATE_HOME: 'relative' }, '/home/me')[0]).toBe('/home/me/.local/state/mcpstore');
    expect(at('darwin', {}, '/Users/me')[0]).toBe('/Users/me/Library/Application Support/mcpstore');
    expect(at('win32', { LOCALAPPDATA: 'C:\\L' }, 'C:\\Users\\me')).toEqual([
      'C:\\L\\mcpstore',
      'C:\\Users\\me\\.mcpstore\\mcp.json',
    ]);
    expect(at('win32', {}, 'C:\\Users\\me')[0]).toBe('C:\\Users\\me\\AppData\\Local\\mcpstore');
  });
});
