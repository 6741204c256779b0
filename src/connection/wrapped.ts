/** Knows how to give any transport of the SDK our side channel: legacy SSE, and servers in this process. */

import type { JSONRPCMessage, Transport, TransportSendOptions } from '@modelcontextprotocol/client';
import type { Clock } from '../_util/clock.js';
import { asError, StoreError } from '../errors.js';
import type { Channel, RequestOptions, RpcResult } from './channel.js';
import { refuseNonFinite } from './finite.js';
import { deliver, stringify, wireParams } from './messages.js';
import { Pending, type PendingRequest } from './pending.js';
import { type Redact, redactedError, redacting } from './redact.js';
import { UnaskedBudget } from './unasked.js';

export class WrappedChannel implements Channel {
  onclose?: (() => void) | undefined;
  onerror?: ((error: Error) => void) | undefined;
  onmessage?: Channel['onmessage'];
  onretire?: Channel['onretire'];

  readonly #inner: Transport;
  readonly #pending: Pending;
  readonly #unasked: UnaskedBudget;
  #envelope: Readonly<Record<string, unknown>> | undefined;
  #closed = false;
  #reason: Error | undefined;

  /** @param redact - takes out of errors what the other end may have echoed */
  constructor(inner: Transport, clock: Clock, redact: Redact = redacting([])) {
    this.#inner = inner;
    this.#pending = new Pending(
      clock,
      (request, reason) => this.#cancel(request, reason),
      (error) => redactedError(error, redact),
    );
    this.#unasked = new UnaskedBudget(clock, this);
    inner.onmessage = (message) => deliver(message, this.#pending, this, this.#unasked);
    inner.onerror = (error) => {
      this.#reason ??= redactedError(error, redact);
      this.onerror?.(error);
    };
    inner.onclose = () => this.#end();
  }

  get closeReason(): Error | undefined {
    return this.#closed ? (this.#reason ?? new Error('closed')) : undefined;
  }

  get sessionId(): string | undefined {
    return this.#inner.sessionId;
  }

  setEnvelope(meta: Readonly<Record<string, unknown>> | undefined): void {
    this.#envelope = meta;
  }

  setProtocolVersion(version: string): void {
    this.#inner.setProtocolVersion?.(version);
  }

  setSupportedProtocolVersions(versions: string[]): void {
    this.#inner.setSupportedProtocolVersions?.(versions);
  }

  start(): Promise<void> {
    return this.#inner.start();
  }

  send(message: JSONRPCMessage, options?: TransportSendOptions): Promise<void> {
    return this.#inner.send(message, options);
  }

  request(method: string, params: Record<string, unknown> | undefined, options: RequestOptions): Promise<RpcResult> {
    return this.#pending.open(method, options, (request) => {
      if (this.#closed) throw new StoreError('CONNECT_FAILED', 'the connection is closed', { cause: this.#reason });
      request.sent = true;
      const message = {
        jsonrpc: '2.0' as const,
        id: request.id,
        method,
        params: wireParams(request, params, this.#envelope),
      };
      refuseNonFinite(message.params);
      this.#inner.send(message).catch((error: unknown) => this.#pending.fail(request, sendFailed(message, error)));
    });
  }

  async close(): Promise<void> {
    this.#pending.cancelAll('the connection is closed');
    await this.#inner.close();
    this.#end();
  }

  #cancel(request: PendingRequest, reason: string): void {
    const params = { requestId: request.id, reason };
    this.#inner.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params }).catch(() => {});
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unasked.close();
    this.#pending.failAll(this.#reason ?? new Error('closed'));
    this.onclose?.();
  }
}

/** A transport that refuses to send has not said how far it got, but what JSON cannot carry never left. */
function sendFailed(message: object, error: unknown): StoreError {
  try {
    stringify(message);
  } catch (unsendable) {
    return unsendable as StoreError;
  }
  const cause = asError(error);
  return new StoreError('OUTCOME_UNKNOWN', `the request could not be sent completely: ${cause.message}`, {
    executed: 'unknown',
    cause,
  });
}
