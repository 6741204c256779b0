/** Knows process groups: who of one still lives, and how a process is told from a later one. */

import { readdirSync, readFileSync } from 'node:fs';

/** A look at all processes serves every group that asks within so many milliseconds: closing ends many at a time. */
const LOOK_MS = 5;

let looked: { at: number; groups: ReadonlySet<number> } | undefined;

/**
 * Has the group a member that lives? A zombie does not. Ask only once the leader has ended, and until the first no: from
 * then on the number may belong to others.
 */
export function groupLives(group: number): boolean {
  try {
    process.kill(-group, 0);
  } catch (error) {
    // EPERM: they live, and are not ours to signal.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  if (process.platform !== 'linux') return true;
  // The kernel counts zombies in, which nobody may ever reap where a container's first process does not.
  const now = performance.now();
  if (looked === undefined || now - looked.at > LOOK_MS) looked = { at: now, groups: livingGroups() };
  return looked.groups.has(group);
}

/** When the process started, in clock ticks since boot; undefined where it is gone or the system has no /proc. */
export function startTimeOf(pid: number): string | undefined {
  return statOf(pid)?.[19];
}

function livingGroups(): Set<number> {
  const groups = new Set<number>();
  for (const name of readdirSync('/proc')) {
    if (name.charCodeAt(0) > 0x39) continue;
    const [state, , group] = statOf(name) ?? [];
    if (state !== undefined && state !== 'Z' && state !== 'X') groups.add(Number(group));
  }
  return groups;
}

/** Fields of /proc/<pid>/stat (proc(5)) from the state on: state, parent, group … The start time is number 19. */
function statOf(pid: number | string): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name stands in parentheses and may have any characters.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}
