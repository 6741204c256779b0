/** Knows how a child process is started in a group of its own, watched, and ended with everything that it started. */

import type { ChildProcess } from 'node:child_process';
import { spawn as nodeSpawn } from 'node:child_process';
import { StringDecoder } from 'node:string_decoder';
import crossSpawn from 'cross-spawn';
import type { Clock } from '../_util/clock.js';
import { forgetChild, recordChild } from './earlier-run.js';
import { groupLives } from './group.js';
import { reaper } from './reaper.js';
import { spawnFailed } from './spawn-failed.js';

const spawn = (process.platform === 'win32' ? crossSpawn : nodeSpawn) as typeof nodeSpawn;

/** What starts, signals and looks for processes. The simulation (test/sim) puts its own in place; nobody else does. */
export const system = {
  spawn: ((...args: Parameters<typeof nodeSpawn>) => reaper.watch(() => spawn(...args))) as typeof nodeSpawn,
  kill: (pid: number, signal: NodeJS.Signals): unknown => process.kill(pid, signal),
  groupLives,
};

/** What a child inherits of our environment: the allow-list of the MCP SDK. Everything else must be declared. */
const INHERITED =
  process.platform === 'win32'
    ? [
        'APPDATA',
        'HOMEDRIVE',
        'HOMEPATH',
        'LOCALAPPDATA',
        'PATH',
        'PATHEXT',
        'PROCESSOR_ARCHITECTURE',
        'PROGRAMFILES',
        'SYSTEMDRIVE',
        'SYSTEMROOT',
        'TEMP',
        'USERNAME',
        'USERPROFILE',
      ]
    : ['HOME', 'LOGNAME', 'PATH', 'SHELL', 'TERM', 'USER', 'TMPDIR', 'LANG', 'LC_ALL'];

const STDERR_RING_BYTES = 64 * 1024;

/** Deadlines of the ladder by which a child is ended, in milliseconds: stdin end, SIGTERM to the group, SIGKILL. */
const LADDER = { stdinEndMs: 500, confirmMs: 1_000 } as const;
/** What is left of a group whose leader has ended is looked for again after so long, then twice as long. */
const LOOK_MS = { first: 5, longest: 80 } as const;

export interface ProcessOptions {
  command: string;
  args: readonly string[];
  env: Readonly<Record<string, string>>;
  cwd: string | undefined;
  /** Where children are noted, so that a later process can end what this one could not. */
  stateDir?: string | undefined;
  clock: Clock;
  /** Each chunk of stderr, after it went into the ring; a character that is split over two comes with the second. */
  onStderr?: ((text: string) => void) | undefined;
}

/** One running child. Its stderr is drained from the start, so that it can never block on it. */
export class ServerProcess {
  readonly child: ChildProcess;
  /** Settles when the process has ended and its pipes are closed. Never rejects. */
  readonly ended: Promise<void>;
  readonly #clock: Clock;
  readonly #stateDir: string | undefined;
  readonly #ring: Buffer[] = [];
  #ringBytes = 0;
  #exit: { code: number | null; signal: NodeJS.Signals | null } | undefined;
  #stopping: Promise<void> | undefined;
  #groupGone = false;

  /** Settles once the child runs; rejects with `SPAWN_FAILED` where it cannot. */
  static start(options: ProcessOptions): Promise<ServerProcess> {
    const env: Record<string, string> = {};
    for (const key of INHERITED) {
      const value = process.env[key];
      // A value that starts like this is an exported shell function: a known way to smuggle code into a shell.
      if (value !== undefined && !value.startsWith('()')) env[key] = value;
    }
    return new Promise((resolve, reject) => {
      let child: ChildProcess;
      try {
        child = system.spawn(options.command, [...options.args], {
          env: { ...env, ...options.env },
          cwd: options.cwd,
          shell: false,
          // A group of its own: ending the group ends what npx, uvx or sh started in it. Windows has no such groups.
          detached: process.platform !== 'win32',
          windowsHide: true,
          stdio: ['pipe', 'pipe', 'pipe'],
        });
      } catch (error) {
        reject(spawnFailed(options, error as NodeJS.ErrnoException));
        return;
      }
      if (child.pid !== undefined && options.stateDir) recordChild(options.stateDir, child.pid);
      const onError = (error: NodeJS.ErrnoException): void => reject(spawnFailed(options, error));
      child.once('error', onError);
      child.once('spawn', () => {
        child.off('error', onError);
        resolve(new ServerProcess(child, options));
      });
    });
  }

  private constructor(child: ChildProcess, options: ProcessOptions) {
    const { onStderr } = options;
    this.child = child;
    this.#clock = options.clock;
    this.#stateDir = options.stateDir;
    // Errors of a running child (a signal that cannot be sent) show in its exit; an unheard 'error' would be thrown.
    child.on('error', () => {});
    child.once('exit', (code, signal) => {
      this.#exit = { code, signal };
    });
    this.ended = new Promise((resolve) => child.once('close', () => resolve()));
    child.stderr?.on('error', () => {});
    const decoder = new StringDecoder('utf8');
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#ring.push(chunk);
      this.#ringBytes += chunk.length;
      while (this.#ringBytes - this.#ring[0]!.length >= STDERR_RING_BYTES)
        this.#ringBytes -= this.#ring.shift()!.length;
      onStderr?.(decoder.write(chunk));
    });
  }

  get pid(): number {
    return this.child.pid!;
  }

  get exited(): boolean {
    return this.#exit !== undefined;
  }

  /** The last lines of stderr, at most `bytes`. */
  stderrTail(bytes = 2_048): string {
    const all = Buffer.concat(this.#ring);
    return all
      .subarray(Math.max(0, all.length - bytes))
      .toString('utf8')
      .trim();
  }

  /** How it ended, for messages. */
  exitText(): string {
    if (this.#exit === undefined) return 'still running';
    return this.#exit.signal ? `ended by ${this.#exit.signal}` : `exited with code ${this.#exit.code}`;
  }

  /**
   * Ends the child and its group: stdin end, after 0.5 s SIGTERM, SIGKILL when `stopTimeoutMs` is over, then confirms.
   * Each step waits for the whole group; one that the leader has left already begins with SIGTERM. Idempotent; never
   * rejects.
   */
  stop(stopTimeoutMs: number): Promise<void> {
    this.#stopping ??= this.#climb(stopTimeoutMs);
    return this.#stopping;
  }

  async #climb(stopTimeoutMs: number): Promise<void> {
    const { stdinEndMs, confirmMs } = LADDER;
    const end = this.#clock.now() + stopTimeoutMs;
    const left = (): number => Math.max(end - this.#clock.now(), 0);
    this.child.stdin?.end();
    if (this.exited || !(await this.#goneWithin(Math.min(stdinEndMs, left())))) {
      this.#signal('SIGTERM');
      if (!(await this.#goneWithin(left()))) {
        this.#signal('SIGKILL');
        await this.#goneWithin(confirmMs);
      }
    }
    this.child.stdout?.destroy();
    this.child.stderr?.destroy();
    // What not even SIGKILL ends (it waits for a disk) stays watched until it does.
    if (this.exited) await this.#forget();
    else this.child.once('exit', () => void this.#forget());
  }

  #forget(): Promise<void> {
    if (this.#stateDir) forgetChild(this.#stateDir);
    return reaper.forget(this.pid);
  }

  /** Did the child and its group end? Its pipes may stay open in what left the group, so `close` is not waited for. */
  async #goneWithin(ms: number): Promise<boolean> {
    const end = this.#clock.now() + ms;
    if (!(await this.#endsWithin(ms))) return false;
    for (let pause: number = LOOK_MS.first; this.#groupLives(); pause = Math.min(2 * pause, LOOK_MS.longest)) {
      const left = end - this.#clock.now();
      if (left <= 0) return false;
      await new Promise<void>((resolve) => this.#clock.after(Math.min(pause, left), resolve, true));
    }
    return true;
  }

  #endsWithin(ms: number): Promise<boolean> {
    if (this.#exit !== undefined) return Promise.resolve(true);
    return new Promise((resolve) => {
      const onExit = (): void => {
        timer.cancel();
        resolve(true);
      };
      const timer = this.#clock.after(
        ms,
        () => {
          this.child.off('exit', onExit);
          resolve(false);
        },
        true,
      );
      this.child.once('exit', onExit);
    });
  }

  /** Once its leader has ended: is anything of it left? After the first no it is never signalled again. */
  #groupLives(): boolean {
    this.#groupGone ||= process.platform === 'win32' || !system.groupLives(this.pid);
    return !this.#groupGone;
  }

  #signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    // The number of a group that is gone may be another's.
    if (this.exited && !this.#groupLives()) return;
    try {
      if (process.platform === 'win32') {
        // taskkill ends the tree; Node's kill would end the direct child alone.
        nodeSpawn('taskkill', ['/pid', String(this.pid), '/T', '/F'], { windowsHide: true }).on('error', () => {});
      } else system.kill(-this.pid, signal);
    } catch {
      // ESRCH: the group is gone, which is what we want. EPERM: it became another user's, and is out of our reach.
    }
  }
}
