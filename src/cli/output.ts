/** Knows where output goes: results to stdout, everything else to stderr, and what a closed pipe means. */

import { safeJson, safeLine } from '../_util/terminal-safe.js';
import type { Colors } from './colors.js';

export class Output {
  readonly #json: boolean;
  readonly #quiet: boolean;
  readonly colors: Colors;
  /** On stderr; stdout may go elsewhere. */
  readonly errorColors: Colors;
  #wrote = false;
  /** A line that is being rewritten, such as a progress bar. */
  #status = '';

  constructor(options: { json: boolean; quiet: boolean; colors: Colors; errorColors: Colors }) {
    this.#json = options.json;
    this.#quiet = options.quiet;
    this.colors = options.colors;
    this.errorColors = options.errorColors;
  }

  /** Has anything gone to stdout? */
  get wrote(): boolean {
    return this.#wrote;
  }

  get isTerminal(): boolean {
    return process.stdout.isTTY === true;
  }

  /** Width of the terminal; `undefined` where nothing needs to be cut. */
  get columns(): number | undefined {
    return this.isTerminal ? process.stdout.columns || 80 : undefined;
  }

  /** Writes to stdout; settles when there is room for more. The caller has made the text safe. */
  async write(text: string): Promise<void> {
    if (text === '') return;
    this.#clearStatus();
    this.#wrote = true;
    if (process.stdout.write(text)) return;
    await new Promise<void>((done) => {
      const settled = (): void => {
        process.stdout.off('drain', settled).off('error', settled).off('close', settled);
        done();
      };
      process.stdout.on('drain', settled).on('error', settled).on('close', settled);
    });
  }

  line(text: string): Promise<void> {
    return this.write(`${text}\n`);
  }

  /** One JSON value; `compact` on one line. */
  json(value: unknown, compact = false): Promise<void> {
    return this.line(safeJson(JSON.stringify(value, undefined, compact ? undefined : 2)));
  }

  /** JSON with `--json`, else what people read. */
  async result(value: unknown, forPeople: () => string): Promise<void> {
    if (this.#json) await this.json(value);
    else {
      const text = forPeople();
      await this.write(text === '' || text.endsWith('\n') ? text : `${text}\n`);
    }
  }

  /** What is good to know; not with `--quiet`. */
  note(text: string): void {
    if (!this.#quiet) this.error(this.errorColors.dim(safeLine(text)));
  }

  /** A line on stderr that is always shown. The caller has made the text safe. */
  error(text: string): void {
    this.#clearStatus();
    process.stderr.write(`${text}\n`);
  }

  /** A line on stderr that the next one replaces; on terminals alone. */
  status(text: string): void {
    if (this.#quiet || process.stderr.isTTY !== true) return;
    const cut = safeLine(text).slice(0, (process.stderr.columns || 80) - 1);
    process.stderr.write(`\r${cut}${' '.repeat(Math.max(0, this.#status.length - cut.length))}`);
    this.#status = cut;
  }

  clearStatus(): void {
    this.#clearStatus();
  }

  #clearStatus(): void {
    if (this.#status === '') return;
    process.stderr.write(`\r${' '.repeat(this.#status.length)}\r`);
    this.#status = '';
  }
}
