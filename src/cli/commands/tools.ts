/** Knows `mcpstore tools`: the tools of all services, of one, or one tool with its arguments. */

import { safeLine, safeText } from '../../_util/terminal-safe.js';
import type { ToolInfo } from '../../index.js';
import type { CommandModule } from '../command.js';
import { failureOf, named, tellFailure } from '../failure.js';
import { summary, table } from '../render.js';
import type { Run } from '../session.js';
import { describeTarget, openTarget, type Target, type TargetFlags } from '../target.js';
import { findTool, LIST_TIMEOUT_MS, listOf } from '../tool.js';
import { UsageError, wholeNumber } from '../usage.js';

interface Flags extends TargetFlags {
  refresh?: boolean;
  timeoutMs?: number;
}

export const tools: CommandModule = {
  describe(command) {
    command
      .argument('[words...]', 'a service or a URL; then a tool to describe')
      .option('--refresh', 'ask every service anew; otherwise a list that was seen before is shown at once')
      .option(
        '--timeout-ms <n>',
        `longest wait for services that have to be asked; default ${LIST_TIMEOUT_MS}`,
        wholeNumber('--timeout-ms'),
      );
    describeTarget(command);
  },
  async run(run, [words]: [string[]], flags: Flags) {
    const target = await openTarget(run, words, flags, (own) => (own.length > 0 ? [own[0]!] : 'all'));
    const [service, tool] = namesIn(target);
    const options = {
      timeoutMs: flags.timeoutMs ?? LIST_TIMEOUT_MS,
      signal: run.signal,
      ...(flags.refresh && { refresh: 'always' as const }),
    };
    if (tool !== undefined) return describeTool(run, target, await findTool(target.scope, tool, service, options));
    const list = await listOf(target.scope, service, options);
    const problems = service === undefined ? target.scope.problems() : [];
    await run.out.result(list, () =>
      table(
        run.out,
        ['TOOL', 'DESCRIPTION'],
        list.map((entry) => [target.given ? entry.tool : entry.name, summary(entry.description ?? entry.title)]),
      ),
    );
    for (const { service: name, error } of problems) {
      tellFailure(run.out, failureOf(named(error, name)));
    }
    return list.length === 0 && problems.length > 0 ? problems[0]!.error.exitCode : undefined;
  },
};

/** One word may name a service or, as `service__tool`, a tool. */
function namesIn(target: Target): [string | undefined, string | undefined] {
  const { words, given, scope } = target;
  const [first, second, third] = words;
  if (given !== undefined) {
    if (second !== undefined) throw new UsageError(`unexpected "${second}"`);
    return [given, first];
  }
  if (third !== undefined) throw new UsageError(`unexpected "${third}"`);
  if (first === undefined || second !== undefined) return [first, second];
  const isService = scope.listServices().some((info) => info.name === first);
  return !isService && first.includes('__') ? [undefined, first] : [first, undefined];
}

async function describeTool(run: Run, target: Target, tool: ToolInfo): Promise<undefined> {
  await run.out.result(tool, () => {
    const { bold, dim } = run.out.colors;
    const schema = tool.inputSchema as { properties?: Record<string, unknown>; required?: unknown };
    const required = Array.isArray(schema.required) ? schema.required : [];
    const rows = Object.entries(schema.properties ?? {}).map(([name, value]) => {
      const {
        type,
        enum: values,
        description,
      } = (value ?? {}) as { type?: unknown; enum?: unknown[]; description?: unknown };
      const kind = Array.isArray(values)
        ? values.map((item) => JSON.stringify(item)).join('|')
        : [type ?? 'any'].flat().join('|');
      return [name, kind, required.includes(name) ? 'required' : '', summary(description)];
    });
    const hints = Object.entries(tool.annotations ?? {}).filter(([, value]) => value === true);
    return [
      bold(safeLine(target.given ? tool.tool : tool.name)),
      ...(tool.description ? [safeText(tool.description)] : []),
      ...(hints.length > 0 ? [dim(safeLine(hints.map(([name]) => name).join(', ')))] : []),
      '',
      rows.length > 0 ? table(run.out, ['ARGUMENT', 'TYPE', '', 'DESCRIPTION'], rows) : 'no arguments',
    ].join('\n');
  });
  return undefined;
}
