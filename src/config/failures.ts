/** Knows how a bad configuration and a file that cannot be read or written are told. */

import { asError, StoreError } from '../errors.js';
import { formatPath, type Path } from './json-tree.js';

/** Where in which file. */
export interface Place {
  file: string | undefined;
  line: number | undefined;
  column: number | undefined;
  path: Path;
}

/** `mcp.json:12:5: mcpServers.files.args: expected an array of strings, got number` */
export function configInvalid(
  place: Place,
  message: string,
  more: { hint?: string | undefined; service?: string | undefined; cause?: unknown } = {},
): StoreError {
  const { file, line, column } = place;
  const field = formatPath(place.path);
  const where = line === undefined ? (file ?? '') : `${file ?? 'config'}:${line}:${column}`;
  return new StoreError('CONFIG_INVALID', [where, field, message].filter((part) => part !== '').join(': '), {
    ...more,
    figures: { file, line, column, field: field === '' ? undefined : field },
  });
}

const HINTS: Readonly<Record<string, string>> = {
  ENOENT: 'Check the path.',
  EACCES: 'Check who owns the file and its folder, and their permissions.',
  EPERM: 'Check who owns the file and its folder, and their permissions.',
  EROFS: 'The file system is read-only.',
  ENOSPC: 'The disk is full; the old file is intact.',
  EISDIR: 'This is a folder; name the file.',
};

/** `mcp.json: cannot write: ENOSPC: no space left on device` */
export function fileFailed(file: string, doing: 'read' | 'write' | 'lock' | 'watch', error: unknown): StoreError {
  const cause = asError(error);
  const errno = (cause as NodeJS.ErrnoException).code;
  return new StoreError('FILE_FAILED', `${file}: cannot ${doing}: ${cause.message}`, {
    figures: { file, errno },
    hint: errno === undefined ? undefined : HINTS[errno],
    cause,
  });
}
