/**
 * Knows when this machine or process is full, and whether there is room to load code that is loaded when it is first
 * needed: Node remembers an import that failed for as long as the process runs, so one that would fail for want of file
 * descriptors must not be begun.
 */

import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import { StoreError } from '../errors.js';

/** The SDK's client and what it needs are about a hundred files, which are read at the same time. */
const DESCRIPTORS = 160;

/** The system lacks something for the moment. */
const SHORTAGES: readonly unknown[] = ['EAGAIN', 'EMFILE', 'ENFILE', 'ENOMEM'];

/** Is this the code of a lack that passes by itself, and of which no server is guilty? */
export function isShortage(errno: unknown): boolean {
  return SHORTAGES.includes(errno);
}

const loaded = new Set<string>();

/** `part` is loaded: nothing is looked for from now on. */
export function markLoaded(part: string): void {
  loaded.add(part);
}

/** Throws `CONNECT_FAILED`, to be tried again, where `part` is not loaded and file descriptors are short. */
export function assertRoomToLoad(part: string): void {
  if (loaded.has(part)) return;
  const held: number[] = [];
  try {
    while (held.length < DESCRIPTORS) held.push(openSync(devNull, 'r'));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new StoreError('CONNECT_FAILED', 'out of file descriptors: too few to load what connects', {
      figures: { errno: code, left: held.length, needed: DESCRIPTORS, retryable: true },
      hint: 'It is tried again. Raise the limit of open files, or close what holds them.',
      cause: error,
    });
  } finally {
    for (const descriptor of held) closeSync(descriptor);
  }
}
