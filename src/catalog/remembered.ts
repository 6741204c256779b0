/** Knows the tool lists of earlier runs, on disk by service revision, so that a known service need not start to be listed. */

import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import { writeFileAtomic } from '../_util/atomic-file.js';
import type { RawTool } from './tool.js';

/** Definitions of services that do not run are kept up to so many bytes of JSON (several times that as objects). */
const KEPT_BYTES = 4 * 1024 * 1024;
const VERSION = 1;

interface Stored {
  version: number;
  service: string;
  revision: string;
  tools: RawTool[];
}

export class RememberedLists {
  readonly #folder: string | undefined;
  readonly #kept = new LRUCache<string, RawTool[]>({ maxSize: KEPT_BYTES });
  /** Writes under way by key, so that two of one service do not race. */
  readonly #writes = new Map<string, Promise<void>>();

  /** @param stateDir - `null`: nothing is read or written */
  constructor(stateDir: string | null) {
    this.#folder = stateDir === null ? undefined : join(stateDir, 'lists');
  }

  /** The list of this revision of the service; undefined where none was seen or the file is not readable. */
  async load(service: string, revision: string): Promise<RawTool[] | undefined> {
    const file = this.#file(service, revision);
    if (file === undefined) return undefined;
    const kept = this.#kept.get(file);
    if (kept) return kept;
    try {
      const text = await readFile(file, 'utf8');
      const stored = JSON.parse(text) as Stored;
      if (stored.version !== VERSION || stored.service !== service || stored.revision !== revision) return undefined;
      if (!Array.isArray(stored.tools) || !stored.tools.every(isTool)) return undefined;
      this.#kept.set(file, stored.tools, { size: text.length });
      return stored.tools;
    } catch {
      // Missing or damaged: the service is asked again, which also writes a good one.
      return undefined;
    }
  }

  /** Remembers a list; failing to is no trouble for the caller and rejects only here. */
  async save(service: string, revision: string, tools: readonly RawTool[]): Promise<void> {
    const file = this.#file(service, revision);
    if (file === undefined) return;
    const stored: Stored = { version: VERSION, service, revision, tools: [...tools] };
    const text = JSON.stringify(stored);
    this.#kept.delete(file);
    const before = this.#writes.get(file) ?? Promise.resolve();
    const writing = before
      .catch(() => {})
      .then(async () => {
        await mkdir(this.#folder!, { recursive: true, mode: 0o700 });
        await writeFileAtomic(file, text);
      });
    this.#writes.set(file, writing);
    try {
      await writing;
    } finally {
      if (this.#writes.get(file) === writing) this.#writes.delete(file);
    }
  }

  /** Settles when nothing is being written any more. */
  async flush(): Promise<void> {
    await Promise.allSettled([...this.#writes.values()]);
  }

  #file(service: string, revision: string): string | undefined {
    if (this.#folder === undefined) return undefined;
    const name = createHash('sha256').update(`${service.length}:${service}${revision}`).digest('hex').slice(0, 32);
    return join(this.#folder, `${name}.json`);
  }
}

function isTool(value: unknown): boolean {
  return typeof value === 'object' && value !== null && typeof (value as RawTool).name === 'string';
}
