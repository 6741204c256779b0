/** Knows `mcpstore batch`: many calls from JSON lines, their entries as JSON lines or a summary. */

import { safeLine } from '../../_util/terminal-safe.js';
import type { BatchCall, BatchEntry } from '../../index.js';
import { readStdin, readText } from '../args.js';
import type { CommandModule } from '../command.js';
import { failureJson, failureOf, withoutTail } from '../failure.js';
import { resultText, seconds, table } from '../render.js';
import type { Run } from '../session.js';
import { describeTarget, openTarget, type TargetFlags } from '../target.js';
import { wantedBy, warm } from '../tool.js';
import { notJson, UsageError, wholeNumber } from '../usage.js';

interface Flags extends TargetFlags {
  concurrency?: number;
  stopOnError?: boolean;
  timeoutMs?: number;
  callTimeoutMs?: number;
}

type Indexed = BatchEntry & { index: number };
/** Failed entries that the summary names. */
const SHOWN = 10;

export const batch: CommandModule = {
  describe(command) {
    command
      .argument('<words...>', '[url] calls.jsonl; - reads stdin')
      .option(
        '--concurrency <n>',
        'calls at a time; default: calls.batchConcurrency (20)',
        wholeNumber('--concurrency'),
      )
      .option('--stop-on-error', 'after the first entry that is not ok, begin no more')
      .option('--timeout-ms <n>', 'longest time of the whole batch', wholeNumber('--timeout-ms'))
      .option('--call-timeout-ms <n>', 'longest time of each call', wholeNumber('--call-timeout-ms'));
    describeTarget(command);
    command.addHelpText('after', HELP);
  },
  async run(run, [all]: [string[]], flags: Flags) {
    const file = all.at(-1)!;
    const calls = parseCalls(file === '-' ? await readStdin() : await readText(file, 'batch'), file);
    const target = await openTarget(run, all.slice(0, -1), flags, () => wantedBy(calls));
    if (target.words.length > 0) throw new UsageError(`unexpected "${target.words[0]}"`);
    if (target.given !== undefined) for (const call of calls) call.service ??= target.given;
    await warm(target.scope, calls, run.signal);
    const progress = new BatchProgress(run, calls);
    const stream = target.scope.batchStream(calls, {
      signal: run.signal,
      ...(flags.concurrency !== undefined && { concurrency: flags.concurrency }),
      ...(flags.stopOnError && { stopOnError: true }),
      ...(flags.timeoutMs !== undefined && { timeoutMs: flags.timeoutMs }),
      ...(flags.callTimeoutMs !== undefined && { callTimeoutMs: flags.callTimeoutMs }),
    });
    for await (const entry of stream) await progress.add(entry);
    return progress.finish();
  },
};

/** Every line is checked before anything runs. */
export function parseCalls(text: string, file: string): BatchCall[] {
  const calls: BatchCall[] = [];
  for (const [i, raw] of text.split('\n').entries()) {
    const line = i === 0 && raw.startsWith('\uFEFF') ? raw.slice(1) : raw;
    if (line.trim() === '') continue;
    const refuse = (why: string): UsageError =>
      new UsageError(
        `${file === '-' ? 'stdin' : file}:${i + 1}: ${why}`,
        'Each line is { "tool", "arguments", "service"?, "cacheKey"? }. Nothing was run.',
      );
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      throw refuse(notJson(error));
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refuse('expected an object');
    const { tool, arguments: args, service, cacheKey, ...rest } = value as Record<string, unknown>;
    const stray = Object.keys(rest)[0];
    if (stray !== undefined) throw refuse(`unknown key "${stray}"`);
    if (typeof tool !== 'string' || tool === '') throw refuse('"tool" must be a name');
    if (args !== undefined && (typeof args !== 'object' || args === null || Array.isArray(args)))
      throw refuse('"arguments" must be an object');
    for (const [key, item] of Object.entries({ service, cacheKey }))
      if (item !== undefined && typeof item !== 'string') throw refuse(`"${key}" must be a string`);
    calls.push(value as BatchCall);
  }
  return calls;
}

/** Entries as they finish: lines where stdout is read by a program, a bar and a summary for people. */
class BatchProgress {
  readonly #run: Run;
  readonly #calls: readonly BatchCall[];
  readonly #lines: boolean;
  readonly #since = performance.now();
  readonly #counts = { ok: 0, tool_error: 0, failed: 0, unknown: 0, not_sent: 0 };
  readonly #bad: Indexed[] = [];
  #fromCache = 0;
  #drawnAt = 0;

  constructor(run: Run, calls: readonly BatchCall[]) {
    this.#run = run;
    this.#calls = calls;
    this.#lines = run.options.json || !run.out.isTerminal;
  }

  async add(entry: Indexed): Promise<void> {
    const { out } = this.#run;
    this.#counts[entry.status]++;
    if (entry.fromCache) this.#fromCache++;
    if (entry.status !== 'ok') this.#bad.push(entry);
    if (this.#lines) await out.json(this.#lineOf(entry), true);
    this.#draw();
  }

  async finish(): Promise<number | undefined> {
    const { out } = this.#run;
    out.clearStatus();
    // In input order, whatever finished first.
    this.#bad.sort((a, b) => a.index - b.index);
    if (!this.#lines) await out.line(this.#summary());
    else if (this.#run.interrupts.exitCode !== 0) out.note(this.#totals());
    const first = this.#bad[0];
    if (first === undefined) return undefined;
    return first.error === undefined ? 6 : first.error.exitCode;
  }

  #lineOf({ index, status, result, error, durationMs, fromCache, attempts }: Indexed): Record<string, unknown> {
    const { tool } = this.#calls[index]!;
    const more = { ...(result && { result }), ...(error && failureJson(failureOf(error))) };
    return { index, tool, status, ...more, durationMs: Math.round(durationMs * 1000) / 1000, fromCache, attempts };
  }

  #draw(): void {
    const now = performance.now();
    const done = Object.values(this.#counts).reduce((sum, n) => sum + n, 0);
    const total = this.#calls.length;
    if (now - this.#drawnAt < 80 && done < total) return;
    this.#drawnAt = now;
    const filled = Math.round((24 * done) / Math.max(1, total));
    const bad = this.#bad.length > 0 ? `, ${this.#bad.length} not ok` : '';
    this.#run.out.status(`[${'#'.repeat(filled)}${'.'.repeat(24 - filled)}] ${done}/${total}${bad}`);
  }

  #totals(): string {
    const counts = Object.entries(this.#counts).filter(([status, n]) => n > 0 || status === 'ok');
    const ms = performance.now() - this.#since;
    const cached = this.#fromCache > 0 ? `; ${this.#fromCache} from the cache` : '';
    return `${this.#calls.length} calls in ${seconds(ms)}: ${counts.map(([status, n]) => `${n} ${status}`).join(', ')}${cached}`;
  }

  #summary(): string {
    if (this.#bad.length === 0) return this.#totals();
    const rows = this.#bad.slice(0, SHOWN).map((entry) => {
      const { error, result } = entry;
      const why = error
        ? `${error.code}: ${withoutTail(failureOf(error).message)[0]}`
        : result
          ? resultText(result)
          : '';
      return [String(entry.index), safeLine(this.#calls[entry.index]!.tool), entry.status, why];
    });
    const more = this.#bad.length > SHOWN ? `\n… and ${this.#bad.length - SHOWN} more; --json has them all` : '';
    return `${this.#totals()}\n\n${table(this.#run.out, ['INDEX', 'TOOL', 'STATUS', 'WHY'], rows)}${more}`;
  }
}

const HELP = `
One call a line: {"tool":"files__read_file","arguments":{"path":"a.txt"}}; also "service" and "cacheKey".
Where stdout is no terminal, or with --json, each entry is a line as it finishes: index, status, result or error.
Exits with the code of the first entry, in input order, that is not ok.`;
