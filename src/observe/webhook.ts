/** Knows how alerts reach an address of the user's: posted in order, tried again, never in anybody's way. */

import type { Clock, Timer } from '../_util/clock.js';
import type { Logger } from '../events.js';
import type { Alert } from './alerts.js';

/** Attempts after the first, and the pause before the first of them, which doubles. */
const RETRIES = 4;
const PAUSE_MS = 1_000;
/** Alerts that wait for an address; the oldest give way. */
const MAX_WAITING = 100;

export interface WebhookOptions {
  /** HTTP headers, such as an `Authorization`; never logged. */
  headers?: Record<string, string>;
  /** Bounds one attempt. Milliseconds; default 5,000. */
  timeoutMs?: number;
}

export interface WebhookParts {
  url: URL;
  headers: Record<string, string>;
  timeoutMs: number;
  clock: Clock;
  logger: Logger | undefined;
}

export class Webhook {
  readonly #parts: WebhookParts;
  #waiting: Alert[] = [];
  #sending = false;
  #pause: { timer: Timer; end: () => void } | undefined;
  readonly #ended = new AbortController();

  constructor(parts: WebhookParts) {
    this.#parts = parts;
  }

  send(alert: Alert): void {
    if (this.#ended.signal.aborted) return;
    if (this.#waiting.push(alert) > MAX_WAITING) this.#lost(this.#waiting.shift()!, 'too many wait');
    if (!this.#sending) void this.#sendAll();
  }

  /** Gives up what is under way and what waits. */
  close(): void {
    this.#waiting = [];
    this.#ended.abort();
    this.#pause?.timer.cancel();
    this.#pause?.end();
  }

  async #sendAll(): Promise<void> {
    this.#sending = true;
    for (let alert = this.#waiting.shift(); alert !== undefined; alert = this.#waiting.shift())
      await this.#deliver(alert);
    this.#sending = false;
  }

  async #deliver(alert: Alert): Promise<void> {
    const body = JSON.stringify(alert);
    for (let attempt = 0; !this.#ended.signal.aborted; attempt++) {
      const { problem, final } = await this.#post(body);
      if (problem === undefined || this.#ended.signal.aborted) return;
      if (final || attempt === RETRIES) return this.#lost(alert, problem);
      await this.#wait(PAUSE_MS * 2 ** attempt);
    }
  }

  /** What went wrong, and whether another attempt can do better. */
  async #post(body: string): Promise<{ problem?: string; final?: boolean }> {
    const { url, headers, timeoutMs, clock } = this.#parts;
    const attempt = new AbortController();
    const stop = (): void => attempt.abort();
    const timer = clock.after(timeoutMs, stop);
    this.#ended.signal.addEventListener('abort', stop);
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body,
        // An alert is for this address alone.
        redirect: 'manual',
        signal: attempt.signal,
      });
      await response.body?.cancel();
      if (response.ok) return {};
      const { status } = response;
      return { problem: `answered ${status}`, final: status < 500 && status !== 408 && status !== 429 };
    } catch (error) {
      // The message of a failed fetch says little, its cause has the code; neither has the address.
      const { code } = ((error as Error).cause ?? {}) as { code?: unknown };
      return {
        problem: attempt.signal.aborted ? `no answer within ${timeoutMs} ms` : String(code ?? 'cannot be reached'),
      };
    } finally {
      timer.cancel();
      this.#ended.signal.removeEventListener('abort', stop);
    }
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        this.#pause = undefined;
        resolve();
      };
      this.#pause = { timer: this.#parts.clock.after(ms, end), end };
    });
  }

  #lost({ rule, service, state }: Alert, problem: string): void {
    // Path and query of such an address are often its secret.
    const { origin } = this.#parts.url;
    this.#parts.logger?.error({ webhook: origin, rule, service, state, problem }, 'an alert did not reach its webhook');
  }
}
