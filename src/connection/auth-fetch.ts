/** Knows how we talk to authorization servers: where to at all, how long, how much, and what a refused token means. */

import type { FetchLike } from '@modelcontextprotocol/client';
import type { Clock } from '../_util/clock.js';
import { redacting } from './redact.js';

/** One request; a person's sign-in has a limit of its own. */
const TIMEOUT_MS = 10_000;
/** Metadata and tokens are far smaller. */
const MAX_BYTES = 1024 * 1024;
const LOOPBACK = /^(localhost|.+\.localhost|127\.0\.0\.1|\[::1\])$/;
/** Whatever else leads to this machine. */
const THIS_MACHINE = /^((.+\.)?localhost|127\.[\d.]+|0\.0\.0\.0|\[::1?\]|\[::ffff:(0|7f[\da-f]{2}):[\da-f]+\])\.?$/;

/** Parameters that say nothing secret. */
const HARMLESS: ReadonlySet<string> = new Set([
  'client_assertion_type',
  'client_id',
  'grant_type',
  'redirect_uri',
  'resource',
  'scope',
]);

/** The authorization server could not be asked, or did not give what was asked for. */
export class AuthServerError extends Error {
  /** It may be over in a moment. */
  readonly transient: boolean;
  /** OAuth's word for it, such as `invalid_grant`. */
  readonly oauth: string | undefined;

  constructor(message: string, transient: boolean, oauth?: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'AuthServerError';
    this.transient = transient;
    this.oauth = oauth;
  }
}

/** May the server at `server` send us there? A public one must not reach into this machine; the rest is encrypted. */
export function mayAsk(url: URL, server: URL): boolean {
  if (url.origin === server.origin) return /^https?:$/.test(url.protocol);
  if (THIS_MACHINE.test(url.hostname) && !THIS_MACHINE.test(server.hostname)) return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.test(url.hostname));
}

/**
 * The address that the server at `server` sends a person to, as a text that no shell understands.
 * @throws AuthServerError for anything but `https:`, or `http:` on this machine for a server that is there too
 */
export function authorizationUrl(url: URL, server: URL): string {
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && LOOPBACK.test(url.hostname)))
    throw new AuthServerError(`the server wants to send the browser to a ${url.protocol} address`, false);
  if (!mayAsk(url, server))
    throw new AuthServerError('the server wants to send the browser to an address on this machine', false);
  if (url.username !== '' || url.password !== '')
    throw new AuthServerError('the address to sign in at holds a user name or password', false);
  return url.href.replace(/[`$()'"\\;|<>^!*{}[\]]/g, (char) => encoded(char, url));
}

/** Brackets of an IPv6 host stay: there they are no text. */
function encoded(char: string, url: URL): string {
  if ((char === '[' || char === ']') && url.hostname.startsWith('[')) return char;
  return `%${char.charCodeAt(0).toString(16).toUpperCase()}`;
}

/**
 * `fetch` with these limits, for the server at `server`; `signal` ends it. What failed once fails all that follows: the
 * SDK takes metadata that cannot be had for none, and would go on with another authorization server.
 */
export function authFetch(clock: Clock, server: URL, signal: AbortSignal): FetchLike {
  let failed: AuthServerError | undefined;
  return async (input, init) => {
    if (failed) throw failed;
    try {
      return await fetched(clock, server, signal, new URL(String(input)), init);
    } catch (error) {
      if (error instanceof AuthServerError) failed = error;
      throw error;
    }
  };
}

async function fetched(
  clock: Clock,
  server: URL,
  signal: AbortSignal,
  url: URL,
  init: RequestInit | undefined,
): Promise<Response> {
  if (!mayAsk(url, server)) throw new AuthServerError(`${url.origin} is no address to ask for a token`, false);
  const over = new AbortController();
  const timer = clock.after(TIMEOUT_MS, () => over.abort(new Error(`no answer within ${TIMEOUT_MS} ms`)), true);
  try {
    const response = await fetch(url, {
      ...init,
      redirect: 'manual',
      signal: AbortSignal.any([signal, over.signal]),
    });
    const text = await bounded(response);
    if (isTokenRequest(init)) refuse(url, response.status, text, init!);
    if (init?.method === undefined && isTrouble(response.status))
      throw new AuthServerError(`${url.origin} does not give its metadata (${response.status})`, true);
    const body = [204, 205, 304].includes(response.status) ? null : text;
    return new Response(body, { status: response.status, headers: response.headers });
  } catch (error) {
    if (error instanceof AuthServerError) throw error;
    signal.throwIfAborted();
    const { cause, message } = error as Error;
    const why = over.signal.aborted ? (over.signal.reason as Error).message : ((cause as Error)?.message ?? message);
    throw new AuthServerError(`cannot reach ${url.origin}: ${why}`, true, undefined, error);
  } finally {
    timer.cancel();
  }
}

/** It may be over in a moment. Some proxies say 502 where there is nothing, which the SDK knows. */
function isTrouble(status: number): boolean {
  return (status >= 500 && status !== 502) || status === 429;
}

async function bounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  // Leaving the loop early closes the socket.
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_BYTES)
      throw new AuthServerError(
        `the answer of ${new URL(response.url).origin} is larger than ${MAX_BYTES} bytes`,
        false,
      );
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function isTokenRequest(init: RequestInit | undefined): boolean {
  return init?.body instanceof URLSearchParams && init.body.has('grant_type');
}

/** What is refused is told by us: the SDK would try again, and write to the console. */
function refuse(url: URL, status: number, text: string, init: RequestInit): void {
  const { error, error_description: description } = parsed(text);
  if (status < 300 && error === undefined) return;
  const oauth = typeof error === 'string' ? error : undefined;
  const transient = status >= 500 || status === 429 || oauth === 'temporarily_unavailable' || oauth === 'server_error';
  const said = typeof description === 'string' ? `: ${redacting(secretsIn(init))(description).slice(0, 200)}` : '';
  throw new AuthServerError(`${url.origin} gives no token (${oauth ?? status})${said}`, transient, oauth);
}

/** What was sent may be echoed. */
function secretsIn({ body, headers }: RequestInit): string[] {
  const authorization = new Headers(headers).get('authorization')?.replace(/^Basic /, '');
  const values = [...(body as URLSearchParams)].filter(([key]) => !HARMLESS.has(key)).map(([, value]) => value);
  if (authorization === undefined) return values;
  const [, secret = ''] = Buffer.from(authorization, 'base64').toString().split(':');
  return [...values, authorization, secret];
}

function parsed(text: string): Record<string, unknown> {
  try {
    return (JSON.parse(text) as Record<string, unknown> | null) ?? {};
  } catch {
    return {};
  }
}
