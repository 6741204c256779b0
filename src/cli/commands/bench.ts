/** Knows `mcpstore bench`: one tool called again and again, its figures shown, kept and compared. */

import { writeFileAtomic } from '../../_util/atomic-file.js';
import { exact } from '../../_util/exact.js';
import { safeLine } from '../../_util/terminal-safe.js';
import type { BenchmarkResult, PerformanceBenchmark } from '../../index.js';
import { type BenchFlags, describeBench, runsOf } from '../bench-flags.js';
import { type BenchReport, type Comparison, compared, loadText, machine, readBaseline } from '../bench-report.js';
import type { CommandModule } from '../command.js';
import type { Output } from '../output.js';
import { table } from '../render.js';
import type { Run } from '../session.js';
import { type OpenedTool, openTool } from '../tool-call.js';

const MAX_SLOWER_PERCENT = 10;
/** Milliseconds between two looks at how far it is. */
const SHOW_EVERY_MS = 100;

export const bench: CommandModule = {
  describe(command) {
    describeBench(command);
    command.addHelpText('after', HELP);
  },
  async run(run, [words]: [string[]], flags: BenchFlags) {
    const runs = runsOf(flags);
    const { PerformanceBenchmark } = await import('../../index.js');
    const opened = await openTool(run, 'bench', words, flags);
    const { tool, target } = opened;
    const { concurrency } = target.store.effectiveOptions.benchmark;
    const loads = runs.map(({ ratePerSecond, concurrency: own = concurrency }) =>
      ratePerSecond === undefined ? { concurrency: own, ratePerSecond } : { concurrency: undefined, ratePerSecond },
    );
    const { baseline: file } = flags;
    const baseline = file === undefined ? undefined : await readBaseline(file, tool.tool, loads);
    const benchmark = new PerformanceBenchmark(target.store);
    const calls = new Calls(run, opened, flags.timeoutMs);
    const signal = AbortSignal.any([run.signal, calls.over]);
    for (const options of runs) await benchmark.run(tool.name, calls.next, { ...options, signal });
    run.out.clearStatus();
    const results = [...benchmark.results];
    const comparison = baseline && compared(results, baseline, flags.maxSlower ?? MAX_SLOWER_PERCENT);
    const report: BenchReport = {
      tool: tool.tool,
      at: new Date().toISOString(),
      machine: machine(),
      cache: flags.cache === true,
      results,
      ...(comparison && { comparison }),
    };
    await run.out.result(report, () => textOf(run.out, benchmark, comparison));
    if (flags.html !== undefined) {
      const { htmlReport } = await import('../bench-html.js');
      await write(flags.html, htmlReport(report));
    }
    if (flags.save !== undefined && !comparison?.slower)
      await write(flags.save, `${JSON.stringify({ ...report, comparison: undefined }, null, 2)}\n`);
    return verdict(run, tool.name, report, calls.firstError);
  },
};

/** The calls of all runs, shown as they are made. */
class Calls {
  firstError: unknown;
  readonly next: () => Promise<unknown>;
  readonly #over = new AbortController();
  #begun = 0;
  #shownAt = 0;

  constructor(run: Run, { target, tool, args }: OpenedTool, timeoutMs: number | undefined) {
    const options = { signal: run.signal, ...(timeoutMs !== undefined && { timeoutMs }) };
    this.next = async () => {
      this.#begun++;
      this.#show(run.out, tool.name);
      try {
        return await target.scope.callTool(tool.name, args, options);
      } catch (error) {
        this.firstError ??= error;
        // A command that was told to end (SIGTERM) closes its store: what comes after that is no measurement.
        if ((error as { code?: unknown }).code === 'STORE_CLOSED') this.#over.abort(error);
        throw error;
      }
    };
  }

  /** Aborts when the store takes no more calls. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  #show(out: Output, name: string): void {
    const now = performance.now();
    if (now - this.#shownAt < SHOW_EVERY_MS) return;
    this.#shownAt = now;
    out.status(`${name}: ${this.#begun} calls`);
  }
}

/** What people read: each run in full, or a line for each run of a sweep; then what has changed. */
function textOf(out: Output, benchmark: PerformanceBenchmark, comparison: Comparison | undefined): string {
  const { results } = benchmark;
  let text = '';
  if (results.length > 1) text = `${safeLine(results[0]!.name)}\n${sweepTable(out, results)}\n`;
  else
    benchmark.print((part) => {
      text += part;
    });
  return comparison === undefined ? text : `${text}\n${changes(out, comparison)}\n`;
}

function sweepTable(out: Output, results: readonly BenchmarkResult[]): string {
  const head = ['LOAD', 'CALLS/S', 'P50 MS', 'P95 MS', 'P99 MS', 'ERRORS', 'TOOL ERRORS'];
  const rows = results.map((result) => [
    loadText(result),
    ...[result.callsPerSecond, result.p50Ms, result.p95Ms, result.p99Ms].map(exact),
    ...[result.errors, result.toolErrors].map(String),
  ]);
  return table(out, head, rows);
}

function changes(out: Output, { baselineAt, maxSlowerPercent, runs }: Comparison): string {
  const head = ['LOAD', 'P50 THEN', 'P50 NOW', 'P50', 'P99', 'CALLS/S', 'VERDICT'];
  const rows = runs.map((run) => [
    loadText(run),
    ...[run.baselineP50Ms, run.p50Ms].map((ms) => `${exact(ms)} ms`),
    ...[run.p50ChangePercent, run.p99ChangePercent, run.callsPerSecondChangePercent].map(percent),
    run.slower ? 'slower' : 'ok',
  ]);
  return `against the baseline of ${safeLine(baselineAt)}, p50 at most ${exact(maxSlowerPercent)} % slower\n${table(out, head, rows)}`;
}

const percent = (value: number): string => `${value > 0 ? '+' : ''}${exact(value)} %`;

async function write(file: string, text: string): Promise<void> {
  try {
    await writeFileAtomic(file, text, { mode: 0o644 });
  } catch (error) {
    const { StoreError } = await import('../../index.js');
    throw new StoreError('FILE_FAILED', `cannot write ${file}: ${(error as Error).message}`, { cause: error });
  }
}

/** Calls that failed come first: figures of those that did not may look well. */
async function verdict(
  run: Run,
  name: string,
  { results, comparison }: BenchReport,
  firstError: unknown,
): Promise<number | undefined> {
  if (firstError !== undefined) throw firstError;
  const sum = (key: 'toolErrors' | 'iterations'): number => results.reduce((all, result) => all + result[key], 0);
  if (sum('toolErrors') > 0) {
    const { red, dim } = run.out.errorColors;
    const share = `${sum('toolErrors')} of ${sum('iterations')} results report an error`;
    run.out.error(`${red('error TOOL_ERROR')}: ${safeLine(name)}: ${share}`);
    run.out.error(`${dim('hint:')} mcpstore call with the same words shows one.`);
    return 6;
  }
  const slow = comparison?.runs.find(({ slower }) => slower);
  if (slow === undefined) return undefined;
  const { StoreError } = await import('../../index.js');
  const { maxSlowerPercent } = comparison!;
  throw new StoreError(
    'LIMIT_EXCEEDED',
    `${name}: with ${loadText(slow)}, p50 is ${exact(slow.p50ChangePercent)} % slower than the baseline; the bound is ${exact(maxSlowerPercent)} %`,
    {
      executed: 'yes',
      figures: { p50Ms: slow.p50Ms, baselineP50Ms: slow.baselineP50Ms, maxSlowerPercent },
      hint: 'Measure again on a quiet machine; without --baseline, --save writes a new one.',
    },
  );
}

const HELP = `
Examples:
  mcpstore bench files read_file path=a.txt -n 1000 -c 8
  mcpstore bench files__read_file path=a.txt --duration 10s --rate 200
  mcpstore bench files__read_file path=a.txt --sweep 1,2,4,8 --html report.html
  mcpstore bench files__read_file path=a.txt --save before.json
  mcpstore bench files__read_file path=a.txt --baseline before.json --max-slower 20

Latencies are of calls that succeeded; a result with isError is a tool error, and a call that throws an error.
Exits with the code of the first error, with 6 for tool errors alone, with 8 where p50 is slower than the baseline allows.`;
