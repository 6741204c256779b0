/** Knows MCP over a child process's pipes: one message a line, writes joined per microtask, answers past the SDK. */

import type { JSONRPCMessage } from '@modelcontextprotocol/client';
import type { Clock, Timer } from '../_util/clock.js';
import type { StoreError } from '../errors.js';
import type { Channel, ChannelLimits, RequestOptions, RpcResult } from './channel.js';
import { Framer, ownerIn } from './framing.js';
import { deliver, encode } from './messages.js';
import { Pending, type PendingRequest } from './pending.js';
import { ServerProcess } from './process.js';
import { processSecrets, type Redact, RedactedLines, redactedError, redacting } from './redact.js';
import { notOpenError, tooLargeError, writeTimedOut } from './stdio-errors.js';
import { UnaskedBudget } from './unasked.js';

/**
 * About forty small answers. Taken whole, a chunk lets one side wait for the other: 0.65 of the floor at 100 in flight,
 * where pieces of 2 to 5 KB reach 0.9; of these the fewest system calls and wake-ups do best on a busy machine.
 */
const PIECE_BYTES = 4 * 1024;
const NEWLINE = 0x0a;
/** From SIGTERM to SIGKILL for what a server that crashed left behind: its successor starts soon. */
const AFTER_CRASH_MS = 500;
/** From the end of a pipe or process to the end of the channel: time to read what is left, and to learn the exit. */
const EXIT_MS = 50;
/** What is shown of a line of noise, and of stderr in an error. */
const NOISE_CHARS = 512;
const STDERR_CHARS = 2_048;

export interface StdioOptions {
  command: string;
  args: readonly string[];
  env: Readonly<Record<string, string>>;
  cwd: string | undefined;
  /** Where children are noted, so that a later process can end what this one could not. */
  stateDir?: string | undefined;
  stopTimeoutMs: number;
  writeTimeoutMs: number;
  /** Longest message that is kept. Bytes. */
  maxMessageBytes: number;
  clock: Clock;
  /** A line on stdout that is no message. */
  onNoise?: ((line: string) => void) | undefined;
  onStderr?: ((text: string) => void) | undefined;
}

export class StdioChannel implements Channel {
  onclose?: (() => void) | undefined;
  onerror?: ((error: Error) => void) | undefined;
  onmessage?: Channel['onmessage'];
  onretire?: Channel['onretire'];

  #options: StdioOptions;
  readonly #pending: Pending;
  readonly #framer: Framer;
  readonly #unasked: UnaskedBudget;
  readonly #redact: Redact;
  readonly #stderr: RedactedLines;
  #process: ServerProcess | undefined;
  #starting: Promise<void> | undefined;
  /** Lines that wait to be written, and beside each the request of ours that it belongs to. */
  #lines: string[] = [];
  #owners: (PendingRequest | undefined)[] = [];
  /** Requests of the write that the pipe has not taken yet. */
  #handing: PendingRequest[] = [];
  /** Chunks that are not taken in completely. */
  readonly #unread: Buffer[] = [];
  /** What was asked after this mark cannot be answered by the line that has begun. */
  #begun = 0;
  #flushing = false;
  #blocked: Timer | undefined;
  #losing: Timer | undefined;
  #closed = false;
  #envelope: Readonly<Record<string, unknown>> | undefined;
  #reason: Error | undefined;

  constructor(options: StdioOptions) {
    this.#redact = redacting(processSecrets(options.env, options.args));
    this.#stderr = new RedactedLines(this.#redact, (text) => options.onStderr?.(text));
    this.#options = { ...options, onStderr: options.onStderr && ((text) => this.#stderr.push(text)) };
    this.#pending = new Pending(
      options.clock,
      (request, reason) => this.#cancel(request, reason),
      (error) => redactedError(error, this.#redact),
    );
    this.#unasked = new UnaskedBudget(options.clock, this);
    this.#framer = new Framer(
      {
        message: (value) => deliver(value, this.#pending, this, this.#unasked),
        noise: (line) => options.onNoise?.(this.#redact(line).slice(0, NOISE_CHARS)),
        begun: () => {
          this.#begun = this.#pending.mark;
        },
        tooLarge: (edges) => this.#tooLarge(edges),
      },
      options.maxMessageBytes,
    );
  }

  configure({ writeTimeoutMs }: ChannelLimits): void {
    this.#options = { ...this.#options, writeTimeoutMs };
  }

  get closeReason(): Error | undefined {
    return this.#reason;
  }

  get lastWords(): string {
    // Cut after that: a secret at the cut would no longer be known as one.
    return this.#redact(this.#process?.stderrTail(4 * STDERR_CHARS) ?? '')
      .slice(-STDERR_CHARS)
      .trim();
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** With `pid`, how the SDK recognises stdio when it negotiates the era; stderr itself is drained elsewhere. */
  get stderr(): null {
    return null;
  }

  setEnvelope(meta: Readonly<Record<string, unknown>> | undefined): void {
    this.#envelope = meta;
  }

  start(): Promise<void> {
    this.#starting = this.#start();
    return this.#starting;
  }

  async #start(): Promise<void> {
    const server = await ServerProcess.start(this.#options);
    this.#process = server;
    const { stdin, stdout } = server.child;
    stdout!.on('data', (chunk: Buffer) => this.#read(chunk));
    stdout!.on('error', () => {});
    stdin!.on('error', () => {});
    stdin!.on('drain', () => this.#drained());
    // What the child wrote before it ended is still in the pipe: read it first, but do not wait for a grandchild that
    // keeps the pipe open. A pipe that is closed (EPIPE) is the child's end seen from here; its exit says more, and
    // mostly follows at once.
    const soon = (): void => {
      if (!this.#closed) this.#losing ??= this.#options.clock.after(EXIT_MS, () => this.#lost());
    };
    for (const end of [stdin!, stdout!]) end.once('close', soon);
    server.child.once('exit', soon);
    void server.ended.then(() => {
      this.#stderr.end();
      this.#lost();
    });
    if (this.#closed) await server.stop(this.#options.stopTimeoutMs);
  }

  /** For the SDK's client. */
  send(message: JSONRPCMessage): Promise<void> {
    if (this.#closed || this.#process === undefined) return Promise.reject(this.#notOpen());
    this.#write(`${JSON.stringify(message)}\n`);
    return Promise.resolve();
  }

  request(method: string, params: Record<string, unknown> | undefined, options: RequestOptions): Promise<RpcResult> {
    return this.#pending.open(method, options, (request) => {
      if (this.#closed || this.#process === undefined) throw this.#notOpen();
      this.#write(encode(request, params, this.#envelope), request);
    });
  }

  /** Ends the process and everything that it started. Idempotent; settles when nothing of it is left. */
  async close(): Promise<void> {
    if (!this.#closed) {
      this.#pending.cancelAll('the connection is closed');
      this.#flush();
      this.#end(new Error('closed'));
    }
    // One that is being started ends as soon as it runs.
    await this.#starting?.catch(() => {});
    await this.#process?.stop(this.#options.stopTimeoutMs);
  }

  /**
   * Takes a chunk in pieces of whole lines, and lets whoever waited for the answers in one piece go on before the next
   * is parsed: their new requests are with the server while the rest is still being read, so both sides work at once.
   */
  #read(chunk: Buffer): void {
    if (this.#unread.push(chunk) === 1) this.#readPiece(0);
  }

  #readPiece(from: number): void {
    const chunk = this.#unread[0]!;
    const cut = from + PIECE_BYTES < chunk.length ? chunk.indexOf(NEWLINE, from + PIECE_BYTES) + 1 : 0;
    const end = cut === 0 ? chunk.length : cut;
    this.#framer.push(from === 0 && end === chunk.length ? chunk : chunk.subarray(from, end));
    if (end === chunk.length) this.#unread.shift();
    if (this.#unread.length === 0) return;
    // A tick that a microtask asks for runs when no microtask is left, and before the next chunk is read.
    queueMicrotask(() => process.nextTick(() => this.#readPiece(end === chunk.length ? 0 : end)));
  }

  #write(line: string, owner?: PendingRequest): void {
    this.#lines.push(line);
    this.#owners.push(owner);
    if (this.#flushing || this.#blocked !== undefined) return;
    this.#flushing = true;
    queueMicrotask(() => this.#flush());
  }

  /** Everything that was asked in this microtask goes out in one system call; what was given up meanwhile does not. */
  #flush(): void {
    this.#flushing = false;
    if (this.#closed || this.#lines.length === 0 || this.#blocked !== undefined) return;
    const lines = this.#lines;
    const owners = this.#owners;
    this.#lines = [];
    this.#owners = [];
    const now = this.#options.clock.now();
    let text = '';
    for (let i = 0; i < lines.length; i++) {
      const owner = owners[i];
      if (owner !== undefined) {
        if (!this.#pending.has(owner.id)) continue;
        owner.sent = true;
        owner.lastSeen = now;
      }
      text += lines[i];
    }
    if (text === '') return;
    // ASCII is the usual case, and written as Latin-1 it need not be encoded.
    const encoding = Buffer.byteLength(text) === text.length ? 'latin1' : 'utf8';
    if (this.#process!.child.stdin!.write(text, encoding)) return;
    this.#handing = owners.filter((owner) => owner !== undefined);
    this.#watchWrite();
  }

  /** While the pipe is full, nothing waits longer than `writeTimeoutMs` to be handed over. */
  #watchWrite(): void {
    const { clock, writeTimeoutMs } = this.#options;
    this.#blocked = clock.after(writeTimeoutMs, () => {
      const old = clock.now() - writeTimeoutMs;
      const overdue = [...this.#handing, ...this.#owners].filter((request) => request && request.lastSeen <= old);
      for (const request of overdue) this.#pending.fail(request!, writeTimedOut(writeTimeoutMs, request!.sent));
      this.#watchWrite();
    });
  }

  #drained(): void {
    this.#blocked?.cancel();
    this.#blocked = undefined;
    this.#handing = [];
    this.#flush();
  }

  #cancel(request: PendingRequest, reason: string): void {
    if (this.#framer.heldBytes > 0 && !this.#pending.anyBefore(this.#begun)) this.#framer.dropAnswer();
    // MCP forbids cancelling initialize; the SDK sends that one, so none of ours can be it.
    const params = { requestId: request.id, reason };
    void this.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params }).catch(() => {});
  }

  #tooLarge(edges: string): void {
    const requests = this.#pending.all();
    const id = ownerIn(
      edges,
      requests.map((request) => request.id),
    );
    const error = tooLargeError(this.#options.maxMessageBytes);
    if (id === undefined) this.onerror?.(error);
    else this.#pending.fail(requests.find((request) => request.id === id)!, error);
  }

  #lost(): void {
    const server = this.#process!;
    const tail = this.lastWords;
    const what = server.exited ? server.exitText() : 'closed its stdin or stdout and goes on running';
    this.#end(new Error(`the server ${what}${tail ? `; stderr: ${tail}` : ''}`));
    // It may have left others in its group, which may yet want to put something in order.
    const { stopTimeoutMs } = this.#options;
    void server.stop(server.exited ? Math.min(AFTER_CRASH_MS, stopTimeoutMs) : stopTimeoutMs);
  }

  #end(reason: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reason = reason;
    this.#blocked?.cancel();
    this.#losing?.cancel();
    this.#lines = [];
    this.#owners = [];
    this.#handing = [];
    this.#unasked.close();
    this.#pending.failAll(reason);
    this.onclose?.();
  }

  #notOpen(): StoreError {
    return notOpenError(this.#reason);
  }
}
