/** Knows what a failed HTTP exchange means for a call: its code, whether it may have run, and what may be told of it. */

import { type Executed, StoreError } from '../errors.js';
import { headerOf } from './http-headers.js';

export type ResponseHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** What error texts may say about the server, and how to keep secrets out of what it says itself. */
export interface Peer {
  /** Origin and path, without user, password and query. */
  readonly label: string;
  readonly redact: (text: string) => string;
}

/** Longest wait that a server can ask for; more is taken as a mistake of its clock. */
const MAX_RETRY_AFTER_MS = 24 * 60 * 60 * 1000;
const SNIPPET_CHARS = 200;

/** Failures before anything was sent that may be over in a moment. */
const TRANSIENT: ReadonlySet<string> = new Set([
  'EADDRNOTAVAIL',
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'EMFILE',
  'ENETUNREACH',
  'ENFILE',
  'EPIPE',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_SOCKET',
]);

/** The code of a network error; attempts on several addresses fail with a list of errors. */
function errnoOf(error: unknown): string | undefined {
  const { code, errors } = error as { code?: unknown; errors?: unknown[] };
  if (typeof code === 'string') return code;
  for (const inner of Array.isArray(errors) ? errors : []) {
    const found = errnoOf(inner);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A socket, DNS or TLS failure. `sent`: the request was handed to a socket, so it may have run. */
export function networkError(peer: Peer, error: Error, sent: boolean): StoreError {
  const errno = errnoOf(error);
  const detail = error.message === '' ? (errno ?? error.name) : error.message;
  if (errno === 'UND_ERR_INVALID_ARG')
    return new StoreError('ARGUMENTS_INVALID', `HTTP cannot carry a header of this request: ${detail}`, {
      cause: error,
    });
  if (sent)
    return new StoreError('OUTCOME_UNKNOWN', `the connection to ${peer.label} was lost before the answer: ${detail}`, {
      executed: 'unknown',
      figures: { errno },
      cause: error,
      hint: 'The call may have run. Repeat it only if that does no harm.',
    });
  const retryable = errno !== undefined && TRANSIENT.has(errno);
  return new StoreError('CONNECT_FAILED', `cannot connect to ${peer.label}: ${detail}`, {
    figures: { errno, retryable },
    cause: error,
    hint: hintFor(errno),
  });
}

function hintFor(errno: string | undefined): string {
  if (errno === 'ECONNREFUSED') return 'Nothing listens there: is the server running, and is the port right?';
  if (errno === 'ENOTFOUND') return 'The host name does not exist: check the URL.';
  if (errno === 'EAI_AGAIN') return 'The name server did not answer: check the network.';
  if (errno === 'UND_ERR_CONNECT_TIMEOUT' || errno === 'ETIMEDOUT')
    return 'The host does not answer: check the address, a firewall, or raise the connect timeout.';
  if (errno === 'EMFILE' || errno === 'ENFILE') return 'No file descriptor is left: raise the limit, or close others.';
  if (errno !== undefined && /CERT|TLS|SSL|SIGNED|EPROTO|VERIFY|ISSUER/.test(errno))
    return 'TLS failed: check the certificate and its host name, or whether the URL should begin with http://.';
  return 'Check the URL and the network.';
}

/** An answer whose status says that there is no result. `text` is the body, or as much of it as was read. */
export function statusError(
  peer: Peer,
  status: number,
  headers: ResponseHeaders,
  text: string,
  now: number,
): StoreError {
  const said = snippet(peer, text);
  if (status === 401)
    return new StoreError('AUTH_REQUIRED', `${peer.label} asks for credentials (401)`, {
      figures: { status, wwwAuthenticate: challenge(headerOf(headers, 'www-authenticate')) },
      hint: 'Give valid credentials, such as an Authorization header under "headers".',
    });
  if (status === 403)
    return new StoreError('FORBIDDEN', `${peer.label} refuses these credentials (403)${said}`, {
      figures: { status, wwwAuthenticate: challenge(headerOf(headers, 'www-authenticate')) },
    });
  const retryAfterMs = retryAfter(headerOf(headers, 'retry-after'), now);
  if (status === 429 || (status === 503 && retryAfterMs !== undefined))
    return new StoreError('RATE_LIMITED', `${peer.label} asks to wait (${status})${waitText(retryAfterMs)}`, {
      figures: { status, retryAfterMs },
    });
  const message = `${peer.label} answered ${status}${said}`;
  if (status >= 500)
    return new StoreError('OUTCOME_UNKNOWN', message, {
      executed: 'unknown',
      figures: { status },
      hint: 'The call may have run. Repeat it only if that does no harm.',
    });
  return new StoreError('PROTOCOL_ERROR', message, { figures: { status } });
}

function waitText(retryAfterMs: number | undefined): string {
  return retryAfterMs === undefined ? '' : ` for ${retryAfterMs} ms`;
}

/** The reply came and cannot be used; what was called has run. */
export function unusable(peer: Peer, what: string, text = '', cause?: unknown): StoreError {
  return new StoreError('PROTOCOL_ERROR', `${peer.label} ${what}${snippet(peer, text)}`, { executed: 'yes', cause });
}

export function tooLarge(maxMessageBytes: number, executed: Executed = 'yes'): StoreError {
  return new StoreError('MESSAGE_TOO_LARGE', `the server's answer is larger than ${maxMessageBytes} bytes`, {
    executed,
    figures: { maxMessageBytes },
  });
}

/** A JSON-RPC error in the body of a refusal. Its id may be null, where the server did not get as far as reading one. */
export function errorAnswer(body: string): { id: unknown; error: Record<string, unknown> } | undefined {
  if (!body.trimStart().startsWith('{')) return undefined;
  try {
    const { id, error } = JSON.parse(body) as { id?: unknown; error?: Record<string, unknown> };
    return typeof error?.['code'] === 'number' ? { id, error } : undefined;
  } catch {
    return undefined;
  }
}

/** A redirect that is not followed: the credentials stay where they belong. */
export function redirectError(peer: Peer, status: number, target: URL | undefined): StoreError {
  const where = target === undefined ? 'without saying where' : `to ${target.origin}`;
  return new StoreError('CONNECT_FAILED', `${peer.label} redirects ${where} (${status}); not followed`, {
    figures: { status, origin: target?.origin, retryable: false },
    hint: 'If that is where the service lives now, give its new URL.',
  });
}

/** `Retry-After` in milliseconds, from seconds or a date; undefined where it says nothing that makes sense. */
export function retryAfter(header: string | undefined, now: number): number | undefined {
  const text = header?.trim();
  if (!text) return undefined;
  const ms = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(Math.ceil(ms), 0), MAX_RETRY_AFTER_MS);
}

/** Parameters of a challenge that say what is missing; anything else might be secret. */
const SHOWN_PARAMETERS: ReadonlySet<string> = new Set([
  'error',
  'error_description',
  'realm',
  'resource_metadata',
  'scope',
]);

/** `WWW-Authenticate` as its scheme and its harmless parameters. */
export function challenge(header: string | undefined): { scheme: string; params: Record<string, string> } | undefined {
  const scheme = header && /^\s*([\w-]+)/.exec(header)?.[1];
  if (!scheme) return undefined;
  const params: Record<string, string> = {};
  for (const match of header.slice(0, 4096).matchAll(/([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/g)) {
    const name = match[1]!.toLowerCase();
    if (SHOWN_PARAMETERS.has(name) && params[name] === undefined)
      params[name] = (match[2]?.replace(/\\(.)/g, '$1') ?? match[3] ?? '').slice(0, 500);
  }
  return { scheme, params };
}

/** The server's own words, short, on one line and without what we sent it. */
function snippet(peer: Peer, text: string): string {
  const shown = peer
    .redact(text.slice(0, 4 * SNIPPET_CHARS))
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim();
  if (shown === '') return '';
  return `: ${shown.length > SNIPPET_CHARS ? `${shown.slice(0, SNIPPET_CHARS)}…` : shown}`;
}
