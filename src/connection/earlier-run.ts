/**
 * Knows which children a process has, in a file below the state folder, and ends those that an earlier process left
 * behind: the second line of defence, where the reaper was killed too. Linux alone: elsewhere nothing tells a process
 * from a later one of its number.
 */

import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync, readlinkSync, unlinkSync } from 'node:fs';
import { readdir, readFile, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startTimeOf } from './group.js';

/** Between SIGTERM and SIGKILL for what is left. Milliseconds. */
const GRACE_MS = 2_000;
/** A file of another boot or container is of no use after a week; earlier its process may only be out of sight. */
const OLD_MS = 7 * 24 * 3_600_000;

/** Files of this process by state folder, and how many children are in each. */
const records = new Map<string, { file: string; children: number }>();
const swept = new Set<string>();

/** Notes a child, the leader of a group. With the first one below `stateDir`, sweeps there. Never throws. */
export function recordChild(stateDir: string, pid: number): void {
  const start = startTimeOf(pid);
  if (start === undefined) return;
  const folder = join(stateDir, 'children');
  const record = records.get(stateDir);
  try {
    if (record) record.children++;
    else {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const file = join(folder, `${process.pid}-${startTimeOf(process.pid)}-${randomBytes(4).toString('hex')}`);
      records.set(stateDir, { file, children: 1 });
      appendFileSync(file, `${place()}\n`, { mode: 0o600 });
    }
    appendFileSync(records.get(stateDir)!.file, `${pid} ${start}\n`);
  } catch {
    // A full or read-only disk: the reaper is there all the same.
  }
  if (swept.has(stateDir)) return;
  swept.add(stateDir);
  void sweep(folder);
}

/** A child and its group have ended. The file goes with the last one. */
export function forgetChild(stateDir: string): void {
  const record = records.get(stateDir);
  if (record === undefined || --record.children > 0) return;
  records.delete(stateDir);
  try {
    unlinkSync(record.file);
  } catch {
    // It could not be written, or the folder is gone.
  }
}

/**
 * Ends the groups that dead processes noted in this folder, where number, start time and boot are still theirs. Two
 * that sweep at a time do each other no harm: each looks again before it signals.
 */
export async function sweep(folder: string): Promise<void> {
  const files = await readdir(folder).catch(() => []);
  await Promise.all(files.map((name) => sweepFile(join(folder, name), name).catch(() => {})));
}

async function sweepFile(file: string, name: string): Promise<void> {
  const [pid, start] = name.split('-');
  const [where, ...lines] = (await readFile(file, 'latin1')).split('\n');
  if (where !== place()) {
    if (Date.now() - (await stat(file)).mtimeMs > OLD_MS) await unlink(file);
    return;
  }
  if (startTimeOf(Number(pid)) === start) return;
  // The last line may be torn, and then its start time is that of nobody.
  const left = (): number[] =>
    lines
      .map((line) => line.split(' '))
      .filter(([child, began]) => Number(child) > 1 && began !== undefined && startTimeOf(Number(child)) === began)
      .map(([child]) => Number(child));
  end(left(), 'SIGTERM');
  if (left().length > 0) await sleep(GRACE_MS, undefined, { ref: false });
  end(left(), 'SIGKILL');
  await unlink(file);
}

function end(groups: readonly number[], signal: 'SIGTERM' | 'SIGKILL'): void {
  for (const group of groups)
    try {
      process.kill(-group, signal);
    } catch {
      // It ended meanwhile.
    }
}

let own: string | undefined;

/** Where and when process ids mean the same: this boot of this machine, this pid namespace. */
function place(): string {
  own ??= `${readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()} ${readlinkSync('/proc/self/ns/pid')}`;
  return own;
}
