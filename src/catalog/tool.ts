/** Knows a tool as a server describes it, as a caller sees it, and what its definition says about calling it. */

import { createHash } from 'node:crypto';
import type { Tool } from '@modelcontextprotocol/client';
import type { ServiceOptions, ToolFallback, ToolPolicy } from '../options.js';
import { type HeaderParam, headerParams } from './header-params.js';

/** As the server gave it. */
export type RawTool = Tool;

/** As `listTools` gives it: all of the server's fields, and where it lives. */
export interface ToolInfo extends Omit<RawTool, 'name'> {
  /** Always `service__tool`; what `callTool` takes. */
  name: string;
  service: string;
  /** Name as the server has it. */
  tool: string;
}

/**
 * Values and levels of one definition. The largest of real servers have some 2,000 and 30; far beyond that a definition
 * is an attack on whoever walks it, writes it or shows it to a model.
 */
const MAX_VALUES = 20_000;
const MAX_DEPTH = 128;
/** Reasons that are kept for who asks for a tool that was left out. */
const MAX_BLOCKED = 1_000;

/** Items of a tools/list answer, told apart. */
export interface SortedTools {
  readonly tools: RawTool[];
  /** Items that are left out, the blocked ones included. */
  readonly skipped: number;
  /** Why a tool, by its name, is left out although it has one. */
  readonly blocked: ReadonlyMap<string, string>;
}

/**
 * Items of a tools/list answer that can be used; a server's broken ones must not hide its good ones. The protocol
 * forbids to use a tool that asks for headers against its rules.
 */
export function usableTools(items: readonly Record<string, unknown>[]): SortedTools {
  const seen = new Set<string>();
  const tools: RawTool[] = [];
  const blocked = new Map<string, string>();
  for (const item of items) {
    const name = item['name'];
    const schema = item['inputSchema'];
    if (typeof name !== 'string' || name === '' || seen.has(name)) continue;
    const why =
      excess(item) ?? (headerParams(schema) === undefined ? 'it asks for headers against the rules' : undefined);
    if (why !== undefined) {
      if (blocked.size < MAX_BLOCKED && !blocked.has(name)) blocked.set(name, why);
      continue;
    }
    seen.add(name);
    const usable = typeof schema === 'object' && schema !== null ? item : { ...item, inputSchema: { type: 'object' } };
    tools.push(usable as unknown as RawTool);
  }
  for (const name of seen) blocked.delete(name);
  return { tools, skipped: items.length - tools.length, blocked };
}

/** Why a definition is more than can be worked with; costs less than parsing it did. */
function excess(item: object): string | undefined {
  const tooMany = `its definition has more than ${MAX_VALUES} values`;
  let values = 0;
  let level: object[] = [item];
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) return `its definition is nested deeper than ${MAX_DEPTH} levels`;
    const next: object[] = [];
    for (const parent of level) {
      if (Array.isArray(parent) && values + parent.length > MAX_VALUES) return tooMany;
      // Not by Object.values, which takes seconds for a million keys.
      for (const key in parent) {
        if (++values > MAX_VALUES) return tooMany;
        const value = (parent as Record<string, unknown>)[key];
        if (typeof value === 'object' && value !== null) next.push(value);
      }
    }
    level = next;
  }
  return undefined;
}

/** What the path of a call needs to know of a tool. */
export interface ToolFacts {
  readonly repeatable: boolean;
  readonly cacheable: boolean;
  readonly readOnly: boolean;
  /** What answers where it cannot be reached, in this order; undefined: nothing. */
  readonly fallbacks: readonly ToolFallback[] | undefined;
  /** Hash of the definition: part of the cache key. */
  readonly definition: string;
  /** Arguments that a modern HTTP server wants as headers too. */
  readonly headerParams: readonly HeaderParam[];
}

/** The user's word wins over the tool's hints; hints about repeating count on a trusted service alone. */
export function factsOf(tool: RawTool, options: ServiceOptions): ToolFacts {
  const { readOnlyHint = false, idempotentHint = false } = tool.annotations ?? {};
  const policy = options.tools && Object.hasOwn(options.tools, tool.name) ? options.tools[tool.name] : undefined;
  const text = JSON.stringify(tool);
  return {
    repeatable: policy?.repeatable ?? (options.trusted === true && (readOnlyHint || idempotentHint)),
    cacheable: policy?.cache ?? readOnlyHint,
    // Whoever says that its results may be kept says that it changes nothing that others read.
    readOnly: readOnlyHint || policy?.cache === true,
    fallbacks: fallbacksOf(policy),
    definition: createHash('sha256').update(text).digest('base64url').slice(0, 16),
    headerParams: text.includes('"x-mcp-header"') ? (headerParams(tool.inputSchema) ?? []) : [],
  };
}

/** As a list; undefined where there is none. */
function fallbacksOf(policy: ToolPolicy | undefined): readonly ToolFallback[] | undefined {
  const list = [policy?.fallback ?? []].flat() as ToolFallback[];
  return list.length === 0 ? undefined : list;
}

/** `Mcp-Param-*` headers of one call; undefined where the tool wants none. */
export function headersOf(facts: ToolFacts, args: unknown): Record<string, string> | undefined {
  if (facts.headerParams.length === 0) return undefined;
  const headers: Record<string, string> = {};
  for (const { path, header } of facts.headerParams) {
    let value = args;
    for (const key of path)
      value =
        typeof value === 'object' && value !== null && Object.hasOwn(value, key)
          ? (value as Record<string, unknown>)[key]
          : undefined;
    const text =
      typeof value === 'string'
        ? value
        : typeof value === 'boolean' || Number.isSafeInteger(value)
          ? String(value)
          : undefined;
    if (text !== undefined) headers[`Mcp-Param-${header}`] = headerValue(text);
  }
  return headers;
}

/** As it is where it is a plain field value, else in the specification's Base64 form. */
function headerValue(text: string): string {
  const plain = /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/.test(text) && !/^=\?base64\?.*\?=$/.test(text);
  return plain ? text : `=?base64?${Buffer.from(text, 'utf8').toString('base64')}?=`;
}
