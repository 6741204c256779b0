/** Knows how the words of a command line become a tool with its arguments, on a store that is open for it. */

import type { Command } from 'commander';
import type { ToolInfo } from '../index.js';
import { argumentsJson, argumentsOf, isPair } from './args.js';
import type { Run } from './session.js';
import { isUrl, openTarget, type Target, type TargetFlags } from './target.js';
import { findTool, LIST_TIMEOUT_MS } from './tool.js';
import { UsageError, wholeNumber } from './usage.js';

export interface ToolFlags extends TargetFlags {
  args?: string;
  timeoutMs?: number;
}

/** A tool that was found, and what it is to be called with. */
export interface OpenedTool {
  target: Target;
  tool: ToolInfo;
  args: Record<string, unknown>;
}

/** What every command takes that calls one tool. */
export function describeToolCall(command: Command): void {
  command
    .argument('<words...>', '[service|url] tool [key=value | key:=json …]')
    .option('--args <json>', 'the arguments as a JSON object, @file, or - for stdin')
    .option('--timeout-ms <n>', 'longest time of the call', wholeNumber('--timeout-ms'));
}

/**
 * Opens the store, and finds the tool that the words name; its schema says what their arguments become.
 * @param command - the one that asks, for the hint of a wrong line
 */
export async function openTool(run: Run, command: string, all: string[], flags: ToolFlags): Promise<OpenedTool> {
  const at = all.findIndex(isPair);
  // A URL may hold a `=`, so as the first word it is never an argument.
  const from = at === 0 && isUrl(all[0]) ? all.findIndex((word, i) => i > 0 && isPair(word)) : at;
  const names = from < 0 ? all : all.slice(0, from);
  const pairs = from < 0 ? [] : all.slice(from);
  if (flags.args !== undefined && pairs.length > 0) throw new UsageError('--args: goes without key=value');
  const given = flags.args === undefined ? undefined : await argumentsJson(flags.args);
  const target = await openTarget(run, names, flags, (own) =>
    own.length > 1 || own[0]?.includes('__') ? [own[0]!] : 'all',
  );
  const [first, second, third] = target.words;
  const stray = target.given === undefined ? third : second;
  if (first === undefined || stray !== undefined)
    throw new UsageError(
      first === undefined ? 'which tool?' : `"${stray}": expected key=value or key:=json`,
      `Such as: mcpstore ${command} files read_file path=a.txt`,
    );
  const service = target.given ?? (second === undefined ? undefined : first);
  const find = { timeoutMs: flags.timeoutMs ?? LIST_TIMEOUT_MS, signal: run.signal };
  const tool = await findTool(target.scope, second ?? first, service, find);
  return { target, tool, args: given ?? argumentsOf(pairs, tool.inputSchema as Record<string, unknown>) };
}
