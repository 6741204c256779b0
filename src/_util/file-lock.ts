/** Knows how processes take turns: a lock file that a dead holder cannot keep. Touches nothing else of its host. */

import { randomUUID } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { open, readFile, stat, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { isAlive } from './atomic-file.js';
import { type Clock, systemClock } from './clock.js';

export interface LockOptions {
  /** How long to wait for the lock before it fails with code `ELOCKED`. Milliseconds; default 15,000. */
  readonly timeoutMs?: number;
  /** A lock older than this is taken over even if its holder cannot be looked up. Milliseconds; default 10,000. */
  readonly staleMs?: number;
  /** Ends the wait; it then fails with the signal's reason. */
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

/** A lock while it is held. */
export interface HeldLock {
  /** Throws (code `ELOCKLOST`) if another took it over, because we stood still for too long. */
  check(): Promise<void>;
  /** Never throws. */
  release(): Promise<void>;
}

/** A holder writes its name right after making the file; a lock without one is of a process that died in between. */
const UNNAMED_STALE_MS = 1_000;

interface Holder {
  pid: number;
  place: string;
  token: string;
}

/**
 * Makes the lock file at `path`, waiting for whoever holds it. Hold it for far less than `staleMs`, ask `check()` before
 * what cannot be undone, and release it whatever happens.
 */
export async function acquireLock(
  path: string,
  { timeoutMs = 15_000, staleMs = 10_000, signal, clock = systemClock }: LockOptions = {},
): Promise<HeldLock> {
  const token = randomUUID();
  const end = clock.now() + timeoutMs;
  // A process with nothing else to do must not end in the middle of a save, so the waits keep it alive.
  for (let pause = 4; !(await create(path, token)); pause = Math.min(pause * 1.5, 80)) {
    signal?.throwIfAborted();
    if (await takeOver(path, staleMs, clock)) continue;
    if (clock.now() >= end) throw locked(path, await holderOf(path));
    const ms = pause * (0.5 + clock.random());
    await new Promise<void>((resolve) => void clock.after(ms, resolve, true));
  }
  const isOurs = async (): Promise<boolean> => (await holderOf(path))?.token === token;
  return {
    async check() {
      if (!(await isOurs()))
        throw Object.assign(new Error(`the lock ${path} was taken over by another process`), { code: 'ELOCKLOST' });
    },
    async release() {
      if (await isOurs()) await unlink(path).catch(() => {});
    },
  };
}

async function create(path: string, token: string): Promise<boolean> {
  try {
    const handle = await open(path, 'wx', 0o600);
    try {
      await handle.writeFile(JSON.stringify({ pid: process.pid, place: place(), token } satisfies Holder));
    } catch (error) {
      await unlink(path).catch(() => {});
      throw error;
    } finally {
      await handle.close();
    }
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Windows says EPERM or EBUSY for a file that is being removed.
    if (code === 'EEXIST' || (process.platform === 'win32' && (code === 'EPERM' || code === 'EBUSY'))) return false;
    throw error;
  }
}

/**
 * Removes the lock of a dead holder. Two that find it dead must not remove each other's new lock, so the one that
 * removes holds a second lock file meanwhile and looks again.
 */
async function takeOver(path: string, staleMs: number, clock: Clock): Promise<boolean> {
  if (!(await isStale(path, staleMs, clock))) return false;
  const guard = `${path}.takeover`;
  if (!(await create(guard, ''))) {
    if (await isStale(guard, staleMs, clock)) await unlink(guard).catch(() => {});
    return false;
  }
  try {
    if (!(await isStale(path, staleMs, clock))) return false;
    // One that cannot be removed, such as another user's, is waited for like any.
    return await unlink(path).then(
      () => true,
      ({ code }: NodeJS.ErrnoException) => code === 'ENOENT',
    );
  } finally {
    await unlink(guard).catch(() => {});
  }
}

async function isStale(path: string, staleMs: number, clock: Clock): Promise<boolean> {
  const holder = await holderOf(path);
  if (holder !== undefined && holder.place === place() && !isAlive(holder.pid)) return true;
  const info = await stat(path).catch(() => undefined);
  const limitMs = holder === undefined ? Math.min(UNNAMED_STALE_MS, staleMs) : staleMs;
  return info !== undefined && clock.wall() - info.mtimeMs > limitMs;
}

async function holderOf(path: string): Promise<Holder | undefined> {
  try {
    const holder = JSON.parse(await readFile(path, 'utf8')) as Holder | null;
    return typeof holder?.pid === 'number' ? holder : undefined;
  } catch {
    return undefined; // gone, or not yet written
  }
}

let ownPlace: string | undefined;

/** Where process ids mean the same: this machine and, on Linux, this pid namespace. */
function place(): string {
  if (ownPlace === undefined) {
    let namespace = '';
    try {
      namespace = readlinkSync('/proc/self/ns/pid');
    } catch {
      // no Linux
    }
    ownPlace = `${hostname()} ${namespace}`;
  }
  return ownPlace;
}

function locked(path: string, holder: Holder | undefined): Error {
  const who = holder === undefined ? 'another process' : `process ${holder.pid}`;
  return Object.assign(new Error(`${who} holds the lock ${path}`), { code: 'ELOCKED' });
}
