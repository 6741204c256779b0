/** Knows what is kept of one call, what is told of it, and whether it is one that somebody asks for. */

import type { CallRecord, Outcome } from '../call.js';

/** One call, as it is kept. Times in milliseconds. */
export interface HistoryEntry extends Omit<CallRecord, 'startedAt'> {
  /** When it began, by the wall clock, since the epoch. */
  at: number;
  /** The arguments, where `historyArguments` says that they are kept, and their JSON has no more than 16 KiB and 64 levels. */
  arguments?: unknown;
}

/** Which calls; what is left out excludes none. */
export interface HistoryFilter {
  /** Name of a service, within the scope. */
  service?: string;
  /** `service__tool`, the server's own name of a tool, or the MCP method of what is no tool call. */
  tool?: string;
  outcome?: Outcome | readonly Outcome[];
  /** Calls that began at this time or later. */
  since?: Date | number;
  /** Calls that began before this time. */
  until?: Date | number;
  /**
   * `'memory'`: the last `historySize` calls of this store. `'file'`: what `historyFile` has written, by earlier runs and
   * other processes too. Default `'memory'`.
   */
  from?: 'memory' | 'file';
}

/** A filter that is checked. */
export interface Wanted {
  scope: string | undefined;
  service: string | undefined;
  outcomes: ReadonlySet<Outcome> | undefined;
  since: number;
  until: number;
}

/** What is kept of a call: its record, and what a record does not have. */
export class Kept {
  constructor(
    readonly record: CallRecord,
    /** When it ended, by the wall clock. */
    readonly endedAt: number,
    /** As JSON: kept as they were, arguments could be large, and are the caller's to change. */
    readonly args: string | undefined,
  ) {}
}

/** Is it one of those that are wanted? */
export function fits(of: Pick<CallRecord, 'scope' | 'service' | 'outcome'>, at: number, wanted: Wanted): boolean {
  const { scope, service, outcomes, since, until } = wanted;
  return (
    (scope === undefined || of.scope === scope) &&
    (service === undefined || of.service === service) &&
    (outcomes === undefined || outcomes.has(of.outcome)) &&
    at >= since &&
    at < until
  );
}

export function beganAt({ record, endedAt }: Kept): number {
  return Math.round(endedAt - record.totalMs);
}

/** A copy: records are their listeners' as well. */
export function entryOf(kept: Kept): HistoryEntry {
  const { record, args } = kept;
  const { startedAt: _, ...rest } = record;
  const entry: HistoryEntry = { at: beganAt(kept), ...rest };
  if (args !== undefined) entry.arguments = JSON.parse(args);
  return entry;
}
