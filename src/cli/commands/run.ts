/** Knows `mcpstore run`: a workflow from a file, its results by the names of its steps. */

import { safeLine, safeText } from '../../_util/terminal-safe.js';
import type { CallToolResult, FlowEntry, FlowPlan, FlowResult, StoreError, WorkflowSteps } from '../../index.js';
import { argumentsJson, argumentsOf, isPair, readStdin, readText } from '../args.js';
import type { CommandModule } from '../command.js';
import { Elicitor } from '../elicit.js';
import { failureJson, failureOf } from '../failure.js';
import { resultText, seconds } from '../render.js';
import type { Run } from '../session.js';
import { describeTarget, isUrl, openTarget, type TargetFlags } from '../target.js';
import { wantedBy, warm } from '../tool.js';
import { notJson, UsageError, wholeNumber } from '../usage.js';

interface Flags extends TargetFlags {
  args?: string;
  plan?: boolean;
  concurrency?: number;
  timeoutMs?: number;
}

export const run: CommandModule = {
  describe(command) {
    command
      .argument('<words...>', '[url] flow.json [key=value | key:=json …]; - reads the flow from stdin')
      .option('--args <json>', 'the input as a JSON object, @file, or - for stdin')
      .option('--plan', 'check the flow and print what would run; runs nothing')
      .option(
        '--concurrency <n>',
        'steps at a time; default: calls.batchConcurrency (20)',
        wholeNumber('--concurrency'),
      )
      .option('--timeout-ms <n>', 'longest time of the whole run', wholeNumber('--timeout-ms'));
    describeTarget(command);
    command.addHelpText('after', HELP);
  },
  async run(run, [all]: [string[]], flags: Flags) {
    const { before, file, input } = await wordsOf(all, flags);
    const { steps, plan } = await readFlow(file);
    if (flags.plan) {
      await run.out.result({ levels: plan.levels }, () => safeText(plan.text));
      return undefined;
    }
    const elicitor = new Elicitor(run);
    run.handlers = { onElicitation: elicitor.handler };
    const planned = plan.levels.flat();
    const { scope, given } = await openTarget(run, before, flags, () => wantedBy(planned));
    if (given !== undefined) for (const step of planned) step.service ??= given;
    await warm(scope, planned, run.signal);
    let done = 0;
    const flow = scope.workflow(given === undefined ? steps : servedBy(given, steps));
    const running = flow.run(
      { input },
      {
        signal: run.signal,
        ...(flags.concurrency !== undefined && { concurrency: flags.concurrency }),
        ...(flags.timeoutMs !== undefined && { timeoutMs: flags.timeoutMs }),
        onResult: ({ step }) => {
          done++;
          if (!elicitor.busy) run.out.status(`${done}/${planned.length} steps: ${step}`);
        },
      },
    );
    await running.then(
      (result) => tell(run, plan, result),
      async (thrown: StoreError) => {
        if (thrown.flow) await tell(run, plan, thrown.flow, thrown);
        throw thrown;
      },
    );
    return undefined;
  },
};

/** `[url] flow.json`, then the input. */
async function wordsOf(
  all: readonly string[],
  flags: Flags,
): Promise<{ before: string[]; file: string; input: Record<string, unknown> }> {
  const before = isUrl(all[0]) && flags.stdio === undefined ? [all[0]] : [];
  const [file, ...pairs] = all.slice(before.length);
  if (file === undefined) throw new UsageError('which flow?', 'Such as: mcpstore run flow.json path=a.txt');
  const stray = pairs.find((word) => !isPair(word));
  if (stray !== undefined) throw new UsageError(`"${stray}": expected key=value or key:=json after the flow`);
  if (flags.args === undefined) return { before, file, input: argumentsOf(pairs, undefined) };
  if (pairs.length > 0) throw new UsageError('--args: goes without key=value');
  if (flags.args === '-' && file === '-') throw new UsageError('--args: stdin has the flow already');
  return { before, file, input: await argumentsJson(flags.args) };
}

/** Checked before a store is opened. */
async function readFlow(file: string): Promise<{ steps: WorkflowSteps; plan: FlowPlan }> {
  const text = file === '-' ? await readStdin() : await readText(file, 'run');
  const where = file === '-' ? 'stdin' : file;
  const { planWorkflow, StoreError } = await import('../../index.js');
  let steps: WorkflowSteps;
  try {
    steps = JSON.parse(text.replace(/^\uFEFF/, '')) as WorkflowSteps;
  } catch (error) {
    throw new StoreError('FLOW_INVALID', `${where}: ${notJson(error)}`);
  }
  try {
    return { steps, plan: planWorkflow(steps) };
  } catch (thrown) {
    const { message, figures } = thrown as StoreError;
    throw new StoreError('FLOW_INVALID', `${where}: ${message}`, { figures });
  }
}

/** Bare names of a server that was given on the command line. */
function servedBy(service: string, steps: WorkflowSteps): WorkflowSteps {
  return Object.fromEntries(Object.entries(steps).map(([name, step]) => [name, { service, ...step }]));
}

async function tell(run: Run, plan: FlowPlan, result: FlowResult, error?: StoreError): Promise<void> {
  const { out } = run;
  out.clearStatus();
  await out.result({ ...(error && failureJson(failureOf(error), 'run')), ...result }, () => textOf(run, plan, result));
  const counts = new Map<string, number>();
  const all = Object.values(result.steps);
  for (const { status } of all) counts.set(status, (counts.get(status) ?? 0) + 1);
  const shown = [...counts].map(([status, n]) => `${n} ${status.replace('_', ' ')}`).join(', ');
  out.note(`${all.length} steps in ${seconds(result.durationMs)}: ${shown}`);
}

/** Each step that is over, under a line that names it. */
function textOf({ out }: Run, plan: FlowPlan, { results, steps }: FlowResult): string {
  const tools = new Map(plan.levels.flat().map(({ step, tool }) => [step, tool]));
  const parts = Object.entries(steps)
    .filter(([, { status }]) => status !== 'not_run')
    .map(([name, entry]) => {
      const head = out.colors.bold(safeLine(`${name} (${tools.get(name)}): ${stateOf(entry)}`));
      return Object.hasOwn(results, name) ? `${head}\n${shown(results[name])}` : head;
    });
  return parts.join('\n\n');
}

function stateOf({ status, error, durationMs }: FlowEntry): string {
  if (status === 'ok') return seconds(durationMs);
  return status === 'skipped' || error === undefined ? status : `${status}, ${error.code}: ${error.message}`;
}

function shown(result: unknown): string {
  if (typeof result === 'object' && result !== null && 'content' in result && Array.isArray(result.content))
    return resultText(result as unknown as CallToolResult);
  return safeText(typeof result === 'string' ? result : JSON.stringify(result, undefined, 2));
}

const HELP = `
Examples:
  mcpstore run flow.json path=a.txt
  mcpstore run flow.json --plan
  mcpstore run --stdio "npx -y @modelcontextprotocol/server-everything" flow.json --json

The file has steps by their names, each such as
  "read": { "tool": "files__read_file", "arguments": { "path": { "$from": "input.path" } }, "needs": ["other"] }
{ "$from": "results.read.text" } is the text of an earlier step; docs/flows.md has the rest.
A step that fails ends the run: what was done is printed all the same. Exits with the code of its error.`;
