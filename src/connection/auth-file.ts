/** Knows where tokens are kept: one small file of mode 0600 below the state folder, or in memory alone. */

import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { chmod, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StoredOAuthClientInformation, StoredOAuthTokens } from '@modelcontextprotocol/client';
import { writeFileAtomic } from '../_util/atomic-file.js';
import type { Clock } from '../_util/clock.js';
import { acquireLock } from '../_util/file-lock.js';
import type { AuthOptions } from '../auth-options.js';
import { StoreError } from '../errors.js';

/** What is kept of one service at one address. */
export interface AuthEntry {
  readonly service: string;
  /** Origin and path, for people. */
  readonly url: string;
  /** `fingerprintOf` what it was got with: tokens of another client are not used. */
  readonly client: string;
  readonly tokens?: StoredOAuthTokens | undefined;
  /** When the access token ends, as the server said. Milliseconds since the epoch. */
  readonly expiresAt?: number | undefined;
  /** Scopes that were asked for; those that were given are in `tokens`. */
  readonly requested?: string | undefined;
  /** What the authorization server made of a client that registered itself. */
  readonly registration?: StoredOAuthClientInformation | undefined;
}

const VERSION = 1;
/** A refresh may take so long before another process takes its turn over. Milliseconds. */
const REFRESH_STALE_MS = 60_000;

/** Equal for the same client of the same authorization server; its secret may change. */
export function fingerprintOf(auth: AuthOptions | undefined): string {
  const { type = 'authorization_code', clientId = '', issuer = '' } = auth ?? {};
  return hash(JSON.stringify([type, clientId, issuer]));
}

/** Under which an entry stands. The whole address counts: tokens are for one server alone. */
export function keyOf(service: string, url: URL): string {
  return hash(JSON.stringify([service, url.origin, url.pathname, url.search]));
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

export class AuthFile {
  readonly #path: string | undefined;
  readonly #clock: Clock;
  /** Without a file, and where it cannot be written: what this process knows, and what stood in the file then. */
  readonly #own = new Map<string, { entry: AuthEntry; kept: string | undefined }>();

  /** @param stateDir - `null`: nothing is read or written */
  constructor(stateDir: string | null, clock: Clock) {
    this.#clock = clock;
    this.#path = stateDir === null ? undefined : join(stateDir, 'auth.json');
  }

  /** Changes when the file does. */
  stamp(): string {
    try {
      // A change of its mode is one too: it may have been closed to us.
      const { ino, size, mtimeMs, ctimeMs } = statSync(this.#path ?? '');
      return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
    } catch {
      return '';
    }
  }

  /** @throws StoreError `FILE_FAILED` where the file cannot be read or understood, and this process knows nothing */
  async get(key: string): Promise<AuthEntry | undefined> {
    try {
      const entries = await this.#read();
      return newest(this.#own.get(key), entries[key]);
    } catch (error) {
      const own = this.#own.get(key);
      if (own === undefined) throw error;
      return own.entry;
    }
  }

  /**
   * @param over - set only where this is still what `get` gives: somebody may have signed in or out meanwhile
   * @returns whether it was set
   * @throws StoreError `FILE_FAILED` where the file cannot be read or understood, which leaves it as it is; Node's own
   * error where it cannot be written. This process knows it all the same
   */
  async set(key: string, entry: AuthEntry | undefined, over?: AuthEntry): Promise<boolean> {
    const before = this.#own.get(key);
    const kept = await this.#read().catch((): Record<string, AuthEntry> => ({}));
    if (entry !== undefined) this.#own.set(key, { entry, kept: textOf(kept[key]) });
    else this.#own.delete(key);
    const overtaken = (found: AuthEntry | undefined): boolean => {
      if (over === undefined || textOf(newest(before, found)) === textOf(over)) return false;
      if (before === undefined) this.#own.delete(key);
      else this.#own.set(key, before);
      return true;
    };
    if (this.#path === undefined) return !overtaken(undefined);
    await mkdir(join(this.#path, '..'), { recursive: true, mode: 0o700 });
    const lock = await acquireLock(`${this.#path}.lock`, { clock: this.#clock });
    try {
      const { [key]: found, ...others } = await this.#read();
      if (overtaken(found)) return false;
      // A replaced file keeps its mode, and somebody may have opened it to others, or closed it to writers.
      await chmod(this.#path, 0o600).catch(() => {});
      const entries = entry === undefined ? others : { ...others, [key]: entry };
      await writeFileAtomic(this.#path, `${JSON.stringify({ version: VERSION, entries }, undefined, 2)}\n`, {
        beforeRename: () => lock.check(),
      });
      this.#own.delete(key);
      return true;
    } finally {
      await lock.release();
    }
  }

  /** Runs `work` while no other process of this user works on this entry; where there can be no lock, without. */
  async exclusively<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const lock = await this.#lock(key, signal).catch(() => undefined);
    try {
      signal.throwIfAborted();
      return await work();
    } finally {
      await lock?.release();
    }
  }

  async #lock(key: string, signal: AbortSignal): Promise<Awaited<ReturnType<typeof acquireLock>> | undefined> {
    if (this.#path === undefined) return undefined;
    await mkdir(join(this.#path, '..'), { recursive: true, mode: 0o700 });
    const most = { staleMs: REFRESH_STALE_MS, timeoutMs: REFRESH_STALE_MS };
    return acquireLock(`${this.#path}.${key}.lock`, { ...most, signal, clock: this.#clock });
  }

  /** @throws StoreError `FILE_FAILED` where it cannot be read or understood: what it has must not be written over then */
  async #read(): Promise<Record<string, AuthEntry>> {
    const text = this.#path === undefined ? '' : await textIn(this.#path);
    return text.trim() === '' ? {} : entriesIn(text, this.#path!);
  }
}

/** A file that is missing has no text. */
async function textIn(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code: errno, message } = error as NodeJS.ErrnoException;
    if (errno === 'ENOENT') return '';
    throw new StoreError('FILE_FAILED', `${file}: cannot read: ${message}`, {
      figures: { file, errno },
      hint: 'Check who owns the file and its folder, and their permissions.',
      cause: error,
    });
  }
}

/** Nothing of the text is told: it has tokens. */
function entriesIn(text: string, file: string): Record<string, AuthEntry> {
  const { version, entries } = parsed(text);
  if (typeof version === 'number' && version > VERSION)
    throw new StoreError('FILE_FAILED', `${file}: is of version ${version}, and this program knows ${VERSION}`, {
      figures: { file, version, known: VERSION },
      hint: 'A newer mcpstore wrote it: update this one, or give it another state folder.',
    });
  if (version !== VERSION || typeof entries !== 'object' || entries === null || Array.isArray(entries))
    throw new StoreError('FILE_FAILED', `${file}: this is no list of tokens`, {
      figures: { file },
      hint: 'Move it away, then sign in again.',
    });
  return Object.fromEntries(Object.entries(entries).filter(([, entry]) => isEntry(entry)));
}

function parsed(text: string): { version?: unknown; entries?: unknown } {
  try {
    return (JSON.parse(text) as object | null) ?? {};
  } catch {
    return {};
  }
}

/** What this process knows, unless the file says something else by now: then another process has written since. */
function newest(
  own: { entry: AuthEntry; kept: string | undefined } | undefined,
  found: AuthEntry | undefined,
): AuthEntry | undefined {
  return own !== undefined && own.kept === textOf(found) ? own.entry : found;
}

function textOf(entry: AuthEntry | undefined): string | undefined {
  return JSON.stringify(entry);
}

function isEntry(value: unknown): value is AuthEntry {
  const { service, client, tokens } = (value ?? {}) as Partial<AuthEntry>;
  if (typeof service !== 'string' || typeof client !== 'string') return false;
  return tokens === undefined || typeof tokens?.access_token === 'string';
}
