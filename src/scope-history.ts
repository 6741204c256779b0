/** Knows how a scope looks back on its calls: which it may see, under which names, as entries, a report or a text. */

import type { Outcome } from './call.js';
import { badOption } from './call-options.js';
import { exposedName } from './catalog/names.js';
import type { HistoryEntry, HistoryFilter, Wanted } from './observe/history-entry.js';
import { csvOf } from './observe/history-text.js';
import { UsageCount, type UsageReport } from './observe/usage.js';
import { asObject, refuseUnknown } from './option-rules.js';
import type { ScopeParts } from './scope-parts.js';

export interface HistoryQuery extends HistoryFilter {
  /** The most entries. Default 100. */
  limit?: number;
}

export interface HistoryPage {
  /** The newest first. */
  entries: HistoryEntry[];
  /** Are there older ones that fit as well? */
  more: boolean;
}

export interface UsageOptions extends HistoryFilter {
  /** Length of one period. Milliseconds; default 3,600,000, an hour. */
  periodMs?: number;
  /** The most tools in `mostUsed`, `slowest` and `mostFailing`. Default 5. */
  top?: number;
}

/** What of a scope its history needs. */
type HistoryScope = Pick<ScopeParts, 'id' | 'monitoring' | 'visible' | 'find'>;

const FILTER_KEYS = ['service', 'tool', 'outcome', 'since', 'until', 'from'] as const;
const OUTCOMES: readonly Outcome[] = ['ok', 'tool_error', 'failed', 'unknown', 'not_sent'];

export class History {
  readonly #scope: HistoryScope;

  /** @internal */
  constructor(scope: HistoryScope) {
    this.#scope = scope;
  }

  /**
   * Calls that have settled, the newest first.
   * @throws StoreError `OPTION_INVALID`, also for `from: 'file'` where the store has no `stateDir`
   */
  async query(query: HistoryQuery = {}): Promise<HistoryPage> {
    refuseUnknown(asObject(query, 'query'), [...FILTER_KEYS, 'limit'], '');
    const limit = whole(query.limit, 'limit', 100);
    const entries: HistoryEntry[] = [];
    for await (const entry of this.#entries(query)) {
      if (entries.length === limit) return { entries, more: true };
      entries.push(entry);
    }
    return { entries, more: false };
  }

  /** How the tools were used: in all, by service, by tool, and period by period. */
  async report(options: UsageOptions = {}): Promise<UsageReport> {
    refuseUnknown(asObject(options, 'options'), [...FILTER_KEYS, 'periodMs', 'top'], '');
    const top = whole(options.top, 'top', 5);
    const usage = new UsageCount(whole(options.periodMs, 'periodMs', 3_600_000));
    for await (const entry of this.#entries(options)) usage.add(entry);
    return usage.report(top);
  }

  /**
   * The calls that `query` would give, as text: a JSON array, or CSV with a line of names (RFC 4180; texts that a
   * spreadsheet would take for a formula begin with an apostrophe). Without `limit`, all of them.
   */
  async export(format: 'json' | 'csv', query: HistoryQuery = {}): Promise<string> {
    if (format !== 'json' && format !== 'csv') throw badOption('format', '"json" or "csv"');
    const { entries } = await this.query({ ...query, limit: query.limit ?? Number.MAX_SAFE_INTEGER });
    return format === 'csv' ? csvOf(entries) : JSON.stringify(entries, null, 2);
  }

  async *#entries(filter: HistoryQuery): AsyncGenerator<HistoryEntry> {
    const { id, monitoring, visible } = this.#scope;
    const { history } = monitoring();
    const { from = 'memory', tool } = filter;
    if (from !== 'memory' && from !== 'file') throw badOption('from', '"memory" or "file"');
    const wanted = this.#wanted(filter);
    if (tool !== undefined && typeof tool !== 'string') throw badOption('tool', 'the name of a tool');
    const found = from === 'file' ? history.fileEntries(wanted) : history.entries(wanted);
    if (found === undefined) throw badOption('from', '"memory": this store has no stateDir, and so no file');
    // An agent knows its services by names of its own.
    const local = id === '' ? undefined : new Map([...visible()].map(([name, service]) => [service.name, name]));
    for await (const entry of found) {
      if (local) entry.service = local.get(entry.service) ?? entry.service;
      // What a call was named by may not be known any more, but it follows from both names.
      if (tool === undefined || entry.tool === tool || exposedName(entry.service, entry.tool) === tool) yield entry;
    }
  }

  #wanted({ service, outcome, since, until }: HistoryFilter): Wanted {
    const { id, find } = this.#scope;
    if (service !== undefined && typeof service !== 'string') throw badOption('service', 'the name of a service');
    const outcomes = outcome === undefined ? undefined : ([outcome].flat() as Outcome[]);
    if (outcomes?.some((one) => !OUTCOMES.includes(one)))
      throw badOption('outcome', `of ${OUTCOMES.map((one) => `"${one}"`).join(', ')} one, or several in an array`);
    return {
      scope: id === '' ? undefined : id,
      // One that is not there any more may have been called.
      service: service === undefined ? undefined : (find(service)?.name ?? service),
      outcomes: outcomes && new Set(outcomes),
      since: timeOf(since, 'since', Number.NEGATIVE_INFINITY),
      until: timeOf(until, 'until', Number.POSITIVE_INFINITY),
    };
  }
}

function timeOf(value: Date | number | undefined, path: string, fallback: number): number {
  if (value === undefined) return fallback;
  const time = value instanceof Date ? value.getTime() : value;
  // What a Date can be (ECMA-262, "Time Values and Time Range").
  if (typeof time === 'number' && Math.abs(time) <= 8.64e15) return time;
  throw badOption(path, 'a Date, or milliseconds since the epoch');
}

function whole(value: number | undefined, path: string, fallback: number): number {
  if (value === undefined) return fallback;
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw badOption(path, 'a whole number, at least 1');
}
