/** Knows the headers of MCP over HTTP: which are ours alone, which come from a message, and what must never be shown. */

import { validateHeaderName, validateHeaderValue } from 'node:http';
import { PROTOCOL_VERSION_META_KEY } from '@modelcontextprotocol/client';
import { StoreError } from '../errors.js';
import { httpSecrets, type Redact, redacting } from './redact.js';

/** Derived from the connection or the message: nobody may set them from outside, or header and body could disagree. */
const OWNED: ReadonlySet<string> = new Set([
  'accept',
  'content-type',
  'last-event-id',
  'mcp-method',
  'mcp-name',
  'mcp-protocol-version',
  'mcp-session-id',
]);

/** Belong to the socket, not to a request; undici refuses most of them. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** The parameter that `Mcp-Name` repeats, by method. */
const NAME_PARAMETER: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
};

/** Configured headers as a flat list of names and values, lower-cased, without those that are not the user's to set. */
export function configuredHeaders(url: URL, headers: Readonly<Record<string, string>>): string[] {
  const flat: string[] = [];
  let authorized = false;
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    if (OWNED.has(lower) || HOP_BY_HOP.has(lower)) continue;
    try {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    } catch {
      // The thrown error would carry the value.
      throw new StoreError(
        'OPTION_INVALID',
        `the header ${JSON.stringify(name)} has a name or value that HTTP forbids`,
      );
    }
    if (lower === 'authorization') authorized = true;
    flat.push(lower, value);
  }
  if (!authorized && (url.username !== '' || url.password !== '')) {
    const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
    flat.push('authorization', `Basic ${Buffer.from(pair).toString('base64')}`);
  }
  return flat;
}

/** Adds the headers of one request; those that belong to the connection stay as they are. */
export function addRequestHeaders(flat: string[], headers: Readonly<Record<string, string>> | undefined): void {
  if (headers === undefined) return;
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    if (OWNED.has(lower) || HOP_BY_HOP.has(lower) || lower === 'authorization' || lower === 'dpop') continue;
    const at = flat.findIndex((entry, index) => index % 2 === 0 && entry === lower);
    if (at === -1) flat.push(lower, value);
    else flat[at + 1] = value;
  }
}

/** `Mcp-Method` and `Mcp-Name` of a modern request. */
export function addMessageHeaders(flat: string[], method: string, params: unknown): void {
  flat.push('mcp-method', method);
  const parameter = Object.hasOwn(NAME_PARAMETER, method) ? NAME_PARAMETER[method] : undefined;
  const name = parameter && (params as Record<string, unknown> | undefined)?.[parameter];
  if (typeof name === 'string') flat.push('mcp-name', fieldValue(name));
}

/** The protocol version that a message claims for itself in its envelope, if it does. */
export function claimedVersion(params: unknown): string | undefined {
  const meta = (params as { _meta?: Record<string, unknown> } | undefined)?._meta;
  const version = meta?.[PROTOCOL_VERSION_META_KEY];
  return typeof version === 'string' ? version : undefined;
}

const BASE64_START = '=?base64?';
const BASE64_END = '?=';

/** A text as an HTTP field value: plain where that is safe, else Base64 in the protocol's own marks. */
export function fieldValue(text: string): string {
  const marked = text.startsWith(BASE64_START) && text.endsWith(BASE64_END);
  if (!marked && /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/.test(text)) return text;
  return `${BASE64_START}${Buffer.from(text).toString('base64')}${BASE64_END}`;
}

/** The media type of a Content-Type header, lower-cased, without parameters. */
export function mediaType(header: string | string[] | undefined): string | undefined {
  if (header === 'application/json' || header === 'text/event-stream') return header;
  const first = Array.isArray(header) ? header[0] : header;
  const type = (first ?? '').split(';', 1)[0]!.trim().toLowerCase();
  return type === '' || type.includes(',') ? undefined : type;
}

/** One header of a response as a string. */
export function headerOf(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  name: string,
): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** Takes configured secrets out of a text that a server sent: it may echo what it was given. */
export function redactor(url: URL, headers: readonly string[]): Redact {
  const values = headers.filter((_, at) => at % 2 === 1);
  return redacting(httpSecrets(url, values));
}
