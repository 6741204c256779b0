/** Knows the history on disk: a folder of JSON lines, one file a day or more, that several processes may append to. */

import { type FileHandle, mkdir, open, readdir, readFile, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, Timer } from '../_util/clock.js';
import { entryOf, type HistoryEntry, type Kept } from './history-entry.js';

/** From a call to its line: as many as end meanwhile are one write. */
const WRITE_AFTER_MS = 1_000;
/** A file that has more is followed by another of the same day. */
const MAX_FILE_BYTES = 10 * 1024 * 1024;
/** All files together; the oldest go. */
const MAX_BYTES = 100 * 1024 * 1024;
const MAX_AGE_MS = 30 * 86_400_000;
/** Of one write: making the lines of a thousand calls takes a millisecond or two. */
const WRITE_CALLS = 1_000;
const WRITE_CHARS = 1024 * 1024;
/** Where the disk is slower than the calls, those beyond are left out. */
const MAX_WAITING = 50_000;

const NAME = /^\d{4}-\d\d-\d\d-\d{4}\.jsonl$/;
const NEWLINE = 0x0a;

export interface HistoryFileParts {
  folder: string;
  clock: Clock;
  /** It could not be written; told once until it can be again. */
  onProblem: (error: Error) => void;
}

export class HistoryFile {
  readonly #parts: HistoryFileParts;
  #waiting: Kept[] = [];
  #timer: Timer | undefined;
  #writing: Promise<void> | undefined;
  #troubled = false;

  constructor(parts: HistoryFileParts) {
    this.#parts = parts;
  }

  add(kept: Kept): void {
    if (this.#waiting.length >= MAX_WAITING) {
      this.#problem(new Error(`more than ${MAX_WAITING} calls wait to be written`));
      return;
    }
    this.#waiting.push(kept);
    this.#timer ??= this.#parts.clock.after(WRITE_AFTER_MS, () => void this.#flush());
  }

  /** What the files have, the newest first; what is no whole line is skipped. */
  async *entries(since: number, wanted: (entry: HistoryEntry) => boolean): AsyncGenerator<HistoryEntry> {
    await this.#flush();
    const oldest = dayOf(since);
    for (const name of (await this.#files()).reverse()) {
      if (name.slice(0, oldest.length) < oldest) return;
      // It may have been the oldest one, and removed meanwhile.
      const text = await readFile(join(this.#parts.folder, name), 'utf8').catch(() => '');
      for (const line of text.split('\n').reverse()) {
        const entry = parsed(line);
        if (entry !== undefined && wanted(entry)) yield entry;
      }
    }
  }

  /** Writes what waits. Never rejects. */
  async close(): Promise<void> {
    await this.#flush();
  }

  async #flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    // What comes while it writes is written with it.
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
    await this.#writing;
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const text = this.#nextText();
      try {
        await this.#append(text);
        // Where calls are still faster than the disk, the trouble goes on.
        if (this.#waiting.length === 0) this.#troubled = false;
      } catch (error) {
        // Tried again it might be there twice: what could not be written is left out.
        this.#problem(error as Error);
      }
    }
  }

  #nextText(): string {
    let text = '';
    let count = 0;
    for (const kept of this.#waiting) {
      if (count === WRITE_CALLS || text.length >= WRITE_CHARS) break;
      text += `${JSON.stringify(entryOf(kept))}\n`;
      count++;
    }
    this.#waiting = this.#waiting.slice(count);
    return text;
  }

  /** One write at the end of the file, wherever that is by then: lines of several processes do not mix. */
  async #append(text: string): Promise<void> {
    const { folder } = this.#parts;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const file = await open(join(folder, await this.#nameNow()), 'a+', 0o600);
    try {
      // Who wrote last may have been stopped by a full disk or a crash, in the middle of a line.
      const bytes = Buffer.from((await endsLine(file)) ? text : `\n${text}`);
      const { bytesWritten } = await file.write(bytes);
      if (bytesWritten < bytes.length) throw new Error(`only ${bytesWritten} of ${bytes.length} bytes were written`);
    } finally {
      await file.close();
    }
  }

  /** Where to write now; makes room where a new file begins. */
  async #nameNow(): Promise<string> {
    const { folder, clock } = this.#parts;
    const day = dayOf(clock.wall());
    const files = await this.#files();
    const last = files.filter((name) => name.startsWith(day)).at(-1);
    if (last !== undefined && (await sizeOf(join(folder, last))) < MAX_FILE_BYTES) return last;
    await this.#makeRoom(files);
    const number = last === undefined ? 1 : Number(last.slice(day.length + 1, -'.jsonl'.length)) + 1;
    return `${day}-${String(number).padStart(4, '0')}.jsonl`;
  }

  /** Removes what is too old, and the oldest where a full new file would be too much. */
  async #makeRoom(files: readonly string[]): Promise<void> {
    const { folder, clock } = this.#parts;
    const oldest = dayOf(clock.wall() - MAX_AGE_MS);
    let room = MAX_BYTES - MAX_FILE_BYTES;
    for (const name of [...files].reverse()) {
      const path = join(folder, name);
      room -= await sizeOf(path);
      // Another process may have removed it.
      if (room < 0 || name < oldest) await unlink(path).catch(() => {});
    }
  }

  /** Ours alone, the oldest first. */
  async #files(): Promise<string[]> {
    const names = await readdir(this.#parts.folder).catch(() => []);
    return names.filter((name) => NAME.test(name)).sort();
  }

  #problem(error: Error): void {
    if (this.#troubled) return;
    this.#troubled = true;
    this.#parts.onProblem(error);
  }
}

/** `2026-11-24`, in UTC. */
function dayOf(wall: number): string {
  return Number.isFinite(wall) ? new Date(wall).toISOString().slice(0, 10) : '';
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

async function endsLine(file: FileHandle): Promise<boolean> {
  const { size } = await file.stat();
  if (size === 0) return true;
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
  return buffer[0] === NEWLINE;
}

function parsed(line: string): HistoryEntry | undefined {
  if (!line.endsWith('}')) return undefined;
  try {
    const entry = JSON.parse(line) as HistoryEntry;
    return typeof entry === 'object' && typeof entry.at === 'number' ? entry : undefined;
  } catch {
    return undefined;
  }
}
