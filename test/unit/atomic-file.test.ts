/** A file is replaced whole or not at all, whatever fails, and only one process at a time holds a lock. */

import { type ChildProcess, spawn } from 'node:child_process';
import * as promises from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { type FileCalls, resolveLinks, sweepTemporaries, writeFileAtomic } from '../../src/_util/atomic-file.js';
import { acquireLock } from '../../src/_util/file-lock.js';
import { readBounded } from '../../src/_util/read-file.js';
import { tempDir } from '../support/tmp.js';

const { chmod, chown, lstat, mkdir, readFile, readdir, stat, symlink, utimes, writeFile } = promises;
const isWindows = process.platform === 'win32';

let folder: string;
beforeEach(async () => {
  folder = await tempDir();
});

const STEPS = ['readdir', 'open', 'writeFile', 'chmod', 'sync', 'close', 'rename'] as const;

/** The file system, with one step failing. */
function failing(step: string, code: string): FileCalls {
  const fail = async (): Promise<never> => {
    throw Object.assign(new Error(`${code}: injected`), { code });
  };
  const calls: Record<string, unknown> = { ...promises };
  if (step in calls && !['writeFile', 'chmod'].includes(step))
    return { ...calls, [step]: fail } as unknown as FileCalls;
  const open = async (...args: Parameters<typeof promises.open>): Promise<promises.FileHandle> => {
    const handle = await promises.open(...args);
    return new Proxy(handle, {
      get(target, key) {
        if (key === 'close' && step === 'close') return () => target.close().then(fail);
        if (key === step) return fail;
        const value = Reflect.get(target, key, target) as unknown;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  };
  return { ...calls, open } as unknown as FileCalls;
}

describe('an atomic write', () => {
  it('makes a private file and keeps the mode of an old one', async () => {
    const path = join(folder, 'a.json');
    await writeFileAtomic(path, 'one');
    if (!isWindows) expect((await stat(path)).mode & 0o777).toBe(0o600);
    await chmod(path, 0o644);
    await writeFileAtomic(path, 'two');
    if (!isWindows) expect((await stat(path)).mode & 0o777).toBe(0o644);
    expect(await readFile(path, 'utf8')).toBe('two');
    expect(await readdir(folder)).toEqual(['a.json']);
  });

  it.skipIf(isWindows)(
    'follows symbolic links, relative and chained, through linked folders, and to nothing yet',
    async () => {
      await mkdir(join(folder, 'real/deep'), { recursive: true });
      await symlink('real/deep', join(folder, 'short'));
      await symlink('../target.json', join(folder, 'real/deep/inner'));
      await symlink('short/inner', join(folder, 'outer'));
      expect(await resolveLinks(join(folder, 'short/inner'))).toBe(
        join(await promises.realpath(folder), 'real/target.json'),
      );
      for (const content of ['made', 'replaced']) {
        await writeFileAtomic(join(folder, 'outer'), content);
        expect(await readFile(join(folder, 'real/target.json'), 'utf8')).toBe(content);
      }
      expect((await lstat(join(folder, 'outer'))).isSymbolicLink()).toBe(true);
      expect((await lstat(join(folder, 'real/deep/inner'))).isSymbolicLink()).toBe(true);
      await symlink('loop', join(folder, 'loop'));
      await expect(writeFileAtomic(join(folder, 'loop'), 'x')).rejects.toMatchObject({
        code: 'ELOOP',
        message: `ELOOP: too many symbolic links, resolve '${join(folder, 'loop')}'`,
      });
    },
  );

  it('never replaces what is no regular file', async () => {
    await expect(writeFileAtomic(folder, 'x')).rejects.toMatchObject({
      code: 'EINVAL',
      message: `EINVAL: not a regular file, replace '${folder}'`,
    });
    if (!isWindows) await expect(writeFileAtomic('/dev/null', 'x')).rejects.toMatchObject({ code: 'EINVAL' });
  });

  it.skipIf(isWindows || process.getuid?.() === 0)('respects a file that is read-only', async () => {
    const path = join(folder, 'a.json');
    await writeFile(path, 'old');
    await chmod(path, 0o400);
    await expect(writeFileAtomic(path, 'new')).rejects.toMatchObject({ code: 'EACCES' });
  });

  it('writes nothing where the old file may not be written, or nobody can tell what stands there', async () => {
    const path = join(folder, 'a.json');
    await writeFile(path, 'old');
    for (const step of ['access', 'stat', 'readlink']) {
      await expect(writeFileAtomic(path, 'new', { calls: failing(step, 'EACCES') }), step).rejects.toMatchObject({
        code: 'EACCES',
      });
      expect(await readFile(path, 'utf8'), step).toBe('old');
    }
    expect(await readdir(folder)).toEqual(['a.json']);
    // What some network drives of Windows say of every file that is no link.
    await writeFileAtomic(path, 'new', { calls: failing('readlink', 'UNKNOWN') });
    expect(await readFile(path, 'utf8')).toBe('new');
  });

  it.skipIf(process.getuid?.() !== 0)('leaves the file to whom it belongs, where it may', async () => {
    const path = join(folder, 'a.json');
    const [uid, gid] = [process.geteuid!(), process.getegid!()];
    for (const [owner, group] of [
      [uid + 4_001, gid],
      [uid, gid + 4_002],
      [uid + 4_001, gid + 4_002],
    ] as const) {
      await writeFile(path, 'old');
      await chown(path, owner, group);
      await writeFileAtomic(path, 'new');
      const { uid: keptOwner, gid: keptGroup } = await stat(path);
      expect([keptOwner, keptGroup]).toEqual([owner, group]);
    }
  });

  it('puts the content on the disk before the name, and the name before it is done', async () => {
    const path = join(folder, 'a.json');
    const done: string[] = [];
    const open = async (...args: Parameters<typeof promises.open>): Promise<promises.FileHandle> => {
      const what = args[0] === folder ? 'folder' : 'file';
      const handle = await promises.open(...args);
      return new Proxy(handle, {
        get(target, key) {
          if (key === 'sync' || key === 'close') done.push(`${key} ${what}`);
          const value = Reflect.get(target, key, target) as unknown;
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    };
    const rename = (...args: Parameters<typeof promises.rename>): Promise<void> => {
      done.push('rename');
      return promises.rename(...args);
    };
    await writeFileAtomic(path, 'new', { calls: { ...promises, open, rename } as unknown as FileCalls });
    expect(done).toEqual(['sync file', 'close file', 'rename', 'sync folder', 'close folder']);
    // A file system that cannot do the last has the whole file all the same.
    const refuse = (...args: Parameters<typeof promises.open>): Promise<promises.FileHandle> =>
      args[0] === folder
        ? Promise.reject(Object.assign(new Error('EISDIR: injected'), { code: 'EISDIR' }))
        : promises.open(...args);
    await writeFileAtomic(path, 'newer', { calls: { ...promises, open: refuse } as unknown as FileCalls });
    expect(await readFile(path, 'utf8')).toBe('newer');
  });

  it('tries to rename a few times on Windows, where a reader may hold the file for a moment', async () => {
    const path = join(folder, 'a.json');
    const attempts = async (platform: string, failures: readonly string[]): Promise<[number, string]> => {
      const own = process.platform;
      Object.defineProperty(process, 'platform', { value: platform });
      let count = 0;
      const rename = async (...args: Parameters<typeof promises.rename>): Promise<void> => {
        const code = failures[count++];
        if (code !== undefined) throw Object.assign(new Error(`${code}: injected`), { code });
        await promises.rename(...args);
      };
      try {
        await writeFileAtomic(path, 'new', { calls: { ...promises, rename } as unknown as FileCalls });
        return [count, 'written'];
      } catch (error) {
        return [count, (error as NodeJS.ErrnoException).code!];
      } finally {
        Object.defineProperty(process, 'platform', { value: own });
      }
    };
    expect(await attempts('win32', ['EPERM', 'EACCES', 'EBUSY'])).toEqual([4, 'written']);
    expect(await attempts('win32', ['ENOSPC'])).toEqual([1, 'ENOSPC']);
    expect(await attempts('win32', [''])).toEqual([1, '']);
    for (const code of ['EPERM', 'EACCES', 'EBUSY']) expect(await attempts('linux', [code])).toEqual([1, code]);
    const since = performance.now();
    expect(await attempts('win32', new Array<string>(20).fill('EBUSY'))).toEqual([10, 'EBUSY']);
    // Growing pauses, nearly a second altogether.
    expect(performance.now() - since).toBeGreaterThan(800);
    expect(await readdir(folder)).toEqual(['a.json']);
  });

  it('writes a file whose name is as long as names may be', async () => {
    const path = join(folder, `${'n'.repeat(250)}.json`);
    await writeFileAtomic(path, 'new');
    expect(await readFile(path, 'utf8')).toBe('new');
  });

  it('leaves the old file and nothing else when any step fails (F40)', async () => {
    const path = join(folder, 'a.json');
    await writeFile(path, 'old');
    for (const step of STEPS)
      for (const code of ['ENOSPC', 'EIO', 'EROFS']) {
        const result = writeFileAtomic(path, 'new', { calls: failing(step, code) });
        if (step === 'readdir')
          await result; // sweeping is a courtesy
        else await expect(result, step).rejects.toMatchObject({ code });
        expect(await readFile(path, 'utf8'), step).toBe(step === 'readdir' ? 'new' : 'old');
        expect(await readdir(folder), step).toEqual(['a.json']);
        await writeFile(path, 'old');
      }
    await expect(writeFileAtomic(path, 'new', { beforeRename: () => Promise.reject(new Error('no')) })).rejects.toThrow(
      'no',
    );
    expect(await readFile(path, 'utf8')).toBe('old');
  });

  it('sweeps what dead writers left, and nothing of the living or of others', async () => {
    const dead = await deadProcess();
    const left = async (name: string, ageMs: number): Promise<void> => {
      await writeFile(join(folder, name), '');
      const time = new Date(Date.now() - ageMs);
      await utimes(join(folder, name), time, time);
    };
    await left(`.a.json.${dead}-0123456789ab.tmp`, 120_000);
    await left(`.a.json.${process.pid}-0123456789ab.tmp`, 5 * 3_600_000);
    const kept = [
      `.a.json.${process.pid}-0123456789ac.tmp`,
      `.b.json.${dead}-0123456789ab.tmp`,
      `.a.json.${dead}.tmp`,
      `.a.json.old-${dead}-0123456789ab.tmp`,
      `.a.json.${dead}-0123456789ab.tmp.kept`,
    ];
    for (const name of kept) await left(name, 120_000);
    await left(`.a.json.${dead}-0123456789ad.tmp`, 0);
    await sweepTemporaries(join(folder, 'a.json'));
    expect((await readdir(folder)).sort()).toEqual([...kept, `.a.json.${dead}-0123456789ad.tmp`].sort());
  });

  it('sweeps nothing of a living process of somebody else, and is not disturbed by who sweeps as well', async () => {
    const name = '.a.json.4000000-0123456789ab.tmp';
    await writeFile(join(folder, name), '');
    const time = new Date(Date.now() - 120_000);
    await utimes(join(folder, name), time, time);
    // Who runs the tests may signal every process.
    const kill = vi.spyOn(process, 'kill').mockImplementation(() => {
      throw Object.assign(new Error('EPERM: injected'), { code: 'EPERM' });
    });
    onTestFinished(() => kill.mockRestore());
    await sweepTemporaries(join(folder, 'a.json'));
    expect(await readdir(folder)).toEqual([name]);
    await sweepTemporaries(join(folder, 'a.json'), failing('stat', 'ENOENT'));
    expect(await readdir(folder)).toEqual([name]);
  });
});

describe('a bounded read', () => {
  it('reads what fits and refuses more, also where no size is known', async () => {
    const path = join(folder, 'a');
    await writeFile(path, 'x'.repeat(200_000));
    expect((await readBounded(path, 200_000))?.length).toBe(200_000);
    expect(await readBounded(path, 199_999)).toBeUndefined();
    if (!isWindows) expect(await readBounded('/dev/zero', 300_000)).toBeUndefined();
  });
});

describe('a lock', () => {
  it('lets one in at a time', async () => {
    const path = join(folder, 'lock');
    let inside = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const lock = await acquireLock(path);
        most = Math.max(most, ++inside);
        await lock.check();
        await new Promise(setImmediate);
        inside--;
        await lock.release();
      }),
    );
    expect(most).toBe(1);
    expect(await readdir(folder)).toEqual([]);
  });

  it('is taken over within two seconds where its maker died before it wrote its name (F39)', async () => {
    const path = join(folder, 'lock');
    await writeFile(path, '');
    await expect(acquireLock(path, { timeoutMs: 50 })).rejects.toMatchObject({ code: 'ELOCKED' });
    await (await acquireLock(path, { timeoutMs: 2_000 })).release();
    expect(await readdir(folder)).toEqual([]);
  });

  it('is taken over at once from a dead process, and by age from one that cannot be looked up', async () => {
    const path = join(folder, 'lock');
    const mine = await acquireLock(path);
    const holder = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
    await mine.release();
    await writeFile(path, JSON.stringify({ ...holder, pid: await deadProcess() }));
    await (await acquireLock(path, { timeoutMs: 1_000 })).release();

    await writeFile(path, JSON.stringify({ ...holder, pid: 1, place: 'elsewhere' }));
    await expect(acquireLock(path, { timeoutMs: 50 })).rejects.toMatchObject({
      code: 'ELOCKED',
      message: expect.stringContaining('process 1 holds') as string,
    });
    await utimes(path, new Date(0), new Date(0));
    await (await acquireLock(path, { timeoutMs: 1_000 })).release();
    expect(await readdir(folder)).toEqual([]);
  });

  it('that nobody can remove is waited for within its time, and its wait ends with its signal', async () => {
    const path = join(folder, 'lock');
    await mkdir(path); // as another user's in a shared folder: it is old, and stays
    await utimes(path, new Date(0), new Date(0));
    await expect(acquireLock(path, { timeoutMs: 50 })).rejects.toMatchObject({ code: 'ELOCKED' });
    const signal = AbortSignal.timeout(50);
    await expect(acquireLock(path, { signal })).rejects.toMatchObject({ name: 'TimeoutError' });
  });

  it('is known to be lost by who stood still too long, and not taken from the new holder', async () => {
    const path = join(folder, 'lock');
    const slow = await acquireLock(path);
    await utimes(path, new Date(0), new Date(0));
    const next = await acquireLock(path);
    await expect(slow.check()).rejects.toMatchObject({ code: 'ELOCKLOST' });
    await slow.release();
    await next.check();
    await next.release();
  });

  it('touches nothing of the host process (A12)', async () => {
    const before = [process.emit, process.cwd, process.eventNames().length];
    await (await acquireLock(join(folder, 'lock'))).release();
    expect([process.emit, process.cwd, process.eventNames().length]).toEqual(before);
  });
});

/** The id of a process that is over. */
async function deadProcess(): Promise<number> {
  const child: ChildProcess = spawn(process.execPath, ['-e', '']);
  await new Promise((done) => child.once('exit', done));
  return child.pid!;
}
