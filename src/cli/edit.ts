/** Knows how a command changes a configuration file, and that the user's own edit needs no approval afterwards. */

import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { ConfigDocument, FoundConfig, Scope } from '../index.js';
import type { Run } from './session.js';
import { needApproval } from './trust.js';

export interface Editing {
  scope: Scope;
  found: FoundConfig;
}

/**
 * Opens the store on the file that counts, lets `change` edit it, and keeps its approval: an approved file stays
 * approved with its new content, and so does one that had no services before.
 * @param create - make the file where there is none, and the agent
 */
export async function editConfig<T>(run: Run, create: boolean, change: (editing: Editing) => Promise<T>): Promise<T> {
  const { approveConfig, findConfig, isConfigApproved, isStoreError, loadConfig } = await import('../index.js');
  const found = await findConfig({ config: run.options.config });
  if (!found.exists && create) await makeFile(found.file);
  const before = found.exists || create || found.source === 'named' ? await loadConfig(found.file) : undefined;
  if (before !== undefined && found.source === 'project') await needApproval(run, before);
  const approved = before !== undefined && (await isConfigApproved(before));
  const { scope } = await run.openDocument(found, before, 'none', { newAgent: create });
  const result = await change({ scope, found });
  if (approved)
    try {
      await approveConfig(await loadConfig(found.file));
    } catch (error) {
      if (!isStoreError(error)) throw error;
      run.out.note(`the change is saved, but will have to be approved: ${error.message}`);
    }
  return result;
}

/** Keys that this product does not act on, as `check` tells them. */
export function foreignLines(document: ConfigDocument): string[] {
  return document.foreign.map(({ path, line, why }) =>
    why === 'unknown'
      ? `line ${line}: ${path}: not a key of mcpstore; left to other programs`
      : `line ${line}: ${path}: has no effect on this kind of service`,
  );
}

async function makeFile(file: string): Promise<void> {
  const { isStoreError, StoreError } = await import('../index.js');
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(file, '{\n  "mcpServers": {}\n}\n', { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if (isStoreError(error) || (error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw new StoreError('FILE_FAILED', `${file}: cannot write: ${(error as Error).message}`, { cause: error });
  }
}
