/** Knows the life of an endpoint as a pure function: which state follows which event, and what has to be done. */

import { isShortage } from '../connection/room.js';
import type { StoreError } from '../errors.js';
import * as limits from './limits.js';

/** What outlives a state: failures that count together, and how often it was taken out of use. Times are monotonic. */
export interface History {
  /** Failed starts within `FAILED_WINDOW_MS`. */
  readonly starts: readonly number[];
  /** Failed calls within `TRIP_WINDOW_MS`, with no success between. */
  readonly calls: readonly number[];
  /** How often in a row it was taken out of use for failing calls. */
  readonly trips: number;
  /** When it last came back from there. */
  readonly backAt: number;
}

/** Where an endpoint stands. Times are monotonic milliseconds. */
export type EndpointState =
  /** Not started: starts at its first use. Also after an idle stop. */
  | { readonly name: 'registered' }
  /** First connection under way; calls wait. `attempt` counts from 1. */
  | { readonly name: 'starting'; readonly attempt: number; readonly history: History }
  /** `since`: calls have gone through without a break, degraded or not. */
  | { readonly name: 'ready'; readonly since: number; readonly history: History }
  /** In use, but its last call or health check failed. */
  | {
      readonly name: 'degraded';
      readonly since: number;
      /** Health checks in a row without an answer. */
      readonly misses: number;
      readonly reason: StoreError;
      readonly history: History;
    }
  /** Lost or failed; the next start is at `nextTryAt`, and calls wait for it. */
  | {
      readonly name: 'reconnecting';
      readonly attempt: number;
      readonly nextTryAt: number;
      readonly reason: StoreError;
      readonly history: History;
    }
  /** Its calls failed one after the other: they fail fast until `nextTryAt`. `ejected`: its siblings take them. */
  | {
      readonly name: 'breaker_open' | 'ejected';
      readonly nextTryAt: number;
      readonly reason: StoreError;
      readonly history: History;
    }
  /** One call (`of: 'call'`) or one start (`of: 'start'`) finds out whether it works again; the others fail fast. */
  | {
      readonly name: 'probing';
      readonly of: 'call' | 'start';
      /** The one is under way. */
      readonly busy: boolean;
      readonly reason: StoreError;
      readonly history: History;
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
  /** A start of a connection for one call alone, begun at `sentAt`, failed. */
  | { type: 'own_failed'; error: StoreError; sentAt: number; random: number }
  /**
   * A call was answered. `own`: over a connection of its own, so starts succeed as well. `connected`: the next call has a
   * connection too, or needs none; a lease is nobody else's.
   */
  | { type: 'call_ok'; own: boolean; connected: boolean }
  /**
   * A call that was sent at `sentAt` failed for a reason that lies in the transport or the protocol. `leadsTo`: where that
   * leads when it is one too many; `'degraded'` keeps it in use, since too many siblings are out already.
   */
  | { type: 'call_failed'; error: StoreError; sentAt: number; leadsTo: 'breaker_open' | 'ejected' | 'degraded' }
  /** The one call of `probing` sets out. `connected`: there is a connection for it. */
  | { type: 'probe'; connected: boolean }
  /** That call ended without a verdict: cancelled, or silent to its deadline. */
  | { type: 'probe_over' }
  | { type: 'health_missed'; error: StoreError }
  | { type: 'health_ok' }
  /** The timer of `nextTryAt`. */
  | { type: 'due' }
  | { type: 'stop' }
  /** Start anew whatever the state, also from `stopped`: calls wait, and the start follows when what runs has ended. */
  | { type: 'restart' }
  /** Other credentials may be had than those that were refused. */
  | { type: 'credentials' }
  /** Nothing of before the restart is left. `needed`: somebody waits for the new start, or it is to be begun anyway. */
  | { type: 'drained'; needed: boolean };

export type EndpointEffect =
  /** Open the first connection. */
  | { type: 'open' }
  /** Send `due` at this time. */
  | { type: 'timer'; at: number }
  /** Fail every call that waits for a connection: with this error, else with what the state says. */
  | { type: 'refuse'; error?: StoreError };

export interface Step {
  readonly state: EndpointState;
  readonly effects: readonly EndpointEffect[];
}

type Named<N extends EndpointState['name']> = Extract<EndpointState, { name: N }>;

const NO_EFFECTS: readonly EndpointEffect[] = [];
export const NO_HISTORY: History = { starts: [], calls: [], trips: 0, backAt: Number.NEGATIVE_INFINITY };

export function next(state: EndpointState, event: EndpointEvent, now: number): Step {
  switch (event.type) {
    case 'stop':
      return to({ name: 'stopped' });
    case 'restart':
      return to({ name: 'starting', attempt: 1, history: NO_HISTORY });
    case 'drained':
      if (state.name !== 'starting') return stay(state);
      return event.needed ? to(state, [{ type: 'open' }]) : to({ name: 'registered' });
    case 'credentials':
      return state.name === 'auth_required' ? start(1, NO_HISTORY) : stay(state);
    case 'use':
      return state.name === 'registered' ? start(1, NO_HISTORY) : stay(state);
    case 'opened':
      return opened(state, now);
    case 'open_failed':
      if (state.name === 'starting') return startFailed(state.attempt, state.history, event, now);
      if (state.name !== 'probing') return stay(state);
      return state.of === 'start' ? giveUp(event.error, now) : startFailed(1, state.history, event, now);
    case 'lost':
      return state.name === 'ready' || state.name === 'degraded' ? lost(state, event, now) : stay(state);
    case 'idle':
      return state.name === 'ready' || state.name === 'degraded' ? to({ name: 'registered' }) : stay(state);
    case 'own_failed':
      return ownFailed(state, event, now);
    case 'call_ok':
      return callOk(state, event, now);
    case 'call_failed':
      return callFailed(state, event, now);
    case 'probe':
      if (state.name !== 'probing' || state.busy) return stay(state);
      return to({ ...state, busy: true }, event.connected ? NO_EFFECTS : [{ type: 'open' }]);
    case 'probe_over':
      return state.name === 'probing' && state.of === 'call' ? to({ ...state, busy: false }) : stay(state);
    case 'health_missed':
      if (state.name === 'degraded') return to({ ...state, misses: state.misses + 1, reason: event.error });
      if (state.name !== 'ready') return stay(state);
      return to({ name: 'degraded', since: state.since, misses: 1, reason: event.error, history: state.history });
    case 'health_ok':
      if (state.name !== 'degraded' || state.misses === 0) return stay(state);
      return state.history.calls.length > 0
        ? to({ ...state, misses: 0 })
        : to({ name: 'ready', since: state.since, history: state.history });
    case 'due':
      return due(state);
  }
}

function to(state: EndpointState, effects: readonly EndpointEffect[] = NO_EFFECTS): Step {
  return { state, effects };
}

function stay(state: EndpointState): Step {
  return { state, effects: NO_EFFECTS };
}

function start(attempt: number, history: History): Step {
  return to({ name: 'starting', attempt, history }, [{ type: 'open' }]);
}

function due(state: EndpointState): Step {
  if (state.name === 'reconnecting') return start(state.attempt + 1, state.history);
  if (state.name === 'failed')
    return to({ name: 'probing', of: 'start', busy: true, reason: state.reason, history: NO_HISTORY }, [
      { type: 'open' },
    ]);
  if (state.name !== 'breaker_open' && state.name !== 'ejected') return stay(state);
  return to({ name: 'probing', of: 'call', busy: false, reason: state.reason, history: state.history });
}

function opened(state: EndpointState, now: number): Step {
  switch (state.name) {
    case 'stopped':
    case 'ready':
    case 'degraded':
    case 'breaker_open':
    case 'ejected':
      return stay(state);
    case 'probing':
      // A call's answer is awaited; a start has shown all that it can.
      return state.of === 'call' ? stay(state) : to({ name: 'ready', since: now, history: NO_HISTORY });
    default:
      return to({ name: 'ready', since: now, history: 'history' in state ? state.history : NO_HISTORY });
  }
}

function lost(state: Named<'ready' | 'degraded'>, event: Extract<EndpointEvent, { type: 'lost' }>, now: number): Step {
  const { history } = state;
  // A server that served and ended is started again; one that only ever ends is counted like a failed start.
  if (!event.answered) return startFailed(history.starts.length, history, event, now);
  const after = { ...history, starts: [] };
  if (event.expired) return start(1, after);
  const nextTryAt = now + event.random * limits.RESTART_DELAY_MS;
  return to({ name: 'reconnecting', attempt: 0, nextTryAt, reason: event.error, history: after }, [
    { type: 'timer', at: nextTryAt },
  ]);
}

function startFailed(
  attempt: number,
  history: History,
  { error, random }: { error: StoreError; random: number },
  now: number,
): Step {
  if (error.code === 'AUTH_REQUIRED' || error.code === 'FORBIDDEN')
    return to({ name: 'auth_required', reason: error }, [{ type: 'refuse', error }]);
  // Where this machine is full, no server has failed: it is tried as long as that takes.
  const full = isShortage(error.figures?.['errno']);
  const starts = full ? history.starts : [...history.starts.filter((at) => now - at < limits.FAILED_WINDOW_MS), now];
  if (error.figures?.['retryable'] === false || (!full && starts.length >= limits.MAX_FAILED_STARTS))
    return giveUp(error, now);
  const failures = full ? attempt : starts.length;
  const cap = Math.min(limits.RESTART_DELAY_MS * 2 ** (failures - 1), limits.RESTART_MAX_DELAY_MS);
  // The server's own word on when to come back (429, 503 with Retry-After) wins over our back-off.
  const asked = error.figures?.['retryAfterMs'];
  const nextTryAt = now + (typeof asked === 'number' ? asked : random * cap);
  return to({ name: 'reconnecting', attempt, nextTryAt, reason: error, history: { ...history, starts } }, [
    { type: 'refuse', error },
    { type: 'timer', at: nextTryAt },
  ]);
}

/** Such starts run side by side, whatever the state; those that were under way together fail together and count once. */
function ownFailed(state: EndpointState, event: Extract<EndpointEvent, { type: 'own_failed' }>, now: number): Step {
  switch (state.name) {
    case 'registered':
      return startFailed(1, NO_HISTORY, event, now);
    case 'ready':
    case 'degraded':
    case 'reconnecting': {
      const { starts } = state.history;
      if (event.sentAt < (starts.at(-1) ?? Number.NEGATIVE_INFINITY)) return stay(state);
      return startFailed(starts.length + 1, state.history, event, now);
    }
    case 'probing':
      return state.of === 'call' ? startFailed(1, state.history, event, now) : stay(state);
    default:
      // Also where a start is under way that decides.
      return stay(state);
  }
}

function giveUp(error: StoreError, now: number): Step {
  if (error.code === 'AUTH_REQUIRED' || error.code === 'FORBIDDEN')
    return to({ name: 'auth_required', reason: error }, [{ type: 'refuse', error }]);
  const nextTryAt = now + limits.PROBE_MS;
  return to({ name: 'failed', reason: error, nextTryAt }, [
    { type: 'refuse', error },
    { type: 'timer', at: nextTryAt },
  ]);
}

function callOk(
  state: EndpointState,
  { own, connected }: Extract<EndpointEvent, { type: 'call_ok' }>,
  now: number,
): Step {
  if (!('history' in state)) return stay(state);
  const history = { ...state.history, calls: [], ...(own && { starts: [] }) };
  if (state.name === 'probing' && state.of === 'call') {
    // It works, but the next call has to open a connection first; one that does already goes on to find out.
    if (!connected) return state.busy ? stay(state) : to({ name: 'registered' });
    return to({ name: 'ready', since: now, history: { ...history, backAt: now } });
  }
  if (state.name === 'degraded') return to({ name: 'ready', since: state.since, history });
  const news = state.history.calls.length > 0 || (own && state.history.starts.length > 0);
  if (state.name === 'ready' && news) return to({ ...state, history });
  return stay(state);
}

/**
 * The breaker (Nygard, "Release It!"): so many failures with no success between, within the window, take the endpoint
 * out of use. Calls that were under way together fail together, so they count once.
 */
function callFailed(state: EndpointState, event: Extract<EndpointEvent, { type: 'call_failed' }>, now: number): Step {
  if (!('history' in state) || state.name === 'breaker_open' || state.name === 'ejected') return stay(state);
  const { history } = state;
  if (event.sentAt < (history.calls.at(-1) ?? Number.NEGATIVE_INFINITY)) return stay(state);
  const calls = [...history.calls.filter((at) => now - at < limits.TRIP_WINDOW_MS), now];
  const remembered: History = { ...history, calls: calls.slice(-limits.TRIP_FAILURES) };
  if (state.name === 'probing')
    return state.of === 'call' ? trip({ ...remembered, backAt: now }, event, now) : stay(state);
  if (calls.length >= limits.TRIP_FAILURES && event.leadsTo !== 'degraded') return trip(remembered, event, now);
  if (state.name === 'ready' || state.name === 'degraded')
    return to({
      name: 'degraded',
      since: state.since,
      misses: state.name === 'degraded' ? state.misses : 0,
      reason: event.error,
      history: remembered,
    });
  const timer: EndpointEffect[] = 'nextTryAt' in state ? [{ type: 'timer', at: state.nextTryAt }] : [];
  return to({ ...state, history: remembered }, timer);
}

function trip(history: History, event: Extract<EndpointEvent, { type: 'call_failed' }>, now: number): Step {
  const again = now - history.backAt < limits.TRIP_WINDOW_MS;
  const trips = again ? history.trips + 1 : 1;
  const nextTryAt = now + Math.min(limits.OUT_MS * trips, limits.OUT_MAX_MS);
  // A probe that fails goes back to where it came from, also where too many siblings are out meanwhile.
  const name = event.leadsTo === 'degraded' ? 'ejected' : event.leadsTo;
  return to({ name, nextTryAt, reason: event.error, history: { ...history, trips } }, [
    { type: 'refuse' },
    { type: 'timer', at: nextTryAt },
  ]);
}
