/** Knows what all exchanges of one HTTP connection share: headers, session, sockets, and where messages go. */

import type { Clock, Timer } from '../_util/clock.js';
import { asError, StoreError } from '../errors.js';
import type { Credentials } from './auth.js';
import type { Channel, ChannelLimits } from './channel.js';
import { type Peer, type ResponseHeaders, redirectError, unusable } from './http-errors.js';
import type { Exchange, ExchangeLimits } from './http-exchange.js';
import { claimedVersion, configuredHeaders, headerOf, redactor } from './http-headers.js';
import { SocketPool } from './http-sockets.js';
import { deliver } from './messages.js';
import type { Pending, PendingRequest } from './pending.js';
import { both, type Redact } from './redact.js';
import { UnaskedBudget } from './unasked.js';

export interface HttpOptions extends ChannelLimits {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly connectTimeoutMs: number;
  /** Default 10 MiB. */
  readonly maxMessageBytes?: number | undefined;
  readonly clock: Clock;
  /** Signs requests; undefined where the headers do, or nothing does. */
  readonly credentials?: Credentials | undefined;
  /** A line that should have been a message and is none. */
  readonly onNoise?: ((line: string) => void) | undefined;
  readonly onLog?: ((text: string) => void) | undefined;
  /** Notices of the server may have been missed: lists should be fetched again. */
  readonly onGap?: (() => void) | undefined;
  /** The server speaks the modern era no longer: what is known of it has to be asked for again. */
  readonly onOtherEra?: (() => void) | undefined;
}

/** The fields of a message that tell what it is. */
export interface WireMessage {
  readonly id?: string | number | null | undefined;
  readonly method?: string | undefined;
}

/** An answered stream is given so long to end by itself, which keeps its socket; then it is closed. */
const LINGER_MS = 250;
const MAX_REDIRECTS = 3;
/** Notifications and answers to the server get their own sockets: requests that wait for them may hold all the others. */
const SIDE_SOCKETS = 2;
/** A GET stream, and a few subscriptions. */
const STREAM_SOCKETS = 16;
/** How long the sockets beside those of the requests may idle at most. */
const ASIDE_IDLE_MS = 5_000;
const DEFAULT_MAX_MESSAGE_BYTES = 10 * 1024 * 1024;

export class HttpLink implements Peer, ExchangeLimits {
  readonly label: string;
  readonly redact: Redact;
  readonly clock: Clock;
  readonly maxMessageBytes: number;
  writeTimeoutMs: number;
  readonly options: HttpOptions;
  readonly channel: Channel;
  readonly pending: Pending;
  readonly #unasked: UnaskedBudget;
  readonly requests: SocketPool;
  readonly side: SocketPool;
  readonly streams: SocketPool;
  /** Requests of the SDK under way, by their id. */
  readonly sdkRequests = new Map<unknown, { stop(): void }>();
  path: string;
  sessionId: string | undefined;
  closeReason: Error | undefined;
  /** The stream of the server's own messages, which ends with the connection. */
  listening: { stop(): void } | undefined;
  readonly #base: string[];
  #post: string[] | undefined;
  /** The authorization in `#post`. */
  #signed: string | undefined;
  #version: string | undefined;
  #envelope: Readonly<Record<string, unknown>> | undefined;
  #lingerTimer: Timer | undefined;

  constructor(options: HttpOptions, channel: Channel, pending: Pending) {
    const { url } = options;
    this.options = options;
    this.channel = channel;
    this.pending = pending;
    this.#unasked = new UnaskedBudget(options.clock, channel);
    this.clock = options.clock;
    this.maxMessageBytes = options.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES;
    this.writeTimeoutMs = options.writeTimeoutMs;
    this.label = url.origin + url.pathname;
    this.path = url.pathname + url.search;
    this.#base = configuredHeaders(url, options.headers);
    this.redact = both(redactor(url, this.#base), options.credentials?.redact);
    const { sockets, connectTimeoutMs } = options;
    const now = (): number => options.clock.now();
    this.requests = new SocketPool(url.origin, { ...sockets, connectTimeoutMs, now });
    const aside = { min: 0, idleMs: asideIdleMs(sockets), connectTimeoutMs, now };
    this.side = new SocketPool(url.origin, { ...aside, max: SIDE_SOCKETS });
    this.streams = new SocketPool(url.origin, { ...aside, max: STREAM_SOCKETS, background: true });
  }

  /** Other bounds, from now on. */
  configure(sockets: ChannelLimits['sockets']): void {
    this.requests.configure(sockets);
    const aside = { min: 0, idleMs: asideIdleMs(sockets) };
    this.side.configure({ ...aside, max: SIDE_SOCKETS });
    this.streams.configure({ ...aside, max: STREAM_SOCKETS });
  }

  get modern(): boolean {
    return this.#envelope !== undefined;
  }

  get envelope(): Readonly<Record<string, unknown>> | undefined {
    return this.#envelope;
  }

  setEnvelope(meta: Readonly<Record<string, unknown>> | undefined): void {
    this.#envelope = meta;
    if (meta) this.setVersion(claimedVersion({ _meta: meta }) ?? this.#version);
  }

  setVersion(version: string | undefined): void {
    this.#version = version;
    this.#post = undefined;
  }

  setSession(id: string | undefined): void {
    this.sessionId = id;
    this.#post = undefined;
  }

  /** Headers of every POST, as one list that is shared and never changed. */
  get postHeaders(): string[] {
    const authorization = this.options.credentials?.authorization;
    if (authorization !== this.#signed) this.#post = undefined;
    this.#signed = authorization;
    this.#post ??= [
      ...this.#connectionHeaders(),
      'content-type',
      'application/json',
      'accept',
      'application/json, text/event-stream',
    ];
    return this.#post;
  }

  streamHeaders(lastEventId: string | undefined): string[] {
    const headers = [...this.#connectionHeaders(), 'accept', 'text/event-stream'];
    if (lastEventId !== undefined) headers.push('last-event-id', lastEventId);
    return headers;
  }

  sessionHeaders(): string[] {
    return this.#connectionHeaders();
  }

  #connectionHeaders(): string[] {
    const headers = [...this.#base];
    const authorization = this.options.credentials?.authorization;
    if (authorization !== undefined) headers.push('authorization', authorization);
    if (this.#version !== undefined) headers.push('mcp-protocol-version', this.#version);
    if (this.sessionId !== undefined) headers.push('mcp-session-id', this.sessionId);
    return headers;
  }

  /** Routes the data of an event: a message, or a batch of them. What is neither is noise. Returns what was routed. */
  receive(data: string, stream?: PendingRequest): readonly WireMessage[] {
    if (data === '') return [];
    let value: unknown;
    try {
      value = JSON.parse(data);
    } catch {
      // Told below.
    }
    const messages = messagesOf(value);
    if (messages === undefined) this.tell(this.options.onNoise, this.redact(data.slice(0, 1024)));
    else deliver(value, this.pending, this.channel, this.#unasked, stream);
    return messages ?? [];
  }

  /** Routes the JSON body of a reply, or says why that cannot be done. */
  receiveBody(body: string, status: number, stream?: PendingRequest): readonly WireMessage[] | StoreError {
    if (body === '') return unusable(this, `answered ${status} without a result`);
    let value: unknown;
    try {
      value = JSON.parse(body);
    } catch (error) {
      return unusable(this, 'answered with something that is not JSON', body, error);
    }
    const messages = messagesOf(value);
    if (messages === undefined) return unusable(this, 'answered with JSON that is no message', body);
    deliver(value, this.pending, this.channel, this.#unasked, stream);
    return messages;
  }

  /** Its answer is there; gives it a moment to end by itself, so that its socket stays usable. */
  linger(exchange: Exchange): void {
    exchange.answeredAt ??= this.clock.now();
    this.#lingerTimer ??= this.clock.after(LINGER_MS, () => this.#sweep());
  }

  #sweep(): void {
    const due = this.clock.now() - LINGER_MS;
    this.#lingerTimer = undefined;
    let rest = false;
    for (const pool of [this.requests, this.streams])
      for (const exchange of pool.running()) {
        if (exchange.answeredAt === undefined) continue;
        if (exchange.answeredAt <= due) exchange.stop();
        else rest = true;
      }
    if (rest) this.#lingerTimer = this.clock.after(LINGER_MS, () => this.#sweep());
  }

  /** The path to repeat a POST on, or why this redirect is not followed. */
  redirect(status: number, headers: ResponseHeaders, hops: number): string | StoreError {
    const location = headerOf(headers, 'location');
    const { origin } = this.options.url;
    let target: URL | undefined;
    try {
      target = location === undefined ? undefined : new URL(location, origin + this.path);
    } catch {
      // Not a URL: the error says that it leads nowhere.
    }
    if ((status !== 307 && status !== 308) || target?.origin !== origin || hops >= MAX_REDIRECTS)
      return redirectError(this, status, target);
    const path = target.pathname + target.search;
    // Frameworks answer `/mcp` with a 307 to `/mcp/`: asked once is enough.
    const [from, to] = [this.path.split('?', 1)[0]!, target.pathname];
    if (status === 308 || from === `${to}/` || to === `${from}/`) this.path = path;
    return path;
  }

  /**
   * Does this answer mean that the server no longer knows our session? The modern era has none: a server that misses one
   * there, or the version, speaks the other era now.
   */
  lostSession(status: number, text: string): boolean {
    if (this.modern) return status === 400 && OTHER_ERA.test(text);
    if (this.sessionId === undefined) return false;
    if (status === 404) return true;
    return status === 400 && /session|not initialized/i.test(text) && UNKNOWN_SESSION.test(text);
  }

  /** The session is gone: no new request goes out, what is under way settles by itself. */
  expire(status: number): StoreError {
    const gone = this.modern ? `speaks ${this.#version}` : 'knows our session';
    const error = new StoreError('CONNECT_FAILED', `${this.label} no longer ${gone} (${status})`, {
      figures: { sessionExpired: true, status, retryable: true },
    });
    if (this.modern) this.tell(this.options.onOtherEra);
    this.end(error);
    return error;
  }

  /** The connection is over, for this reason. Only the first reason counts; `onclose` is called once. */
  end(reason: Error): void {
    if (this.closeReason !== undefined) return;
    this.closeReason = reason;
    this.#unasked.close();
    this.listening?.stop();
    this.requests.failWaiting(reason, true);
    try {
      this.channel.onclose?.();
    } catch (error) {
      this.channel.onerror?.(asError(error));
    }
  }

  log(text: string): void {
    this.tell(this.options.onLog, `${this.label}: ${text}`);
  }

  /** Calls a listener whose own failure must not reach the sockets. */
  tell<T extends unknown[]>(listener: ((...values: T) => void) | undefined, ...values: T): void {
    try {
      listener?.(...values);
    } catch {
      // It is the listener's.
    }
  }

  async destroy(): Promise<void> {
    this.#lingerTimer?.cancel();
    await Promise.all([this.requests.destroy(), this.side.destroy(), this.streams.destroy()]);
  }
}

function asideIdleMs({ idleMs }: ChannelLimits['sockets']): number {
  return Math.min(idleMs, ASIDE_IDLE_MS);
}

function messagesOf(value: unknown): readonly WireMessage[] | undefined {
  const messages: unknown[] = Array.isArray(value) ? value : [value];
  return messages.every((one) => typeof one === 'object' && one !== null) ? (messages as WireMessage[]) : undefined;
}

const UNKNOWN_SESSION = /unknown|invalid|expired|not (found|exist|valid|initialized)|no valid|does ?n.t exist|no such/i;
/** What servers of the legacy era answer to a request without a session, or with a version that they do not know. */
const OTHER_ERA =
  /(no valid|missing|no|invalid) (mcp[ -])?session[ -]?id|session-id header is required|not initialized|unsupported protocol version/i;
