/** What the file of the tokens is kept from: being written over where it cannot be read, and two refreshes at a time. */

import { mkdirSync, readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import * as promises from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { acquireLock } from '../../src/_util/file-lock.js';
import { type AuthEntry, AuthFile } from '../../src/connection/auth-file.js';
import { FakeClock, settle } from '../support/fake-clock.js';
import { tempDir } from '../support/tmp.js';
import { until } from '../support/waiting.js';

/** What reading a file fails with, while it is there. */
const faults = new Map<string, string>();
vi.mock('node:fs/promises', async (actual) => {
  const real = await actual<typeof promises>();
  const readFile = async (path: string, ...more: never[]): Promise<unknown> => {
    const code = faults.get(path);
    if (code !== undefined) throw Object.assign(new Error(`${code}: no`), { code });
    return real.readFile(path, ...more);
  };
  return { ...real, readFile };
});

const entry = (service: string): AuthEntry => ({
  service,
  url: 'https://a.example/mcp',
  client: 'c',
  tokens: { access_token: `CANARY-${service}`, token_type: 'Bearer' },
});

describe('a file that cannot be read', () => {
  /** A file with an entry, and what a write of another makes of it. */
  async function written(spoil: (path: string) => unknown): Promise<{ path: string; file: AuthFile; error: unknown }> {
    const stateDir = await tempDir();
    const file = new AuthFile(stateDir, new FakeClock());
    const path = join(stateDir, 'auth.json');
    await file.set('other', entry('other'));
    await spoil(path);
    const error = await file.set('mine', entry('mine')).catch((thrown: unknown) => thrown);
    return { path, file, error };
  }

  it.each(['EACCES', 'EIO', 'EMFILE'])('is not written over: %s', async (code) => {
    let before = '';
    const { path, file, error } = await written((path) => {
      before = readFileSync(path, 'utf8');
      faults.set(path, code);
    });
    expect(error).toMatchObject({ code: 'FILE_FAILED', figures: { errno: code }, hint: expect.any(String) });
    await expect(file.get('other')).rejects.toMatchObject({ code: 'FILE_FAILED' });
    // What was got is of use to this process all the same.
    expect(await file.get('mine')).toEqual(entry('mine'));
    faults.clear();
    expect(readFileSync(path, 'utf8')).toBe(before);
    expect(readdirSync(join(path, '..'))).toEqual(['auth.json']);
    // And in the file once that can be read.
    expect(await file.set('mine', entry('mine'))).toBe(true);
    expect(await file.get('other')).toEqual(entry('other'));
  });

  it.each(['{"version":1,"entr', '{"version":2,"entries":{}}', '[]'])('is not written over: %s', async (text) => {
    const { path, file, error } = await written((path) => writeFileSync(path, text));
    expect(error).toMatchObject({ code: 'FILE_FAILED', hint: expect.any(String) });
    await expect(file.get('other')).rejects.toMatchObject({ code: 'FILE_FAILED' });
    expect(readFileSync(path, 'utf8')).toBe(text);
    expect(readdirSync(join(path, '..'))).toEqual(['auth.json']);
  });

  it.each([
    ['a folder', 'EISDIR', (path: string) => mkdirSync(path)],
    ['a link to itself', 'ELOOP', (path: string) => symlinkSync(path, path)],
  ])('is not written over: %s in its place', async (_, errno, make) => {
    const { path, error } = await written(async (path) => {
      await promises.rm(path);
      make(path);
    });
    expect(error).toMatchObject({ code: 'FILE_FAILED', figures: { errno } });
    expect(readdirSync(join(path, '..'))).toEqual(['auth.json']);
  });
});

describe('the turns of several processes at one refresh', () => {
  /** A refresh that waits behind a lock which `make` makes, until the clock is moved. */
  async function waiting(make: (lock: string) => unknown) {
    const stateDir = await tempDir();
    const clock = new FakeClock();
    const lock = join(stateDir, 'auth.json.key.lock');
    await make(lock);
    const now = new Date(clock.wall());
    utimesSync(lock, now, now);
    const seen = { began: false };
    const signal = new AbortController();
    const work = new AuthFile(stateDir, clock).exclusively('key', signal.signal, async () => {
      seen.began = true;
    });
    const ended = work.then(
      () => true,
      (error: unknown) => error,
    );
    /** Moves time, and lets the one who waits look again. */
    const pass = async (ms: number): Promise<void> => {
      clock.jump(ms);
      let over = false;
      void ended.then(() => {
        over = true;
      });
      await until(() => over || clock.timers === 1, 'another look');
    };
    await pass(0);
    return { stateDir, lock, clock, seen, signal, ended, pass };
  }

  it('waits for the one whose turn it is, and goes on when that is over', async () => {
    let held: Awaited<ReturnType<typeof acquireLock>> | undefined;
    const { stateDir, seen, ended, pass } = await waiting(async (lock) => {
      held = await acquireLock(lock);
    });
    await pass(30_000);
    expect(seen.began).toBe(false);
    await held!.release();
    await pass(200);
    expect(await ended).toBe(true);
    expect(readdirSync(stateDir)).toEqual([]);
  });

  it('takes the turn of one that stands still after a minute, and not before', async () => {
    let held: Awaited<ReturnType<typeof acquireLock>> | undefined;
    const { stateDir, seen, ended, pass } = await waiting(async (lock) => {
      held = await acquireLock(lock);
    });
    for (const ms of [9_000, 7_000, 43_000]) await pass(ms);
    expect(seen.began).toBe(false);
    await pass(1_500);
    expect(await ended).toBe(true);
    // The one that stood still takes nothing from whoever has the turn by now.
    const next = await acquireLock(join(stateDir, 'auth.json.key.lock'));
    await held!.release();
    await next.check();
    await next.release();
  });

  it('waits no longer than a minute where the lock cannot be taken over', async () => {
    const { seen, ended, pass } = await waiting((lock) => mkdirSync(lock));
    for (const ms of [16_000, 43_000]) await pass(ms);
    expect(seen.began).toBe(false);
    await pass(1_500);
    expect(await ended).toBe(true);
  });

  it('ends its wait with the store', async () => {
    const { seen, signal, ended, pass } = await waiting((lock) => acquireLock(lock));
    signal.abort(new Error('closed'));
    await pass(200);
    expect(await ended).toMatchObject({ message: 'closed' });
    await settle();
    expect(seen.began).toBe(false);
  });
});
