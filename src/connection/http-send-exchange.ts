/** Knows one exchange of a message of the SDK's client, and with which errors the SDK can tell an era from a fault. */

import { SdkError, SdkErrorCode, SdkHttpError, type TransportSendOptions } from '@modelcontextprotocol/client';
import { StoreError } from '../errors.js';
import { refusal, renewed } from './auth-http.js';
import { errorAnswer, networkError, unusable } from './http-errors.js';
import { type BodyKind, Exchange } from './http-exchange.js';
import { headerOf, mediaType } from './http-headers.js';
import type { HttpLink, WireMessage } from './http-link.js';
import type { SocketPool } from './http-sockets.js';
import type { SseEvent } from './sse-parser.js';

/** A message of the SDK's, as far as we look into it. */
export interface OutMessage {
  readonly id?: string | number | undefined;
  readonly method?: string | undefined;
  readonly params?: Record<string, unknown> | undefined;
}

/** The message that an exchange sends, and where its end is told. */
export interface Sending {
  readonly link: HttpLink;
  readonly message: OutMessage;
  readonly options: TransportSendOptions | undefined;
  /** It is a request. */
  readonly asks: boolean;
  /** It subscribes: its stream is the answer. */
  readonly listens: boolean;
  /** It claims a modern protocol version for itself, so its refusals are answers. */
  readonly enveloped: boolean;
  readonly done: boolean;
  /** Sends it, or sends it again on another path. */
  post(pool: SocketPool, path: string, hops: number, renewals?: number, signed?: string[]): void;
  /** The stream of a subscription is open: the promise is settled, the subscription goes on. */
  opened(): void;
  succeed(): void;
  fail(error: unknown): void;
}

/** The message goes on, on another path or with other credentials. */
const GOES_ON = new Error('goes on');

export class SendExchange extends Exchange {
  readonly #job: Sending;
  readonly #pool: SocketPool;
  readonly #hops: number;
  readonly #headers: readonly string[];
  readonly #renewals: number;
  #sent = false;

  constructor(
    job: Sending,
    pool: SocketPool,
    method: 'POST' | 'GET',
    path: string,
    headers: string[],
    body: string | undefined,
    hops: number,
    renewals: number,
  ) {
    super(job.link, method, path, headers, body);
    this.#job = job;
    this.#pool = pool;
    this.#hops = hops;
    this.#headers = headers;
    this.#renewals = renewals;
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
    const resumed = options?.resumptionToken !== undefined;
    if (!this.#answers(link.receive(resumed ? this.#readdressed(event.data) : event.data))) return;
    this.#job.succeed();
    link.linger(this);
  }

  /** What is replayed answers the request's first sending; the SDK sends it again under a new id. */
  #readdressed(data: string): string {
    try {
      const message = JSON.parse(data) as WireMessage;
      return message.method === undefined ? JSON.stringify({ ...message, id: this.#job.message.id }) : data;
    } catch {
      return data;
    }
  }

  #answers(messages: readonly WireMessage[]): boolean {
    return messages.some((one) => one.method === undefined && one.id === this.#job.message.id);
  }

  protected override text(body: string): void {
    const { asks } = this.#job;
    const error = this.status >= 300 ? this.#refused(body) : asks ? this.#answered(body) : undefined;
    if (error === GOES_ON) return;
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
      if (!job.done) job.post(this.#pool, path, this.#hops + 1, this.#renewals);
      return GOES_ON;
    }
    // Nobody is asked here: the SDK takes a long silence for an old server.
    const renewing = renewed(link, status, headers, this.#headers, false, this.#renewals);
    if (renewing) {
      this.#renew(renewing, body);
      return GOES_ON;
    }
    const error = refusal(link, status, headers, body);
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

  #renew(renewing: Promise<string[] | undefined>, body: string): void {
    const job = this.#job;
    renewing
      .then((signed) => {
        if (job.done) return;
        if (signed === undefined) job.fail(refusal(job.link, this.status, this.headers, body));
        else job.post(this.#pool, job.link.path, this.#hops, this.#renewals + 1, signed);
      })
      .catch((error) => job.fail(error));
  }

  #unusable(error: StoreError): Error {
    const data = { contentType: headerOf(this.headers, 'content-type') };
    return new SdkError(SdkErrorCode.ClientHttpUnexpectedContent, error.message, data, { cause: error });
  }
}
