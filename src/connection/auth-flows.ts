/** Knows the ways to a token, each by the SDK's OAuth: for a program, by a refresh, and by a person with a browser. */

import {
  type AuthOptions as AuthorizeOptions,
  auth,
  discoverOAuthServerInfo,
  type FetchLike,
  refreshAuthorization,
  type StoredOAuthClientInformation,
  type StoredOAuthTokens,
  selectResourceURL,
  validateAuthorizationResponseIssuer,
} from '@modelcontextprotocol/client';
import { onAbort } from '../_util/abort.js';
import type { Clock } from '../_util/clock.js';
import type { AuthOptions } from '../auth-options.js';
import { AuthServerError, authorizationUrl } from './auth-fetch.js';
import type { AuthEntry } from './auth-file.js';
import { type Challenge, challengeOf } from './auth-http.js';
import { SignIn } from './auth-provider.js';
import { RedirectListener } from './auth-redirect.js';

/** A person is to sign in. */
export interface AuthorizationRequest {
  readonly service: string;
  /** Open this in a browser. `https:`, or `http:` on this machine; without characters that mean something to a shell. */
  readonly url: string;
  /** Where the browser is sent when the person is done; the store listens there. */
  readonly redirectUrl: string;
  /** Aborted when the sign-in is over, or given up. */
  readonly signal: AbortSignal;
}

/**
 * Shows a person where to sign in. Whoever has the browser in hand may return the address that it was redirected to;
 * else the store waits for it to come, up to five minutes.
 */
export type OnAuthorize = (
  request: AuthorizationRequest,
) => string | URL | undefined | Promise<string | URL | undefined>;

/** What every way needs. */
export interface Flow {
  readonly service: string;
  readonly url: URL;
  readonly auth: AuthOptions | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly fetch: FetchLike;
  /** Keeps these out of errors. */
  readonly hide: (...secrets: (string | undefined)[]) => void;
}

/** How long a person may take. Milliseconds. */
const PERSON_MS = 300_000;

/** What the server asks of somebody without credentials. A ping, since it begins no session. */
export async function challengeAt({ url, fetch }: Flow): Promise<Challenge | undefined> {
  const { status, headers } = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: '{"jsonrpc":"2.0","id":"sign-in","method":"ping"}',
  });
  return status === 401 ? challengeOf(401, headers.get('www-authenticate') ?? undefined) : undefined;
}

/** `client_credentials`, with a secret or a signed token. */
export async function grant(flow: Flow, challenge: Challenge | undefined, scope: string | undefined): Promise<SignIn> {
  const done = new SignIn(flow.auth, undefined);
  await auth(done, optionsOf(flow, challenge, scope));
  return done;
}

/** New tokens for the refresh token; undefined where it belongs to another authorization server than the one of now. */
export async function refresh(
  flow: Flow,
  challenge: Challenge | undefined,
  { tokens, registration }: AuthEntry,
): Promise<StoredOAuthTokens | undefined> {
  const found = await discover(flow, challenge);
  const { authorizationServerUrl, authorizationServerMetadata: metadata, resourceMetadata } = found;
  const issuer = metadata?.issuer ?? authorizationServerUrl;
  const provider = new SignIn(flow.auth, registration);
  const client = provider.clientInformation({ issuer });
  if (tokens?.refresh_token === undefined || !sameIssuer(tokens.issuer, issuer)) return undefined;
  if (client === undefined || !sameIssuer(client.issuer, issuer)) return undefined;
  const selected = await selectResourceURL(flow.url, provider, resourceMetadata);
  const resource = resourceMetadata?.resource ?? selected;
  const fresh = await refreshAuthorization(authorizationServerUrl, {
    ...(metadata && { metadata }),
    clientInformation: client,
    refreshToken: tokens.refresh_token,
    ...(resource !== undefined && { resource }),
    fetchFn: flow.fetch,
  });
  provider.saveTokens({ ...fresh, issuer });
  return { ...fresh, scope: fresh.scope ?? tokens.scope, issuer };
}

/** The authorization code grant with PKCE; the browser comes back to a port of 127.0.0.1. */
export async function askPerson(
  flow: Flow,
  challenge: Challenge | undefined,
  scope: string | undefined,
  registration: StoredOAuthClientInformation | undefined,
  onAuthorize: OnAuthorize,
): Promise<SignIn> {
  const { redirectPort } = flow.auth ?? {};
  const port = redirectPort ?? portOf(registration);
  const listener = await RedirectListener.open(port, redirectPort !== undefined).catch((error: Error) => {
    throw new AuthServerError(`cannot listen for the browser: ${error.message}`, false, undefined, error);
  });
  try {
    const done = new SignIn(flow.auth, registration, listener.url);
    const options = { ...optionsOf(flow, challenge, scope), forceReauthorization: true };
    await auth(done, options);
    listener.expect(done.sentState);
    const params = await comesBack(flow, done, listener, onAuthorize);
    const code = codeIn(params, done);
    flow.hide(code, done.codeVerifier());
    const iss = params.get('iss');
    await auth(done, { ...options, authorizationCode: code, ...(iss !== null && { iss }) });
    return done;
  } finally {
    listener.close();
  }
}

/** Tells the authorization server that the tokens are no longer used (RFC 7009), where it can be told. */
export async function revoke(flow: Flow, { tokens, registration }: AuthEntry): Promise<void> {
  const token = tokens?.refresh_token ?? tokens?.access_token;
  if (token === undefined) return;
  const challenge = await challengeAt(flow);
  const { authorizationServerUrl, authorizationServerMetadata: metadata } = await discover(flow, challenge);
  const endpoint = (metadata as { revocation_endpoint?: string } | undefined)?.revocation_endpoint;
  const issuer = metadata?.issuer ?? authorizationServerUrl;
  const provider = new SignIn(flow.auth, registration);
  const client = provider.clientInformation({ issuer });
  if (endpoint === undefined || !sameIssuer(tokens?.issuer, issuer) || !sameIssuer(client?.issuer, issuer)) return;
  const headers = new Headers({ accept: 'application/json' });
  const body = new URLSearchParams({ token, client_id: client!.client_id });
  const { client_secret: secret } = client!;
  if (secret !== undefined) headers.set('authorization', `Basic ${btoa(`${client!.client_id}:${secret}`)}`);
  await provider.addClientAuthentication?.(headers, body, endpoint, metadata);
  await flow.fetch(endpoint, { method: 'POST', headers, body });
}

function optionsOf(flow: Flow, challenge: Challenge | undefined, scope: string | undefined): AuthorizeOptions {
  const { resourceMetadataUrl } = challenge ?? {};
  return {
    serverUrl: flow.url,
    fetchFn: flow.fetch,
    ...(scope !== undefined && { scope }),
    ...(resourceMetadataUrl && { resourceMetadataUrl }),
  };
}

function discover(flow: Flow, challenge: Challenge | undefined): ReturnType<typeof discoverOAuthServerInfo> {
  const { resourceMetadataUrl } = challenge ?? {};
  return discoverOAuthServerInfo(flow.url, {
    fetchFn: flow.fetch,
    ...(resourceMetadataUrl && { resourceMetadataUrl }),
  });
}

/** What the redirect brought: to our listener, or to whoever was asked. */
async function comesBack(
  flow: Flow,
  done: SignIn,
  listener: RedirectListener,
  onAuthorize: OnAuthorize,
): Promise<URLSearchParams> {
  const over = new AbortController();
  const signal = AbortSignal.any([flow.signal, over.signal]);
  const request = {
    service: flow.service,
    url: authorizationUrl(done.authorizationUrl!, flow.url),
    redirectUrl: listener.url,
  };
  try {
    return await new Promise<URLSearchParams>((resolve, reject) => {
      const late = (): void =>
        reject(new AuthServerError(`nobody signed in within ${PERSON_MS / 60_000} minutes`, false));
      const timer = flow.clock.after(PERSON_MS, late, true);
      const offAbort = onAbort(flow.signal, () => reject(flow.signal.reason));
      over.signal.addEventListener('abort', () => {
        timer.cancel();
        offAbort();
      });
      if (flow.signal.aborted) reject(flow.signal.reason);
      void listener.came.then(resolve);
      Promise.resolve({ ...request, signal })
        .then(onAuthorize)
        .then((address) => {
          if (address !== undefined) resolve(paramsOf(String(address), listener.url));
        })
        .catch((error: Error) =>
          reject(new AuthServerError(`onAuthorize failed: ${error.message}`, false, undefined, error)),
        );
    });
  } finally {
    over.abort();
  }
}

/** Nothing of an address is told: it has the code. */
function paramsOf(address: string, redirectUrl: string): URLSearchParams {
  const url = URL.canParse(address, redirectUrl) ? new URL(address, redirectUrl) : undefined;
  if (url === undefined || url.origin + url.pathname !== redirectUrl) throw new Error(`expected ${redirectUrl}?…`);
  return url.searchParams;
}

/** The code of a redirect that belongs to this sign-in; who sent it is checked before anything that it says is believed. */
function codeIn(params: URLSearchParams, done: SignIn): string {
  if (params.get('state') !== done.sentState)
    throw new AuthServerError('the redirect belongs to another sign-in', false);
  const metadata = done.discoveryState()?.authorizationServerMetadata;
  validateAuthorizationResponseIssuer({
    iss: params.get('iss') ?? undefined,
    expectedIssuer: metadata?.issuer,
    issParameterSupported: metadata?.authorization_response_iss_parameter_supported === true,
  });
  const code = params.get('code');
  if (code) return code;
  const error = /^[a-z_]{1,60}$/.exec(params.get('error') ?? '')?.[0];
  throw new AuthServerError(
    error === undefined ? 'the redirect brought no code' : `it was refused (${error})`,
    false,
    error,
  );
}

/** The port of an earlier sign-in: the authorization server may know the client by it. */
function portOf(registration: StoredOAuthClientInformation | undefined): number {
  const [uri] = (registration as { redirect_uris?: string[] } | undefined)?.redirect_uris ?? [];
  return uri !== undefined && URL.canParse(uri) ? Number(new URL(uri).port) : 0;
}

function sameIssuer(a: string | undefined, b: string): boolean {
  return a === b || a === `${b}/` || `${a}/` === b;
}
