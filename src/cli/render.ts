/** Knows how results look to people: tables, the blocks of a result, times. Whatever a server says is made safe here. */

import Table from 'cli-table3';
import { safeLine, safeText } from '../_util/terminal-safe.js';
import type { CallToolResult } from '../index.js';
import type { Output } from './output.js';

const NO_LINES = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};
const MIN_LAST = 20;

/** Rows of text under a heading. On a terminal the last column is cut to what fits. */
export function table(out: Output, head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(safeLine));
  const width = out.columns;
  if (width !== undefined) {
    const before = head
      .slice(0, -1)
      .map((title, i) => Math.max(title.length, ...cells.map((row) => row[i]!.length)) + 2);
    const room = Math.max(MIN_LAST, width - before.reduce((sum, n) => sum + n, 0) - 1);
    for (const row of cells) {
      const last = row[row.length - 1]!;
      if (last.length > room) row[row.length - 1] = `${last.slice(0, room - 1)}…`;
    }
  }
  const drawn = new Table({
    head: head.map((title) => out.colors.bold(title)),
    chars: NO_LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  for (const row of cells) drawn.push(row);
  return drawn
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

type Block = Record<string, unknown>;

/** The content of a tool's result or of a prompt's message, as text; what is no text is described. */
export function contentText(content: readonly unknown[] | undefined): string {
  return (content ?? []).map((block) => blockText(block as Block)).join('\n');
}

export function resultText(result: CallToolResult): string {
  if ((result.content ?? []).length > 0 || result.structuredContent === undefined) return contentText(result.content);
  return safeText(JSON.stringify(result.structuredContent, undefined, 2));
}

function blockText(block: Block): string {
  switch (block['type']) {
    case 'text':
      return safeText(String(block['text']));
    case 'image':
    case 'audio':
      return `[${block['type']}: ${line(block['mimeType'])}, ${bytesOf(block['data'])}; --json has it]`;
    case 'resource_link':
      return `[resource: ${line(block['title'] ?? block['name'])}: ${line(block['uri'])}]`;
    case 'resource':
      return resourceText((block['resource'] ?? {}) as Block);
    default:
      return `[${line(block['type'])}; --json has it]`;
  }
}

/** One item of a `resources/read` answer. */
export function resourceText(resource: Block): string {
  if (typeof resource['text'] === 'string') return safeText(resource['text']);
  return `[resource: ${line(resource['uri'])}, ${line(resource['mimeType'] ?? 'binary')}, ${bytesOf(resource['blob'])}; --json has it]`;
}

function bytesOf(base64: unknown): string {
  return typeof base64 === 'string' ? `${Buffer.byteLength(base64, 'base64')} bytes` : 'no data';
}

/** Any value of a server as one line; nothing for what is not there. */
export function line(value: unknown): string {
  return value === undefined || value === null ? '' : safeLine(String(value));
}

/** The first line of a description. */
export function summary(text: unknown): string {
  return typeof text === 'string' ? (text.trim().split('\n', 1)[0] ?? '').trim() : '';
}

export function seconds(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}
