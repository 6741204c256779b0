/** Knows how a message of the SDK's client goes over HTTP, and with which errors the SDK can tell an era from a fault. */

import {
  type JSONRPCMessage,
  SdkError,
  SdkErrorCode,
  SdkHttpError,
  type TransportSendOptions,
} from '@modelcontextprotocol/client';
import { onAbort } from '../_util/abort.js';
import { StoreError } from '../errors.js';
import { networkError, statusError, unusable } from './http-errors.js';
import { type BodyKind, Exchange } from './http-exchange.js';
import { addMessageHeaders, addRequestHeaders, claimedVersion, headerOf, mediaType } from './http-headers.js';
import type { HttpLink, WireMessage } from './http-link.js';
import { errorAnswer } from './http-request.js';
import type { SocketPool } from './http-sockets.js';
import type { SseEvent } from './sse-parser.js';

/** A message that asks nothing must not wait for ever on a server that does not take it. */
const ASIDE_TIMEOUT_MS = 10_000;

/** The message goes on, on another path. */
const REDIRECTED = new Error('redirected');

interface Message {
  readonly id?: string | number | undefined;
  readonly method?: string | undefined;
  readonly params?: Record<string, unknown> | undefined;
}

/**
 * Sends one message. Resolves once the server took it; for a request, once its answer was delivered, or, for a
 * subscription, once its stream is open. Rejects with what the SDK understands: `SdkHttpError` where the status may
 * tell the server's era, `ClientHttpUnexpectedContent` for replies that are none, and a `StoreError` for all the rest;
 * the first two carry the `StoreError` as their cause.
 */
export function sendMessage(
  link: HttpLink,
  message: JSONRPCMessage,
  options: TransportSendOptions | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const signal = options?.requestSignal;
    if (signal?.aborted) return reject(signal.reason);
    const job = new SendJob(link, message as Message, options, resolve, reject);
    job.start();
  });
}

/** One message on its way; it outlives an exchange that is redirected. */
class SendJob {
  readonly link: HttpLink;
  readonly message: Message;
  readonly options: TransportSendOptions | undefined;
  readonly asks: boolean;
  readonly listens: boolean;
  /** It claims a modern protocol version for itself, so its refusals are answers. */
  readonly enveloped: boolean;
  readonly #resolve: () => void;
  readonly #reject: (error: unknown) => void;
  #exchange: Exchange | undefined;
  #release: (() => void) | undefined;
  #done = false;

  constructor(
    link: HttpLink,
    message: Message,
    options: TransportSendOptions | undefined,
    resolve: () => void,
    reject: (error: unknown) => void,
  ) {
    this.link = link;
    this.message = message;
    this.options = options;
    this.asks = message.method !== undefined && message.id !== undefined;
    this.listens = this.asks && message.method === 'subscriptions/listen';
    this.enveloped = this.asks && claimedVersion(message.params) !== undefined;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    const { link, message, options } = this;
    const pool = this.listens ? link.streams : this.asks ? link.requests : link.side;
    const signal = options?.requestSignal;
    const offAbort = signal && onAbort(signal, () => this.#abandon(signal.reason));
    // A legacy request that the SDK gave up has no signal; its cancellation closes the stream (see `sendCancelled`).
    if (this.asks) link.sdkRequests.set(message.id, { stop: () => this.#abandon(undefined) });
    const timer = this.asks
      ? undefined
      : link.clock.after(ASIDE_TIMEOUT_MS, () =>
          this.#abandon(new StoreError('TIMEOUT', `${link.label} did not take ${message.method ?? 'an answer'}`)),
        );
    this.#release = () => {
      offAbort?.();
      timer?.cancel();
      if (this.asks) link.sdkRequests.delete(message.id);
    };
    this.post(pool, link.path, 0);
  }

  post(pool: SocketPool, path: string, hops: number): void {
    const { message, options } = this;
    const body = JSON.stringify(message);
    if (options?.resumptionToken !== undefined) {
      const headers = this.link.streamHeaders(options.resumptionToken);
      this.#exchange = new SendExchange(this, pool, 'GET', path, headers, undefined, hops);
    } else this.#exchange = new SendExchange(this, pool, 'POST', path, this.#headers(), body, hops);
    pool.run(this.#exchange);
  }

  #headers(): string[] {
    const { link, message, options } = this;
    const version = this.asks ? claimedVersion(message.params) : undefined;
    if (version === undefined && options?.headers === undefined) return link.postHeaders;
    const headers = [...link.postHeaders];
    if (version !== undefined) {
      const at = headers.indexOf('mcp-protocol-version');
      if (at === -1) headers.push('mcp-protocol-version', version);
      else headers[at + 1] = version;
      addMessageHeaders(headers, message.method!, message.params);
    }
    addRequestHeaders(headers, options?.headers);
    return headers;
  }

  succeed(): void {
    if (this.#settle()) this.#resolve();
  }

  /** The stream of a subscription is open: the promise is settled, the subscription goes on. */
  opened(): void {
    this.#resolve();
  }

  fail(error: unknown): void {
    if (!this.#settle()) return;
    this.options?.onRequestStreamEnd?.();
    this.#reject(error);
  }

  get done(): boolean {
    return this.#done;
  }

  #settle(): boolean {
    if (this.#done) return false;
    this.#done = true;
    this.#release?.();
    return true;
  }

  /** Given up on our side: the stream is closed and nobody is told that it ended. */
  #abandon(reason: unknown): void {
    if (!this.#settle()) return;
    this.#exchange?.stop();
    if (reason === undefined) this.#resolve();
    else this.#reject(reason);
  }
}

class SendExchange extends Exchange {
  readonly #job: SendJob;
  readonly #pool: SocketPool;
  readonly #hops: number;
  #sent = false;

  constructor(
    job: SendJob,
    pool: SocketPool,
    method: 'POST' | 'GET',
    path: string,
    headers: string[],
    body: string | undefined,
    hops: number,
  ) {
    super(job.link, method, path, headers, body);
    this.#job = job;
    this.#pool = pool;
    this.#hops = hops;
  }

  protected override sent(): void {
    this.#sent = true;
  }

  protected override head(): BodyKind {
    const { link, message, asks, listens } = this.#job;
    if (this.status >= 300) return 'text';
    if (message.method === 'initialize') link.setSession(headerOf(this.headers, 'mcp-session-id'));
    if (!asks) return 'text';
    const type = mediaType(this.headers['content-type']);
    if (type === 'text/event-stream') {
      if (listens) this.#job.opened();
      return 'events';
    }
    if (type !== 'application/json') {
      const what = `answered with ${type ?? 'no content type'} where JSON or an event stream is due`;
      this.#job.fail(this.#unusable(unusable(link, what)));
      this.stop();
    }
    return 'text';
  }

  protected override event(event: SseEvent): void {
    const { link, options } = this.#job;
    if (event.id !== undefined) options?.onresumptiontoken?.(event.id);
    if (!this.#answers(link.receive(event.data))) return;
    this.#job.succeed();
    link.linger(this);
  }

  #answers(messages: readonly WireMessage[]): boolean {
    return messages.some((one) => one.method === undefined && one.id === this.#job.message.id);
  }

  protected override text(body: string): void {
    const { asks } = this.#job;
    const error = this.status >= 300 ? this.#refused(body) : asks ? this.#answered(body) : undefined;
    if (error === REDIRECTED) return;
    if (error === undefined) this.#job.succeed();
    else this.#job.fail(error);
  }

  #answered(body: string): Error | undefined {
    const { link } = this.#job;
    const received = link.receiveBody(body, this.status);
    if (received instanceof StoreError) return this.#unusable(received);
    if (this.#answers(received)) return undefined;
    return this.#unusable(unusable(link, 'answered with messages, but not with the result', body));
  }

  protected override end(): void {
    if (!this.#job.done) this.#job.fail(networkError(this.#job.link, new Error('the stream ended'), true));
  }

  protected override failed(error: Error): void {
    this.#job.fail(error instanceof StoreError ? error : networkError(this.#job.link, error, this.#sent));
  }

  #refused(body: string): Error | undefined {
    const job = this.#job;
    const { link } = job;
    const { status, headers } = this;
    if (status < 400) {
      const path = link.redirect(status, headers, this.#hops);
      if (typeof path !== 'string') return path;
      if (!job.done) job.post(this.#pool, path, this.#hops + 1);
      return REDIRECTED;
    }
    const error = statusError(link, status, headers, body, link.clock.wall());
    if (error.code !== 'PROTOCOL_ERROR') return error;
    const answer = job.enveloped ? errorAnswer(body) : undefined;
    if (answer !== undefined && answer.id === job.message.id) {
      link.receive(body);
      return undefined;
    }
    if (!job.enveloped && link.lostSession(status, body)) return link.expire(status);
    const data = { status, statusText: '', text: body };
    return new SdkHttpError(SdkErrorCode.ClientHttpNotImplemented, error.message, data, { cause: error });
  }

  #unusable(error: StoreError): Error {
    const data = { contentType: headerOf(this.headers, 'content-type') };
    return new SdkError(SdkErrorCode.ClientHttpUnexpectedContent, error.message, data, { cause: error });
  }
}
