/** Knows the credentials of all services of a store, each made once, however many connections it has. */

import type { Clock } from '../_util/clock.js';
import type { EndpointDefinition } from '../config/definition.js';
import type { Credentials } from './auth-credentials.js';
import type { AuthFile } from './auth-file.js';
import type { OnAuthorize } from './auth-flows.js';

export type { Credentials } from './auth-credentials.js';
export type { AuthorizationRequest, OnAuthorize } from './auth-flows.js';

export class Keyring {
  readonly #clock: Clock;
  readonly #stateDir: string | null;
  #file: AuthFile | undefined;
  readonly #onAuthorize: OnAuthorize | undefined;
  readonly #known = new Map<string, Credentials>();

  /** @param stateDir - where tokens are kept; `null`: in memory */
  constructor(clock: Clock, stateDir: string | null, onAuthorize: OnAuthorize | undefined) {
    this.#clock = clock;
    this.#stateDir = stateDir;
    this.#onAuthorize = onAuthorize;
  }

  /** Undefined where OAuth is out of the question: no HTTP, switched off, or other credentials are configured. */
  async of(service: string, definition: EndpointDefinition): Promise<Credentials | undefined> {
    if (definition.kind !== 'http' && definition.kind !== 'sse') return undefined;
    const { auth, headers } = definition;
    const url = new URL(definition.url);
    const own = Object.keys(headers).some((name) => name.toLowerCase() === 'authorization');
    if (auth === false || own || url.username !== '' || url.password !== '') return undefined;
    url.hash = '';
    const id = JSON.stringify([service, url.href, auth]);
    // They need the SDK, which is loaded with the first connection.
    const [{ Credentials }, { AuthFile }] = await Promise.all([
      import('./auth-credentials.js'),
      import('./auth-file.js'),
    ]);
    this.#file ??= new AuthFile(this.#stateDir, this.#clock);
    let credentials = this.#known.get(id);
    if (credentials === undefined) {
      const parts = { service, url, auth, clock: this.#clock, file: this.#file, onAuthorize: this.#onAuthorize };
      credentials = new Credentials(parts);
      this.#known.set(id, credentials);
    }
    return credentials;
  }

  /** Ends sign-ins that are under way. */
  close(): void {
    for (const credentials of this.#known.values()) credentials.close();
  }
}
