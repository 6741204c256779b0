/** Knows how calls are written for spreadsheets. */

import type { HistoryEntry } from './history-entry.js';

const COLUMNS = [
  'at',
  'scope',
  'service',
  'tool',
  'outcome',
  'code',
  'executed',
  'endpoint',
  'attempts',
  'cache',
  'asked',
  'fallback',
  'argumentBytes',
  'queueMs',
  'connectMs',
  'callMs',
  'totalMs',
  'arguments',
] as const satisfies readonly (keyof HistoryEntry)[];

/** CSV by RFC 4180. Times of day as ISO 8601 in UTC, arguments as JSON. */
export function csvOf(entries: readonly HistoryEntry[]): string {
  const lines = entries.map((entry) => COLUMNS.map((name) => cell(name, entry[name])).join(','));
  return `${[COLUMNS.join(','), ...lines].join('\r\n')}\r\n`;
}

function cell(name: string, value: unknown): string {
  if (value === undefined) return '';
  if (name === 'at') return new Date(value as number).toISOString();
  if (typeof value === 'number') return String(value);
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  // A spreadsheet would compute it, and the names of tools are their servers' choice (OWASP, "CSV Injection").
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
