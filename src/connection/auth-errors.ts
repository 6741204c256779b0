/** Knows what a sign-in that failed means for a call: its code, and what somebody can do about it. */

import {
  AuthorizationServerMismatchError,
  computeScopeUnion,
  InsecureTokenEndpointError,
  IssuerMismatchError,
  OAuthError,
  RegistrationRejectedError,
} from '@modelcontextprotocol/client';
import { asError, StoreError } from '../errors.js';
import { AuthServerError } from './auth-fetch.js';
import { type Challenge, printable, stepsUp } from './auth-http.js';
import type { Redact } from './redact.js';

/** The service whose sign-in failed. */
export interface Asked {
  readonly service: string;
  /** A program signs in: nobody can be asked. */
  readonly machine: boolean;
  readonly redact: Redact;
}

/**
 * `CONNECT_FAILED` for a moment's trouble with the authorization server, which is no fault of the service; else
 * `AUTH_REQUIRED`.
 */
export function signInFailed(of: Asked, thrown: unknown): StoreError {
  if (thrown instanceof StoreError) return thrown;
  const error = asError(thrown);
  const message = oneLine(of.redact(`cannot sign in to ${of.service}: ${reasonOf(error)}`));
  if (error instanceof AuthServerError && error.transient)
    return new StoreError('CONNECT_FAILED', message, {
      figures: { retryable: true, signIn: true },
      hint: 'The authorization server does not answer; nothing was called.',
    });
  const oauth = error instanceof AuthServerError ? error.oauth : undefined;
  return new StoreError('AUTH_REQUIRED', message, {
    figures: { signIn: true, ...(oauth !== undefined && { oauth }) },
    hint: hintFor(of),
  });
}

/** What is told of errors: never what a redirect brought, which anybody may have written. */
function reasonOf(error: Error): string {
  if (error instanceof IssuerMismatchError)
    return error.kind === 'metadata'
      ? `the metadata of ${error.expected} names another issuer`
      : 'the answer came from another authorization server than the one that was asked';
  if (error instanceof AuthorizationServerMismatchError)
    return `its client belongs to ${error.recordedIssuer}, and the server now names ${error.currentIssuer}`;
  if (error instanceof InsecureTokenEndpointError) return 'tokens would be asked for without encryption';
  if (error instanceof RegistrationRejectedError)
    return `the authorization server registers no client by itself (${error.status}); give it a "clientId" under mcpstore.auth`;
  if (error instanceof OAuthError) return `the authorization server answers ${error.code}`;
  if (error.name === 'ZodError') return 'what the authorization server says of itself is unusable';
  return error.message;
}

function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ').slice(0, 500);
}

function hintFor({ service, machine }: Asked): string {
  return machine
    ? 'Check "mcpstore.auth" of its configuration: client, key or secret, and scope.'
    : `Sign in with: mcpstore auth login ${service}`;
}

/** What is known of the credentials that were refused. */
export interface Refused {
  /** The service is one that takes OAuth. */
  readonly takesOAuth: boolean;
  /** Scopes that were asked for or given before. */
  readonly scopes: string | undefined;
  /** Why nobody knows whether there are tokens. */
  readonly unreadable: StoreError | undefined;
}

/** The same refusal of the service with what can be done about it here. */
export function refusedWith(of: Asked, error: StoreError, challenge: Challenge, refused: Refused): StoreError {
  const { code, message, figures, cause } = error;
  const { takesOAuth, scopes, unreadable } = refused;
  if (code === 'FORBIDDEN' && stepsUp(challenge)) {
    // Signing in anew is for these scopes alone, so those of before are named too.
    const all = printable(computeScopeUnion(scopes, challenge.scope) ?? '');
    const more = of.machine ? hintFor(of) : `${hintFor(of)} --scope '${all}'`;
    return new StoreError(code, message, { figures: { ...figures, scope: challenge.scope }, cause, hint: more });
  }
  if (code !== 'AUTH_REQUIRED') return error;
  if (unreadable !== undefined && !of.machine)
    return new StoreError(code, `${message}; ${unreadable.message}`, {
      figures: { ...figures, ...unreadable.figures, signIn: true },
      cause: unreadable,
      hint: unreadable.hint,
    });
  const hint = takesOAuth
    ? hintFor(of)
    : `Give valid credentials, such as an Authorization header under "headers"; where it takes OAuth: mcpstore auth login ${of.service}`;
  return new StoreError(code, message, { figures: { ...figures, ...(takesOAuth && { signIn: true }) }, cause, hint });
}

/** Each that waits gets an error of its own: the hops above write service, tool and attempts into it. */
export function ownError({ code, message, figures, hint, cause }: StoreError): StoreError {
  return new StoreError(code, message, { figures, hint, cause });
}
