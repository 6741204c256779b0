/** Knows what it means that a process could not be started: which of command, interpreter, folder or system it was. */

import { accessSync, constants, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { StoreError } from '../errors.js';
import { isShortage } from './room.js';

interface Tried {
  command: string;
  cwd: string | undefined;
}

/** Gives what spawn said its words. The system has one code for several things, so what is there is looked at. */
export function spawnFailed(tried: Tried, error: NodeJS.ErrnoException): StoreError {
  const { code } = error;
  const [what, hint] = reasonOf(tried, error);
  // All else stays wrong until somebody repairs it. Node's own error carries the arguments, which may be secret.
  const cause = Object.assign(new Error(`spawn ${tried.command} ${code}`), { code });
  return new StoreError('SPAWN_FAILED', `cannot start ${tried.command}: ${what}`, {
    cause,
    figures: { errno: code, retryable: isShortage(code) },
    hint,
  });
}

function reasonOf({ command, cwd }: Tried, error: NodeJS.ErrnoException): [what: string, hint?: string] {
  const { code } = error;
  if (cwd !== undefined && (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES')) {
    const folder = folderProblem(cwd);
    if (folder) return [`the working folder ${cwd} ${folder}`, 'Correct "cwd", or make the folder.'];
  }
  switch (code) {
    case 'ENOENT':
      if (isFile(command, cwd)) return ['the file is there, but not the program that it names in its first line'];
      return [
        'command not found',
        'Check the command and PATH; only PATH and a few other variables reach a server unless its env names more.',
      ];
    case 'EACCES':
      return ['not executable', `Make it executable, or name the program that runs ${basename(command)}.`];
    case 'ENOEXEC':
      return ['not a program of this system'];
    case 'EMFILE':
    case 'ENFILE':
      return ['out of file descriptors', 'It is tried again. Raise the limit of open files, or close what holds them.'];
    case 'EAGAIN':
    case 'ENOMEM':
      return [
        'the system has no room for another process',
        'It is tried again. Raise the limit of processes or memory.',
      ];
    default:
      return [error.message];
  }
}

function folderProblem(folder: string): string | undefined {
  try {
    if (!statSync(folder).isDirectory()) return 'is no folder';
    accessSync(folder, constants.X_OK);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES' ? 'may not be entered' : 'does not exist';
  }
}

/** A command with a slash is a path, seen from the working folder; others are looked for in PATH. */
function isFile(command: string, cwd: string | undefined): boolean {
  try {
    return command.includes('/') && statSync(resolve(cwd ?? '.', command)).isFile();
  } catch {
    return false;
  }
}
