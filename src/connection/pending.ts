/** Knows the requests of one channel that wait for an answer: their ids, deadlines, progress and end. */

import type { Progress } from '@modelcontextprotocol/client';
import { onAbort } from '../_util/abort.js';
import type { Clock, Timer } from '../_util/clock.js';
import { StoreError } from '../errors.js';
import type { RequestOptions, RpcResult } from './channel.js';
import { GivenUp } from './given-up.js';
import { OpenRequests } from './open-requests.js';

/** One request under way. */
export class PendingRequest {
  /** True from the moment that bytes of it were handed over: from then on its outcome can be unknown. */
  sent = false;
  /** Transport's own end of this request (closing a response stream), run when it ends early. */
  stop: (() => void) | undefined = undefined;
  offAbort: (() => void) | undefined = undefined;
  /** What the server asks of its caller meanwhile: silence does not count, and each is told when the request ends. */
  asked: Set<Watcher> | undefined = undefined;

  /**
   * @param id - always a string: the SDK's own ids are numbers, so an answer shows whose it is
   * @param lastSeen - monotonic time of the last sign of life of this request
   */
  constructor(
    readonly id: string,
    readonly method: string,
    readonly options: RequestOptions,
    public lastSeen: number,
    readonly resolve: (result: RpcResult) => void,
    readonly reject: (error: Error) => void,
  ) {}
}

/** Hears that a request has ended, however. */
export interface Watcher {
  over(request: PendingRequest): void;
}

/** Sweeps are at least this far apart: a thousand calls that time out together cost a few sweeps, not a thousand. */
const SWEEP_MS = 2;

/** Any message that came in and has no `method`. */
export interface RpcAnswer {
  id?: unknown;
  result?: unknown;
  error?: unknown;
}

export class Pending {
  readonly #requests = new OpenRequests<PendingRequest>();
  readonly #clock: Clock;
  readonly #cancel: (request: PendingRequest, reason: string) => void;
  readonly #shown: (error: Error) => Error;
  /** Whose requests were sent and given up. */
  readonly givenUp: GivenUp;
  #timer: Timer | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  /** Answers to nobody: late, doubled or invented ones. */
  ignored = 0;

  /**
   * @param cancel - tells the server that a request that was sent is given up; called before its promise rejects
   * @param shown - what may be told of an error in which the server's own words may stand
   */
  constructor(
    clock: Clock,
    cancel: (request: PendingRequest, reason: string) => void,
    shown: (error: Error) => Error = (error) => error,
  ) {
    this.#clock = clock;
    this.givenUp = new GivenUp(clock);
    this.#cancel = cancel;
    this.#shown = shown;
  }

  get size(): number {
    return this.#requests.size;
  }

  /** All of them, the oldest first. */
  all(): PendingRequest[] {
    return this.#requests.all();
  }

  /** Between what was asked so far and what follows. */
  get mark(): number {
    return this.#requests.mark;
  }

  /** Is anything under way that was asked before `mark`? */
  anyBefore(mark: number): boolean {
    return this.#requests.anyBefore(mark);
  }

  /** Is a request with this id under way? */
  has(id: string): boolean {
    return this.#requests.get(id) !== undefined;
  }

  get(id: unknown): PendingRequest | undefined {
    return this.#requests.get(id);
  }

  /** The server asks the caller of `request`: until `answered`, its deadline alone counts. */
  asking(request: PendingRequest, watcher: Watcher): void {
    request.asked ??= new Set();
    request.asked.add(watcher);
  }

  answered(request: PendingRequest, watcher: Watcher): void {
    if (!request.asked?.delete(watcher) || !this.has(request.id)) return;
    request.lastSeen = this.#clock.now();
    this.#arm(dueOf(request, request.lastSeen));
  }

  /** Registers a request; `send` hands it over and marks `sent`. What `send` throws rejects the request. */
  open(method: string, options: RequestOptions, send: (request: PendingRequest) => void): Promise<RpcResult> {
    return new Promise((resolve, reject) => {
      const signal = options.signal;
      if (signal?.aborted) return reject(cancelled(signal, 'no'));
      const now = this.#clock.now();
      if (options.deadline <= now) return reject(timedOut(options, 'before it was sent', 'no'));
      const request = new PendingRequest(this.#requests.newId(), method, options, now, resolve, reject);
      this.#requests.add(request);
      if (signal)
        request.offAbort = onAbort(signal, () =>
          this.#giveUp(request, cancelled(signal, executed(request)), 'cancelled by the caller'),
        );
      try {
        send(request);
      } catch (error) {
        this.fail(request, error instanceof Error ? error : new Error(String(error)));
        return;
      }
      // It may have ended within `send`, and the channel with it.
      if (this.#requests.size > 0) this.#arm(dueOf(request, now));
    });
  }

  /** Settles the request that `answer` belongs to; false where none is waiting for it. */
  settle(answer: RpcAnswer): boolean {
    const request = this.#requests.get(answer.id);
    if (request === undefined) {
      this.ignored++;
      return false;
    }
    this.#remove(request);
    const { result, error } = answer;
    if (error === undefined && typeof result === 'object' && result !== null) request.resolve(result as RpcResult);
    else
      request.reject(result === undefined && error !== undefined ? this.#shown(rpcError(error)) : malformed(request));
    return true;
  }

  /** Hands progress to the request with this token; false where it is not one of ours. */
  progress(token: unknown, progress: Progress): boolean {
    const request = this.#requests.get(token);
    if (request === undefined) return false;
    request.lastSeen = this.#clock.now();
    try {
      request.options.onProgress?.(progress);
    } catch {
      // A listener's own failure must neither end the call nor reach the transport.
    }
    return true;
  }

  /** Ends one request with an error. Idempotent. */
  fail(request: PendingRequest, error: Error): void {
    if (this.#remove(request)) request.reject(this.#shown(error));
  }

  /** Tells the server that nobody waits any more for what was sent; `failAll` then tells the callers. */
  cancelAll(reason: string): void {
    for (const request of this.#requests.all()) if (request.sent) this.#cancel(request, reason);
  }

  /** Ends every request: `reason` is the cause, what was not sent is `CONNECT_FAILED`, the rest `OUTCOME_UNKNOWN`. */
  failAll(reason: Error): void {
    for (const request of this.#requests.all()) this.fail(request, connectionLost(request, reason));
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
  }

  /** False where it was not under way any more. */
  #remove(request: PendingRequest): boolean {
    if (!this.#requests.delete(request)) return false;
    request.offAbort?.();
    if (request.asked) for (const watcher of [...request.asked]) watcher.over(request);
    return true;
  }

  #giveUp(request: PendingRequest, error: StoreError, reason: string): void {
    if (!this.#remove(request)) return;
    request.stop?.();
    if (request.sent) {
      if (request.options.ask) this.givenUp.add(request.options.ask);
      this.#cancel(request, reason);
    }
    request.reject(error);
  }

  #arm(due: number): void {
    if (due >= this.#timerAt) return;
    this.#timer?.cancel();
    this.#timerAt = due;
    this.#timer = this.#clock.after(Math.max(due - this.#clock.now(), SWEEP_MS), () => this.#sweep());
  }

  #sweep(): void {
    this.#timerAt = Number.POSITIVE_INFINITY;
    const now = this.#clock.now();
    let next = Number.POSITIVE_INFINITY;
    for (const request of this.#requests.all()) {
      const due = dueOf(request, now);
      if (due > now) next = Math.min(next, due);
      else this.#giveUp(request, timeout(request, now), 'timed out');
    }
    if (next !== Number.POSITIVE_INFINITY) this.#arm(next);
  }
}

function executed(request: PendingRequest): 'no' | 'unknown' {
  return request.sent ? 'unknown' : 'no';
}

/** Silence counts from the sending on: a request that is still in line for a socket is not waiting for the server. */
function dueOf(request: PendingRequest, now: number): number {
  const { deadline, silenceMs } = request.options;
  return silenceMs > 0 && !request.asked?.size
    ? Math.min(deadline, (request.sent ? request.lastSeen : now) + silenceMs)
    : deadline;
}

function timeout(request: PendingRequest, now: number): StoreError {
  const { options } = request;
  if (dueOf(request, now) >= options.deadline) return timedOut(options, whereAt(request), executed(request));
  return new StoreError('TIMEOUT', `no answer and no progress for ${options.silenceMs} ms`, {
    executed: executed(request),
    figures: { readTimeoutMs: options.silenceMs },
    hint: 'A tool that works in silence for longer needs a higher connectionPool.readTimeoutMs, or a timeoutMs of its own.',
  });
}

function whereAt({ sent, asked }: PendingRequest): string {
  if (asked?.size) return 'while its caller was asked for input';
  return sent ? 'waiting for the answer' : 'waiting to be sent';
}

function timedOut(options: RequestOptions, where: string, ran: 'no' | 'unknown'): StoreError {
  return new StoreError('TIMEOUT', `timed out after ${options.timeoutMs} ms, ${where}`, {
    executed: ran,
    figures: { timeoutMs: options.timeoutMs },
  });
}

function cancelled(signal: AbortSignal, ran: 'no' | 'unknown'): StoreError {
  return new StoreError('CANCELLED', 'cancelled by the caller', { executed: ran, cause: signal.reason });
}

function connectionLost(request: PendingRequest, reason: Error): StoreError {
  return request.sent
    ? new StoreError('OUTCOME_UNKNOWN', `the connection was lost before the answer: ${reason.message}`, {
        executed: 'unknown',
        cause: reason,
        hint: 'The call may have run. Repeat it only if that does no harm.',
      })
    : new StoreError('CONNECT_FAILED', `the connection was lost before the call was sent: ${reason.message}`, {
        cause: reason,
      });
}

function rpcError(error: unknown): StoreError {
  const { code, message, data } = (typeof error === 'object' && error !== null ? error : {}) as Record<string, unknown>;
  return new StoreError('RPC_ERROR', typeof message === 'string' ? message : 'an error without a message', {
    executed: 'yes',
    rpcCode: typeof code === 'number' ? code : undefined,
    data,
  });
}

function malformed(request: PendingRequest): StoreError {
  return new StoreError('PROTOCOL_ERROR', `${request.method}: the answer has neither one result nor one error`, {
    executed: 'yes',
  });
}
