/**
 * Knows a simulated process: pipes, exit, signals and group, as `node:child_process` shows them. It stands in for the
 * real one (`system` of src/connection/process.ts) because when a real process writes, reads and ends cannot be repeated.
 */

import { EventEmitter } from 'node:events';
import { Readable, Writable } from 'node:stream';
import type { World } from './world.js';

/** What a Linux pipe takes before its writer has to wait. */
const PIPE_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

export class SimChild extends EventEmitter {
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly world: World;
  /** Set by the program. */
  onLine: (line: string) => void = () => {};
  onEnd: () => void = () => {};
  onTerm: () => void = () => this.exit(null, 'SIGTERM');
  /** A process of its group that keeps its pipes open after its end, and ends at SIGTERM or not. */
  grandchild = false;
  deafGrandchild = false;
  exited = false;
  #taken: Buffer[] = [];
  /** Bytes in the pipe of a program that does not read, and the writer that waits for room. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #stalled = false;
  #room: (() => void) | undefined;
  /** The end of its stdin came while it did not read. */
  #endHeld = false;
  #lastIn = 0;
  #lastOut = 0;

  constructor(world: World) {
    super();
    this.world = world;
    this.pid = world.nextPid++;
    this.stdin = new Writable({
      write: (chunk: Buffer, _encoding, done) => this.#write(chunk, done),
      final: (done) => {
        this.#lastIn = this.#soon(this.#lastIn, () => this.#end());
        done();
      },
    });
    this.stdout = new Readable({ read() {} });
    this.stderr = new Readable({ read() {} });
    let open = 2;
    for (const stream of [this.stdout, this.stderr])
      stream.once('close', () => {
        if (--open === 0) this.emit('close');
      });
  }

  /** Is anything of its group left? */
  get alive(): boolean {
    return !this.exited || this.grandchild;
  }

  /** Writes to stdout; `pieces` cuts it there, so that it arrives in several reads. */
  say(text: string, pieces = 1): void {
    if (this.exited) return;
    const bytes = Buffer.from(text);
    const size = Math.ceil(bytes.length / pieces);
    for (let at = 0; at < bytes.length; at += size) {
      const part = bytes.subarray(at, at + size);
      this.#lastOut = this.#soon(this.#lastOut, () => this.stdout.destroyed || this.stdout.push(part));
    }
  }

  complain(text: string): void {
    if (!this.exited) this.#lastOut = this.#soon(this.#lastOut, () => this.stderr.destroyed || this.stderr.push(text));
  }

  /** Stops or goes on reading its stdin. */
  stall(stalled: boolean): void {
    this.#stalled = stalled;
    if (stalled) return;
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    for (const chunk of held) this.#take(chunk);
    this.#room?.();
    this.#room = undefined;
    if (this.#endHeld) this.#end();
  }

  #end(): void {
    this.#endHeld = this.#stalled;
    if (!this.exited && !this.#stalled) this.onEnd();
  }

  exit(code: number | null, signal: NodeJS.Signals | null = null): void {
    if (this.exited) return;
    this.exited = true;
    this.world.trace(`process ${this.pid} ends ${signal ?? code}`);
    this.#held = [];
    this.stdin.destroy();
    this.emit('exit', code, signal);
    if (!this.grandchild) this.#hangUp();
  }

  /** A signal to its group. @throws Error ESRCH where nothing of it is left */
  signal(signal: NodeJS.Signals): void {
    if (!this.alive) throw Object.assign(new Error('kill ESRCH'), { code: 'ESRCH' });
    this.world.trace(`process ${this.pid} gets ${signal}`);
    this.world.loop.after(1, () => {
      if (signal === 'SIGKILL') this.exit(null, signal);
      else if (!this.exited) this.onTerm();
      if (!this.grandchild || (signal !== 'SIGKILL' && this.deafGrandchild)) return;
      this.grandchild = false;
      if (this.exited) this.#hangUp();
    });
  }

  /** What was written is read first. */
  #hangUp(): void {
    this.#lastOut = this.#soon(this.#lastOut, () => {
      for (const stream of [this.stdout, this.stderr]) if (!stream.destroyed) stream.push(null);
      // As Node does: what nobody reads must not keep the process's end from being seen.
      for (const stream of [this.stdout, this.stderr]) if (stream.listenerCount('data') === 0) stream.resume();
    });
  }

  #write(chunk: Buffer, done: (error?: Error) => void): void {
    if (this.exited) {
      done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
      return;
    }
    this.#lastIn = this.#soon(this.#lastIn, () => this.#arrive(chunk));
    if (this.#heldBytes < PIPE_BYTES) done();
    else this.#room = done;
  }

  #arrive(chunk: Buffer): void {
    if (this.exited) return;
    if (this.#stalled) {
      this.#held.push(chunk);
      this.#heldBytes += chunk.length;
    } else this.#take(chunk);
  }

  #take(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      const line = Buffer.concat([...this.#taken, chunk.subarray(from, end)]).toString();
      this.#taken = [];
      from = end + 1;
      if (!this.exited) this.onLine(line);
    }
    if (from < chunk.length) this.#taken.push(chunk.subarray(from));
  }

  /** After the latency of a pipe, and never before what was sent earlier. */
  #soon(last: number, fn: () => unknown): number {
    const { loop, random } = this.world;
    const at = Math.max(last, loop.now + random.next());
    loop.after(at - loop.now, fn);
    return at;
  }
}

/** `child_process.spawn` of this world. */
export function spawn(world: World, command: string): SimChild {
  const program = world.programs.get(command);
  const child = new SimChild(world);
  const errno = program === undefined ? 'ENOENT' : program.refuses();
  if (errno !== undefined) {
    world.trace(`spawn ${command}: ${errno}`);
    const error = Object.assign(new Error(`spawn ${command} ${errno}`), { code: errno });
    world.loop.immediate(() => child.emit('error', error));
    return child;
  }
  world.children.set(child.pid, child);
  world.trace(`spawn ${command}: ${child.pid}`);
  // Node tells at once that it was started; what was started takes its time until it reads.
  world.loop.immediate(() => child.emit('spawn'));
  child.stall(true);
  world.loop.after(program!.startMs(), () => {
    if (child.exited) return;
    program!.run(child);
    child.stall(false);
  });
  return child;
}

/** `process.kill` of this world: of groups. */
export function kill(world: World, pid: number, signal: NodeJS.Signals): void {
  const child = world.children.get(Math.abs(pid));
  if (child === undefined) throw Object.assign(new Error('kill ESRCH'), { code: 'ESRCH' });
  child.signal(signal);
}
