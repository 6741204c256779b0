/** Knows the secrets of one set of credentials, and takes them out of what is told. */

import { type Redact, redacting } from './redact.js';

/** Tokens that are kept out of errors: those of now, and those that late answers may still hold. */
const MAX_SECRETS = 24;

export class Secrets {
  readonly redact: Redact;
  /** Of the configuration: never forgotten. */
  readonly #configured: readonly string[];
  #others: string[] = [];
  #masking: Redact;

  constructor(...configured: (string | undefined)[]) {
    this.#configured = configured.filter((secret) => secret !== undefined);
    this.#masking = redacting([...this.#configured]);
    const redact = (text: string): string => this.#masking(text);
    this.redact = Object.defineProperty(redact, 'longest', { get: () => this.#masking.longest }) as unknown as Redact;
  }

  hide(...secrets: (string | undefined)[]): void {
    const fresh = secrets.filter((secret) => secret !== undefined && !this.#others.includes(secret));
    if (fresh.length === 0) return;
    this.#others = [...this.#others, ...(fresh as string[])].slice(-MAX_SECRETS);
    this.#masking = redacting([...this.#configured, ...this.#others]);
  }
}
