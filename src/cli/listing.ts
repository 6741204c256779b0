/** Knows how resources and prompts are listed, which differ in their columns alone. */

import type { Command } from 'commander';
import type { ListOptions, Scope } from '../index.js';
import { table } from './render.js';
import type { Run } from './session.js';
import { describeTarget, openTarget, type TargetFlags } from './target.js';
import { LIST_TIMEOUT_MS } from './tool.js';
import { UsageError, wholeNumber } from './usage.js';

export type ListedItem = Record<string, unknown>;

export interface Listing {
  list: (scope: Scope, options: ListOptions) => Promise<ListedItem[]>;
  head: string[];
  row: (item: ListedItem) => string[];
}

/** What every command that lists takes. */
export function describeListing(command: Command): void {
  command
    .argument('[service]', 'a service or a URL; default: all')
    .option('--timeout-ms <n>', `longest wait; default ${LIST_TIMEOUT_MS}`, wholeNumber('--timeout-ms'));
  describeTarget(command);
}

export async function listItems(
  run: Run,
  word: string | undefined,
  flags: TargetFlags & { timeoutMs?: number },
  { list, head, row }: Listing,
): Promise<undefined> {
  const target = await openTarget(run, word === undefined ? [] : [word], flags, (own) =>
    own.length > 0 ? own : 'all',
  );
  if (target.given !== undefined && target.words.length > 0) throw new UsageError(`unexpected "${target.words[0]}"`);
  const service = target.given ?? target.words[0];
  const items = await list(target.scope, {
    timeoutMs: flags.timeoutMs ?? LIST_TIMEOUT_MS,
    signal: run.signal,
    ...(service !== undefined && { service }),
  });
  await run.out.result(items, () => {
    if (items.length === 0) run.out.note('none');
    return items.length === 0 ? '' : table(run.out, head, items.map(row));
  });
  return undefined;
}

/** The items of an answer, whatever the server sent in their place. */
export function contentOf(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'object' && item !== null) : [];
}
