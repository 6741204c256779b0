/** Knows one initialised MCP session: what the server can do, how to ask it, and what it tells on its own. */

import type { Client, DiscoverResult, Implementation, ServerCapabilities } from '@modelcontextprotocol/client';
import type { Clock } from '../_util/clock.js';
import { isStoreError, StoreError } from '../errors.js';
import type { Channel, ChannelLimits, RequestOptions, RpcResult } from './channel.js';
import { type Redact, redactedData } from './redact.js';

/** What a server says outside of a call. */
export type ServerNotice =
  | { kind: 'list_changed'; list: 'tools' | 'prompts' | 'resources' }
  | { kind: 'resource_updated'; uri: string }
  | { kind: 'log'; level: string; logger: string | undefined; data: unknown };

/** Sockets of an HTTP connection; other kinds have none. */
export interface SocketFigures {
  open: number;
  idle: number;
  opened: number;
  failed: number;
}

/** Where a request of the modern era says from which level on it wants to hear of logs (MCP 2026-07-28, "Logging"). */
const LOG_LEVEL_KEY = 'io.modelcontextprotocol/logLevel';

/** Pages of one list that are followed before a server counts as broken. */
const MAX_PAGES = 1_000;

export interface ConnectionParts {
  client: Client;
  channel: Channel;
  /** Requests that it carries at a time. */
  capacity: number;
  clock: Clock;
  /** Takes the endpoint's secrets out of what the server logs and says of itself. */
  redact: Redact;
  pid: number | undefined;
  sockets: (() => SocketFigures) | undefined;
  /** What every request of a modern connection carries. */
  envelope: Readonly<Record<string, unknown>> | undefined;
  /** Closes its sockets that have been idle for so long, down to their minimum. */
  closeIdle?: ((maxIdleMs: number) => number) | undefined;
}

let nextId = 1;

export class Connection {
  readonly id = nextId++;
  readonly era: 'legacy' | 'modern';
  readonly protocolVersion: string;
  readonly capabilities: ServerCapabilities;
  readonly serverInfo: Implementation | undefined;
  readonly instructions: string | undefined;
  /** What a modern server said of itself. */
  readonly discover: DiscoverResult | undefined;
  /** Requests that it carries at a time; set by the pool when options change. */
  capacity: number;
  readonly pid: number | undefined;
  /** Requests under way; kept by the pool. */
  inFlight = 0;
  /** Requests that were given this connection; kept by the pool. */
  used = 0;
  /** Monotonic time of the last use; a health check is none, or nothing would ever idle. */
  lastUsedAt: number;
  /** Called once when the connection has ended, with the reason. */
  onClose: ((reason: Error) => void) | undefined;
  onNotice: ((notice: ServerNotice) => void) | undefined;

  readonly #client: Client;
  readonly #channel: Channel;
  readonly #clock: Clock;
  readonly #redact: Redact;
  readonly #sockets: (() => SocketFigures) | undefined;
  readonly #closeIdle: ConnectionParts['closeIdle'];
  readonly #envelope: ConnectionParts['envelope'];
  #answered = false;
  #heard = false;
  #closed = false;
  #closing: Promise<void> | undefined;

  constructor(parts: ConnectionParts) {
    const { client, channel } = parts;
    this.#client = client;
    this.#channel = channel;
    this.#clock = parts.clock;
    this.#redact = parts.redact;
    this.#sockets = parts.sockets;
    this.#closeIdle = parts.closeIdle;
    this.#envelope = parts.envelope;
    this.capacity = parts.capacity;
    this.pid = parts.pid;
    this.era = client.getProtocolEra() ?? 'legacy';
    this.protocolVersion = client.getNegotiatedProtocolVersion() ?? '';
    this.capabilities = redactedData(client.getServerCapabilities() ?? {}, parts.redact);
    this.serverInfo = redactedData(client.getServerVersion(), parts.redact);
    this.instructions = redactedData(client.getInstructions(), parts.redact);
    this.discover = client.getDiscoverResult();
    // A modern server asks in its results; it has no requests of its own.
    if (this.era === 'modern') channel.asked = undefined;
    this.lastUsedAt = parts.clock.now();
    client.onclose = () => this.#ended(channel.closeReason ?? new Error('the connection ended'));
    channel.onretire = (reason) => this.#ended(reason);
    client.fallbackNotificationHandler = (notification) => {
      this.#notice(notification.method, (notification.params ?? {}) as Record<string, unknown>);
      return Promise.resolve();
    };
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Did it ever answer a request, with a result or an error? A start that never did counts as failed. Its tool list is
   * no such request: we ask for it at each start, and a server that ends after it must not be started for ever.
   */
  get answered(): boolean {
    return this.#answered;
  }

  /** Did it answer anything at all, if only its tool list? Then its session was a good one, until the server forgot it. */
  get heard(): boolean {
    return this.#heard;
  }

  /** Closes its own idle sockets, down to their minimum; kinds without sockets have none. Returns how many. */
  closeIdle(maxIdleMs: number): number {
    return this.#closeIdle?.(maxIdleMs) ?? 0;
  }

  get sockets(): SocketFigures | undefined {
    return this.#sockets?.();
  }

  /** Other limits, from now on. */
  configure(limits: ChannelLimits): void {
    this.#channel.configure?.(limits);
  }

  /** One request past the SDK's client. Rejects as `Channel.request` does. */
  request(method: string, params: Record<string, unknown> | undefined, options: RequestOptions): Promise<RpcResult> {
    const answer = this.#channel.request(method, params, options);
    const counts = method !== 'tools/list';
    return (counts ? this.#answered : this.#heard) ? answer : this.#first(answer, counts);
  }

  /** Notes that an answer came. Only the requests before it pay for that. */
  async #first(answer: Promise<RpcResult>, counts: boolean): Promise<RpcResult> {
    try {
      const result = await answer;
      this.#heard = true;
      this.#answered ||= counts;
      return result;
    } catch (error) {
      const came = isStoreError(error) && error.executed === 'yes';
      this.#heard ||= came;
      this.#answered ||= came && counts;
      throw error;
    }
  }

  /**
   * Every page of a list. A page without an array under `key` is a `PROTOCOL_ERROR`; a cursor that repeats ends the
   * walk, and so do `MAX_PAGES` pages. `ttlMs` is the shortest that a page gave (modern era).
   */
  async listAll(
    method: string,
    key: string,
    options: RequestOptions,
  ): Promise<{ items: Record<string, unknown>[]; ttlMs: number | undefined }> {
    const all: Record<string, unknown>[] = [];
    let cursor: string | undefined;
    let ttlMs: number | undefined;
    for (let page = 0; page < MAX_PAGES; page++) {
      const result = await this.request(method, cursor === undefined ? {} : { cursor }, options);
      const items = result[key];
      if (!Array.isArray(items))
        throw new StoreError('PROTOCOL_ERROR', `${method}: the answer has no array "${key}"`, { executed: 'yes' });
      for (const item of items)
        if (typeof item === 'object' && item !== null) all.push(item as Record<string, unknown>);
      if (typeof result['ttlMs'] === 'number') ttlMs = Math.min(ttlMs ?? Number.POSITIVE_INFINITY, result['ttlMs']);
      const next = result['nextCursor'];
      if (typeof next !== 'string' || next === cursor) return { items: all, ttlMs };
      cursor = next;
    }
    throw new StoreError('PROTOCOL_ERROR', `${method}: more than ${MAX_PAGES} pages`, { executed: 'yes' });
  }

  /**
   * Asks whether the server lives: ping in the legacy era, discover in the modern one. Any well-formed answer, also
   * "method not found", is a yes; silence and a lost connection reject.
   */
  async ping(timeoutMs: number): Promise<void> {
    try {
      await this.request(this.era === 'modern' ? 'server/discover' : 'ping', undefined, this.#within(timeoutMs));
    } catch (error) {
      if (!(error instanceof StoreError) || error.executed !== 'yes') throw error;
    }
  }

  /**
   * From which level on the server sends its logs: a modern one is told with each request, a legacy one at once. One
   * that does not log is not asked. Rejects as `request` does.
   */
  async setLogLevel(level: string, timeoutMs: number): Promise<void> {
    if (this.#envelope !== undefined) this.#channel.setEnvelope?.({ ...this.#envelope, [LOG_LEVEL_KEY]: level });
    else if (this.capabilities.logging !== undefined)
      await this.#channel.request('logging/setLevel', { level }, this.#within(timeoutMs));
  }

  /**
   * Asks a modern server to send its list changes; a legacy one sends them unasked. A server that refuses is no error:
   * its lists are then only as fresh as the last fetch.
   */
  async subscribe(): Promise<void> {
    if (this.era !== 'modern') return;
    const { tools, prompts, resources } = this.capabilities;
    const filter = {
      ...(tools?.listChanged && { toolsListChanged: true }),
      ...(prompts?.listChanged && { promptsListChanged: true }),
      ...(resources?.listChanged && { resourcesListChanged: true }),
    };
    if (Object.keys(filter).length > 0) await this.#client.listen(filter).catch(() => {});
  }

  /** Ends it as if it had been lost: whoever watches `onClose` is told why. */
  async end(reason: Error): Promise<void> {
    this.#ended(reason);
    await this.close();
  }

  /** Ends the session and what carries it. Idempotent; never rejects. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      await this.#client.close().catch(() => {});
      // The client lets go of a transport that ended by itself; its process still has to be waited for.
      await this.#channel.close().catch(() => {});
      this.#ended(new Error('closed'));
    })();
    return this.#closing;
  }

  #within(timeoutMs: number): RequestOptions {
    return { deadline: this.#clock.now() + timeoutMs, timeoutMs, silenceMs: 0 };
  }

  #ended(reason: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#channel.asked?.end();
    this.onClose?.(reason);
    this.onClose = undefined;
    this.onNotice = undefined;
  }

  #notice(method: string, params: Record<string, unknown>): void {
    const list = /^notifications\/(tools|prompts|resources)\/list_changed$/.exec(method)?.[1];
    if (list) this.onNotice?.({ kind: 'list_changed', list: list as 'tools' | 'prompts' | 'resources' });
    else if (method === 'notifications/resources/updated')
      this.onNotice?.({ kind: 'resource_updated', uri: String(params['uri']) });
    else if (method === 'notifications/message')
      this.onNotice?.({
        kind: 'log',
        level: this.#redact(String(params['level'] ?? 'info')),
        logger: typeof params['logger'] === 'string' ? this.#redact(params['logger']) : undefined,
        data: redactedData(params['data'], this.#redact),
      });
  }
}
