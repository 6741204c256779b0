/** Knows how a person's browser is opened: by the program of the platform, with the address as one argument and no shell. */

import { spawn } from 'node:child_process';

/** Program and first arguments. Windows' `start` would be a shell's. */
const OPENERS: Partial<Record<NodeJS.Platform, readonly [string, ...string[]]>> = {
  darwin: ['open'],
  win32: ['rundll32', 'url.dll,FileProtocolHandler'],
};

/** Tries to; a machine without a browser has none. The browser outlives us, so nothing is waited for. */
export function openBrowser(url: string): void {
  const [program, ...args] = OPENERS[process.platform] ?? ['xdg-open'];
  const child = spawn(program, [...args, url], { stdio: 'ignore', detached: true, shell: false });
  child.on('error', () => {});
  child.unref();
}
