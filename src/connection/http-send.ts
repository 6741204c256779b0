/** Knows how a message of the SDK's client is sent over HTTP: on which sockets, with which headers, and until when. */

import type { JSONRPCMessage, TransportSendOptions } from '@modelcontextprotocol/client';
import { onAbort } from '../_util/abort.js';
import { StoreError } from '../errors.js';
import type { Exchange } from './http-exchange.js';
import { addMessageHeaders, addRequestHeaders, claimedVersion } from './http-headers.js';
import type { HttpLink } from './http-link.js';
import { type OutMessage, SendExchange, type Sending } from './http-send-exchange.js';
import type { SocketPool } from './http-sockets.js';

/** A message that asks nothing must not wait for ever on a server that does not take it. */
const ASIDE_TIMEOUT_MS = 10_000;

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
    const job = new SendJob(link, message as OutMessage, options, resolve, reject);
    job.start();
  });
}

/** One message on its way; it outlives an exchange that is redirected. */
class SendJob implements Sending {
  readonly link: HttpLink;
  readonly message: OutMessage;
  readonly options: TransportSendOptions | undefined;
  readonly asks: boolean;
  readonly listens: boolean;
  readonly enveloped: boolean;
  readonly #resolve: () => void;
  readonly #reject: (error: unknown) => void;
  #exchange: Exchange | undefined;
  #release: (() => void) | undefined;
  #done = false;

  constructor(
    link: HttpLink,
    message: OutMessage,
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

  /** `signed`: with new credentials, after it was refused with the old. */
  post(pool: SocketPool, path: string, hops: number, renewals = 0, signed?: string[]): void {
    const { message, options } = this;
    const body = JSON.stringify(message);
    if (options?.resumptionToken !== undefined) {
      const headers = signed ?? this.link.streamHeaders(options.resumptionToken);
      this.#exchange = new SendExchange(this, pool, 'GET', path, headers, undefined, hops, renewals);
    } else {
      const headers = signed ?? this.#headers();
      this.#exchange = new SendExchange(this, pool, 'POST', path, headers, body, hops, renewals);
    }
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
