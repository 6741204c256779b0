/** Knows how to end every process that this one started, at once and without waiting: for an impatient second Ctrl-C. */

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** Each server leads a group of its own, so its group is what it started. */
export function killChildren(): void {
  for (const pid of childrenOf(process.pid))
    try {
      if (process.platform === 'win32') spawnSync('taskkill', ['/pid', String(pid), '/T', '/F'], { windowsHide: true });
      else process.kill(-pid, 'SIGKILL');
    } catch {
      // It ended meanwhile.
    }
}

function childrenOf(parent: number): number[] {
  if (process.platform === 'win32') return fromCommand('wmic', ['process', 'get', 'ParentProcessId,ProcessId'], parent);
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => parentOf(pid) === parent);
  } catch {
    return fromCommand('ps', ['-A', '-o', 'ppid=,pid='], parent);
  }
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name stands in parentheses and may have spaces; after it come state and parent.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}

/** Lines of "parent child". */
function fromCommand(command: string, args: string[], parent: number): number[] {
  const { stdout } = spawnSync(command, args, { encoding: 'utf8', windowsHide: true });
  return String(stdout ?? '')
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([ppid]) => ppid === parent)
    .map(([, pid]) => pid!)
    .filter((pid) => pid > 0);
}
