/** Knows how a child process is started in a group of its own, watched, and ended with everything that it started. */

import type { ChildProcess } from 'node:child_process';
import { spawn as nodeSpawn } from 'node:child_process';
import crossSpawn from 'cross-spawn';
import { StoreError } from '../errors.js';

/** What starts and signals processes. The simulation (test/sim) puts its own in place; nobody else does. */
export const system = {
  spawn: (process.platform === 'win32' ? crossSpawn : nodeSpawn) as typeof nodeSpawn,
  kill: (pid: number, signal: NodeJS.Signals): unknown => process.kill(pid, signal),
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

export interface ProcessOptions {
  command: string;
  args: readonly string[];
  env: Readonly<Record<string, string>>;
  cwd: string | undefined;
  /** Each chunk of stderr, after it went into the ring. */
  onStderr?: ((text: string) => void) | undefined;
}

/** One running child. Its stderr is drained from the start, so that it can never block on it. */
export class ServerProcess {
  readonly child: ChildProcess;
  /** Settles when the process has ended and its pipes are closed. Never rejects. */
  readonly ended: Promise<void>;
  readonly #ring: Buffer[] = [];
  #ringBytes = 0;
  #exit: { code: number | null; signal: NodeJS.Signals | null } | undefined;
  #stopping: Promise<void> | undefined;

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
      const onError = (error: NodeJS.ErrnoException): void => reject(spawnFailed(options, error));
      child.once('error', onError);
      child.once('spawn', () => {
        child.off('error', onError);
        resolve(new ServerProcess(child, options.onStderr));
      });
    });
  }

  private constructor(child: ChildProcess, onStderr: ((text: string) => void) | undefined) {
    this.child = child;
    // Errors of a running child (a signal that cannot be sent) show in its exit; an unheard 'error' would be thrown.
    child.on('error', () => {});
    child.once('exit', (code, signal) => {
      this.#exit = { code, signal };
    });
    this.ended = new Promise((resolve) => child.once('close', () => resolve()));
    child.stderr?.on('error', () => {});
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#ring.push(chunk);
      this.#ringBytes += chunk.length;
      while (this.#ringBytes - this.#ring[0]!.length >= STDERR_RING_BYTES)
        this.#ringBytes -= this.#ring.shift()!.length;
      onStderr?.(chunk.toString('utf8'));
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
   * Idempotent; never rejects.
   */
  stop(stopTimeoutMs: number): Promise<void> {
    this.#stopping ??= this.#climb(stopTimeoutMs);
    return this.#stopping;
  }

  async #climb(stopTimeoutMs: number): Promise<void> {
    const { stdinEndMs, confirmMs } = LADDER;
    this.child.stdin?.end();
    const first = Math.min(stdinEndMs, stopTimeoutMs);
    if (!(await this.#endsWithin(first))) {
      this.#signal('SIGTERM');
      await this.#endsWithin(Math.max(stopTimeoutMs - first, 0));
    }
    // Also after a clean end: what the child left behind in its group must not outlive it.
    this.#signal('SIGKILL');
    await this.#endsWithin(confirmMs);
    this.child.stdout?.destroy();
    this.child.stderr?.destroy();
  }

  /** Did the child itself end? Its pipes may stay open in a grandchild, so `close` is not waited for. */
  #endsWithin(ms: number): Promise<boolean> {
    if (this.#exit !== undefined) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.child.off('exit', onExit);
        resolve(false);
      }, ms);
      const onExit = (): void => {
        clearTimeout(timer);
        resolve(true);
      };
      this.child.once('exit', onExit);
    });
  }

  #signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    try {
      if (process.platform === 'win32') {
        // taskkill ends the tree; Node's kill would end the direct child alone.
        if (!this.exited)
          nodeSpawn('taskkill', ['/pid', String(this.pid), '/T', '/F'], { windowsHide: true }).on('error', () => {});
      } else system.kill(-this.pid, signal);
    } catch {
      // ESRCH: the group is gone, which is what we want.
    }
  }
}

function spawnFailed(options: ProcessOptions, error: NodeJS.ErrnoException): StoreError {
  const { code } = error;
  const what =
    code === 'ENOENT'
      ? options.cwd === undefined
        ? 'command not found'
        : 'command or working folder not found'
      : code === 'EACCES'
        ? 'not executable'
        : error.message;
  // Node's own error carries the arguments, which may be secret.
  const cause = Object.assign(new Error(`spawn ${options.command} ${code}`), { code });
  return new StoreError('SPAWN_FAILED', `cannot start ${options.command}: ${what}`, {
    cause,
    figures: {
      errno: code,
      retryable: code === 'EAGAIN' || code === 'EMFILE' || code === 'ENFILE' || code === 'ENOMEM',
    },
    hint:
      code === 'ENOENT'
        ? 'Check the command and PATH; only PATH and a few other variables reach a server unless its env names more.'
        : undefined,
  });
}
