/** Knows which failures may be tried again, after which pause, and how many retries a service can afford. */

import type { Clock } from '../_util/clock.js';
import { WaitQueue } from '../_util/wait-queue.js';
import type { Call, Handler } from '../call.js';
import { isStoreError, StoreError } from '../errors.js';
import type { ResolvedPerformance } from '../options.js';

export interface RetryPolicy {
  maxRetries: number;
  retryDelayMs: number;
  retry: ResolvedPerformance['calls']['retry'];
  clock: Clock;
}

/** Retries that a service may spend: 0.2 for each call and 3 a second, so an outage is not multiplied. */
const BUDGET_PER_CALL = 0.2;
const BUDGET_PER_SECOND = 3;
const BUDGET_MAX = 30;

/** `'now'`: repeat once without a pause; a number: repeat once after it; `'backoff'`: within the budget. */
type Verdict = 'final' | 'now' | 'backoff' | { afterMs: number };

/** How far did the attempt get, and is repeating it safe? The classes (a) to (d) are those of docs/calls.md. */
export function judge(error: unknown, call: Pick<Call, 'repeatable'>): Verdict {
  if (!isStoreError(error)) return 'final';
  const { code, figures } = error;
  // (b) refused before it ran: the session was unknown, or the server asks for patience.
  if (figures?.['sessionExpired'] === true) return 'now';
  if (code === 'RATE_LIMITED') {
    const afterMs = figures?.['retryAfterMs'];
    return typeof afterMs === 'number' ? { afterMs } : 'final';
  }
  // (c) sent, and the answer was lost.
  if (code === 'OUTCOME_UNKNOWN') return call.repeatable ? 'backoff' : 'final';
  // (a) never sent. A start that stayed silent has used up its own long time-out already.
  if ((code === 'CONNECT_FAILED' || code === 'START_FAILED') && error.executed === 'no')
    return figures?.['retryable'] === false || figures?.['timeoutMs'] !== undefined ? 'final' : 'backoff';
  return 'final';
}

/** Delay before attempt `attempt + 1`, in milliseconds; jitter only ever shortens it, so the cap holds. */
export function delayMs(attempt: number, policy: RetryPolicy): number {
  const { strategy, jitter, maxDelayMs } = policy.retry;
  const base = policy.retryDelayMs;
  let delay: number;
  if (typeof strategy === 'function') delay = strategy(attempt);
  else if (strategy === 'fixed') delay = base;
  else if (strategy === 'linear') delay = base * attempt;
  else if (strategy === 'fibonacci') delay = base * fibonacci(attempt);
  else delay = base * 2 ** (attempt - 1);
  const capped = Math.min(Math.max(Number.isFinite(delay) ? delay : 0, 0), maxDelayMs);
  return jitter === 'full' ? capped * policy.clock.random() : capped;
}

function fibonacci(n: number): number {
  let [a, b] = [1, 1];
  for (let i = 1; i < n; i++) [a, b] = [b, a + b];
  return a;
}

export class Retry {
  readonly #policy: RetryPolicy;
  readonly #pauses: WaitQueue<void>;
  #tokens = BUDGET_MAX;
  #filledAt: number;
  #closed = false;

  constructor(policy: RetryPolicy) {
    this.#policy = policy;
    this.#pauses = new WaitQueue(policy.clock);
    this.#filledAt = policy.clock.now();
  }

  /** Ends every pause and begins none any more, when the service is closed. */
  refuse(error: () => Error): void {
    this.#closed = true;
    this.#pauses.failAll(error);
  }

  /** `next`, repeated where that is safe, within the call's deadline and the service's budget. */
  around(next: Handler): Handler {
    return async (call) => {
      this.#tokens = Math.min(BUDGET_MAX, this.#tokens + BUDGET_PER_CALL);
      let asked = false;
      /** An attempt was sent and lost its answer: whatever comes now, the call may have run. */
      let doubt = false;
      for (let attempt = 1; ; attempt++) {
        try {
          return await next(call);
        } catch (thrown) {
          const error: unknown = doubt ? doubtful(thrown) : thrown;
          doubt ||= isStoreError(error) && error.executed === 'unknown';
          const verdict = judge(thrown, call);
          if (verdict === 'final' || attempt > this.#policy.maxRetries || this.#closed) throw error;
          // What the server itself asked to repeat is repeated once; a second refusal is an answer.
          if (verdict !== 'backoff' && asked) throw error;
          if (verdict !== 'backoff') asked = true;
          const pause =
            verdict === 'now' ? 0 : verdict === 'backoff' ? delayMs(attempt, this.#policy) : verdict.afterMs;
          if (pause >= call.deadline - this.#policy.clock.now() || !this.#spend()) throw error;
          await this.#pause(pause, call).catch((ended: unknown) => {
            throw doubt ? doubtful(ended) : ended;
          });
        }
      }
    };
  }

  #spend(): boolean {
    const now = this.#policy.clock.now();
    this.#tokens = Math.min(BUDGET_MAX, this.#tokens + ((now - this.#filledAt) / 1000) * BUDGET_PER_SECOND);
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** Sleeps without a permit; the caller's signal ends it at once. */
  async #pause(ms: number, call: Call): Promise<void> {
    if (ms <= 0 && !call.signal?.aborted) return;
    const limits = { deadline: this.#policy.clock.now() + ms, signal: call.signal };
    await this.#pauses
      .wait(limits, (why) =>
        why === 'timeout'
          ? new PauseOver()
          : new StoreError('CANCELLED', 'cancelled by the caller', { cause: call.signal?.reason }),
      )
      .catch((error: unknown) => {
        if (!(error instanceof PauseOver)) throw error;
      });
  }
}

/** The same error for a call that an earlier attempt may have run. */
function doubtful(error: unknown): unknown {
  if (!isStoreError(error) || error.executed !== 'no') return error;
  const { code, message, figures, hint, rpcCode, data, cause } = error;
  return new StoreError(code, message, { executed: 'unknown', figures, hint, rpcCode, data, cause });
}

/** The end of a pause, as the wait queue tells it. */
class PauseOver extends Error {}
