/**
 * Knows how our children end when we cannot end them: a shell on a pipe from us is told their process groups, and ends
 * them when the pipe does. So nothing is left after a SIGKILL, a crash or a `process.exit`. Not on Windows.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { startTimeOf } from './group.js';

/**
 * Reads `+ group start` and `- group`. At the end of its input the groups that are left have had theirs too; they get
 * SIGTERM after 1 s and SIGKILL after 3 s. A number that another process has by then is left alone: its start time
 * (field 22 of proc(5); where there is no /proc, nothing tells) is another one. In a session of its own and deaf to
 * signals that ask, the shell outlives a Ctrl-C, the end of the terminal, and a service manager that asks all to end.
 */
export const REAPER_SCRIPT = `
trap '' HUP INT QUIT TERM
set -f
groups=
while read -r what group start; do
  kept=
  for each in $groups; do
    case $each in "$group":*) ;; *) kept="$kept $each" ;; esac
  done
  groups=$kept
  [ "$what" = + ] && groups="$groups $group:$start"
done
tell() {
  for each in $groups; do
    group=\${each%%:*} start=\${each#*:} stat=
    [ -n "$start" ] && { read -r stat < "/proc/$group/stat"; } 2> /dev/null
    if [ -n "$stat" ]; then
      set -- "$1" \${stat##*) }
      [ "\${21}" = "$start" ] || continue
    fi
    kill -s "$1" -- "-$group" 2> /dev/null
  done
}
[ -z "$groups" ] && exit
sleep 1
tell TERM
sleep 2
tell KILL
`;

/** A shell that ended sooner than this is not started again at once, but with the next child. Milliseconds. */
const SHORT_LIFE_MS = 1_000;
/** A shell that was told to go is waited for so long. Milliseconds. */
const GOODBYE_MS = 1_000;

export class Reaper {
  /** Start times by group. */
  readonly #groups = new Map<number, string>();
  #shell: ChildProcess | undefined;
  #available = process.platform !== 'win32';

  /** The shell's own process id while it runs. */
  get pid(): number | undefined {
    return this.#shell?.pid;
  }

  /**
   * Runs `start`, which starts the leader of a group, with the shell in place: it knows the group before anything else
   * of ours runs.
   */
  watch(start: () => ChildProcess): ChildProcess {
    this.#run();
    try {
      const child = start();
      if (child.pid !== undefined) {
        this.#groups.set(child.pid, startTimeOf(child.pid) ?? '');
        this.#tell(`+ ${child.pid} ${this.#groups.get(child.pid)}\n`);
      }
      return child;
    } finally {
      if (this.#groups.size === 0) void this.#goodbye();
    }
  }

  /** Nothing is left of the group. With the last one the shell goes; settles when it has. */
  async forget(group: number): Promise<void> {
    if (!this.#groups.delete(group)) return;
    this.#tell(`- ${group}\n`);
    if (this.#groups.size === 0) await this.#goodbye();
  }

  #run(): void {
    if (this.#shell !== undefined || !this.#available) return;
    const since = performance.now();
    let shell: ChildProcess;
    try {
      shell = spawn('/bin/sh', ['-c', REAPER_SCRIPT, 'mcpstore-reaper'], {
        cwd: '/',
        env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
        detached: true,
        stdio: ['pipe', 'ignore', 'ignore'],
      });
    } catch {
      // Out of memory or descriptors: the next child tries again.
      return;
    }
    this.#shell = shell;
    // It must not keep its host running.
    shell.unref();
    (shell.stdin as Socket | null)?.unref();
    shell.stdin?.on('error', () => {});
    const ended = (): void => {
      if (this.#shell !== shell) return;
      this.#shell = undefined;
      if (this.#groups.size > 0 && performance.now() - since >= SHORT_LIFE_MS) this.#run();
    };
    shell.once('exit', ended);
    shell.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'EACCES') this.#available = false;
      ended();
    });
    for (const [group, start] of this.#groups) this.#tell(`+ ${group} ${start}\n`);
  }

  /** A pipe takes a short line at once, so it arrives also where we end in the next moment. */
  #tell(line: string): void {
    this.#shell?.stdin?.write(line);
  }

  #goodbye(): Promise<void> {
    const shell = this.#shell;
    this.#shell = undefined;
    if (shell?.pid === undefined || shell.exitCode !== null || shell.signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, GOODBYE_MS);
      shell.ref();
      shell.once('exit', () => {
        clearTimeout(timer);
        resolve();
      });
      shell.stdin?.end();
    });
  }
}

/** One for all stores of this process. */
export const reaper = new Reaper();
