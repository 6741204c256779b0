/** Knows when a file may have changed, whichever way it is written; what changed is for its listener to find out. */

import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { resolveLinks } from '../_util/atomic-file.js';

/** Editors write in several steps: one look after all of them. */
const DEBOUNCE_MS = 100;
/** Finds what the system does not report: network drives, folders made later, watches that ran out. */
const POLL_MS = 2_000;

/**
 * Calls `look` when the file may be different. The folders of the file and of the target of its links are watched,
 * since a watch on the file itself is lost when an editor puts a new file in its place.
 * @param look - answers `true` to be called again soon, then with `isSettled`: nothing changed in between
 * @returns stops it
 */
export function watchFile(path: string, look: (isSettled: boolean) => Promise<boolean>): () => void {
  const watcher = new FileWatcher(path, look);
  return () => watcher.stop();
}

class FileWatcher {
  readonly #path: string;
  readonly #look: (isSettled: boolean) => Promise<boolean>;
  readonly #folders = new Map<string, FSWatcher>();
  #poll: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;
  #seen: string | undefined;
  #isBusy = false;
  #isStopped = false;

  constructor(path: string, look: (isSettled: boolean) => Promise<boolean>) {
    this.#path = resolve(path);
    this.#look = look;
    this.#poll = setInterval(() => this.#soon(0), POLL_MS);
    this.#poll.unref();
    // Watched at once: a change between the caller's load and the first poll must not wait for the poll.
    this.#watchFolder(dirname(this.#path));
    this.#soon(0);
  }

  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#poll);
    clearTimeout(this.#timer);
    for (const watcher of this.#folders.values()) watcher.close();
    this.#folders.clear();
  }

  /** Not pushed back by later events: a folder in which something always changes must not hide the file's change. */
  #soon(ms: number): void {
    if (this.#isStopped || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#check();
    }, ms);
    this.#timer.unref();
  }

  async #check(): Promise<void> {
    if (this.#isBusy) return this.#soon(DEBOUNCE_MS);
    this.#isBusy = true;
    try {
      await this.#watchFolders();
      const before = await this.#stamp();
      if (before === this.#seen) return;
      if (!(await this.#look(false))) this.#seen = before;
      else await this.#settle(before);
    } catch {
      // The listener's own failure; the next event or poll looks again.
    } finally {
      this.#isBusy = false;
    }
  }

  /** Looks again once the file stood still; while it does not, the next look is due soon. */
  async #settle(before: string): Promise<void> {
    await new Promise<void>((done) => setTimeout(done, DEBOUNCE_MS).unref());
    if (this.#isStopped) return;
    const after = await this.#stamp();
    if (after !== before) return this.#soon(DEBOUNCE_MS);
    this.#seen = after;
    await this.#look(true);
  }

  /** Changes whenever the file does. */
  async #stamp(): Promise<string> {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = await stat(this.#path, { bigint: true });
      return [dev, ino, size, mtimeNs, ctimeNs].join();
    } catch (error) {
      return String((error as NodeJS.ErrnoException).code);
    }
  }

  async #watchFolders(): Promise<void> {
    const target = await resolveLinks(this.#path).catch(() => this.#path);
    const wanted = new Set([dirname(this.#path), dirname(target)]);
    for (const [folder, watcher] of this.#folders)
      if (!wanted.has(folder)) {
        watcher.close();
        this.#folders.delete(folder);
      }
    for (const folder of wanted) this.#watchFolder(folder);
  }

  #watchFolder(folder: string): void {
    if (this.#isStopped || this.#folders.has(folder)) return;
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#soon(DEBOUNCE_MS));
      watcher.on('error', () => {
        watcher.close();
        this.#folders.delete(folder);
      });
      this.#folders.set(folder, watcher);
    } catch {
      // No such folder yet, or no watches left: the poll does it.
    }
  }
}
