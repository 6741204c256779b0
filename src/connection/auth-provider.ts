/** Knows one sign-in of one client, in the shape that the SDK's OAuth asks for. It keeps what it is told, in memory. */

import { createPrivateKey, randomBytes } from 'node:crypto';
import {
  createPrivateKeyJwtAuth,
  type OAuthClientInformationContext,
  type OAuthClientMetadata,
  type OAuthClientProvider,
  type OAuthDiscoveryState,
  type StoredOAuthClientInformation,
  type StoredOAuthTokens,
} from '@modelcontextprotocol/client';
import type { AuthOptions } from '../auth-options.js';
import { AuthServerError } from './auth-fetch.js';

export class SignIn implements OAuthClientProvider {
  readonly redirectUrl: string | undefined;
  readonly clientMetadata: OAuthClientMetadata;
  readonly clientMetadataUrl?: string;
  readonly saveClientInformation?: (registered: StoredOAuthClientInformation) => void;
  readonly prepareTokenRequest?: (scope?: string) => URLSearchParams;
  readonly addClientAuthentication?: NonNullable<OAuthClientProvider['addClientAuthentication']>;
  /** What came of it. */
  saved: StoredOAuthTokens | undefined;
  /** Scopes that were asked for. */
  requested: string | undefined;
  registration: StoredOAuthClientInformation | undefined;
  authorizationUrl: URL | undefined;
  readonly sentState: string = randomBytes(24).toString('base64url');
  readonly #auth: AuthOptions | undefined;
  #verifier = '';
  #discovery: OAuthDiscoveryState | undefined;

  /**
   * @param registration - of an earlier sign-in, used where it is of the same server and knows this redirect
   * @param redirectUrl - undefined where no person takes part
   */
  constructor(
    auth: AuthOptions | undefined,
    registration: StoredOAuthClientInformation | undefined,
    redirectUrl?: string,
  ) {
    this.#auth = auth;
    this.registration = registration;
    this.redirectUrl = redirectUrl;
    this.clientMetadata = {
      client_name: 'mcpstore',
      redirect_uris: redirectUrl === undefined ? [] : [redirectUrl],
      grant_types: isMachine(auth) ? ['client_credentials'] : ['authorization_code', 'refresh_token'],
      ...(!isMachine(auth) && { response_types: ['code'] }),
      ...(auth?.scope !== undefined && { scope: auth.scope }),
    };
    if (auth?.clientMetadataUrl !== undefined) this.clientMetadataUrl = auth.clientMetadataUrl;
    if (auth?.clientId === undefined)
      this.saveClientInformation = (registered) => {
        this.registration = registered;
      };
    if (isMachine(auth))
      this.prepareTokenRequest = (scope) => {
        this.requested = scope;
        return new URLSearchParams({ grant_type: 'client_credentials', ...(scope && { scope }) });
      };
    if (auth?.type === 'private_key_jwt') this.addClientAuthentication = signed(auth);
  }

  state(): string {
    return this.sentState;
  }

  /** Stamped with the issuer that it belongs to: for another the SDK refuses, or registers anew. */
  clientInformation(ctx?: OAuthClientInformationContext): StoredOAuthClientInformation | undefined {
    const { clientId, clientSecret, issuer = ctx?.issuer } = this.#auth ?? {};
    if (clientId !== undefined)
      return {
        client_id: clientId,
        ...(clientSecret !== undefined && { client_secret: clientSecret }),
        ...(issuer !== undefined && { issuer }),
      };
    const { registration, redirectUrl } = this;
    const known = (registration as { redirect_uris?: string[] } | undefined)?.redirect_uris;
    // One registered with another port may be refused there; a refresh has no redirect.
    return redirectUrl === undefined || known?.includes(redirectUrl) !== false ? registration : undefined;
  }

  /** Tokens that are to be refreshed are no matter of the SDK's flow. */
  tokens(): undefined {
    return undefined;
  }

  saveTokens(tokens: StoredOAuthTokens): void {
    if (!/^[\x21-\x7e]+$/.test(tokens.access_token) || !/^bearer$/i.test(tokens.token_type))
      throw new AuthServerError(`the token is of a kind that cannot be used here`, false);
    this.saved = tokens;
  }

  redirectToAuthorization(url: URL): void {
    this.authorizationUrl = url;
    this.requested = url.searchParams.get('scope') ?? undefined;
  }

  saveCodeVerifier(verifier: string): void {
    this.#verifier = verifier;
  }

  codeVerifier(): string {
    return this.#verifier;
  }

  /** An authorization server that does not say that it checks PKCE may not (MCP, "Authorization Code Protection"). */
  saveDiscoveryState(state: OAuthDiscoveryState): void {
    const metadata = state.authorizationServerMetadata;
    if (this.redirectUrl !== undefined && metadata && !metadata.code_challenge_methods_supported?.includes('S256'))
      throw new AuthServerError(`${metadata.issuer} does not support PKCE with S256`, false);
    this.#discovery = state;
  }

  discoveryState(): OAuthDiscoveryState | undefined {
    return this.#discovery;
  }
}

/** Does a program sign in for itself? */
export function isMachine(auth: AuthOptions | undefined): boolean {
  return auth !== undefined && auth.type !== 'authorization_code';
}

function signed(auth: AuthOptions): NonNullable<OAuthClientProvider['addClientAuthentication']> {
  const [id, privateKey] = [auth.clientId!, auth.privateKey!];
  return async (headers, params, url, metadata) => {
    const alg = auth.algorithm ?? algorithmOf(privateKey);
    const sign = createPrivateKeyJwtAuth({ issuer: id, subject: id, privateKey, alg });
    try {
      await sign(headers, params, url, metadata);
    } catch {
      // The thrown error may show parts of the key.
      throw new AuthServerError(`privateKey is no key in PEM (PKCS #8) that signs with ${alg}`, false);
    }
  };
}

function algorithmOf(pem: string): string {
  try {
    const { asymmetricKeyType, asymmetricKeyDetails } = createPrivateKey(pem);
    if (asymmetricKeyType === 'ec') return asymmetricKeyDetails?.namedCurve === 'secp384r1' ? 'ES384' : 'ES256';
  } catch {
    // Told when it is used.
  }
  return 'RS256';
}
