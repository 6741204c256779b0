/** Knows why an endpoint takes no calls now, and what the end of a call says about it. */

import { InputRequired } from '../call.js';
import { asError, isStoreError, StoreError } from '../errors.js';
import type { EndpointState } from './machine.js';

/** Why a call cannot wait in this state; undefined where it can. Where it fails fast it says when the next try is. */
export function refusalOf(state: EndpointState, closed: boolean, now: number): StoreError | undefined {
  if (closed) return new StoreError('STORE_CLOSED', 'the store or its service was closed');
  switch (state.name) {
    case 'stopped':
      return new StoreError('SERVICE_DOWN', 'the service is stopped', { hint: 'Start it with restartService.' });
    case 'auth_required':
      return copyOf(state.reason);
    case 'failed':
      if (state.reason.code === 'SPAWN_FAILED') return copyOf(state.reason);
      return down(`does not start: ${state.reason.message}`, state.reason, state.nextTryAt - now);
    case 'breaker_open':
    case 'ejected':
      return down(`its last calls failed: ${state.reason.message}`, state.reason, state.nextTryAt - now);
    case 'probing':
      if (!state.busy) return undefined;
      return down(`it failed and is being tried again now: ${state.reason.message}`, state.reason, 0);
    default:
      return undefined;
  }
}

/** The server asked for patience until after this deadline: the call fails now, with the time, rather than then. */
export function patienceOver(state: EndpointState, deadline: number, now: number): StoreError | undefined {
  if (state.name !== 'reconnecting' || state.reason.code !== 'RATE_LIMITED' || state.nextTryAt < deadline)
    return undefined;
  const { message, figures, cause } = state.reason;
  const retryAfterMs = Math.max(0, Math.ceil(state.nextTryAt - now));
  return new StoreError('RATE_LIMITED', `${message}; next try in ${Math.ceil(retryAfterMs / 1000)} s`, {
    figures: { ...figures, retryAfterMs },
    cause,
  });
}

function down(message: string, cause: StoreError, inMs: number): StoreError {
  const nextTryInMs = Math.max(0, Math.round(inMs));
  const when = nextTryInMs > 0 ? `; next try in ${Math.ceil(nextTryInMs / 1000)} s` : '';
  return new StoreError('SERVICE_DOWN', message + when, {
    cause,
    figures: { nextTryInMs },
    hint: 'restartService tries again at once.',
  });
}

/**
 * `answered`: it lives, whatever it said. `failed`: the transport or the protocol broke. `none`: nothing is known, such
 * as after a deadline, since slowness alone is no failure; nor is a refusal for credentials or for too many requests.
 */
export function verdictOf(error: unknown): 'answered' | 'failed' | 'none' {
  if (error instanceof InputRequired) return 'answered';
  if (!isStoreError(error)) return 'none';
  if (error.code === 'OUTCOME_UNKNOWN' || (error.code === 'PROTOCOL_ERROR' && error.executed !== 'no')) return 'failed';
  // A session that is over, or an authorization server that is down, is no fault of the service.
  const innocent = error.figures?.['sessionExpired'] === true || error.figures?.['signIn'] === true;
  if (error.code === 'CONNECT_FAILED') return innocent ? 'none' : 'failed';
  return error.executed === 'yes' ? 'answered' : 'none';
}

/** Each waiter gets an error of its own: the hops above write service, tool and attempts into it. */
export function copyOf(error: StoreError): StoreError {
  const { code, message, figures, hint, cause, data, rpcCode, executed } = error;
  return new StoreError(code, message, { figures, hint, cause, data, rpcCode, executed });
}

/** Whatever a start fails with, as an error of ours. */
export function asStoreError(error: unknown): StoreError {
  return isStoreError(error) ? error : new StoreError('CONNECT_FAILED', asError(error).message, { cause: error });
}
