/** Knows which configuration file a program started in a folder means, and which of these need the user's word first. */

import { access } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { ConfigDocument } from './definition.js';
import { defaultStateDir, userConfigPath } from './places.js';
import { approve, isApproved } from './trust.js';

export interface FindConfigOptions {
  /** A file that the user named: it is taken, whatever else there is. */
  config?: string | undefined;
  /** The folder whose `mcp.json` counts. Default: the working folder. */
  cwd?: string | undefined;
}

/** A configuration file that was found, or the one that would be made. */
export interface FoundConfig {
  /** Absolute. */
  file: string;
  exists: boolean;
  /**
   * `'named'` by the user; `'user'`: the user's own, `~/.mcpstore/mcp.json`; `'project'`: the `mcp.json` of the folder,
   * which may be somebody else's and names commands, so it is to be used only where `isConfigApproved`.
   */
  source: 'named' | 'project' | 'user';
}

/** The file that is named, else the folder's `mcp.json` if there is one, else the user's own. Reads no content. */
export async function findConfig(options: FindConfigOptions = {}): Promise<FoundConfig> {
  const { config, cwd = process.cwd() } = options;
  if (config !== undefined) {
    const file = resolve(cwd, config);
    return { file, exists: await exists(file), source: 'named' };
  }
  const project = join(resolve(cwd), 'mcp.json');
  const own = userConfigPath();
  if (project !== own && (await exists(project))) return { file: project, exists: true, source: 'project' };
  return { file: own, exists: await exists(own), source: 'user' };
}

export interface ApprovalOptions {
  /** Where approvals are kept. Default: the platform's state folder; `null`: nowhere, so nothing is approved. */
  stateDir?: string | null;
}

/** Did the user approve exactly this content of this file? One without services needs no approval. */
export async function isConfigApproved(document: ConfigDocument, options: ApprovalOptions = {}): Promise<boolean> {
  const { stateDir = defaultStateDir() } = options;
  return isApproved(stateDir, document.file ?? '', document.text);
}

/** Remembers that the user approved this content of this file. @throws StoreError `FILE_FAILED` */
export async function approveConfig(document: ConfigDocument, options: ApprovalOptions = {}): Promise<void> {
  const { stateDir = defaultStateDir() } = options;
  await approve(stateDir, document.file ?? '', document.text);
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    // What is there but cannot be looked at is told when it is read.
    return (error as NodeJS.ErrnoException).code !== 'ENOENT';
  }
}
