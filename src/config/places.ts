/** Knows where the user's own files are on each platform. */

import { homedir } from 'node:os';
import { isAbsolute, posix, win32 } from 'node:path';

/** What decides the places; each has a default of this process. */
export interface Platform {
  readonly platform?: NodeJS.Platform;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly home?: string;
}

/**
 * The folder that the product writes to unless told otherwise: `$XDG_STATE_HOME/mcpstore` or
 * `~/.local/state/mcpstore`; `~/Library/Application Support/mcpstore` on macOS; `%LOCALAPPDATA%\mcpstore` on Windows.
 */
export function defaultStateDir(on: Platform = {}): string {
  const { platform = process.platform, env = process.env, home = homedir() } = on;
  if (platform === 'win32') return win32.join(env['LOCALAPPDATA'] || win32.join(home, 'AppData', 'Local'), 'mcpstore');
  if (platform === 'darwin') return posix.join(home, 'Library', 'Application Support', 'mcpstore');
  const state = env['XDG_STATE_HOME'];
  // The XDG specification: a relative path is to be ignored.
  return posix.join(state && isAbsolute(state) ? state : posix.join(home, '.local', 'state'), 'mcpstore');
}

/** The user's own config, `~/.mcpstore/mcp.json`. */
export function userConfigPath(on: Platform = {}): string {
  const { platform = process.platform, home = homedir() } = on;
  return (platform === 'win32' ? win32 : posix).join(home, '.mcpstore', 'mcp.json');
}
