/** Knows how a person is asked on a terminal: a line, hidden where it is a secret, or yes and no. */

import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import type { Interrupts } from './interrupts.js';

/** Is somebody there to answer? Questions go to stderr, since stdout may be read by a program. */
export function canAsk(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

/** The line that was typed; rejects when the person interrupts, and when `signal` aborts: nobody waits any more. */
export function ask(
  interrupts: Interrupts,
  question: string,
  options: { hidden?: boolean; signal?: AbortSignal } = {},
): Promise<string> {
  const { signal } = options;
  let muted = false;
  const output = new Writable({
    write(chunk, _encoding, done) {
      if (!muted) process.stderr.write(chunk);
      done();
    },
  });
  const lines = createInterface({ input: process.stdin, output, terminal: true });
  let offAbort = (): void => {};
  return new Promise<string>((resolve, reject) => {
    if (signal) {
      const over = (): void => {
        process.stderr.write('\n');
        reject(signal.reason);
      };
      signal.addEventListener('abort', over, { once: true });
      offAbort = () => signal.removeEventListener('abort', over);
    }
    lines.on('SIGINT', () => {
      process.stderr.write('\n');
      interrupts.signalled('SIGINT');
      reject(interrupts.signal.reason);
    });
    lines.on('close', () => resolve(''));
    lines.question(question, (answer) => {
      if (muted) process.stderr.write('\n');
      resolve(answer);
    });
    muted = options.hidden ?? false;
  }).finally(() => {
    offAbort();
    lines.removeAllListeners('close');
    lines.close();
  });
}

/** No, unless the answer begins with y. */
export async function confirm(interrupts: Interrupts, question: string): Promise<boolean> {
  return /^\s*y(es)?\s*$/i.test(await ask(interrupts, `${question} [y/N] `));
}
