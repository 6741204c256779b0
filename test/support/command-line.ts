/** Runs the built command line as real processes, for a user with a home and a working folder of their own. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, beforeEach, expect } from 'vitest';
// @ts-expect-error: a script of the project, plain JavaScript.
import { build } from '../../scripts/build.mjs';
import type { ServiceConfig } from '../../src/index.js';
import { afterwards, cleanUpAfterEach, npmServer, scripted, temporaryPath } from './harness.js';

export const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
/** For `--stdio`. */
export const EVERYTHING = `node ${npmServer('everything')}`;

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** The user's home and working folder; new for each test. */
export const user = { home: '', folder: '' };

/** At the top of a test file: builds what it runs, and gives each test a new user, with `notes/a.txt`. */
export function useCommandLine(): void {
  // Each test starts several processes one after another, on machines that may be busy.
  cleanUpAfterEach(90_000);
  beforeAll(() => build(), 120_000);
  beforeEach(() => {
    user.home = temporaryPath('home');
    user.folder = temporaryPath('work');
    for (const path of [user.home, join(user.folder, 'notes')]) mkdirSync(path, { recursive: true });
    writeFileSync(join(user.folder, 'notes', 'a.txt'), 'hello\n');
  });
}

/** Environment in which everything that is the user's own lies in their home. */
export function userEnv(env: Record<string, string> = {}): Record<string, string | undefined> {
  const { home } = user;
  const own = { HOME: home, XDG_STATE_HOME: join(home, 'state'), LOCALAPPDATA: home, USERPROFILE: home };
  return { ...process.env, ...own, ...env };
}

/** The user's own configuration file. */
export const ownConfig = (): string => join(user.home, '.mcpstore', 'mcp.json');
/** A path in the working folder. */
export const inFolder = (...path: string[]): string => join(user.folder, ...path);

/** Writes a configuration with these services. @returns the option that names it */
export function configOf(services: Record<string, ServiceConfig>, more: object = {}): string[] {
  writeFileSync(inFolder('c.json'), JSON.stringify({ mcpServers: services, ...more }));
  return ['--config', 'c.json'];
}

/** Starts `mcpstore`; it is killed after the test where it still runs. */
export function start(args: readonly string[], env: Record<string, string> = {}): ChildProcess {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: user.folder, env: userEnv(env) });
  afterwards(() => child.kill('SIGKILL'));
  return child;
}

/** What it wrote, and how it exited. */
export function ended(child: ChildProcess): Promise<Ended> {
  const out = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      out[name] += text;
    });
  return new Promise((done) => child.once('close', (code) => done({ code, ...out })));
}

/** Runs `mcpstore` to its end. */
export async function run(
  args: readonly string[],
  more: { input?: string; env?: Record<string, string> } = {},
): Promise<Ended> {
  const child = start(args, more.env);
  child.stdin!.end(more.input ?? '');
  return ended(child);
}

/** Its stdout; it has to succeed. */
export async function ok(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(args);
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

/** What it prints with `--json`. */
export async function json(...args: string[]): Promise<never> {
  return JSON.parse(await ok(...args, '--json')) as never;
}

/** Adds a scripted server to the configuration. @returns the file that has its process ids */
export async function addScripted(
  name: string,
  script: Record<string, unknown> = {},
  ...flags: string[]
): Promise<string> {
  const { command, args, pidFile } = scripted(script);
  await ok('add', name, ...flags, '--', command!, ...args!);
  return pidFile;
}
