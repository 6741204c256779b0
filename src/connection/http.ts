/** Knows MCP over streamable HTTP: one session or none, its requests over a few keep-alive sockets, its streams beside. */

import type { JSONRPCMessage, MessageExtraInfo, TransportSendOptions } from '@modelcontextprotocol/client';
import { asError, StoreError } from '../errors.js';
import type { Channel, ChannelLimits, RequestOptions, RpcResult } from './channel.js';
import { type BodyKind, Exchange } from './http-exchange.js';
import { HttpLink, type HttpOptions } from './http-link.js';
import { ListenStream } from './http-listen.js';
import { postRequest } from './http-request.js';
import { sendMessage } from './http-send.js';
import { Pending, type PendingRequest } from './pending.js';
import { redactedError } from './redact.js';

export type { HttpOptions } from './http-link.js';

/** How long `close` waits for the server to take the end of the session. */
const END_SESSION_MS = 1_000;
/** Cancellations under way at a time; beyond, a server that takes none is spared the rest. */
const MAX_CANCELLATIONS = 256;

export class HttpChannel implements Channel {
  readonly hasPerRequestStream = true;
  onmessage?: (<T extends JSONRPCMessage>(message: T, extra?: MessageExtraInfo) => void) | undefined;
  onclose?: (() => void) | undefined;
  onretire?: Channel['onretire'];
  onerror?: ((error: Error) => void) | undefined;
  readonly #link: HttpLink;
  readonly #pending: Pending;
  #started = false;
  /** The handshake declared that the server may ask something. */
  #asked = false;
  #closing: Promise<void> | undefined;
  #cancellations = 0;

  constructor(options: HttpOptions) {
    this.#pending = new Pending(
      options.clock,
      (request, reason) => this.#cancel(request, reason),
      (error) => redactedError(error, this.#link.redact),
    );
    this.#link = new HttpLink(options, this, this.#pending);
  }

  get sessionId(): string | undefined {
    return this.#link.sessionId;
  }

  /** Why the connection ended: the session is gone, or it was closed. */
  get closeReason(): Error | undefined {
    return this.#link.closeReason;
  }

  /** Answers to nobody: late, doubled or invented ones. */
  get ignored(): number {
    return this.#pending.ignored;
  }

  /** Sockets of the requests; streams and notifications have their own. */
  sockets(): { open: number; idle: number; inFlight: number; waiting: number } {
    return this.#link.requests.figures();
  }

  /** Closes sockets of requests that have been idle for so long, down to the minimum. Returns how many. */
  closeIdle(maxIdleMs: number): number {
    return this.#link.requests.closeIdle(maxIdleMs);
  }

  configure({ writeTimeoutMs, sockets }: ChannelLimits): void {
    this.#link.writeTimeoutMs = writeTimeoutMs;
    this.#link.configure(sockets);
  }

  /** Connections made for requests so far. */
  get opened(): number {
    return this.#link.requests.opened;
  }

  /** Connections for requests that could not be made. */
  get failedConnects(): number {
    return this.#link.requests.failedConnects;
  }

  async start(): Promise<void> {
    if (this.#started) throw new Error('the channel was started before');
    this.#started = true;
  }

  setProtocolVersion(version: string): void {
    this.#link.setVersion(version);
  }

  setEnvelope(meta: Readonly<Record<string, unknown>> | undefined): void {
    this.#link.setEnvelope(meta);
  }

  async send(message: JSONRPCMessage, options?: TransportSendOptions): Promise<void> {
    if (this.#link.closeReason) throw this.#ended();
    const { method, params } = message as { method?: string; params?: Record<string, unknown> };
    if (method === 'initialize') this.#asked = Object.keys(params?.['capabilities'] ?? {}).length > 0;
    try {
      await sendMessage(this.#link, message, options);
    } catch (error) {
      if (!options?.requestSignal?.aborted) this.onerror?.(asError(error));
      throw error;
    }
    // What the SDK gave up still holds its stream; on a modern connection its signal closes that.
    if (method === 'notifications/cancelled') this.#link.sdkRequests.get(params?.['requestId'])?.stop();
    if (method === 'notifications/initialized' && !this.#link.listening && !this.#link.closeReason) {
      const listening = new ListenStream(this.#link);
      this.#link.listening = listening;
      if (this.#asked) await listening.settled();
      else listening.start();
    }
  }

  request(method: string, params: Record<string, unknown> | undefined, options: RequestOptions): Promise<RpcResult> {
    if (this.#link.closeReason) return Promise.reject(this.#ended());
    return this.#pending.open(method, options, (request) => postRequest(this.#link, request, params));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const link = this.#link;
    const alive = link.closeReason === undefined;
    link.end(new Error('the connection was closed'));
    this.#pending.failAll(link.closeReason!);
    const gone = Promise.all([link.requests.destroy(), link.streams.destroy()]);
    if (alive && link.sessionId !== undefined) await this.#endSession();
    await Promise.all([gone, link.destroy()]);
  }

  /** Tells the server that the session is over; whether it listens does not matter. */
  #endSession(): Promise<void> {
    return new Promise((resolve) => {
      const farewell = new Farewell(this.#link, resolve);
      const timer = this.#link.clock.after(END_SESSION_MS, () => {
        farewell.stop();
        resolve();
      });
      farewell.done = () => {
        timer.cancel();
        resolve();
      };
      this.#link.side.run(farewell);
    });
  }

  #ended(): StoreError {
    const reason = this.#link.closeReason!;
    if (reason instanceof StoreError) return new StoreError(reason.code, reason.message, { ...reason, cause: reason });
    return new StoreError('CONNECT_FAILED', `${this.#link.label}: ${reason.message}`, { cause: reason });
  }

  /** Modern servers see the closed stream; legacy ones are told. */
  #cancel(request: PendingRequest, reason: string): void {
    if (this.#link.modern || this.#cancellations >= MAX_CANCELLATIONS || this.#link.closeReason) return;
    this.#cancellations++;
    const message = {
      jsonrpc: '2.0' as const,
      method: 'notifications/cancelled' as const,
      params: { requestId: request.id, reason },
    };
    sendMessage(this.#link, message, undefined)
      .catch((error) => this.#link.log(`cancellation not taken: ${asError(error).message}`))
      .finally(() => {
        this.#cancellations--;
      });
  }
}

/** DELETE of the session. */
class Farewell extends Exchange {
  done: () => void;

  constructor(link: HttpLink, done: () => void) {
    super(link, 'DELETE', link.path, link.sessionHeaders());
    this.done = done;
  }

  protected override sent(): void {}
  protected override head(): BodyKind {
    return 'text';
  }
  protected override event(): void {}
  protected override text(): void {
    this.done();
  }
  protected override end(): void {}
  protected override failed(): void {
    this.done();
  }
}
