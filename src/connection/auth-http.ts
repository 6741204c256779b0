/** Knows how a request that was refused for its credentials goes on: what the refusal asks for, and the same again. */

import { type AuthProvider, extractWWWAuthenticateParams, UnauthorizedError } from '@modelcontextprotocol/client';
import type { StoreError } from '../errors.js';
import type { Credentials } from './auth-credentials.js';
import { type ResponseHeaders, statusError } from './http-errors.js';
import type { HttpLink } from './http-link.js';

/** What a 401 or 403 asks for. */
export interface Challenge {
  readonly status: 401 | 403;
  readonly scope: string | undefined;
  readonly resourceMetadataUrl: URL | undefined;
  readonly error: string | undefined;
}

/** One request is sent again for new credentials so many times. */
const MAX_RENEWALS = 3;
/** The same for further scopes: each time it is nearer to what it needs, and a person may have agreed to it. */
const MAX_STEPS = 10;

export function challengeOf(status: 401 | 403, header: string | undefined): Challenge {
  const headers = header === undefined ? undefined : { 'WWW-Authenticate': latin(bearerIn(header.slice(0, 4_096))) };
  const { scope, resourceMetadataUrl, error } = extractWWWAuthenticateParams(
    new Response(null, headers && { headers }),
  );
  return { status, scope: scope && printable(scope), resourceMetadataUrl, error };
}

/** What is no byte cannot be in a header. */
function latin(text: string): string {
  return text.replace(/[^\t\x20-\xff]/g, '?');
}

/** Of several challenges the one that we can meet. */
function challengeIn(headers: ResponseHeaders): string | undefined {
  const given = headers['www-authenticate'];
  return Array.isArray(given) ? (given.find((one) => /^bearer\b/i.test(one)) ?? given[0]) : given;
}

/** The same where one line has several of them (RFC 9110, 11.6.1). */
function bearerIn(header: string): string {
  const at = /^\s*bearer\b/i.test(header) ? 0 : header.search(/(?<=,\s*)bearer\s/i);
  return at > 0 ? header.slice(at) : header;
}

/** Scopes are names of printable characters (RFC 6749, 3.3); others are dropped. */
export function printable(scope: string): string | undefined {
  const names = scope
    .split(/\s+/)
    .filter((name) => /^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/.test(name) && !name.includes("'"));
  return names.length > 0 ? names.slice(0, 100).join(' ') : undefined;
}

/** Would a token with more scopes be let in? (MCP, "Scope Challenge Handling") */
export function stepsUp({ status, error, scope }: Challenge): boolean {
  return status === 403 && error === 'insufficient_scope' && scope !== undefined;
}

/**
 * Settles with the headers to send a refused request again with, or undefined where it stays refused; undefined itself
 * where new credentials are out of the question.
 * @param ask - a person may be asked
 * @param renewals - how many times it was sent again before
 */
export function renewed(
  link: HttpLink,
  status: number,
  headers: ResponseHeaders,
  sent: readonly string[],
  ask: boolean,
  renewals: number,
): Promise<string[] | undefined> | undefined {
  const { credentials } = link.options;
  if (credentials === undefined || (status !== 401 && status !== 403)) return undefined;
  const challenge = challengeOf(status, challengeIn(headers));
  if (status === 403 && !stepsUp(challenge)) return undefined;
  if (renewals >= (status === 403 ? MAX_STEPS : MAX_RENEWALS)) return undefined;
  return credentials
    .renew(challenge, authorizationIn(sent), ask)
    .then((again) => (again ? signedWith(sent, credentials) : undefined));
}

/** The refusal as an error, with what can be done about it. */
export function refusal(link: HttpLink, status: number, headers: ResponseHeaders, body: string): StoreError {
  const error = statusError(link, status, headers, body, link.clock.wall());
  const { credentials } = link.options;
  if (credentials === undefined || (status !== 401 && status !== 403)) return error;
  return credentials.explained(error, challengeOf(status, challengeIn(headers)));
}

/** The same for a transport of the SDK. */
export function providerOf(credentials: Credentials): AuthProvider {
  let used: string | undefined;
  return {
    async token() {
      used = credentials.authorization;
      return used?.slice('Bearer '.length);
    },
    async onUnauthorized({ response }) {
      const challenge = challengeOf(401, response.headers.get('www-authenticate') ?? undefined);
      if (!(await credentials.renew(challenge, used, false))) throw new UnauthorizedError();
    },
  };
}

function authorizationIn(headers: readonly string[]): string | undefined {
  const at = headers.findIndex((name, index) => index % 2 === 0 && name === 'authorization');
  return at === -1 ? undefined : headers[at + 1];
}

function signedWith(headers: readonly string[], { authorization }: Credentials): string[] {
  const others = headers.filter((_, at) => headers[at - (at % 2)] !== 'authorization');
  return authorization === undefined ? others : [...others, 'authorization', authorization];
}
