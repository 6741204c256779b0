/** Knows how much memory the processes of our children hold: of each child with everything that it started. */

import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { statOf } from './group.js';

interface ProcessRow {
  parent: number;
  group: number;
  /** Undefined where it costs a look of its own. */
  rssBytes: number | undefined;
}

const PS_TIMEOUT_MS = 5_000;
const READ_AT_ONCE = 32;

/**
 * Resident bytes by leader, of those that live. A process belongs to a leader by its group, or as a descendant of one
 * that does: npx starts the server, a server starts a browser in a group of its own. Pages that processes share count in
 * each. Undefined where the system does not tell (Windows).
 */
export async function rssOf(leaders: Iterable<number>): Promise<Map<number, number> | undefined> {
  const wanted = new Set(leaders);
  const found = new Map<number, number>();
  if (wanted.size === 0) return found;
  const table = process.platform === 'win32' ? undefined : ((await fromProc()) ?? (await fromPs()));
  if (table === undefined) return undefined;
  for (const [pid, row] of table) {
    const leader = leaderOf(pid, table, wanted);
    if (leader === undefined) continue;
    const bytes = row.rssBytes ?? residentOf(pid);
    if (bytes > 0) found.set(leader, (found.get(leader) ?? 0) + bytes);
  }
  return found;
}

function leaderOf(pid: number, table: ReadonlyMap<number, ProcessRow>, leaders: ReadonlySet<number>) {
  // The rows were not read at one moment, so parents may form a loop.
  const seen = new Set<number>();
  for (let at = pid; !seen.has(at); ) {
    const row = table.get(at);
    if (row === undefined) return undefined;
    if (leaders.has(row.group)) return row.group;
    seen.add(at);
    at = row.parent;
  }
  return undefined;
}

/** A file of /proc costs microseconds when it is read at once, and ten times that by promises; others have turns between. */
async function fromProc(): Promise<Map<number, ProcessRow> | undefined> {
  const rows = new Map<number, ProcessRow>();
  for (const pid of pidsInProc()) {
    const fields = statOf(pid);
    if (fields) rows.set(pid, { parent: Number(fields[1]), group: Number(fields[2]), rssBytes: undefined });
    if (rows.size % READ_AT_ONCE === 0) await setImmediate();
  }
  return rows.size > 0 ? rows : undefined;
}

function pidsInProc(): number[] {
  try {
    return readdirSync('/proc')
      .map(Number)
      .filter((pid) => pid > 0);
  } catch {
    return [];
  }
}

/** `VmRSS` of proc(5), which is in KiB whatever the size of a page; a zombie has none. */
function residentOf(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** Where there is no /proc. POSIX leaves the unit of `rss` open; macOS and the BSDs have KiB. */
export async function fromPs(): Promise<Map<number, ProcessRow> | undefined> {
  const args = ['-A', '-o', 'pid=,ppid=,pgid=,rss='];
  const output = await promisify(execFile)('ps', args, { timeout: PS_TIMEOUT_MS }).catch(() => undefined);
  if (output === undefined) return undefined;
  const rows = new Map<number, ProcessRow>();
  for (const line of output.stdout.split('\n')) {
    const [pid = 0, parent = 0, group = 0, rss = 0] = line.trim().split(/\s+/).map(Number);
    if (pid > 0) rows.set(pid, { parent, group, rssBytes: rss * 1024 });
  }
  return rows.size > 0 ? rows : undefined;
}
