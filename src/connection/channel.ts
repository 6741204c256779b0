/** Knows what a transport of ours offers beside the SDK's Transport: requests that go past the SDK's client. */

import type { Progress, Transport } from '@modelcontextprotocol/client';
import type { Asker, CallRecord } from '../call.js';
import type { Asked } from './asked.js';

/** What bounds and observes one request. */
export interface RequestOptions {
  /** Monotonic milliseconds (`Clock.now`) at which the request ends as `TIMEOUT`. */
  readonly deadline: number;
  /** The whole call's budget in milliseconds, for the message only. */
  readonly timeoutMs: number;
  /** Longest silence (no answer, no progress) after sending, in milliseconds; 0: the deadline alone counts. */
  readonly silenceMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Who answers what the server asks meanwhile: the caller whose request this is. */
  readonly ask?: Asker | undefined;
  /** Told of what was asked. */
  readonly record?: CallRecord | undefined;
  /** Trace context, part of the request's `_meta`. */
  readonly trace?: Readonly<Record<string, string>> | undefined;
  /** HTTP headers of this request alone; other transports ignore them. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

export type RpcResult = Record<string, unknown>;

/** What may change while a channel is open. */
export interface ChannelLimits {
  /** Longest time for handing a request over, in milliseconds. */
  readonly writeTimeoutMs: number;
  /** Keep-alive sockets, where it has such: the most, how many are not closed for being idle, and how long others may. */
  readonly sockets: { readonly max: number; readonly min: number; readonly idleMs: number };
}

/**
 * A transport with a side channel. The SDK's `Client` runs on it for the handshake, notifications and the server's own
 * requests; everything that we ask goes through `request`, which costs a fraction of the client's path.
 *
 * `request` settles exactly once. It rejects with a `StoreError` whose `executed` is `'no'` while nothing of the
 * request was handed to the operating system, `'yes'` after an error answer, else `'unknown'`:
 * `RPC_ERROR` (error answer), `TIMEOUT`, `CANCELLED`, `OUTCOME_UNKNOWN` (sent, then the connection was lost),
 * `CONNECT_FAILED` (not sent, connection lost or closed), `ARGUMENTS_INVALID` (JSON cannot carry the parameters),
 * `PROTOCOL_ERROR`, `MESSAGE_TOO_LARGE`, and over HTTP `AUTH_REQUIRED`, `FORBIDDEN`, `RATE_LIMITED`.
 * `service`, `tool`, `endpoint` and `attempts` are filled in by the hops above.
 */
export interface Channel extends Transport {
  request(method: string, params: Record<string, unknown> | undefined, options: RequestOptions): Promise<RpcResult>;
  /** Set once after the handshake: what every request of a modern (2026-07-28) connection carries in `_meta`. */
  setEnvelope?(meta: Readonly<Record<string, unknown>> | undefined): void;
  /** Other limits, from now on. */
  configure?(limits: ChannelLimits): void;
  /** The channel serves what is under way, and wants no more: whoever owns it closes it after that. */
  onretire?: ((reason: Error) => void) | undefined;
  /** Legacy era: takes the server's own requests that callers answer. The SDK's client gets all others. */
  asked?: Asked | undefined;
  /** The end of what a process has written to stderr. */
  readonly lastWords?: string | undefined;
  /** Why the connection ended (exit code, stderr's tail, reset), once it has. */
  readonly closeReason?: Error | undefined;
}
