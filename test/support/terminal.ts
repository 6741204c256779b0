/** Runs the command line on a pseudo-terminal, with `script` of util-linux: what it shows there, and what keys do. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { MAIN, user, userEnv } from './command-line.js';
import { afterwards } from './harness.js';
import { until } from './waiting.js';

/** Is there a pseudo-terminal to be had? */
export const hasTerminal =
  process.platform === 'linux' &&
  spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux');

export interface Terminal {
  /** Everything that was shown so far. */
  readonly shown: string;
  /** Settles with the exit code. */
  readonly ended: Promise<number | null>;
  /** Waits until this is shown. */
  shows(text: string | RegExp): Promise<void>;
  /** Types keys, such as `\x03` for Ctrl-C. */
  type(keys: string): void;
}

/** Starts `mcpstore` on a terminal of its own; it is killed after the test where it still runs. */
export function onTerminal(args: readonly string[], env: Record<string, string> = {}): Terminal {
  const command = [process.execPath, MAIN, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  const child: ChildProcess = spawn('script', ['-qefc', `exec ${command}`, '/dev/null'], {
    cwd: user.folder,
    env: userEnv({ TERM: 'xterm', SHELL: '/bin/sh', ...env }),
  });
  afterwards(() => child.kill('SIGKILL'));
  let shown = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    shown += text;
  });
  return {
    get shown() {
      return shown;
    },
    ended: new Promise((done) => child.once('close', (code) => done(code))),
    shows: async (text) => {
      const found = (): boolean => (typeof text === 'string' ? shown.includes(text) : text.test(shown));
      await until(found, `${text} on the terminal`, 30_000).catch((error: Error) => {
        throw new Error(`${error.message}; it shows: ${shown}`);
      });
    },
    type: (keys) => void child.stdin!.write(keys),
  };
}
