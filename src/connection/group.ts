/** Knows process groups: who of one still lives, and how a process is told from a later one. */

import { readdirSync, readFileSync } from 'node:fs';

/** Living members that were seen, by group: looking at all processes takes milliseconds, at a few next to nothing. */
const seen = new Map<number, readonly string[]>();

/**
 * Has the group a member that lives? A zombie does not. Ask only once the leader has ended, and until the first no: from
 * then on the number may belong to others.
 */
export function groupLives(group: number): boolean {
  try {
    process.kill(-group, 0);
  } catch (error) {
    seen.delete(group);
    // EPERM: they live, and are not ours to signal.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  if (process.platform !== 'linux') return true;
  // The kernel counts zombies in, which nobody may ever reap where a container's first process does not.
  const isMember = (pid: string): boolean => {
    const [state, , its] = statOf(pid) ?? [];
    return Number(its) === group && state !== 'Z' && state !== 'X';
  };
  let members = (seen.get(group) ?? []).filter(isMember);
  if (members.length === 0)
    members = readdirSync('/proc').filter((name) => name.charCodeAt(0) <= 0x39 && isMember(name));
  if (members.length === 0) seen.delete(group);
  else seen.set(group, members);
  return members.length > 0;
}

/** When the process started, in clock ticks since boot; undefined where it is gone or the system has no /proc. */
export function startTimeOf(pid: number): string | undefined {
  return statOf(pid)?.[19];
}

/** Fields of /proc/<pid>/stat (proc(5)) from the state on: state, parent, group … The start time is number 19. */
export function statOf(pid: number | string): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name stands in parentheses and may have any characters.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}
