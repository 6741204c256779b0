/** Knows how a command changes a configuration file, as the user's own edit, which needs no approval afterwards. */

import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { ChangeOptions, ConfigDocument, FoundConfig, Scope } from '../index.js';
import type { Run } from './session.js';
import { needApproval } from './trust.js';

export interface Editing {
  scope: Scope;
  found: FoundConfig;
  /** For the change itself: it is written, and an approved file stays approved with what is written, nothing else. */
  options: ChangeOptions;
}

/**
 * Opens the store on the file that counts and lets `change` edit it.
 * @param create - make the file where there is none, and the agent
 */
export async function editConfig<T>(run: Run, create: boolean, change: (editing: Editing) => Promise<T>): Promise<T> {
  const { findConfig, loadConfig } = await import('../index.js');
  const found = await findConfig({ config: run.options.config });
  if (!found.exists && create) await makeFile(found.file);
  const before = found.exists || create || found.source === 'named' ? await loadConfig(found.file) : undefined;
  if (before !== undefined && found.source === 'project') await needApproval(run, before);
  const { store, scope } = await run.openDocument(found, before, 'none', { newAgent: create });
  store.on('configProblem', ({ error }) =>
    run.out.note(`the change is saved, but will have to be approved: ${error.message}`),
  );
  return change({ scope, found, options: { persist: true, keepApproval: true } });
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
