/** Knows the credentials of one service at one address: signs its requests, and gets new ones, once for all that wait. */

import { computeScopeUnion, isStrictScopeSuperset } from '@modelcontextprotocol/client';
import { orAborted } from '../_util/abort.js';
import type { Clock } from '../_util/clock.js';
import type { AuthOptions } from '../auth-options.js';
import { isStoreError, StoreError } from '../errors.js';
import { ownError, refusedWith, signInFailed } from './auth-errors.js';
import { AuthServerError, authFetch } from './auth-fetch.js';
import { type AuthEntry, type AuthFile, fingerprintOf, keyOf } from './auth-file.js';
import { askPerson, challengeAt, grant, type OnAuthorize, refresh, revoke } from './auth-flows.js';
import { type Challenge, stepsUp } from './auth-http.js';
import { isMachine, type SignIn } from './auth-provider.js';
import { type Redact, redacting } from './redact.js';

export interface CredentialsParts {
  readonly service: string;
  readonly url: URL;
  readonly auth: AuthOptions | undefined;
  readonly clock: Clock;
  readonly file: AuthFile;
  /** Undefined: nobody is there to be asked. */
  readonly onAuthorize: OnAuthorize | undefined;
}

/** What failed for some credentials is not tried again for the same ones for so long: the calls of a crowd trickle in. */
const FAILED_MS = 1_000;
/** Tokens that are kept out of errors: those of now, and those that late answers may still hold. */
const MAX_SECRETS = 24;
/** Who did not sign in when asked is not asked again for so long, unless by `login`. */
const ASK_AGAIN_MS = 60_000;

export class Credentials {
  /** Takes tokens and secrets out of what is told. */
  readonly redact: Redact;
  readonly machine: boolean;
  readonly parts: CredentialsParts;
  readonly #key: string;
  readonly #closing = new AbortController();
  #secrets: string[] = [];
  #masking: Redact = redacting([]);
  #entry: AuthEntry | undefined;
  #authorization: string | undefined;
  /** `AuthFile.stamp` when it was last read; undefined: never. */
  #stamp: string | undefined;
  /** Why it could not be read then. */
  #unreadable: StoreError | undefined;
  #challenge: Challenge | undefined;
  #renewing: Promise<boolean> | undefined;
  #failed: { used: string | undefined; at: number; error: StoreError | undefined } | undefined;
  #asking: Promise<boolean> | undefined;
  #refusedAt = Number.NEGATIVE_INFINITY;

  constructor(parts: CredentialsParts) {
    this.parts = parts;
    this.machine = isMachine(parts.auth);
    this.#key = keyOf(parts.service, parts.url);
    const redact = (text: string): string => this.#masking(text);
    this.redact = Object.defineProperty(redact, 'longest', { get: () => this.#masking.longest }) as unknown as Redact;
    this.#hide(parts.auth?.clientSecret, parts.auth?.privateKey);
  }

  get service(): string {
    return this.parts.service;
  }

  /** Value of the Authorization header; undefined: there is none (yet). */
  get authorization(): string | undefined {
    return this.#authorization;
  }

  /** Reads what is kept, where it may have changed. */
  async load(): Promise<void> {
    if (this.changed) await this.#adopt();
  }

  /** Was the file written since it was read here? Another process may have signed in. */
  get changed(): boolean {
    return this.#stamp !== this.parts.file.stamp();
  }

  /** What is kept of it; undefined: nothing. @throws StoreError `FILE_FAILED` where that cannot be known */
  async entry(): Promise<AuthEntry | undefined> {
    await this.#adopt();
    if (this.#entry === undefined && this.#unreadable !== undefined) throw this.#unreadable;
    return this.#entry;
  }

  /**
   * Gets other credentials than `used`, which were refused; concurrent ones join.
   * @param ask - a person may be asked
   * @returns false where there are none to be had
   * @throws StoreError of a sign-in that failed
   */
  async renew(challenge: Challenge, used: string | undefined, ask: boolean): Promise<boolean> {
    const wider = stepsUp(challenge);
    for (;;) {
      const now = this.#authorization;
      const isOther = now !== undefined && now !== used;
      // The same scopes again would bring the same refusal; other credentials help where they have these scopes.
      if (wider ? !isStrictScopeSuperset(challenge.scope, this.#scopes()) : isOther) return isOther;
      const joined = this.#renewing !== undefined;
      this.#challenge = challenge;
      if (!(await this.#quietly(challenge, wider ? now : used))) break;
      // Whoever was joined may have asked for other scopes.
      if (!wider || !joined) return true;
    }
    return ask ? this.ask() : false;
  }

  /** Has a person sign in, where one can be asked: for what was demanded last. False where none can. */
  ask(signal?: AbortSignal): Promise<boolean> {
    const { onAuthorize, clock } = this.parts;
    if (onAuthorize === undefined || this.machine) return Promise.resolve(false);
    if (!this.#asking && clock.now() - this.#refusedAt < ASK_AGAIN_MS) return Promise.resolve(false);
    this.#asking ??= this.#ask(onAuthorize, this.#challenge, undefined).finally(() => {
      this.#asking = undefined;
    });
    return orAborted(this.#asking, signal).catch((error) => {
      throw isStoreError(error) ? ownError(error) : error;
    });
  }

  /** Signs in anew, whatever is kept. Rejects with `AUTH_REQUIRED`, `CONNECT_FAILED`, `FILE_FAILED` or `CANCELLED`. */
  async login(onAuthorize: OnAuthorize | undefined, scope: string | undefined, signal?: AbortSignal): Promise<void> {
    await this.#adopt();
    // What could not be kept is not worth a person's time.
    if (this.#unreadable !== undefined) throw this.#unreadable;
    const { auth } = this.parts;
    const wanted = computeScopeUnion(auth?.scope, scope);
    await this.#told(async () => {
      const challenge = await challengeAt(this.#flow(signal));
      if (this.machine) await this.#keep(await grant(this.#flow(signal), challenge, wanted), true);
      else if (onAuthorize) await this.#ask(onAuthorize, challenge, wanted, signal, true);
      else throw new AuthServerError('nobody is there to sign in', false);
    });
  }

  /** Forgets what is kept, and tells the authorization server. False: there was nothing. */
  async logout(signal?: AbortSignal): Promise<boolean> {
    const entry = await this.entry();
    if (entry === undefined) return false;
    await this.#write(undefined);
    await revoke(this.#flow(signal), entry).catch(() => {});
    return true;
  }

  /** A refusal of the service, with what can be done about it. */
  explained(error: StoreError, challenge: Challenge): StoreError {
    const { auth } = this.parts;
    const known = auth !== undefined || this.#entry !== undefined || challenge.resourceMetadataUrl !== undefined;
    return refusedWith(this, error, challenge, known, this.#unreadable);
  }

  /** Ends what is under way. */
  close(): void {
    this.#closing.abort(new StoreError('CANCELLED', 'the store was closed'));
  }

  #quietly(challenge: Challenge, used: string | undefined): Promise<boolean> {
    const { clock, file } = this.parts;
    if (this.#failed && this.#failed.used === used && clock.now() - this.#failed.at < FAILED_MS) {
      const { error } = this.#failed;
      return error === undefined ? Promise.resolve(false) : Promise.reject(ownError(error));
    }
    const { signal } = this.#closing;
    this.#renewing ??= this.#told(() => file.exclusively(this.#key, signal, () => this.#fresh(challenge, used)))
      .then(
        (done) => {
          this.#failed = done ? undefined : { used, at: clock.now(), error: undefined };
          return done;
        },
        (error: StoreError) => {
          this.#failed = { used, at: clock.now(), error };
          throw error;
        },
      )
      .finally(() => {
        this.#renewing = undefined;
      });
    return this.#renewing.catch((error) => {
      throw ownError(error);
    });
  }

  /** What can be had without a person. */
  async #fresh(challenge: Challenge, used: string | undefined): Promise<boolean> {
    await this.#adopt();
    if (this.#authorization !== undefined && this.#authorization !== used) return true;
    const wider = challenge.status === 403;
    if (this.machine) {
      const scope = computeScopeUnion(this.parts.auth?.scope, wider ? this.#scopes() : undefined, challenge.scope);
      await this.#keep(await grant(this.#flow(), challenge, scope));
      return true;
    }
    // A refresh cannot widen what was given (RFC 6749, 6). Whoever writes the file may have refreshed where it cannot be
    // read, and a refresh token that is used twice may end all of them.
    const entry = this.#entry;
    if (wider || this.#unreadable !== undefined || entry?.tokens?.refresh_token === undefined) return false;
    try {
      const tokens = await refresh(this.#flow(), challenge, entry);
      if (tokens === undefined) return false;
      await this.#set({ ...entry, tokens, expiresAt: this.#expiry(tokens.expires_in) }, entry);
      return this.#authorization !== undefined;
    } catch (error) {
      if (!(error instanceof AuthServerError) || error.transient || error.oauth === undefined) throw error;
      // Revoked, ended or used before: only a new sign-in helps. A client that is no longer known registers anew.
      const { tokens: _, expiresAt: __, registration, ...rest } = entry;
      const unknown = error.oauth === 'invalid_client' || error.oauth === 'unauthorized_client';
      await this.#set({ ...rest, ...(!unknown && { registration }) }, entry);
      return this.#authorization !== undefined && this.#authorization !== used;
    }
  }

  async #ask(
    onAuthorize: OnAuthorize,
    challenge: Challenge | undefined,
    scope: string | undefined,
    signal?: AbortSignal,
    insist = false,
  ): Promise<boolean> {
    const wider = challenge?.status === 403 ? this.#scopes() : undefined;
    const wanted = computeScopeUnion(this.parts.auth?.scope, scope, wider, challenge?.scope);
    try {
      await this.#told(async () => {
        const done = await askPerson(this.#flow(signal), challenge, wanted, this.#entry?.registration, onAuthorize);
        await this.#keep(done, insist);
      });
      this.#refusedAt = Number.NEGATIVE_INFINITY;
      return true;
    } catch (error) {
      this.#refusedAt = this.parts.clock.now();
      throw error;
    }
  }

  async #told<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw signInFailed(this, error);
    }
  }

  #flow(signal?: AbortSignal): Parameters<typeof grant>[0] {
    const { service, url, auth, clock } = this.parts;
    const ending = signal ? AbortSignal.any([signal, this.#closing.signal]) : this.#closing.signal;
    const hide = (...secrets: (string | undefined)[]): void => this.#hide(...secrets);
    return { service, url, auth, clock, signal: ending, fetch: authFetch(clock, url, ending), hide };
  }

  /** @param insist - what cannot be written is an error, not a loss of this process alone */
  async #keep(done: SignIn, insist = false): Promise<void> {
    const { service, url, auth } = this.parts;
    const { saved: tokens, registration, requested } = done;
    const shown = url.origin + url.pathname;
    const expiresAt = this.#expiry(tokens?.expires_in);
    const entry = { service, url: shown, client: fingerprintOf(auth), tokens, expiresAt, requested, registration };
    if (insist) await this.#write(entry);
    else await this.#set(entry);
    this.#failed = undefined;
  }

  async #set(entry: AuthEntry, over?: AuthEntry): Promise<void> {
    await this.#write(entry, over).catch(() => {});
  }

  /** @param over - what this is made of: where somebody signed in or out since, that stays */
  async #write(entry: AuthEntry | undefined, over?: AuthEntry): Promise<void> {
    this.#use(entry);
    try {
      if (!(await this.parts.file.set(this.#key, entry, over))) await this.#adopt();
    } catch (error) {
      const message = `cannot keep the tokens of ${this.service}: ${(error as Error).message}`;
      const { figures, hint } = error as Partial<StoreError>;
      throw new StoreError('FILE_FAILED', message, { figures, hint, cause: error });
    } finally {
      this.#stamp = this.parts.file.stamp();
    }
  }

  /** Where the file cannot be read, what was known last stays. */
  async #adopt(): Promise<void> {
    const { auth, file } = this.parts;
    this.#stamp = file.stamp();
    try {
      const entry = await file.get(this.#key);
      this.#unreadable = undefined;
      this.#use(entry?.client === fingerprintOf(auth) ? entry : undefined);
    } catch (error) {
      this.#unreadable = error as StoreError;
      // It may be readable in a moment without having changed.
      if (this.#unreadable.figures?.['errno'] !== undefined) this.#stamp = undefined;
    }
  }

  #use(entry: AuthEntry | undefined): void {
    const { tokens, registration } = entry ?? {};
    this.#hide(tokens?.access_token, tokens?.refresh_token, tokens?.id_token, registration?.client_secret);
    this.#entry = entry;
    this.#authorization = tokens === undefined ? undefined : `Bearer ${tokens.access_token}`;
  }

  /** What was asked for and what was given. */
  #scopes(): string | undefined {
    return computeScopeUnion(this.#entry?.requested, this.#entry?.tokens?.scope);
  }

  #expiry(seconds: number | undefined): number | undefined {
    return seconds === undefined ? undefined : this.parts.clock.wall() + seconds * 1_000;
  }

  #hide(...secrets: (string | undefined)[]): void {
    const fresh = secrets.filter((secret) => secret !== undefined && !this.#secrets.includes(secret));
    if (fresh.length === 0) return;
    this.#secrets = [...this.#secrets, ...(fresh as string[])].slice(-MAX_SECRETS);
    const { clientSecret, privateKey } = this.parts.auth ?? {};
    const configured = [clientSecret, privateKey].filter((secret) => secret !== undefined);
    this.#masking = redacting([...configured, ...this.#secrets]);
  }
}
