/** Knows what a list of an earlier run is good for: the same revision alone, undamaged, and never in the way. */

import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { RememberedLists } from '../../src/catalog/remembered.js';
import type { RawTool } from '../../src/catalog/tool.js';
import { tempDir } from '../support/tmp.js';

const tools = [{ name: 'read', inputSchema: { type: 'object' } }] as RawTool[];

describe('remembered lists', () => {
  it('come back in the next run for the same service and revision, and for no other', async () => {
    const folder = await tempDir();
    await new RememberedLists(folder).save('files', 'r1', tools);
    const next = new RememberedLists(folder);
    expect(await next.load('files', 'r1')).toEqual(tools);
    expect(await next.load('files', 'r2')).toBeUndefined();
    expect(await next.load('file', 'sr1')).toBeUndefined();
    expect(await next.load('other', 'r1')).toBeUndefined();
  });

  it('are the last ones saved, also where saves overlap', async () => {
    const folder = await tempDir();
    const lists = new RememberedLists(folder);
    await Promise.all(
      [1, 2, 3, 4, 5].map((n) => lists.save('files', 'r1', [{ ...tools[0]!, description: String(n) }])),
    );
    const [seen] = (await new RememberedLists(folder).load('files', 'r1'))!;
    expect(seen!.description).toBe('5');
    expect(await lists.load('files', 'r1')).toEqual([{ ...tools[0]!, description: '5' }]);
  });

  it.each([
    ['empty', ''],
    ['cut', (text: string) => text.slice(0, -10)],
    ['no JSON', 'hello'],
    ['null', 'null'],
    ['of another version', (text: string) => text.replace('"version":1', '"version":99')],
    ['of another service', (text: string) => text.replace('"service":"files"', '"service":"other"')],
    ['without tools', (text: string) => text.replace(/"tools":.*/, '"tools":{}}')],
    ['with tools that are none', (text: string) => text.replace(/"tools":.*/, '"tools":[null,5,{}]}')],
  ])('are ignored where the file is %s', async (_what, damage) => {
    const folder = await tempDir();
    await new RememberedLists(folder).save('files', 'r1', tools);
    const [name] = await readdir(join(folder, 'lists'));
    const file = join(folder, 'lists', name!);
    await writeFile(file, typeof damage === 'string' ? damage : damage(await readFile(file, 'utf8')));
    const next = new RememberedLists(folder);
    expect(await next.load('files', 'r1')).toBeUndefined();
    await next.save('files', 'r1', tools);
    expect(await new RememberedLists(folder).load('files', 'r1')).toEqual(tools);
  });

  it('A6: are named by a hash, whatever the service is called, and only their owner may look', async () => {
    const folder = await tempDir();
    await new RememberedLists(folder).save('../../etc/passwd', 'r', tools);
    const names = await readdir(join(folder, 'lists'));
    expect(names).toEqual([expect.stringMatching(/^[0-9a-f]{32}\.json$/)]);
    if (process.platform !== 'win32') {
      expect((await stat(join(folder, 'lists'))).mode & 0o077).toBe(0);
      expect((await stat(join(folder, 'lists', names[0]!))).mode & 0o077).toBe(0);
    }
  });

  it('are neither read nor written without a folder', async () => {
    const lists = new RememberedLists(null);
    await lists.save('files', 'r1', tools);
    expect(await lists.load('files', 'r1')).toBeUndefined();
  });

  it('that cannot be written are the saver’s trouble alone', async () => {
    const folder = await tempDir();
    await writeFile(join(folder, 'lists'), 'a file in the way');
    const lists = new RememberedLists(folder);
    await expect(lists.save('files', 'r1', tools)).rejects.toThrow();
    await lists.flush();
    expect(await lists.load('files', 'r1')).toBeUndefined();
  });

  it('are on disk once flush settles', async () => {
    const folder = await tempDir();
    const lists = new RememberedLists(folder);
    void lists.save('a', 'r', tools);
    void lists.save('b', 'r', tools);
    await lists.flush();
    expect(await readdir(join(folder, 'lists'))).toHaveLength(2);
  });
});
