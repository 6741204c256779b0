/** Knows how one call begins and ends: its limits, its record, its error with all that is known of it. */

import type { Clock } from './_util/clock.js';
import {
  type Call,
  type CallRecord,
  type CallResult,
  type Handler,
  InputRequired,
  NewRecord,
  type Outcome,
} from './call.js';
import type { RequestLimits } from './call-options.js';
import { asError, isStoreError, StoreError } from './errors.js';
import type { CallSpan } from './observe/otel.js';
import { answerRounds } from './rounds.js';
import type { Service } from './service/service.js';

/** What a call is, beside the limits that its caller and its service set. */
export interface CallSpec
  extends Pick<
    Call,
    | 'method'
    | 'params'
    | 'ask'
    | 'subject'
    | 'headers'
    | 'cache'
    | 'repeatable'
    | 'cacheable'
    | 'readOnly'
    | 'cachePrefix'
  > {
  scope: string;
  /** The server's own name of the tool, or the method. */
  tool: string;
  /** When the caller began to wait: finding the tool counts. */
  since: number;
  /** Never later than this, whatever `timeoutMs`. */
  deadline: number;
}

/** A call of one service: the one place where its limits come from the service's options. */
export class ServiceCall implements Call {
  readonly method: string;
  readonly params: Record<string, unknown>;
  readonly subject: string;
  readonly deadline: number;
  readonly timeoutMs: number;
  readonly silenceMs: number;
  readonly signal: Call['signal'];
  readonly onProgress: Call['onProgress'];
  readonly ask: Call['ask'];
  readonly headers: Call['headers'];
  readonly cache: Call['cache'];
  readonly repeatable: boolean;
  readonly cacheable: boolean;
  readonly readOnly: boolean;
  readonly cachePrefix: string;
  readonly record: CallRecord;
  readonly service: Service;
  trace: Call['trace'] = undefined;

  constructor(service: Service, spec: CallSpec, limits: RequestLimits | undefined) {
    const own = limits?.timeoutMs ?? service.performance.calls.callTimeoutMs;
    const left = spec.deadline - spec.since;
    this.method = spec.method;
    this.params = spec.params;
    this.subject = spec.subject;
    this.deadline = spec.since + Math.min(own, left);
    // A batch's time may be over before its last calls begin.
    this.timeoutMs = own <= left ? own : Math.max(1, Math.round(left));
    this.silenceMs = service.silenceMs(limits?.timeoutMs);
    this.signal = limits?.signal;
    this.onProgress = limits?.onProgress;
    this.ask = spec.ask;
    this.headers = spec.headers;
    this.cache = spec.cache;
    this.repeatable = spec.repeatable;
    this.cacheable = spec.cacheable;
    this.readOnly = spec.readOnly;
    this.cachePrefix = spec.cachePrefix;
    this.record = new NewRecord(spec.scope, service.name, spec.tool, spec.since);
    this.service = service;
  }

  redacted<T>(said: T): T {
    return this.service.redacted(said);
  }
}

/** Who looks on while a call is made. */
export interface CallObservers {
  clock: Clock;
  observe: (call: Call) => void;
  /** Undefined where nobody traces. */
  trace: (call: Call) => CallSpan | undefined;
}

/** What answers in place of a call that failed. @throws StoreError where nothing does */
export type Instead = (failure: StoreError) => Promise<CallResult>;

/**
 * Sends the call down the path; when the promise settles its record is complete and `observe` has been told.
 * @param instead - undefined where nothing can answer in its place
 */
export async function runCall(
  call: Call,
  handle: Handler,
  { clock, observe, trace }: CallObservers,
  instead?: Instead,
): Promise<CallResult> {
  const { record } = call;
  const span = trace(call);
  let failure: StoreError | undefined;
  try {
    let result: CallResult;
    try {
      result = await (span === undefined ? handle(call) : span.run(() => handle(call)));
    } catch (thrown) {
      if (!(thrown instanceof InputRequired)) throw thrown;
      result = await answerRounds(call, thrown.result, handle, clock);
    }
    record.executed = 'yes';
    record.outcome = result['isError'] === true ? 'tool_error' : 'ok';
    return result;
  } catch (thrown) {
    failure = failed(record, located(thrown, call));
    if (instead === undefined) throw failure;
    try {
      return await instead(failure);
    } catch (last) {
      failure = failed(record, located(last, call));
      throw failure;
    }
  } finally {
    record.totalMs = clock.now() - record.startedAt;
    observe(call);
    span?.end(record, failure);
  }
}

function failed(record: CallRecord, failure: StoreError): StoreError {
  record.outcome = outcomeOf(failure);
  record.code = failure.code;
  record.executed = failure.executed;
  return failure;
}

/** What an error made of its call. */
export function outcomeOf(error: StoreError): Outcome {
  if (error.executed === 'no') return 'not_sent';
  return error.executed === 'unknown' ? 'unknown' : 'failed';
}

/** Codes that are about the service as a whole, whichever call met them. */
const ABOUT_SERVICE: ReadonlySet<string> = new Set([
  'SPAWN_FAILED',
  'START_FAILED',
  'CONNECT_FAILED',
  'SERVICE_DOWN',
  'LIMIT_EXCEEDED',
  'AUTH_REQUIRED',
  'FORBIDDEN',
  'RATE_LIMITED',
  'CONFIG_INVALID',
  'STORE_CLOSED',
]);

function located(thrown: unknown, call: Call): StoreError {
  const error = isStoreError(thrown)
    ? thrown
    : new StoreError('PROTOCOL_ERROR', asError(thrown).message, { executed: 'unknown', cause: thrown });
  const { service, tool, endpoint, attempts } = call.record;
  const aboutService = ABOUT_SERVICE.has(error.code) || (error.code === 'TIMEOUT' && attempts === 0);
  return errorAt(error, aboutService ? service : call.subject, { service, tool, endpoint, attempts });
}

/** The same error with its place. One error may reach many callers, so each gets its own. */
export function errorAt(
  error: StoreError,
  subject: string,
  at: { service?: string | undefined; tool?: string | undefined; endpoint?: string | undefined; attempts?: number },
): StoreError {
  const { code, message, executed, figures, hint, rpcCode, data, cause } = error;
  const text = message.startsWith(`${subject}: `) ? message : `${subject}: ${message}`;
  return new StoreError(code, text, { ...at, executed, figures, hint, rpcCode, data, cause });
}
