/** Knows what signals and a closed pipe mean to a command: the first ends it in order, the second at once. */

import { safeLine } from '../_util/terminal-safe.js';
import { killChildren } from './children.js';

/** 128 + the signal's number, as shells have it. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
type Caught = keyof typeof EXIT_CODES;

/** On SIGTERM calls in flight may finish for so long; then they are cancelled. */
const DRAIN_MS = 8_000;
/** What does not end by itself after a cancellation is left behind after so long. */
const PATIENCE_MS = 1_000;

export class Interrupts {
  readonly #abort = new AbortController();
  /** Rejects when the command must no longer be waited for. */
  readonly overdue: Promise<never>;
  #giveUp!: (reason: Error) => void;
  #exitCode: number | undefined;
  /** Called at SIGTERM: stop taking on work. */
  onDrain: (() => void) | undefined;

  constructor() {
    this.overdue = new Promise((_, reject) => {
      this.#giveUp = reject;
    });
    this.overdue.catch(() => {});
    for (const name of Object.keys(EXIT_CODES) as Caught[])
      if (process.platform !== 'win32' || name === 'SIGINT') process.on(name, () => this.signalled(name));
    for (const stream of [process.stdout, process.stderr])
      stream.on('error', (error: NodeJS.ErrnoException) => {
        // A reader such as `head` has seen enough: that is no error, and nobody wants the rest.
        if (stream === process.stdout) this.#end(error.code === 'EPIPE' ? 0 : 1, new Error('stdout was closed'));
      });
    process.on('uncaughtException', (error) => {
      process.stderr.write(`error PROTOCOL_ERROR: internal: ${safeLine(error.stack ?? String(error))}\n`);
      killChildren();
      process.exit(1);
    });
  }

  /** Cancels what runs, also on the wire. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** The exit code that an interruption asks for; undefined while there was none. */
  get exitCode(): number | undefined {
    return this.#exitCode;
  }

  signalled(name: Caught): void {
    if (this.#exitCode !== undefined) {
      killChildren();
      process.exit(EXIT_CODES[name]);
    }
    if (name !== 'SIGTERM' || this.onDrain === undefined) {
      this.#end(EXIT_CODES[name], new Error(`interrupted by ${name}`));
      return;
    }
    this.#exitCode = EXIT_CODES[name];
    this.onDrain();
    setTimeout(() => this.#end(EXIT_CODES[name], new Error(`interrupted by ${name}`)), DRAIN_MS);
  }

  #end(exitCode: number, reason: Error): void {
    this.#exitCode ??= exitCode;
    if (this.#abort.signal.aborted) return;
    this.#abort.abort(reason);
    setTimeout(() => this.#giveUp(reason), PATIENCE_MS);
  }
}
