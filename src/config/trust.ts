/** Knows which contents of which config files the user approved; a config runs commands, so others' files need it. */

import { createHash } from 'node:crypto';
import { mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../_util/atomic-file.js';
import { acquireLock } from '../_util/file-lock.js';
import { readBounded } from '../_util/read-file.js';
import { isStoreError, StoreError } from '../errors.js';
import { fileFailed } from './failures.js';
import { parseConfig } from './load.js';

type Approvals = Record<string, string>;

const MAX_BYTES = 4 * 1024 * 1024;
/** The ones approved longest ago are forgotten beyond this. */
const MAX_FILES = 1_000;

/**
 * May what stands in this file be run? Yes if exactly this text was approved for this file, or if it has no services.
 * @param stateDir - `null`: nothing on disk, so nothing is remembered
 * @throws StoreError `CONFIG_INVALID` for text that is no config
 */
export async function isApproved(stateDir: string | null, file: string, text: string): Promise<boolean> {
  if (stateDir !== null) {
    const approvals = await readApprovals(stateDir).catch((): Approvals => ({})); // unreadable: nothing is approved
    const path = await realpath(file).catch(() => undefined);
    if (path !== undefined && Object.hasOwn(approvals, path) && approvals[path] === digest(text)) return true;
  }
  const { services, agents } = parseConfig(text, file);
  return services.size === 0 && [...agents.values()].every(({ mcpServers }) => mcpServers.size === 0);
}

/**
 * Remembers that the user approved this text for this file, in place of what was approved for it before.
 * @throws StoreError `FILE_FAILED`
 */
export async function approve(stateDir: string | null, file: string, text: string): Promise<void> {
  if (stateDir === null) return;
  const store = join(stateDir, 'approved.json');
  try {
    const path = await realpath(file);
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    const lock = await acquireLock(join(stateDir, '.approved.json.lock'));
    try {
      const { [path]: _, ...others } = await readApprovals(stateDir);
      const kept = Object.entries(others).slice(-(MAX_FILES - 1));
      const files = Object.fromEntries([...kept, [path, digest(text)]]);
      const json = `${JSON.stringify({ version: 1, files }, null, 2)}\n`;
      await writeFileAtomic(store, json, { beforeRename: () => lock.check() });
    } finally {
      await lock.release();
    }
  } catch (error) {
    throw isStoreError(error) ? error : fileFailed(store, 'write', error);
  }
}

/**
 * The user's own edit: where the text before it was approved, or there was no file, the text after it is as well.
 * @param before - what the edit was made on; `undefined`: there was no file
 * @throws StoreError `FILE_FAILED`
 */
export async function keepApproval(
  stateDir: string | null,
  file: string,
  before: string | undefined,
  after: string,
): Promise<void> {
  if (before === undefined || (await isApproved(stateDir, file, before))) await approve(stateDir, file, after);
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

async function readApprovals(stateDir: string): Promise<Approvals> {
  const file = join(stateDir, 'approved.json');
  let bytes: Buffer | undefined;
  try {
    bytes = await readBounded(file, MAX_BYTES);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw fileFailed(file, 'read', error);
  }
  try {
    const { files } = JSON.parse(String(bytes)) as { files: Approvals };
    if (typeof files === 'object' && files !== null) return files;
  } catch {
    // told below
  }
  throw new StoreError('FILE_FAILED', `${file}: this is no list of approvals`, {
    figures: { file },
    hint: 'Delete it; the files that it approved are then asked for again.',
  });
}
