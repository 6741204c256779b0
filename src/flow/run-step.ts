/** Knows how one step runs: its conditions, its arguments, its calls, and what stands in where it fails. */

import { orAborted } from '../_util/abort.js';
import type { Clock } from '../_util/clock.js';
import { sleep } from '../_util/sleep.js';
import type { CallToolResult } from '../call.js';
import { asError, type Executed, isStoreError, StoreError } from '../errors.js';
import type { Condition, Step } from './step.js';
import type { FlowEntry, FlowRunOptions, FlowState } from './steps.js';
import { copied } from './template.js';

/** What a flow needs of the scope that it runs in. */
export interface FlowParts {
  clock: Clock;
  /** Steps at a time, where the run does not say. */
  concurrency: () => number;
  /** Calls a tool; a result with `isError` is thrown as `TOOL_ERROR`. */
  call: (
    tool: string,
    args: Record<string, unknown> | undefined,
    options: { service: string | undefined; timeoutMs: number | undefined; signal: AbortSignal },
  ) => Promise<CallToolResult>;
  /** The pause before a retry, counted from 1, in milliseconds. */
  pauseMs: (retry: number, retryDelayMs: number) => number;
  /** @throws StoreError `OPTION_INVALID` */
  check: (options: FlowRunOptions) => void;
  /** @throws StoreError `STORE_CLOSED` */
  assertOpen: () => void;
}

/** A step that is over; `result` is there where it has one. */
export type StepOutcome = Omit<FlowEntry, 'durationMs'> & { result?: unknown };

/** Failures before anything ran that may pass by themselves. */
const PASSING: ReadonlySet<string> = new Set([
  'START_FAILED',
  'CONNECT_FAILED',
  'SERVICE_DOWN',
  'TIMEOUT',
  'LIMIT_EXCEEDED',
  'RATE_LIMITED',
]);

/**
 * The tool itself said that it failed, or it did not run. What may have run unseen is repeated below, where the tool is
 * repeatable, or not at all.
 */
function mayRepeat({ code, executed }: StoreError): boolean {
  return code === 'TOOL_ERROR' || code === 'RPC_ERROR' || (executed === 'no' && PASSING.has(code));
}

export class StepRun {
  readonly #step: Step;
  readonly #state: FlowState;
  readonly #all: FlowState;
  readonly #parts: FlowParts;
  #attempts = 0;
  #executed: Executed = 'no';

  /** @param all - as `state`, with the results of every step that is over; see `OfState` */
  constructor(step: Step, state: FlowState, all: FlowState, parts: FlowParts) {
    this.#step = step;
    this.#state = state;
    this.#all = all;
    this.#parts = parts;
  }

  /**
   * Never rejects.
   * @param holds - the answer to a condition, the same for all who ask in this run
   */
  async go(holds: (condition: Condition, state: FlowState) => Promise<boolean>): Promise<StepOutcome> {
    try {
      for (const { condition, wanted } of this.#step.gates)
        if ((await this.#own('when', () => holds(condition, this.#state))) !== wanted) return this.#over('skipped');
      return await this.#resultOrFallback();
    } catch (thrown) {
      const error = thrown as StoreError;
      return this.#over(this.#isStopped(error) ? 'cancelled' : 'failed', { error });
    }
  }

  #over(status: StepOutcome['status'], more: { result?: unknown; error?: StoreError } = {}): StepOutcome {
    return { status, ...more, executed: this.#executed, attempts: this.#attempts };
  }

  async #resultOrFallback(): Promise<StepOutcome> {
    const { fallback } = this.#step;
    try {
      return this.#over('ok', { result: await this.#result() });
    } catch (thrown) {
      if (fallback === undefined || this.#state.signal.aborted) throw thrown;
      const error = thrown as StoreError;
      // Each run its own: whoever gets a result may change it.
      const result =
        typeof fallback === 'function'
          ? await this.#own('fallback', () => fallback(error, this.#state))
          : copied(fallback, 'fallback');
      return this.#over('fallback', { result, error });
    }
  }

  async #result(): Promise<unknown> {
    const { arguments: fill, transform } = this.#step;
    const args = fill && (await this.#own('arguments', () => fill(this.#state, this.#all)));
    const result = await this.#call(args as Record<string, unknown> | undefined);
    return transform ? this.#own('transform', () => transform(result as never, this.#state)) : result;
  }

  async #call(args: Record<string, unknown> | undefined): Promise<CallToolResult> {
    const { tool, service, timeoutMs, retry } = this.#step;
    const { signal } = this.#state;
    for (let retries = 1; ; retries++) {
      this.#attempts++;
      try {
        const result = await this.#parts.call(tool, args, { service, timeoutMs, signal });
        this.#executed = 'yes';
        return result;
      } catch (thrown) {
        const error = isStoreError(thrown)
          ? thrown
          : new StoreError('PROTOCOL_ERROR', asError(thrown).message, { executed: 'unknown', cause: thrown });
        if (error.executed !== 'no') this.#executed = error.executed;
        if (retries > retry.maxRetries || !mayRepeat(error)) throw error;
        const pause = this.#parts.pauseMs(retries, retry.retryDelayMs);
        await sleep(this.#parts.clock, Math.max(pause, notBefore(error)), signal);
      }
    }
  }

  /** Runs a function of the flow's author: what it throws is the flow's mistake, and the end of the run ends the wait. */
  async #own<T>(what: string, fn: () => T | Promise<T>): Promise<T> {
    try {
      return await orAborted((async () => fn())(), this.#state.signal);
    } catch (thrown) {
      if (isStoreError(thrown)) throw thrown;
      throw new StoreError('FLOW_INVALID', `${what}: ${asError(thrown).message}`, { cause: thrown });
    }
  }

  /** Did it end since the run did? */
  #isStopped(error: StoreError): boolean {
    const { signal } = this.#state;
    return signal.aborted && (error === signal.reason || error.code === 'CANCELLED');
  }
}

/** The server's or the breaker's own word for when to try again, in milliseconds from now. */
function notBefore({ figures }: StoreError): number {
  return Math.max(0, ...[figures?.['retryAfterMs'], figures?.['nextTryInMs']].map((ms) => Number(ms) || 0));
}
