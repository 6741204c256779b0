/** Knows the credentials of one service at one address: signs its requests, and gets new ones, once for all that wait. */

import { computeScopeUnion, isStrictScopeSuperset } from '@modelcontextprotocol/client';
import { orAborted } from '../_util/abort.js';
import { isStoreError, StoreError } from '../errors.js';
import { ownError, refusedWith, signInFailed } from './auth-errors.js';
import { AuthServerError, authFetch } from './auth-fetch.js';
import type { AuthEntry } from './auth-file.js';
import { askPerson, challengeAt, grant, type OnAuthorize, refresh, revoke } from './auth-flows.js';
import { type Challenge, stepsUp } from './auth-http.js';
import { Kept, type KeptParts } from './auth-kept.js';
import { isMachine, type SignIn } from './auth-provider.js';
import { Secrets } from './auth-secrets.js';
import type { Redact } from './redact.js';

export interface CredentialsParts extends KeptParts {
  /** Undefined: nobody is there to be asked. */
  readonly onAuthorize: OnAuthorize | undefined;
}

/** What failed for some credentials is not tried again for the same ones for so long: the calls of a crowd trickle in. */
const FAILED_MS = 1_000;
/** Who did not sign in when asked is not asked again for so long, unless by `login`. */
const ASK_AGAIN_MS = 60_000;

export class Credentials {
  /** Takes tokens and secrets out of what is told. */
  readonly redact: Redact;
  readonly machine: boolean;
  readonly parts: CredentialsParts;
  readonly #kept: Kept;
  readonly #secrets: Secrets;
  readonly #closing = new AbortController();
  #challenge: Challenge | undefined;
  /** What refused requests wait for. */
  readonly #waiting = new Set<Challenge>();
  #renewing: Promise<boolean> | undefined;
  #failed: { used: string | undefined; at: number; error: StoreError | undefined } | undefined;
  #asking: Promise<boolean> | undefined;
  #refusedAt = Number.NEGATIVE_INFINITY;

  constructor(parts: CredentialsParts) {
    this.parts = parts;
    this.machine = isMachine(parts.auth);
    this.#secrets = new Secrets(parts.auth?.clientSecret, parts.auth?.privateKey);
    this.redact = this.#secrets.redact;
    this.#kept = new Kept(parts, (...secrets) => this.#secrets.hide(...secrets));
  }

  get service(): string {
    return this.parts.service;
  }

  /** Value of the Authorization header; undefined: there is none (yet). */
  get authorization(): string | undefined {
    return this.#kept.authorization;
  }

  /** Reads what is kept, where it may have changed. */
  async load(): Promise<void> {
    if (this.changed) await this.#kept.read();
  }

  /** Was the file written since it was read here? Another process may have signed in. */
  get changed(): boolean {
    return this.#kept.changed;
  }

  /** What is kept of it; undefined: nothing. @throws StoreError `FILE_FAILED` where that cannot be known */
  async entry(): Promise<AuthEntry | undefined> {
    await this.#kept.read();
    const { entry, unreadable } = this.#kept;
    if (entry === undefined && unreadable !== undefined) throw unreadable;
    return entry;
  }

  /**
   * Gets other credentials than `used`, which were refused; concurrent ones join.
   * @param ask - a person may be asked
   * @returns false where there are none to be had
   * @throws StoreError of a sign-in that failed
   */
  async renew(challenge: Challenge, used: string | undefined, ask: boolean): Promise<boolean> {
    this.#waiting.add(challenge);
    try {
      return await this.#renew(challenge, used, ask);
    } finally {
      this.#waiting.delete(challenge);
    }
  }

  async #renew(challenge: Challenge, used: string | undefined, ask: boolean): Promise<boolean> {
    const wider = stepsUp(challenge);
    for (;;) {
      const now = this.#kept.authorization;
      const isOther = now !== undefined && now !== used;
      // The same scopes again would bring the same refusal; other credentials help where they have these scopes.
      if (wider ? !isStrictScopeSuperset(challenge.scope, this.#kept.scopes) : isOther) return isOther;
      let joined = this.#renewing !== undefined;
      this.#challenge = challenge;
      if (!(await this.#quietly(challenge, wider ? now : used))) {
        if (!ask) return false;
        joined = this.#asking !== undefined;
        if (!(await this.ask())) return false;
      }
      // Whoever was joined may have asked for other scopes.
      if (!wider || !joined) return true;
    }
  }

  /**
   * Has a person sign in, where one can be asked: for what was demanded last, and all that requests wait for by then.
   * False where none can.
   */
  ask(signal?: AbortSignal): Promise<boolean> {
    const { onAuthorize, clock } = this.parts;
    if (onAuthorize === undefined || this.machine) return Promise.resolve(false);
    if (!this.#asking && clock.now() - this.#refusedAt < ASK_AGAIN_MS) return Promise.resolve(false);
    this.#asking ??= this.#ask(onAuthorize, this.#challenge, this.#demanded()).finally(() => {
      this.#asking = undefined;
    });
    return orAborted(this.#asking, signal).catch((error) => {
      throw isStoreError(error) ? ownError(error) : error;
    });
  }

  /** Signs in anew, whatever is kept. Rejects with `AUTH_REQUIRED`, `CONNECT_FAILED`, `FILE_FAILED` or `CANCELLED`. */
  async login(onAuthorize: OnAuthorize | undefined, scope: string | undefined, signal?: AbortSignal): Promise<void> {
    await this.#kept.read();
    // What could not be kept is not worth a person's time.
    if (this.#kept.unreadable !== undefined) throw this.#kept.unreadable;
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
    await this.#kept.write(undefined);
    await revoke(this.#flow(signal), entry).catch(() => {});
    return true;
  }

  /** A refusal of the service, with what can be done about it. */
  explained(error: StoreError, challenge: Challenge): StoreError {
    const { entry, scopes, unreadable } = this.#kept;
    const { resourceMetadataUrl } = challenge;
    const takesOAuth = this.parts.auth !== undefined || entry !== undefined || resourceMetadataUrl !== undefined;
    return refusedWith(this, error, challenge, { takesOAuth, scopes, unreadable });
  }

  /** Ends what is under way. */
  close(): void {
    this.#closing.abort(new StoreError('CANCELLED', 'the store was closed'));
  }

  /** The scopes that requests wait for, with those there were where one of them needs more. */
  #demanded(): string | undefined {
    const waiting = [...this.#waiting];
    const before = waiting.some(stepsUp) ? this.#kept.scopes : undefined;
    return computeScopeUnion(before, ...waiting.map(({ scope }) => scope));
  }

  #quietly(challenge: Challenge, used: string | undefined): Promise<boolean> {
    const { clock } = this.parts;
    if (this.#failed && this.#failed.used === used && clock.now() - this.#failed.at < FAILED_MS) {
      const { error } = this.#failed;
      return error === undefined ? Promise.resolve(false) : Promise.reject(ownError(error));
    }
    const { signal } = this.#closing;
    this.#renewing ??= this.#told(() => this.#kept.exclusively(signal, () => this.#fresh(challenge, used)))
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
    await this.#kept.read();
    if (this.#kept.authorization !== undefined && this.#kept.authorization !== used) return true;
    const wider = challenge.status === 403;
    if (this.machine) {
      const scope = computeScopeUnion(this.parts.auth?.scope, wider ? this.#kept.scopes : undefined, challenge.scope);
      await this.#keep(await grant(this.#flow(), challenge, scope));
      return true;
    }
    // A refresh cannot widen what was given (RFC 6749, 6). Whoever writes the file may have refreshed where it cannot be
    // read, and a refresh token that is used twice may end all of them.
    const entry = this.#kept.entry;
    if (wider || this.#kept.unreadable !== undefined || entry?.tokens?.refresh_token === undefined) return false;
    try {
      const tokens = await refresh(this.#flow(), challenge, entry);
      if (tokens === undefined) return false;
      await this.#kept.set({ ...entry, tokens, expiresAt: this.#kept.expiry(tokens.expires_in) }, entry);
      return this.#kept.authorization !== undefined;
    } catch (error) {
      if (!(error instanceof AuthServerError) || error.transient || error.oauth === undefined) throw error;
      // Revoked, ended or used before: only a new sign-in helps. A client that is no longer known registers anew.
      const { tokens: _, expiresAt: __, registration, ...rest } = entry;
      const unknown = error.oauth === 'invalid_client' || error.oauth === 'unauthorized_client';
      await this.#kept.set({ ...rest, ...(!unknown && { registration }) }, entry);
      return this.#kept.authorization !== undefined && this.#kept.authorization !== used;
    }
  }

  async #ask(
    onAuthorize: OnAuthorize,
    challenge: Challenge | undefined,
    scope: string | undefined,
    signal?: AbortSignal,
    insist = false,
  ): Promise<boolean> {
    const wanted = computeScopeUnion(this.parts.auth?.scope, scope, challenge?.scope);
    try {
      await this.#told(async () => {
        const done = await askPerson(
          this.#flow(signal),
          challenge,
          wanted,
          this.#kept.entry?.registration,
          onAuthorize,
        );
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
    const hide = (...secrets: (string | undefined)[]): void => this.#secrets.hide(...secrets);
    return { service, url, auth, clock, signal: ending, fetch: authFetch(clock, url, ending), hide };
  }

  /** @param insist - what cannot be written is an error, not a loss of this process alone */
  async #keep(done: SignIn, insist = false): Promise<void> {
    const entry = this.#kept.entryOf(done);
    if (insist) await this.#kept.write(entry);
    else await this.#kept.set(entry);
    this.#failed = undefined;
  }
}
