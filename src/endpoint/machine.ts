/** Knows the life of an endpoint as a pure function: which state follows which event, and what has to be done. */

import type { StoreError } from '../errors.js';

/** Where an endpoint stands. Times are monotonic milliseconds. */
export type EndpointState =
  /** Not started: starts at its first use. Also after an idle stop. */
  | { readonly name: 'registered' }
  /** First connection under way; calls wait. `attempt` counts from 1. */
  | { readonly name: 'starting'; readonly attempt: number; readonly failures: readonly number[] }
  | { readonly name: 'ready'; readonly since: number; readonly failures: readonly number[] }
  /** Lost or failed; the next start is at `nextTryAt`, and calls wait for it. */
  | {
      readonly name: 'reconnecting';
      readonly attempt: number;
      readonly nextTryAt: number;
      readonly reason: StoreError;
      readonly failures: readonly number[];
    }
  /** Given up for now: calls fail fast; tried again at `nextTryAt` or by `restartService`. */
  | { readonly name: 'failed'; readonly reason: StoreError; readonly nextTryAt: number }
  /** Wants credentials: calls fail fast until they change or the service is restarted. */
  | { readonly name: 'auth_required'; readonly reason: StoreError }
  /** By the user. */
  | { readonly name: 'stopped' };

export type EndpointEvent =
  /** A call or the user needs it. */
  | { type: 'use' }
  | { type: 'opened' }
  | { type: 'open_failed'; error: StoreError; random: number }
  /**
   * The last connection ended by itself. `answered`: it had answered a request, so its start was no failure.
   * `expired`: the server has forgotten the session and waits for a new one.
   */
  | { type: 'lost'; error: StoreError; answered: boolean; expired: boolean; random: number }
  /** The last connection was closed for idleness. */
  | { type: 'idle' }
  /** The timer of `nextTryAt`. */
  | { type: 'due' }
  | { type: 'stop' }
  /** Start anew whatever the state, also from `stopped`. */
  | { type: 'reset' };

export type EndpointEffect =
  /** Open the first connection. */
  | { type: 'open' }
  /** Send `due` at this time. */
  | { type: 'timer'; at: number }
  /** Fail every call that waits for a connection. */
  | { type: 'refuse'; error: StoreError };

export interface Step {
  readonly state: EndpointState;
  readonly effects: readonly EndpointEffect[];
}

/** Restart back-off: 0.5 s, doubling to 60 s, full jitter (uniform between 0 and the delay). */
export const RESTART_DELAY_MS = 500;
export const RESTART_MAX_DELAY_MS = 60_000;
/** After so many failed starts within the window the endpoint is `failed`, and tried again every `PROBE_MS`. */
export const MAX_FAILED_STARTS = 5;
export const FAILED_WINDOW_MS = 60_000;
export const PROBE_MS = 300_000;

const NO_EFFECTS: readonly EndpointEffect[] = [];

export function next(state: EndpointState, event: EndpointEvent, now: number): Step {
  switch (event.type) {
    case 'stop':
      return { state: { name: 'stopped' }, effects: NO_EFFECTS };
    case 'reset':
      return start(1, []);
    case 'use':
      return state.name === 'registered' ? start(1, []) : stay(state);
    case 'opened':
      if (state.name === 'stopped') return stay(state);
      return { state: { name: 'ready', since: now, failures: failuresOf(state) }, effects: NO_EFFECTS };
    case 'open_failed':
      return state.name === 'starting' ? afterFailure(state, event.error, event.random, now) : stay(state);
    case 'lost': {
      if (state.name !== 'ready') return stay(state);
      // A server that served and ended is started again; one that only ever ends is counted like a failed start.
      const failures = event.answered ? [] : state.failures;
      if (!event.answered) return afterFailure({ attempt: failures.length, failures }, event.error, event.random, now);
      if (event.expired) return start(1, failures);
      const nextTryAt = now + event.random * RESTART_DELAY_MS;
      return {
        state: { name: 'reconnecting', attempt: 0, nextTryAt, reason: event.error, failures },
        effects: [{ type: 'timer', at: nextTryAt }],
      };
    }
    case 'idle':
      return state.name === 'ready' ? { state: { name: 'registered' }, effects: NO_EFFECTS } : stay(state);
    case 'due':
      if (state.name === 'reconnecting') return start(state.attempt + 1, state.failures);
      return state.name === 'failed' ? start(1, []) : stay(state);
  }
}

function stay(state: EndpointState): Step {
  return { state, effects: NO_EFFECTS };
}

function start(attempt: number, failures: readonly number[]): Step {
  return { state: { name: 'starting', attempt, failures }, effects: [{ type: 'open' }] };
}

function failuresOf(state: EndpointState): readonly number[] {
  return 'failures' in state ? state.failures : [];
}

function afterFailure(
  state: { attempt: number; failures: readonly number[] },
  error: StoreError,
  random: number,
  now: number,
): Step {
  if (error.code === 'AUTH_REQUIRED' || error.code === 'FORBIDDEN')
    return { state: { name: 'auth_required', reason: error }, effects: [{ type: 'refuse', error }] };
  const failures = [...state.failures.filter((at) => now - at < FAILED_WINDOW_MS), now];
  if (error.figures?.['retryable'] === false || failures.length >= MAX_FAILED_STARTS) {
    const nextTryAt = now + PROBE_MS;
    return {
      state: { name: 'failed', reason: error, nextTryAt },
      effects: [
        { type: 'refuse', error },
        { type: 'timer', at: nextTryAt },
      ],
    };
  }
  const cap = Math.min(RESTART_DELAY_MS * 2 ** (failures.length - 1), RESTART_MAX_DELAY_MS);
  // The server's own word on when to come back (429, 503 with Retry-After) wins over our back-off.
  const asked = error.figures?.['retryAfterMs'];
  const nextTryAt = now + (typeof asked === 'number' ? asked : random * cap);
  return {
    state: { name: 'reconnecting', attempt: state.attempt, nextTryAt, reason: error, failures },
    effects: [
      { type: 'refuse', error },
      { type: 'timer', at: nextTryAt },
    ],
  };
}
