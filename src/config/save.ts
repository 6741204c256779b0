/** Knows one config file on disk: its last good state, edits by us under a lock, and edits by others. */

import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { type FileCalls, resolveLinks, writeFileAtomic } from '../_util/atomic-file.js';
import { acquireLock, type HeldLock } from '../_util/file-lock.js';
import { isStoreError, type StoreError } from '../errors.js';
import type { ConfigDocument, ServiceConfig } from './definition.js';
import { EditProblem, removeAt, setAt } from './edit.js';
import { configInvalid, fileFailed } from './failures.js';
import type { Path } from './json-tree.js';
import { parseConfig, readConfigText, withoutMark } from './load.js';
import { watchFile } from './watch.js';

/** Changes to the text of a config; each sees what the ones before it did. */
export interface ConfigEdit {
  /** The file as it is on disk now, before this edit. */
  readonly document: ConfigDocument;
  /** Writes a value; the objects on the way are made. Templates are written as they are. */
  set(path: Path, value: unknown): void;
  /** `false`: nothing stood there. */
  remove(path: Path): boolean;
  /** The same under the key that this file keeps its services in. */
  setService(name: string, config: ServiceConfig): void;
  removeService(name: string): boolean;
}

/** @param before - `undefined`: there was no file */
export type Saved = (before: string | undefined, after: string) => Promise<void>;

const NEW_FILE = '{\n  "mcpServers": {}\n}\n';
const MAX_ATTEMPTS = 20;

/** Another program wrote the file while we were about to; thrown and caught here. */
class Overtaken extends Error {}

export class ConfigFile {
  readonly path: string;
  readonly #calls: FileCalls | undefined;
  #current: ConfigDocument | undefined;
  /** Reads and saves of this object happen one after another, so that a watcher never takes our save for another's. */
  #turn: Promise<unknown> = Promise.resolve();
  readonly #listeners = new Set<Listener>();
  #unwatch: (() => void) | undefined;
  /** What was last reported as wrong, so that it is reported once. */
  #problem: string | undefined;

  /**
   * @param path - made absolute, since the host may change its working folder
   * @param calls - stands in for the file system while writing, in tests
   */
  constructor(path: string, calls?: FileCalls) {
    this.path = resolve(path);
    this.#calls = calls;
  }

  /** The last good state; `undefined` before the first `load` or `edit`. */
  current(): ConfigDocument | undefined {
    return this.#current;
  }

  /** @throws StoreError `FILE_FAILED` or `CONFIG_INVALID`; the last good state then stays. */
  async load(): Promise<ConfigDocument> {
    return await this.#inTurn(async () => {
      this.#current = parseConfig(await readConfigText(this.path), this.path);
      this.#problem = undefined;
      return this.#current;
    });
  }

  /**
   * Changes the file: locked between processes, on what is on disk at that moment, checked, written atomically. A file
   * that does not exist is made, with its folder; one that cannot be read as a config is left alone. If `change`
   * throws, nothing is written.
   * @param change - may run again if another program wrote in between, so it should do nothing but edit
   * @param saved - hears, still under the lock, which text was replaced by which; not where nothing was written
   * @throws StoreError `CONFIG_INVALID` if the file is or would become invalid, `FILE_FAILED`
   */
  async edit(change: (edit: ConfigEdit) => void, saved?: Saved): Promise<ConfigDocument> {
    return await this.#inTurn(async () => {
      const known = this.#current?.text;
      const { before, after } = await this.#save(change, saved);
      this.#current = after;
      this.#problem = undefined;
      // What others wrote before us is news to whoever watches; our own change is not.
      if (known !== undefined && before !== known) this.#tell((listener) => listener.onChange(after));
      return after;
    });
  }

  /**
   * Hears of changes by others, editors that write in place or rename included. What cannot be read as a config is
   * reported once and never taken; `onChange` follows when the file is good again. Our own edits do not fire.
   * Needs a `load` before, and does not keep the process alive.
   * Listeners must not throw.
   * @returns stops it
   */
  watch(onChange: (document: ConfigDocument) => void, onProblem: (error: StoreError) => void): () => void {
    const listener = { onChange, onProblem };
    this.#listeners.add(listener);
    this.#unwatch ??= watchFile(this.path, (isSettled) => this.#inTurn(() => this.#reread(isSettled)));
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#unwatch?.();
      this.#unwatch = undefined;
    };
  }

  /** @returns whether to look again soon: what is half written now may be whole then */
  async #reread(isSettled: boolean): Promise<boolean> {
    let found: ConfigDocument;
    try {
      const text = await readConfigText(this.path);
      if (text === this.#current?.text && this.#problem === undefined) return false;
      found = parseConfig(text, this.path);
    } catch (error) {
      if (!isStoreError(error)) throw error;
      if (!isSettled) return true;
      if (this.#problem !== error.message) this.#tell((listener) => listener.onProblem(error));
      this.#problem = error.message;
      return false;
    }
    this.#current = found;
    this.#problem = undefined;
    this.#tell((listener) => listener.onChange(found));
    return false;
  }

  /** A listener that throws takes nothing from the others, nor from the edit that it hears of. */
  #tell(say: (listener: Listener) => void): void {
    for (const listener of [...this.#listeners])
      try {
        say(listener);
      } catch {
        // its own affair
      }
  }

  async #save(
    change: (edit: ConfigEdit) => void,
    saved: Saved | undefined,
  ): Promise<{ before: string | undefined; after: ConfigDocument }> {
    const target = await this.#doing('write', () => resolveLinks(this.path));
    const folder = dirname(target);
    await this.#doing('write', async () => {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await access(folder, constants.W_OK);
    });
    const lock = await this.#doing('lock', () => acquireLock(join(folder, `.${basename(target).slice(0, 50)}.lock`)));
    try {
      for (let attempt = 1; ; attempt++)
        try {
          const replaced = await this.#replace(change, lock);
          if (replaced.after.text !== replaced.before) await saved?.(replaced.before, replaced.after.text);
          return replaced;
        } catch (error) {
          if (!(error instanceof Overtaken)) throw error;
          if (attempt === MAX_ATTEMPTS) throw fileFailed(this.path, 'write', error);
        }
    } finally {
      await lock.release();
    }
  }

  async #replace(
    change: (edit: ConfigEdit) => void,
    lock: HeldLock,
  ): Promise<{ before: string | undefined; after: ConfigDocument }> {
    const before = await this.#textOnDisk();
    const base = before ?? NEW_FILE;
    const after = parseConfig(this.#applied(parseConfig(base, this.path), change), this.path);
    if (after.text !== before)
      await this.#doing('write', () =>
        writeFileAtomic(this.path, after.text, {
          ...(this.#calls && { calls: this.#calls }),
          beforeRename: async () => {
            await lock.check();
            if ((await this.#textOnDisk()) !== before) throw new Overtaken('another program keeps writing it');
          },
        }),
      );
    return { before, after };
  }

  #applied(document: ConfigDocument, change: (edit: ConfigEdit) => void): string {
    let text = withoutMark(document.text);
    const mark = document.text.slice(0, document.text.length - text.length);
    const remove = (path: Path): boolean => {
      const next = removeAt(text, path);
      const isChanged = next !== text;
      text = next;
      return isChanged;
    };
    const set = (path: Path, value: unknown): void => {
      text = setAt(text, path, value);
    };
    try {
      change({
        document,
        set,
        remove,
        setService: (name, config) => set([document.servicesKey, name], config),
        removeService: (name) => remove([document.servicesKey, name]),
      });
    } catch (cause) {
      if (!(cause instanceof EditProblem)) throw cause;
      const place = { file: this.path, path: cause.path, line: undefined, column: undefined };
      throw configInvalid(place, `cannot be edited: ${cause.message}`, { cause });
    }
    return mark + text;
  }

  async #textOnDisk(): Promise<string | undefined> {
    try {
      return await readConfigText(this.path);
    } catch (error) {
      if (isStoreError(error, 'FILE_FAILED') && error.figures?.['errno'] === 'ENOENT') return undefined;
      throw error;
    }
  }

  async #doing<T>(what: 'write' | 'lock', fn: () => Promise<T>): Promise<T> {
    try {
      return await fn();
    } catch (error) {
      const isForeign = error instanceof Error && 'code' in error && !isStoreError(error);
      throw isForeign ? fileFailed(this.path, what, error) : error;
    }
  }

  #inTurn<T>(fn: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(fn);
    this.#turn = result.catch(() => {});
    return result;
  }
}

interface Listener {
  readonly onChange: (document: ConfigDocument) => void;
  readonly onProblem: (error: StoreError) => void;
}
