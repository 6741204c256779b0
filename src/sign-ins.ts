/** Knows who is signed in where: OAuth of a store's services, by their names. Starts no service. */

import type { Credentials, Keyring, OnAuthorize } from './connection/auth.js';
import { StoreError } from './errors.js';
import { asObject, refuseUnknown } from './option-rules.js';
import { unknownService } from './scope-names.js';
import type { Services } from './service/services.js';

export interface LoginOptions {
  /** Scopes to ask for beside those that the server demands; names with spaces between them. */
  scope?: string;
  /** Shows the person where to sign in. Default: what the store was opened with. */
  onAuthorize?: OnAuthorize;
  signal?: AbortSignal;
}

/** One address of a service. Nothing of it is secret. */
export interface SignInStatus {
  service: string;
  /** Origin and path. */
  url: string;
  type: 'authorization_code' | 'client_credentials' | 'private_key_jwt';
  signedIn: boolean;
  /** When the access token ends, where the server said; it is then refreshed, if `refreshable`. ISO 8601. */
  expiresAt?: string;
  /** Without a person. */
  refreshable: boolean;
  scope?: string;
  /** The authorization server. */
  issuer?: string;
}

export class SignIns {
  readonly #services: Services;
  readonly #keyring: Keyring;
  readonly #onAuthorize: OnAuthorize | undefined;
  readonly #assertOpen: () => void;

  constructor(services: Services, keyring: Keyring, onAuthorize: OnAuthorize | undefined, assertOpen: () => void) {
    this.#services = services;
    this.#keyring = keyring;
    this.#onAuthorize = onAuthorize;
    this.#assertOpen = assertOpen;
  }

  /**
   * Signs in anew: a person by `onAuthorize`, a program by its own credentials. Tokens are kept below `stateDir`; running
   * services use them from their next request on.
   * @throws StoreError `AUTH_REQUIRED`, `CONNECT_FAILED`, `CANCELLED`, `FILE_FAILED`, `OPTION_INVALID`
   */
  async login(service: string, options: LoginOptions = {}): Promise<void> {
    this.#assertOpen();
    refuseUnknown(asObject(options, 'options'), ['scope', 'onAuthorize', 'signal'], '');
    const { scope, onAuthorize = this.#onAuthorize, signal } = options;
    if (scope !== undefined && (typeof scope !== 'string' || scope === ''))
      throw new StoreError('OPTION_INVALID', 'scope: expected names with spaces between them');
    for (const credentials of await this.#of(service)) {
      if (!credentials.machine && onAuthorize === undefined)
        throw new StoreError(
          'OPTION_INVALID',
          'onAuthorize: expected a function that shows a person where to sign in',
          {
            service,
          },
        );
      await credentials.login(onAuthorize, scope, signal);
    }
  }

  /**
   * Forgets the tokens of a service and tells its authorization server. False: there were none.
   * @throws StoreError `FILE_FAILED`
   */
  async logout(service: string, options: { signal?: AbortSignal } = {}): Promise<boolean> {
    this.#assertOpen();
    refuseUnknown(asObject(options, 'options'), ['signal'], '');
    let any = false;
    for (const credentials of await this.#of(service)) if (await credentials.logout(options.signal)) any = true;
    return any;
  }

  /** Every service that may sign in, or one; as it is kept, so nothing is asked. @throws StoreError `FILE_FAILED` */
  async status(service?: string): Promise<SignInStatus[]> {
    this.#assertOpen();
    const names = service === undefined ? [...this.#services.values()].map(({ name }) => name) : [service];
    const found: SignInStatus[] = [];
    for (const name of names)
      for (const credentials of await this.#of(name, service !== undefined)) found.push(await statusOf(credentials));
    return found;
  }

  async #of(name: string, must = true): Promise<Credentials[]> {
    const service = this.#services.get(name);
    if (service === undefined)
      throw unknownService(
        name,
        [...this.#services.values()].map((one) => one.name),
      );
    if (service.problem && must) throw service.problem;
    const endpoints = service.definition?.endpoints ?? [];
    const all = await Promise.all(endpoints.map((endpoint) => this.#keyring.of(name, endpoint)));
    const found = all.filter((credentials) => credentials !== undefined);
    if (found.length === 0 && must)
      throw new StoreError('OPTION_INVALID', `${name} does not sign in: it is no HTTP service, or has credentials`, {
        service: name,
        hint: 'OAuth is for services with a "url", and without an Authorization header or "auth": false.',
      });
    return found;
  }
}

async function statusOf(credentials: Credentials): Promise<SignInStatus> {
  const { service, url, auth } = credentials.parts;
  const entry = await credentials.entry();
  const { tokens, expiresAt } = entry ?? {};
  return {
    service,
    url: url.origin + url.pathname,
    type: auth?.type ?? 'authorization_code',
    signedIn: tokens !== undefined,
    ...(expiresAt !== undefined && { expiresAt: new Date(expiresAt).toISOString() }),
    refreshable: credentials.machine || tokens?.refresh_token !== undefined,
    ...(tokens?.scope !== undefined && { scope: tokens.scope }),
    ...(tokens?.issuer !== undefined && { issuer: tokens.issuer }),
  };
}
