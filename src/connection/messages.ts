/** Knows the JSON-RPC envelope: how a request of ours is written, and to whom a message that came in belongs. */

import type { JSONRPCMessage, Progress } from '@modelcontextprotocol/client';
import { StoreError } from '../errors.js';
import type { Channel } from './channel.js';
import { refuseNonFinite } from './finite.js';
import type { Pending, PendingRequest, RpcAnswer } from './pending.js';
import type { UnaskedBudget } from './unasked.js';

/** Where the modern envelope has what the client can be asked for (MCP 2026-07-28). */
const CAPABILITIES_KEY = 'io.modelcontextprotocol/clientCapabilities';

type Meta = Readonly<Record<string, unknown>>;

/** Does this request carry a progress token? It does where silence is bounded, so that a working server can show life. */
function wantsProgress(request: PendingRequest): boolean {
  return request.options.onProgress !== undefined || request.options.silenceMs > 0;
}

/** The envelope declares what any caller on the connection can be asked; a call declares its own caller's. */
function declared(request: PendingRequest, envelope: Meta | undefined): Meta | undefined {
  const ask = envelope && request.options.ask;
  return ask && ask.capabilities !== envelope[CAPABILITIES_KEY] ? { [CAPABILITIES_KEY]: ask.capabilities } : undefined;
}

/**
 * Parameters as they go on the wire: the modern envelope and the trace context (SEP-414) below the caller's own `_meta`,
 * and the request's id as its progress token.
 */
export function wireParams(
  request: PendingRequest,
  params: Record<string, unknown> | undefined,
  envelope: Meta | undefined,
): Record<string, unknown> {
  const own = params?.['_meta'] as Meta | undefined;
  const token = wantsProgress(request) ? { progressToken: request.id } : undefined;
  const { trace } = request.options;
  if (!token && !envelope && !trace) return params ?? {};
  const plain = !envelope && !own && !trace;
  const meta = plain ? token : Object.assign({}, envelope, declared(request, envelope), trace, own, token);
  // A key that is new after a spread costs V8 a microsecond and a new shape each time; before it, next to nothing.
  const sent: Record<string, unknown> = { _meta: meta, ...params };
  sent['_meta'] = meta;
  return sent;
}

/** The same as text. The usual call, without a `_meta` of its own, is put together from texts: copies cost more. */
export function paramsText(
  request: PendingRequest,
  params: Record<string, unknown> | undefined,
  envelope: Meta | undefined,
): string {
  const wants = wantsProgress(request);
  const copied = request.options.trace !== undefined || declared(request, envelope) !== undefined;
  if (params === undefined || params['_meta'] !== undefined || !(envelope || wants) || copied)
    return textOf(wireParams(request, params, envelope));
  const token = wants ? `"progressToken":"${request.id}"` : '';
  const shared = envelope ? fieldsText(envelope) : '';
  const text = textOf(params);
  const comma = token !== '' && shared !== '' ? ',' : '';
  return `${text.slice(0, -1)}${text === '{}' ? '' : ','}"_meta":{${token}${comma}${shared}}}`;
}

/** An envelope is the same object for every request of its connection. */
const texts = new WeakMap<Meta, string>();

/** Its fields as text, without the braces. */
function fieldsText(envelope: Meta): string {
  let text = texts.get(envelope);
  if (text === undefined) {
    text = stringify(envelope).slice(1, -1);
    texts.set(envelope, text);
  }
  return text;
}

/** One line for a byte stream. Throws `ARGUMENTS_INVALID` for what JSON cannot carry. */
export function encode(
  request: PendingRequest,
  params: Record<string, unknown> | undefined,
  envelope: Meta | undefined,
): string {
  return `{"jsonrpc":"2.0","id":"${request.id}","method":${JSON.stringify(request.method)},"params":${paramsText(request, params, envelope)}}\n`;
}

function textOf(params: Record<string, unknown>): string {
  const text = stringify(params);
  refuseNonFinite(params, text);
  return text;
}

/** JSON text, or `ARGUMENTS_INVALID` that says why there is none. */
export function stringify(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    throw new StoreError('ARGUMENTS_INVALID', `JSON cannot carry the arguments: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/**
 * Routes one parsed message: answers and progress of our own requests to `pending`, what the server asks its callers to
 * `asked`, all the rest to the SDK, as far as the budget for what the server says unasked allows.
 * @param stream - the request on whose own response stream it came; undefined where the transport has none
 */
export function deliver(
  value: unknown,
  pending: Pending,
  channel: Pick<Channel, 'onmessage' | 'onerror' | 'asked'>,
  budget: UnaskedBudget,
  stream?: PendingRequest,
): void {
  if (Array.isArray(value)) {
    // Batches belong to the 2025-03-26 revision; each member counts for itself.
    for (const member of value) if (!Array.isArray(member)) deliver(member, pending, channel, budget, stream);
    return;
  }
  // A number or null is no message, and what a server writes must never throw here.
  if (typeof value !== 'object' || value === null) return;
  const message = value as { id?: unknown; method?: unknown; params?: { progressToken?: unknown } };
  if (message.method === undefined) {
    if (typeof message.id === 'string' && (pending.has(message.id) || isOurs(message.id))) {
      if (!pending.settle(message as RpcAnswer)) budget.count();
      return;
    }
    // It may be what the SDK waits for, and so passes in any case.
    budget.count();
  } else {
    if (message.method === 'notifications/progress') {
      const { progressToken, ...progress } = (message.params ?? {}) as { progressToken?: unknown };
      if (typeof progressToken === 'string') {
        if (!pending.progress(progressToken, progress as Progress)) budget.count();
        return;
      }
    }
    if (budget.take(message, message.id === undefined) === false) return;
    if (channel.asked?.take(message, pending, stream)) return;
  }
  handOn(value as JSONRPCMessage, channel);
}

/** Gives a message to the SDK. */
export function handOn(message: JSONRPCMessage, channel: Pick<Channel, 'onmessage' | 'onerror'>): void {
  try {
    channel.onmessage?.(message);
  } catch (error) {
    channel.onerror?.(error as Error);
  }
}

/** The SDK's string ids start with `listen:`; ours are `c` and a number. */
function isOurs(id: string): boolean {
  return /^c\d+$/.test(id);
}
