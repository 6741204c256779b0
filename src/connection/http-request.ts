/** Knows how one request of ours goes over HTTP: posted, answered as JSON or as a stream of events, or refused. */

import { StoreError } from '../errors.js';
import { refusal, renewed } from './auth-http.js';
import { errorAnswer, networkError, unusable } from './http-errors.js';
import { type BodyKind, Exchange } from './http-exchange.js';
import { addMessageHeaders, addRequestHeaders, mediaType } from './http-headers.js';
import type { HttpLink } from './http-link.js';
import { resume } from './http-resume.js';
import { paramsText } from './messages.js';
import type { PendingRequest } from './pending.js';
import type { SseEvent } from './sse-parser.js';

/** Posts a request that `pending` has opened; its answer settles it there. */
export function postRequest(
  link: HttpLink,
  request: PendingRequest,
  params: Record<string, unknown> | undefined,
): void {
  const { envelope } = link;
  const body = `{"jsonrpc":"2.0","id":"${request.id}","method":${JSON.stringify(request.method)},"params":${paramsText(request, params, envelope)}}`;
  let headers = link.postHeaders;
  if (envelope !== undefined || request.options.headers !== undefined) {
    headers = [...headers];
    if (envelope !== undefined) addMessageHeaders(headers, request.method, params);
    addRequestHeaders(headers, request.options.headers);
  }
  link.requests.run(new RequestExchange(link, request, link.path, headers, body, 0));
}

/**
 * With these, servers say that they do not know a session, or a version of the protocol, some of them as an answer to the
 * very request.
 */
const SESSION_CODES: readonly number[] = [-32000, -32001, -32022];

class RequestExchange extends Exchange {
  readonly #link: HttpLink;
  readonly #request: PendingRequest;
  readonly #headers: string[];
  readonly #body: string;
  readonly #hops: number;
  readonly #renewals: number;
  #lastEventId: string | undefined;

  constructor(
    link: HttpLink,
    request: PendingRequest,
    path: string,
    headers: string[],
    body: string,
    hops: number,
    renewals = 0,
  ) {
    super(link, 'POST', path, headers, body);
    this.#link = link;
    this.#request = request;
    this.#headers = headers;
    this.#body = body;
    this.#hops = hops;
    this.#renewals = renewals;
    request.stop = () => this.stop();
  }

  protected override sent(): void {
    this.#request.sent = true;
    this.#request.lastSeen = this.#link.clock.now();
  }

  protected override head(): BodyKind {
    if (this.status >= 300) return 'text';
    const type = mediaType(this.headers['content-type']);
    if (type === 'text/event-stream') return 'events';
    if (type !== 'application/json' && this.status !== 202 && this.status !== 204) {
      this.#fail(
        unusable(this.#link, `answered with ${type ?? 'no content type'} where JSON or an event stream is due`),
      );
      this.stop();
    }
    return 'text';
  }

  protected override event(event: SseEvent): void {
    if (event.id !== undefined) this.#lastEventId = event.id;
    this.#request.lastSeen = this.#link.clock.now();
    this.#link.receive(event.data, this.#request);
    if (!this.#waits) this.#link.linger(this);
  }

  protected override text(body: string): void {
    const error = this.status >= 300 ? this.#refused(body) : this.#answered(body);
    if (error !== undefined) this.#fail(error);
  }

  #answered(body: string): StoreError | undefined {
    const received = this.#link.receiveBody(body, this.status, this.#request);
    if (received instanceof StoreError) return received;
    return this.#waits ? unusable(this.#link, 'answered with messages, but not with the result', body) : undefined;
  }

  protected override end(): void {
    // The usual case is that the answer came: an Error, with its stack, is made only where it did not.
    if (this.#waits) this.#lost(new Error('the stream ended'));
  }

  protected override failed(error: Error): void {
    if (error instanceof StoreError) this.#fail(error);
    else this.#lost(error);
  }

  get #waits(): boolean {
    return this.#link.pending.has(this.#request.id);
  }

  /** The answer will not come on this stream; a legacy server that numbers its events may still have it. */
  #lost(error: Error): void {
    if (!this.#waits) return;
    const lastEventId = this.#lastEventId;
    if (lastEventId !== undefined && !this.#link.modern)
      resume(this.#link, this.#request, lastEventId, this.sse?.retryMs, error);
    else this.#fail(networkError(this.#link, error, this.#request.sent));
  }

  /** What a status other than 2xx means: an error, or nothing where the request goes on or was answered. */
  #refused(body: string): StoreError | undefined {
    const link = this.#link;
    const request = this.#request;
    const { status, headers } = this;
    if (status < 400) {
      const path = link.redirect(status, headers, this.#hops);
      if (typeof path !== 'string') return path;
      // A redirect says that nothing ran.
      request.sent = false;
      if (this.#waits)
        link.requests.run(
          new RequestExchange(link, request, path, this.#headers, this.#body, this.#hops + 1, this.#renewals),
        );
      return undefined;
    }
    if (status < 500 && status !== 401 && status !== 403 && status !== 429) {
      const answer = errorAnswer(body);
      const mayBeSession = answer?.id !== request.id || SESSION_CODES.includes(answer.error['code'] as number);
      if (mayBeSession && link.lostSession(status, body)) return link.expire(status);
      if (answer !== undefined) {
        link.pending.settle({ id: request.id, error: answer.error });
        return undefined;
      }
    }
    const renewing = renewed(link, status, headers, this.#headers, true, this.#renewals);
    if (!renewing) return refusal(link, status, headers, body);
    // Refused before it ran.
    request.sent = false;
    renewing.then((signed) => this.#again(signed, body)).catch((error) => this.#fail(error));
    return undefined;
  }

  /** Goes out with new credentials, or stays refused. */
  #again(signed: string[] | undefined, body: string): void {
    const link = this.#link;
    if (!this.#waits) return;
    if (signed === undefined) this.#fail(refusal(link, this.status, this.headers, body));
    else
      link.requests.run(
        new RequestExchange(link, this.#request, link.path, signed, this.#body, this.#hops, this.#renewals + 1),
      );
  }

  #fail(error: Error): void {
    this.#link.pending.fail(this.#request, error);
  }
}
