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
  /** Is there another endpoint that could take this call at once? */
  elsewhere: (call: Call) => boolean;
}

/**
 * Retries that a service may spend: 0.2 for each call and 3 a second, so an outage is not multiplied (a retry budget as
 * Finagle has it). It begins empty, saves up to `BUDGET_MAX`, and lets a retry wait for what comes in later.
 */
const BUDGET_PER_CALL = 0.2;
const BUDGET_PER_SECOND = 3;
const BUDGET_MAX = 30;

/**
 * `'replay'`: the session was renewed below, so the same attempt goes on; not a retry that anybody pays for.
 * `'backoff'`: after a pause. `'elsewhere'`: at another endpoint or not at all. `afterMs`: once, when the server says.
 */
type Verdict = 'final' | 'replay' | 'backoff' | 'elsewhere' | { afterMs: number };

/** Failures of one endpoint alone, which another may not share. */
const LOCAL: ReadonlySet<string> = new Set(['SPAWN_FAILED', 'START_FAILED', 'CONNECT_FAILED', 'SERVICE_DOWN']);

/** How far did the attempt get, and is repeating it safe? The classes (a) to (d) are those of docs/calls.md. */
export function judge(error: unknown, call: Pick<Call, 'repeatable'>): Verdict {
  if (!isStoreError(error)) return 'final';
  const { code, figures } = error;
  // (b) refused before it ran: the session was unknown, or the server asks for patience.
  if (figures?.['sessionExpired'] === true) return 'replay';
  if (code === 'RATE_LIMITED') {
    const afterMs = figures?.['retryAfterMs'];
    return typeof afterMs === 'number' ? { afterMs } : 'elsewhere';
  }
  // (c) sent, and the answer was lost.
  if (code === 'OUTCOME_UNKNOWN') return call.repeatable ? 'backoff' : 'final';
  // (a) never sent. A start that stayed silent has used up its own long time-out already.
  if (!LOCAL.has(code) || error.executed !== 'no') return 'final';
  const mends = (code === 'CONNECT_FAILED' || code === 'START_FAILED') && figures?.['retryable'] !== false;
  return mends && figures?.['timeoutMs'] === undefined ? 'backoff' : 'elsewhere';
}

/**
 * Delay before attempt `attempt + 1`, in milliseconds, between 0 and the cap; jitter only ever shortens it.
 * @throws StoreError `OPTION_INVALID` where a function is the strategy and does not give a number
 */
export function delayMs(attempt: number, policy: Pick<RetryPolicy, 'retryDelayMs' | 'retry' | 'clock'>): number {
  const { strategy, jitter, maxDelayMs } = policy.retry;
  const base = policy.retryDelayMs;
  let delay: number;
  if (typeof strategy === 'function') delay = ownDelay(strategy, attempt);
  // What grows beyond all numbers is still nothing of nothing.
  else if (base === 0 || strategy === 'fixed') delay = base;
  else if (strategy === 'linear') delay = base * attempt;
  else if (strategy === 'fibonacci') delay = base * fibonacci(attempt);
  else delay = base * 2 ** (attempt - 1);
  const capped = Math.min(Math.max(delay, 0), maxDelayMs);
  return jitter === 'full' ? capped * policy.clock.random() : capped;
}

function ownDelay(strategy: (attempt: number) => number, attempt: number): number {
  let given: unknown;
  let cause: unknown;
  try {
    given = strategy(attempt);
    if (typeof given === 'number' && !Number.isNaN(given)) return given;
  } catch (error) {
    cause = error;
  }
  const got = cause === undefined ? `got ${typeof given === 'number' ? 'NaN' : typeof given}` : 'it threw';
  const path = 'calls.retry.strategy';
  throw new StoreError('OPTION_INVALID', `${path}: expected a number of milliseconds of the function, ${got}`, {
    figures: { path, attempt },
    cause,
  });
}

function fibonacci(n: number): number {
  let [a, b] = [1, 1];
  for (let i = 1; i < n; i++) [a, b] = [b, a + b];
  return a;
}

export class Retry {
  #policy: RetryPolicy;
  readonly #pauses: WaitQueue<void>;
  #tokens = 0;
  #filledAt: number;
  #closed = false;

  constructor(policy: RetryPolicy) {
    this.#policy = policy;
    this.#pauses = new WaitQueue(policy.clock);
    this.#filledAt = policy.clock.now();
  }

  /** Other rules, from the next failure on. */
  configure(rules: Pick<RetryPolicy, 'maxRetries' | 'retryDelayMs' | 'retry'>): void {
    this.#policy = { ...this.#policy, ...rules };
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
      let repeated = false;
      const { asked } = call.record;
      /** An attempt was sent and lost its answer: whatever comes now, the call may have run. */
      let doubt = false;
      for (let retries = 0; ; ) {
        try {
          return await next(call);
        } catch (thrown) {
          const error: unknown = doubt ? doubtful(thrown) : thrown;
          doubt ||= isStoreError(error) && error.executed === 'unknown';
          const verdict = judge(thrown, call);
          // Nobody is asked twice for one call.
          if (verdict === 'final' || this.#closed || call.record.asked > asked) throw error;
          // What the server itself asked to repeat is repeated once; a second refusal is an answer.
          const ownWord = verdict === 'replay' || typeof verdict === 'object';
          if (ownWord && repeated) throw error;
          if (ownWord) repeated = true;
          if (verdict !== 'replay' && ++retries > this.#policy.maxRetries) throw error;
          const pause = verdict === 'replay' ? 0 : this.#pauseFor(verdict, retries, call, error as StoreError);
          if (pause === undefined || pause >= call.deadline - this.#policy.clock.now()) throw error;
          if (verdict !== 'replay') this.#tokens--;
          await this.#pause(pause, call).catch((ended: unknown) => {
            throw doubt ? doubtful(ended) : ended;
          });
        }
      }
    };
  }

  /** How long until the next attempt; undefined where there is none: no other endpoint, or the budget is used up. */
  #pauseFor(
    verdict: Exclude<Verdict, 'final' | 'replay'>,
    retry: number,
    call: Call,
    failure: StoreError,
  ): number | undefined {
    const untilPaid = this.#untilPaid();
    if (untilPaid === undefined) return undefined;
    if (this.#policy.elsewhere(call)) return untilPaid;
    if (verdict === 'elsewhere') return undefined;
    return Math.max(untilPaid, verdict === 'backoff' ? this.#backoff(retry, failure) : verdict.afterMs);
  }

  #backoff(retry: number, { code, message, executed }: StoreError): number {
    try {
      return delayMs(retry, this.#policy);
    } catch (error) {
      // What the option is worth says nothing about whether the attempt ran.
      const { message: text, figures, cause } = error as StoreError;
      throw new StoreError('OPTION_INVALID', text, {
        executed,
        figures,
        hint: `The attempt before had failed: ${code}: ${message}`,
        cause,
      });
    }
  }

  /** When the budget has a whole token, in milliseconds; undefined where too many wait for theirs already. */
  #untilPaid(): number | undefined {
    const now = this.#policy.clock.now();
    this.#tokens = Math.min(BUDGET_MAX, this.#tokens + ((now - this.#filledAt) / 1000) * BUDGET_PER_SECOND);
    this.#filledAt = now;
    if (this.#tokens < 1 - BUDGET_MAX) return undefined;
    return (Math.max(0, 1 - this.#tokens) / BUDGET_PER_SECOND) * 1000;
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
