/** Knows what is kept of one service at one address: its tokens as the file has them, and what this process knows beside. */

import { computeScopeUnion } from '@modelcontextprotocol/client';
import type { Clock } from '../_util/clock.js';
import type { AuthOptions } from '../auth-options.js';
import { StoreError } from '../errors.js';
import { type AuthEntry, type AuthFile, fingerprintOf, keyOf } from './auth-file.js';
import type { SignIn } from './auth-provider.js';

export interface KeptParts {
  readonly service: string;
  readonly url: URL;
  readonly auth: AuthOptions | undefined;
  readonly clock: Clock;
  readonly file: AuthFile;
}

export class Kept {
  readonly #parts: KeptParts;
  readonly #key: string;
  readonly #hide: (...secrets: (string | undefined)[]) => void;
  #entry: AuthEntry | undefined;
  #authorization: string | undefined;
  /** `AuthFile.stamp` when it was last read; undefined: never. */
  #stamp: string | undefined;
  #unreadable: StoreError | undefined;

  /** @param hide - keeps these out of errors */
  constructor(parts: KeptParts, hide: (...secrets: (string | undefined)[]) => void) {
    this.#parts = parts;
    this.#key = keyOf(parts.service, parts.url);
    this.#hide = hide;
  }

  /** As it was read or written last. */
  get entry(): AuthEntry | undefined {
    return this.#entry;
  }

  /** Value of the Authorization header. */
  get authorization(): string | undefined {
    return this.#authorization;
  }

  /** Scopes that were asked for, and those that were given. */
  get scopes(): string | undefined {
    return computeScopeUnion(this.#entry?.requested, this.#entry?.tokens?.scope);
  }

  /** Was the file written since it was read here? Another process may have signed in. */
  get changed(): boolean {
    return this.#stamp !== this.#parts.file.stamp();
  }

  /** Why the file could not be read when that was last tried. */
  get unreadable(): StoreError | undefined {
    return this.#unreadable;
  }

  /** Reads the file. Where it cannot be read, what was known last stays. */
  async read(): Promise<void> {
    const { auth, file } = this.#parts;
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

  /** What came of a sign-in, as an entry. */
  entryOf({ saved: tokens, registration, requested }: SignIn): AuthEntry {
    const { service, url, auth } = this.#parts;
    const client = fingerprintOf(auth);
    const expiresAt = this.expiry(tokens?.expires_in);
    return { service, url: url.origin + url.pathname, client, tokens, expiresAt, requested, registration };
  }

  expiry(seconds: number | undefined): number | undefined {
    return seconds === undefined ? undefined : this.#parts.clock.wall() + seconds * 1_000;
  }

  /**
   * Where it cannot be written, this process knows it all the same.
   * @param over - what this is made of: where somebody signed in or out since, that stays
   */
  async set(entry: AuthEntry, over?: AuthEntry): Promise<void> {
    await this.write(entry, over).catch(() => {});
  }

  /** The same, for whom it has to be written. @throws StoreError `FILE_FAILED` */
  async write(entry: AuthEntry | undefined, over?: AuthEntry): Promise<void> {
    const { service, file } = this.#parts;
    this.#use(entry);
    try {
      if (!(await file.set(this.#key, entry, over))) await this.read();
    } catch (error) {
      const message = `cannot keep the tokens of ${service}: ${(error as Error).message}`;
      const { figures, hint } = error as Partial<StoreError>;
      throw new StoreError('FILE_FAILED', message, { figures, hint, cause: error });
    } finally {
      this.#stamp = file.stamp();
    }
  }

  /** Runs `work` while no other process of this user does the same. */
  exclusively<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return this.#parts.file.exclusively(this.#key, signal, work);
  }

  #use(entry: AuthEntry | undefined): void {
    const { tokens, registration } = entry ?? {};
    this.#hide(tokens?.access_token, tokens?.refresh_token, tokens?.id_token, registration?.client_secret);
    this.#entry = entry;
    this.#authorization = tokens === undefined ? undefined : `Bearer ${tokens.access_token}`;
  }
}
