/** What every end-to-end and contract test needs: stores that are closed, scripted servers whose processes must be gone. */

import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, vi } from 'vitest';
import { type CallToolResult, MCPStore, type OpenOptions, type ServiceConfig } from '../../src/index.js';
import { until } from './waiting.js';

const SCRIPTED = fileURLToPath(new URL('./scripted-server.mjs', import.meta.url));
const require = createRequire(import.meta.url);

const undo: (() => unknown)[] = [];
const pidFiles: string[] = [];

/** Runs at the end of the test, the last one first. */
export function afterwards(fn: () => unknown): void {
  undo.push(fn);
}

/** For `afterEach`: closes what the test opened and checks that no process of a scripted server is left. */
export async function cleanUp(): Promise<void> {
  try {
    for (const fn of undo.splice(0).reverse()) await fn();
    await allGone(pidFiles.flatMap(pidsIn));
  } finally {
    pidFiles.length = 0;
    if (folder) await rm(folder, { recursive: true, force: true });
    folder = undefined;
  }
}

/** At the top of a file: real processes take their time, and each test is cleaned up after. */
export function cleanUpAfterEach(testTimeout = 30_000): void {
  vi.setConfig({ testTimeout, hookTimeout: 30_000 });
  afterEach(cleanUp);
}

let folder: string | undefined;
let files = 0;

/** A path in a folder that the test has for itself; nothing is there yet. */
export function temporaryPath(name = 'file'): string {
  folder ??= mkdtempSync(join(tmpdir(), 'mcpstore-test-'));
  return join(folder, `${files++}-${name}`);
}

/** A store that is closed after the test; by default it remembers nothing on disk. */
export async function openStore(options: OpenOptions = {}): Promise<MCPStore> {
  const store = await MCPStore.open({ stateDir: null, ...options });
  afterwards(() => store.close({ drainMs: 0 }));
  return store;
}

export interface Script extends Record<string, unknown> {
  pidFile?: string;
}

/** Configuration of a scripted server, and the file that has its process ids, one line a start. */
export function scripted(script: Script = {}, more: ServiceConfig = {}): ServiceConfig & { pidFile: string } {
  const pidFile = script.pidFile ?? temporaryPath('pids');
  pidFiles.push(pidFile);
  const args = [SCRIPTED, JSON.stringify({ ...script, pidFile })];
  const config = { command: process.execPath, args, ...more };
  // Where tests find it, and the store does not look.
  Object.defineProperty(config, 'pidFile', { value: pidFile, enumerable: false });
  return config as ServiceConfig & { pidFile: string };
}

/** Process ids of each start: the server's own, then those of its children. */
export function starts(pidFile: string): number[][] {
  if (!existsSync(pidFile)) return [];
  const lines = readFileSync(pidFile, 'utf8').trim().split('\n');
  return lines.map((line) => line.split(' ').map(Number));
}

function pidsIn(pidFile: string): number[] {
  return starts(pidFile).flat();
}

/** Is the process gone? A zombie of ours is not: it has to be reaped. One whose parent died is the system's to reap. */
export function gone(pid: number): boolean {
  if (process.platform !== 'linux') {
    try {
      process.kill(pid, 0);
      return false;
    } catch {
      return true;
    }
  }
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return true;
  }
  const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return state === 'Z' && Number(parent) !== process.pid;
}

export async function allGone(pids: readonly number[], withinMs = 4_000): Promise<void> {
  await until(() => pids.every(gone), `processes gone: ${pids.join(', ')}`, withinMs);
}

/** The text of a result that has one block. */
export function textIn(result: CallToolResult | Record<string, unknown> | undefined): string {
  return (result as { content: { text: string }[] }).content[0]!.text;
}

/** Entry file of a server that comes from npm. */
export function npmServer(name: 'everything' | 'filesystem' | 'memory'): string {
  return require.resolve(`@modelcontextprotocol/server-${name}/dist/index.js`);
}
