/** Knows one HTTP request and its response as undici hands it over; what they mean is up to the kinds of exchange. */

import type { Dispatcher } from 'undici';
import type { Clock, Timer } from '../_util/clock.js';
import { StoreError } from '../errors.js';
import { type ResponseHeaders, tooLarge } from './http-errors.js';
import type { SocketPool, SocketUser } from './http-sockets.js';
import { type SseEvent, SseParser } from './sse-parser.js';

/** How the body of a response is read. */
export type BodyKind = 'events' | 'text';

export interface ExchangeLimits {
  readonly clock: Clock;
  readonly maxMessageBytes: number;
  /** Longest time from a socket's assignment until it took the whole body; 0: no limit. */
  readonly writeTimeoutMs: number;
}

/**
 * Bodies up to this size go out in one piece: the send buffer of a socket whose last request was answered takes them.
 * Larger ones go out in pieces of this size, so that it shows when the server stops taking them.
 */
const PIECE_BYTES = 64 * 1024;

/** Of an error page no more than this is read. */
const MAX_ERROR_BYTES = 64 * 1024;

const GIVEN_UP = new Error('the request was given up');

type DispatchBody = Exclude<Dispatcher.DispatchOptions['body'], undefined>;

export abstract class Exchange implements SocketUser {
  readonly options: Dispatcher.DispatchOptions;
  pool: SocketPool | undefined;
  waiting = false;
  answeredAt: number | undefined;
  protected readonly limits: ExchangeLimits;
  protected status = 0;
  protected headers: ResponseHeaders = {};
  protected sse: SseParser | undefined;
  /** Nothing is reported any more. */
  #stopped = false;
  /** A part of the request is on a socket, so the server may have got it. */
  #started = false;
  #over = false;
  #controller: Dispatcher.DispatchController | undefined;
  #chunks: Buffer[] = [];
  #size = 0;
  #writeTimer: Timer | undefined;

  /** @param headers - flat list of names and values, not copied and not changed */
  constructor(
    limits: ExchangeLimits,
    method: 'POST' | 'GET' | 'DELETE',
    path: string,
    headers: string[],
    body?: string,
  ) {
    this.limits = limits;
    this.options =
      body === undefined || body.length <= PIECE_BYTES
        ? { method, path, headers, body: body ?? null }
        : { method, path, ...this.#inPieces(headers, Buffer.from(body)) };
  }

  /** The request is with the operating system, as a whole. */
  protected abstract sent(): void;
  /** The head of the answer, once `status` and `headers` are set. */
  protected abstract head(): BodyKind;
  protected abstract event(event: SseEvent): void;
  /** The whole body, where `head` chose text. */
  protected abstract text(body: string): void;
  /** The event stream ended in good order. */
  protected abstract end(): void;
  /** It failed: a network error, or a StoreError of our own limits. Never after `stop`. */
  protected abstract failed(error: Error): void;

  /** Ends it silently: out of the line, or its socket is closed. Idempotent. */
  stop(): void {
    if (this.#stopped || this.#over) return;
    this.#stopped = true;
    // Waiting for a connection that is being made, it stays with undici and is dropped when its turn comes.
    if (this.pool?.withdraw(this)) this.#finish();
    else this.#controller?.abort(GIVEN_UP);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Thrown here, undici drops the request and keeps the socket, where abort would close it.
    if (this.#stopped) throw GIVEN_UP;
    this.#controller = controller;
    this.#started = true;
    const { writeTimeoutMs, clock } = this.limits;
    if (typeof this.options.body === 'string' || this.options.body === null) this.sent();
    else if (writeTimeoutMs > 0) this.#writeTimer = clock.after(writeTimeoutMs, () => this.#writeTimedOut());
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: ResponseHeaders): void {
    if (status < 200 || this.#stopped) return;
    this.status = status;
    this.headers = headers;
    if (this.head() === 'events' && !this.#stopped)
      this.sse = new SseParser((event) => {
        if (!this.#stopped) this.event(event);
      }, this.limits.maxMessageBytes);
    else if (status < 300 && Number(headers['content-length']) > this.limits.maxMessageBytes) this.#tooLarge();
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#stopped) return;
    if (this.sse) {
      try {
        this.sse.push(chunk);
      } catch (error) {
        this.#fail(error as Error);
      }
      return;
    }
    this.#size += chunk.length;
    this.#chunks.push(chunk);
    if (this.#size > this.limits.maxMessageBytes) this.#tooLarge();
    else if (this.status >= 300 && this.#size > MAX_ERROR_BYTES) {
      const text = this.#text();
      this.stop();
      this.text(text);
    }
  }

  onResponseEnd(): void {
    this.#finish(() => {
      if (this.#stopped) return;
      if (this.sse) {
        this.sse.end();
        if (!this.#stopped) this.end();
      } else this.text(this.#text());
    });
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (this.#over) return;
    if (!this.#started && !this.#stopped) this.pool?.failWaiting(error);
    this.#finish(() => {
      if (!this.#stopped) this.failed(error);
    });
  }

  /** Reports a failure of our own making and closes the socket, which may bring more of what we do not want. */
  #fail(error: Error): void {
    this.failed(error);
    this.stop();
  }

  #tooLarge(): void {
    this.#fail(tooLarge(this.limits.maxMessageBytes));
  }

  #finish(report?: () => void): void {
    if (this.#over) return;
    this.#over = true;
    // Through it undici's state of this exchange leads to that of the next: kept, they would only die all together.
    this.#controller = undefined;
    this.#writeTimer?.cancel();
    try {
      report?.();
    } finally {
      this.#chunks = [];
      this.pool?.release(this);
    }
  }

  #text(): string {
    const chunks = this.#chunks;
    const bytes = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
    const text = bytes.toString();
    return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  }

  #inPieces(headers: string[], bytes: Buffer): { headers: string[]; body: DispatchBody } {
    const whole = (): void => {
      this.#writeTimer?.cancel();
      if (!this.#stopped) this.sent();
    };
    function* pieces(): Generator<Buffer> {
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
      // undici comes back for more only when the socket took the last piece.
      whole();
    }
    return {
      headers: [...headers, 'content-length', String(bytes.length)],
      // undici takes any iterable; its types name the streams only.
      body: pieces() as unknown as DispatchBody,
    };
  }

  #writeTimedOut(): void {
    const { writeTimeoutMs } = this.limits;
    this.#fail(
      new StoreError('TIMEOUT', `the server did not take the whole request within ${writeTimeoutMs} ms`, {
        figures: { writeTimeoutMs },
        hint: 'It stopped reading, so it cannot have run the call.',
      }),
    );
  }
}
