/** Knows the one thing that travels down the path of a call, what comes back, and the record that is kept of it. */

import type { CallToolResult, ClientCapabilities, Progress } from '@modelcontextprotocol/client';
import type { ErrorCode, Executed } from './errors.js';

export type { CallToolResult, Progress };

/** How one call meets the result cache; see `resultCache`. */
export type CacheMode =
  | 'use'
  | 'refresh'
  | 'bypass'
  | {
      /** How long this result may be reused, in milliseconds. Default: the service's `resultCache.ttlMs`. */
      ttlMs?: number;
      /** Joined to the cache key, never in place of it; it opts the call in whatever the tool's hints say. */
      key?: string;
    };

/** What a server asks of a caller while it works for it. */
export interface Question {
  /** `sampling/createMessage`, `elicitation/create` or `roots/list`. */
  readonly method: string;
  readonly params: Record<string, unknown>;
  readonly service: string;
  /** The server's own name of the tool that asks; undefined where that cannot be told. */
  readonly tool: string | undefined;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** Answers what servers ask during calls. Who has the same one is the same caller. */
export interface Asker {
  /** What is declared to servers: only what there is a handler for. */
  readonly capabilities: Readonly<ClientCapabilities>;
  /** Is there any handler? */
  readonly offers: boolean;
  /**
   * Resolves to MCP's result. Rejects with a `StoreError`; `rpcCode` is set where its message is for the server.
   */
  answer(question: Question): Promise<Record<string, unknown>>;
}

/** What answered in place of a call that failed on its way; see `ToolPolicy.fallback`. */
export type FallbackSource = 'cached' | 'value' | 'service';

/** How a result says that it is a fallback: what its `_meta['mcpstore/fallback']` holds. */
export interface FallbackMark {
  from: FallbackSource;
  /** The error of the call itself. */
  code: ErrorCode;
  /** May the call itself have run? */
  executed: Executed;
  /** How old a `'cached'` result is. Milliseconds. */
  ageMs?: number;
  /** Who answered in place of the call: the service, by its name in the caller's scope, and its tool. */
  service?: string;
  tool?: string;
}

export const FALLBACK_META = 'mcpstore/fallback';

/** What a call became, for records and statistics. */
export type Outcome = 'ok' | 'tool_error' | 'failed' | 'unknown' | 'not_sent';

/**
 * What is known of one call, filled in by each hop and handed to observers once when the call settles.
 * Times in milliseconds.
 */
export interface CallRecord {
  scope: string;
  service: string;
  /** Tool name as the server has it, or the MCP method for calls that are not tool calls. */
  tool: string;
  /** Monotonic start; see `Clock.now`. */
  startedAt: number;
  /** Waited for a permit of the service. */
  queueMs: number;
  /** Waited for a connection. */
  connectMs: number;
  /** From the first send to the last answer. */
  callMs: number;
  /** The whole call. */
  totalMs: number;
  endpoint: string | undefined;
  attempts: number;
  cache: 'off' | 'hit' | 'miss' | 'joined';
  /** Questions of the server that its caller was asked. */
  asked: number;
  /**
   * Size of the arguments as JSON in UTF-8, each escaped character counted as one. Undefined while monitoring is off, and
   * for what JSON cannot carry.
   */
  argumentBytes: number | undefined;
  /** What answered in its place; outcome, code and `executed` stay those of the call itself. */
  fallback: FallbackSource | undefined;
  outcome: Outcome;
  code: ErrorCode | undefined;
  executed: Executed;
}

/** Did it not end well? A result with `isError` did not; that its caller cancelled it says nothing of the service. */
export function didFail({ outcome, code }: Pick<CallRecord, 'outcome' | 'code'>): boolean {
  return outcome !== 'ok' && code !== 'CANCELLED';
}

/** A request on its way down. Every hop respects `deadline` and `signal`. */
export interface Call {
  readonly method: string;
  readonly params: Record<string, unknown>;
  /** How it is named in messages: `service__tool`, or service and method. */
  readonly subject: string;
  /** Monotonic milliseconds (`Clock.now`) at which the call ends as `TIMEOUT`. */
  readonly deadline: number;
  readonly timeoutMs: number;
  /** Longest silence after sending, in milliseconds; 0: the deadline alone counts. */
  readonly silenceMs: number;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: Progress) => void) | undefined;
  /** Answers what the server asks meanwhile; undefined for what nobody's call is, such as a list. */
  readonly ask?: Asker | undefined;
  /** Trace context for the server, part of the request's `_meta`; undefined where nobody traces. */
  trace?: Readonly<Record<string, string>> | undefined;
  /** HTTP headers of this call alone (`Mcp-Param-*`). */
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly cache: CacheMode | undefined;
  /** May the same call be sent twice without harm? Decided from the tool's hints and the user's word. */
  readonly repeatable: boolean;
  /** May its result be stored and shared? Decided from the tool's hints and the user's word. */
  readonly cacheable: boolean;
  /** Does it change nothing? Anything else drops the service's cached results. */
  readonly readOnly: boolean;
  /** Everything of the cache key but the arguments; empty where nothing may be cached. */
  readonly cachePrefix: string;
  readonly record: CallRecord;
  /**
   * The same without the secrets of its service, also where that has another definition by now. Undefined for what
   * nobody's call is.
   */
  redacted?<T>(said: T): T;
}

/**
 * The record of a call that has only begun. What a call makes at each step and keeps to its end is made by a constructor:
 * what a literal makes while a hundred calls are under way, V8 takes for long-lived ("pretenuring"). It then puts it, and
 * all that it refers to, where only the slow collection looks.
 */
export class NewRecord implements CallRecord {
  queueMs = 0;
  connectMs = 0;
  callMs = 0;
  totalMs = 0;
  endpoint: string | undefined = undefined;
  attempts = 0;
  cache: CallRecord['cache'] = 'off';
  asked = 0;
  argumentBytes: number | undefined = undefined;
  fallback: FallbackSource | undefined = undefined;
  outcome: Outcome = 'not_sent';
  code: ErrorCode | undefined = undefined;
  executed: Executed = 'no';

  constructor(
    public scope: string,
    public service: string,
    public tool: string,
    public startedAt: number,
  ) {}
}

/** The raw MCP result. */
export type CallResult = Record<string, unknown>;

/**
 * A round of a call ended with questions for its caller (MCP's `input_required`). No failure: it goes up as one so that
 * nothing on the way stores it or hands it to others.
 */
export class InputRequired extends Error {
  readonly result: CallResult;

  constructor(result: CallResult) {
    super('the server asks its caller for input');
    this.result = result;
  }
}

/** One hop of the path. */
export type Handler = (call: Call) => Promise<CallResult>;

/** Text of a tool result: its text blocks joined by line breaks; an embedded text resource counts as text. */
export function textOf(result: CallToolResult): string {
  const parts: string[] = [];
  for (const block of result.content ?? []) {
    if (block.type === 'text') parts.push(block.text);
    else if (block.type === 'resource' && 'text' in block.resource) parts.push(String(block.resource.text));
  }
  return parts.join('\n');
}

/** How a result says that a fallback gave it; undefined for what the tool itself answered. */
export function fallbackOf(result: unknown): FallbackMark | undefined {
  const meta = (result as { _meta?: Record<string, unknown> } | null | undefined)?._meta;
  return meta?.[FALLBACK_META] as FallbackMark | undefined;
}
