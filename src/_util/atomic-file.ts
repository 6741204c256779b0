/** Knows how to replace a file so that a reader, a crash or a full disk meets the old content or the new, never half. */

import { randomBytes } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import * as promises from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The calls to the file system that a write makes; tests let each of them fail. */
export type FileCalls = Pick<
  typeof promises,
  'access' | 'open' | 'readdir' | 'readlink' | 'realpath' | 'rename' | 'stat' | 'unlink'
>;

export interface AtomicWriteOptions {
  /** Mode of a file that is new; an existing one keeps its own. Default 0o600. */
  readonly mode?: number;
  /** Runs when everything is on disk but nothing is replaced yet; if it throws, nothing will be. */
  readonly beforeRename?: () => Promise<void>;
  readonly calls?: FileCalls;
}

const MAX_LINKS = 40;
/** A temporary of a dead process is removed after so long: its process may only be out of sight, in a container. */
const STALE_MS = 60_000;
/** Nothing takes an hour to write, so this one is stale even if its process id is in use again. */
const VERY_STALE_MS = 3_600_000;

/**
 * Temporary file in the same folder, fsync, rename, fsync of the folder. Follows symbolic links, so that a linked file
 * stays linked. Errors are Node's own, with `code`; the old file is then intact.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  { mode = 0o600, beforeRename, calls = promises }: AtomicWriteOptions = {},
): Promise<void> {
  const target = await resolveLinks(path, calls);
  const old = await statOf(target, calls);
  if (old !== undefined && !old.isFile()) throw errno('EINVAL', `not a regular file, replace '${target}'`);
  // A rename needs no permission on the file itself, so a read-only file would be replaced without this.
  if (old !== undefined) await calls.access(target, constants.W_OK);
  await sweepTemporaries(target, calls);
  const temporary = join(dirname(target), `${prefixOf(target)}${process.pid}-${randomBytes(6).toString('hex')}.tmp`);
  const handle = await calls.open(temporary, 'wx', 0o600);
  try {
    try {
      await handle.writeFile(data);
      if (old !== undefined && (old.uid !== process.geteuid?.() || old.gid !== process.getegid?.()))
        await handle.chown(old.uid, old.gid).catch(() => {}); // only root may; without it the file becomes ours
      await handle.chmod(old === undefined ? mode : old.mode & 0o7777);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await beforeRename?.();
    await renameOver(temporary, target, calls);
  } catch (error) {
    await calls.unlink(temporary).catch(() => {});
    throw error;
  }
  await syncFolder(dirname(target), calls);
}

/** The file that a path means after all symbolic links, whether it exists or not. */
export async function resolveLinks(path: string, calls: FileCalls = promises): Promise<string> {
  let at = resolve(path);
  for (let i = 0; i < MAX_LINKS; i++) {
    let link: string;
    try {
      link = await calls.readlink(at);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EINVAL' || code === 'ENOENT' || code === 'UNKNOWN') return at; // no link, or nothing at all
      throw error;
    }
    // From the real folder: ".." of a link in a linked folder leads out of where that folder really is.
    at = resolve(await calls.realpath(dirname(at)), link);
  }
  throw errno('ELOOP', `too many symbolic links, resolve '${path}'`);
}

/** Removes what processes that died while writing `target` left beside it. */
export async function sweepTemporaries(target: string, calls: FileCalls = promises): Promise<void> {
  const folder = dirname(target);
  const prefix = prefixOf(target);
  for (const name of await calls.readdir(folder).catch(() => [])) {
    const pid = name.startsWith(prefix) && /^(\d+)-[0-9a-f]{12}\.tmp$/.exec(name.slice(prefix.length))?.[1];
    if (!pid) continue;
    const path = join(folder, name);
    const age = Date.now() - ((await calls.stat(path).catch(() => undefined))?.mtimeMs ?? Date.now());
    if (age > VERY_STALE_MS || (age > STALE_MS && !isAlive(Number(pid)))) await calls.unlink(path).catch(() => {});
  }
}

/** Names may have 255 bytes, so a long one is cut. */
function prefixOf(target: string): string {
  return `.${basename(target).slice(0, 50)}.`;
}

/** Does a process have this id? One of another user counts. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function statOf(path: string, calls: FileCalls): Promise<Stats | undefined> {
  try {
    return await calls.stat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** On Windows a file that a virus scanner or another reader holds open cannot be replaced for a moment. */
async function renameOver(from: string, to: string, calls: FileCalls): Promise<void> {
  for (let attempt = 1; ; attempt++)
    try {
      return await calls.rename(from, to);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const busy = process.platform === 'win32' && ['EPERM', 'EACCES', 'EBUSY'].includes(code ?? '');
      if (!busy || attempt === 10) throw error;
      await sleep(attempt * 20);
    }
}

/** Makes the rename survive a power cut. Where it fails, the file is whole all the same, so it is no failure. */
async function syncFolder(folder: string, calls: FileCalls): Promise<void> {
  try {
    const handle = await calls.open(folder, 'r');
    await handle.sync().finally(() => handle.close());
  } catch {
    // Windows and some network file systems cannot do this.
  }
}

function errno(code: string, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}
