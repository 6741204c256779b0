/** Knows a call of several rounds (MCP 2026-07-28): the server's questions, its caller's answers, the same call again. */

import { onAbort } from './_util/abort.js';
import type { Clock } from './_util/clock.js';
import { type Call, type CallResult, type Handler, InputRequired } from './call.js';
import { isStoreError, StoreError } from './errors.js';

/** A server that still asks after so many rounds is not going to answer. */
const MAX_ROUNDS = 10;
/** Questions of one round. */
const MAX_QUESTIONS = 64;
/** Where the server only wants the call again, such as under load, it has so long. Milliseconds. */
const PAUSE_MS = 250;

/**
 * Asks the caller, and sends the same call again with the answers and the server's state, byte for byte, until there is
 * a result. Each round is a call of its own for the hops below: it may be repeated there with the same answers, while
 * nobody is asked twice. No round is cached.
 * @param first - the result that asks
 * @param handle - the path of the call below this
 */
export async function answerRounds(call: Call, first: CallResult, handle: Handler, clock: Clock): Promise<CallResult> {
  let required = first;
  for (let round = 1; round <= MAX_ROUNDS; round++) {
    const answers = await answersTo(required, call, clock).catch((error: unknown) => {
      // What cannot be answered at all ends the call before it did anything.
      throw round === 1 && isStoreError(error, 'PROTOCOL_ERROR') ? withExecuted(error, 'no') : inDoubt(error);
    });
    const { requestState } = required;
    const params = {
      ...call.params,
      ...(answers && { inputResponses: answers }),
      ...(requestState !== undefined && { requestState }),
    };
    try {
      return await handle({ ...call, params, cache: 'bypass' });
    } catch (thrown) {
      if (!(thrown instanceof InputRequired)) throw inDoubt(thrown);
      required = thrown.result;
    }
  }
  throw new StoreError('PROTOCOL_ERROR', `the server still asks for input after ${MAX_ROUNDS} rounds`, {
    executed: 'unknown',
    figures: { rounds: MAX_ROUNDS },
  });
}

/** What the caller answers to the questions of one round; undefined where the server only gave a state. */
async function answersTo(required: CallResult, call: Call, clock: Clock): Promise<Record<string, unknown> | undefined> {
  const { inputRequests, requestState } = required;
  const asked = Object.entries(isObject(inputRequests) ? inputRequests : {});
  if (asked.length === 0 && requestState === undefined)
    throw new StoreError('PROTOCOL_ERROR', 'the server asks for input and does not say which');
  if (asked.length > MAX_QUESTIONS)
    throw new StoreError('PROTOCOL_ERROR', `the server asks ${asked.length} things at a time`);
  call.record.asked += asked.length;
  return within(call, clock, (signal) => {
    if (asked.length === 0) return pause(clock, signal);
    const answers = asked.map(async ([key, question]) => {
      const { method, params } = isObject(question) ? question : {};
      const { service, tool } = call.record;
      const about = { method: String(method), params: isObject(params) ? params : {}, service, tool, signal };
      return [key, await call.ask!.answer(about)] as const;
    });
    return Promise.all(answers).then((entries) => Object.fromEntries(entries));
  });
}

/** Somebody waits, and no socket may be open meanwhile: so the process has to stay. */
function pause(clock: Clock, signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    const timer = clock.after(PAUSE_MS, () => resolve(undefined), true);
    signal.addEventListener('abort', () => timer.cancel(), { once: true });
  });
}

/** `work` within what is left to the call; its signal aborts at the deadline, at the call's cancel, and on failure. */
function within<T>(call: Call, clock: Clock, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { signal, deadline, timeoutMs } = call;
  const over = new AbortController();
  return new Promise<T>((resolve, reject) => {
    const end = (error: unknown): void => {
      over.abort(error);
      reject(error);
    };
    const cancel = (): void =>
      end(new StoreError('CANCELLED', 'cancelled by the caller', { executed: 'unknown', cause: signal?.reason }));
    if (signal?.aborted) return cancel();
    const offAbort = signal && onAbort(signal, cancel);
    const timer = clock.after(deadline - clock.now(), () =>
      end(
        new StoreError('TIMEOUT', `timed out after ${timeoutMs} ms, while its caller was asked for input`, {
          executed: 'unknown',
          figures: { timeoutMs },
        }),
      ),
    );
    work(over.signal)
      .then(resolve, end)
      .finally(() => {
        timer.cancel();
        offAbort?.();
      });
    over.signal.addEventListener('abort', () => {
      timer.cancel();
      offAbort?.();
    });
  });
}

/** The rounds before may have done a part of the call. */
function inDoubt(error: unknown): unknown {
  return isStoreError(error) && error.executed === 'no' ? withExecuted(error, 'unknown') : error;
}

function withExecuted(error: StoreError, executed: 'no' | 'unknown'): StoreError {
  const { code, message, figures, hint, data, cause } = error;
  const rpcCode = code === 'RPC_ERROR' ? error.rpcCode : undefined;
  return new StoreError(code, message, { executed, figures, hint, rpcCode, data, cause });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
