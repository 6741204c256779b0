/**
 * Knows how to find processes and files that a run left behind: a folder of the run's own is put first in PATH, which
 * every process inherits however little of the environment it is given, and is where temporary files go.
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { main, run } from './project.mjs';

/** Caches that Node and the compiler keep in the temporary folder on purpose. */
const KEPT = new Set(['node-compile-cache']);

/** @returns the folder of the run and the environment that its processes shall have */
export function markRun() {
  const folder = mkdtempSync(join(tmpdir(), 'mcpstore-run-'));
  const env = {
    PATH: `${join(folder, 'bin')}${delimiter}${process.env.PATH}`,
    TMPDIR: folder,
    TMP: folder,
    TEMP: folder,
  };
  return { folder, env };
}

/** Living processes of the run as `pid command`, but for those that `expected` says are right. Linux alone; else none. */
function processesOf(folder, expected = () => false) {
  if (process.platform !== 'linux') return [];
  const found = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    if (Number(pid) === process.pid) continue;
    try {
      // A zombie's environment reads as empty: it has ended and only waits for its parent.
      if (!readFileSync(`/proc/${pid}/environ`, 'latin1').includes(folder)) continue;
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ').trim();
      if (command !== '' && !expected(command)) found.push(`${pid} ${command}`);
    } catch {
      // It ended while we looked, or belongs to another user.
    }
  }
  return found;
}

/** What lies in the folder of the run. */
function filesOf(folder) {
  return readdirSync(folder).filter((name) => !KEPT.has(name));
}

/**
 * Ends the run: gives its processes a moment to end, and removes its folder.
 * @returns a line for each process and file that was left behind
 */
export async function endRun(folder, { graceMs = 5_000, expectedProcess, expectedFile = () => false } = {}) {
  const until = Date.now() + graceMs;
  let processes = processesOf(folder, expectedProcess);
  while (processes.length > 0 && Date.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    processes = processesOf(folder, expectedProcess);
  }
  const files = filesOf(folder).filter((name) => !expectedFile(name));
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  return [
    ...processes.map((process) => `process left running: ${process}`),
    ...files.map((name) => `temporary file left behind: ${name}`),
  ];
}

/** `node leftovers.mjs COMMAND…`: runs a command and fails where it fails or leaves something behind. */
await main(import.meta, async () => {
  const { folder, env } = markRun();
  const [command, ...args] = process.argv.slice(2);
  const code = await run(command, args, { env: { ...process.env, ...env } });
  const left = await endRun(folder);
  if (left.length > 0) throw new Error(left.join('\n'));
  process.exitCode = code;
});
