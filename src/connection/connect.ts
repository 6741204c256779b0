/** Knows how a connection to each kind of endpoint is made, and what a failure to make one means. */

import type { Client, DiscoverResult, Transport } from '@modelcontextprotocol/client';
import { onAbort } from '../_util/abort.js';
import type { Clock } from '../_util/clock.js';
import type { EndpointDefinition } from '../config/definition.js';
import { asError, StoreError } from '../errors.js';
import type { Channel } from './channel.js';
import { Connection, type SocketFigures } from './connection.js';
import type { ServerSource } from './memory.js';
import { type Redact, redactedError, redactorOf } from './redact.js';

/** What we call ourselves in a handshake. */
const CLIENT_INFO = { name: 'mcpstore', version: '0.1.0' } as const;

export interface ConnectOptions {
  clock: Clock;
  /** Bounds connect and handshake together. */
  timeoutMs: number;
  /** Ends a connect that is under way: it rejects with the signal's reason, a StoreError. */
  signal?: AbortSignal | undefined;
  writeTimeoutMs: number;
  stopTimeoutMs: number;
  maxMessageBytes: number;
  maxInFlight: number;
  /** Where processes are noted, so that a later run can end what this one could not. */
  stateDir?: string | undefined;
  /** HTTP: the most keep-alive sockets, those kept, and how long the others may idle. */
  sockets: { max: number; min: number; idleMs: number };
  onNoise?: ((line: string) => void) | undefined;
  onStderr?: ((text: string) => void) | undefined;
  /** Notices may have been missed: lists should be fetched again. */
  onGap?: (() => void) | undefined;
}

/** A channel that is not connected yet, and what is known of its kind. */
interface Opened {
  channel: Channel;
  capacity: number;
  pid: () => number | undefined;
  sockets?: () => SocketFigures;
}

/** The server answered `initialize` with an error that a modern server may give: it speaks only the other era. */
const MODERN_ONLY_CODES: readonly number[] = [-32022, -32601, -32602, -32600];

/** Which era an endpoint spoke when it was last connected, and when that was (monotonic milliseconds). */
export interface KnownEra {
  kind: 'legacy' | 'modern';
  discover: DiscoverResult | undefined;
  at: number;
}

/** A server may be replaced by a newer one: after so long its era is asked for again. */
const ERA_KNOWN_MS = 3_600_000;

/** How a handshake begins: asking for the era, in the legacy one, or with what a modern server said before. */
type Opening = 'auto' | 'legacy' | { discover: DiscoverResult };

/**
 * Connects and shakes hands. Rejects with `SPAWN_FAILED`, `START_FAILED`, `CONNECT_FAILED`, `AUTH_REQUIRED`,
 * `FORBIDDEN`, `RATE_LIMITED` or `PROTOCOL_ERROR`, never leaving a process or socket behind.
 */
export async function connect(
  definition: EndpointDefinition,
  options: ConnectOptions,
  known?: KnownEra | undefined,
): Promise<Connection> {
  try {
    return await inOneEra(definition, options, known);
  } catch (error) {
    throw redactedError(asError(error), redactorOf(definition));
  }
}

async function inOneEra(
  definition: EndpointDefinition,
  options: ConnectOptions,
  known: KnownEra | undefined,
): Promise<Connection> {
  const deadline = options.clock.now() + options.timeoutMs;
  const opening = openingOf(definition, known, options.clock);
  try {
    return await attempt(definition, options, opening, deadline);
  } catch (error) {
    const over = options.signal?.aborted || options.clock.now() >= deadline;
    if (over || !speaksOtherEra(error, definition, opening)) throw error;
    return await attempt(definition, options, opening === 'auto' ? 'legacy' : 'auto', deadline);
  }
}

function openingOf(definition: EndpointDefinition, known: KnownEra | undefined, clock: Clock): Opening {
  if (known && clock.now() - known.at < ERA_KNOWN_MS) {
    if (known.kind === 'legacy') return 'legacy';
    if (known.discover) return { discover: known.discover };
  }
  // A probe may end a stdio server that does not know it, so stdio starts in the legacy era, where nearly all are.
  return definition.kind === 'http' ? 'auto' : 'legacy';
}

async function attempt(
  definition: EndpointDefinition,
  options: ConnectOptions,
  opening: Opening,
  deadline: number,
): Promise<Connection> {
  const sdk = await import('@modelcontextprotocol/client');
  options.signal?.throwIfAborted();
  const opened = await openWithin(definition, options, deadline);
  const client: Client = new sdk.Client(CLIENT_INFO, {
    capabilities: {},
    versionNegotiation: {
      mode: opening === 'auto' ? 'auto' : 'legacy',
      probe: { timeoutMs: Math.min(5_000, options.timeoutMs) },
    },
  });
  // Transport trouble shows in the requests that it fails; an unheard SDK error would only be lost.
  client.onerror = () => {};
  try {
    const prior = typeof opening === 'object' ? { prior: { kind: 'modern' as const, discover: opening.discover } } : {};
    await within(client.connect(opened.channel, { timeout: 2 ** 31 - 1, ...prior }), deadline, options);
    const version = client.getNegotiatedProtocolVersion();
    if (client.getProtocolEra() === 'modern')
      opened.channel.setEnvelope?.({
        [sdk.PROTOCOL_VERSION_META_KEY]: version,
        [sdk.CLIENT_INFO_META_KEY]: CLIENT_INFO,
        [sdk.CLIENT_CAPABILITIES_META_KEY]: {},
      });
    return new Connection({
      client,
      channel: opened.channel,
      capacity: opened.capacity,
      clock: options.clock,
      redact: redactorOf(definition),
      pid: opened.pid(),
      sockets: opened.sockets,
    });
  } catch (error) {
    const reason = opened.channel.closeReason;
    await opened.channel.close().catch(() => {});
    throw connectError(definition, options, error, reason);
  }
}

/** A server object's factory is the user's own code: it may throw, or never come to an end. */
async function openWithin(definition: EndpointDefinition, options: ConnectOptions, deadline: number): Promise<Opened> {
  const opening = open(definition, options);
  try {
    return await within(opening, deadline, options);
  } catch (error) {
    opening.then(({ channel }) => channel.close()).catch(() => {});
    throw connectError(definition, options, error, undefined);
  }
}

async function open(definition: EndpointDefinition, options: ConnectOptions): Promise<Opened> {
  const { clock } = options;
  if (definition.kind === 'stdio') {
    const { StdioChannel } = await import('./stdio.js');
    const channel = new StdioChannel({ ...options, ...definition });
    return { channel, capacity: options.maxInFlight, pid: () => channel.pid };
  }
  if (definition.kind === 'memory') {
    const { connectServer } = await import('./memory.js');
    return wrapped(
      await connectServer(definition.server as ServerSource),
      options,
      options.maxInFlight,
      redactorOf(definition),
    );
  }
  if (definition.kind === 'sse') {
    const { SSEClientTransport } = await import('@modelcontextprotocol/client');
    const headers = { ...definition.headers };
    return wrapped(
      new SSEClientTransport(new URL(definition.url), { requestInit: { headers } }),
      options,
      options.sockets.max,
      redactorOf(definition),
    );
  }
  const { HttpChannel } = await import('./http.js');
  const channel = new HttpChannel({
    url: new URL(definition.url),
    headers: definition.headers,
    sockets: options.sockets.max,
    minSockets: options.sockets.min,
    idleMs: options.sockets.idleMs,
    connectTimeoutMs: options.timeoutMs,
    writeTimeoutMs: options.writeTimeoutMs,
    maxMessageBytes: options.maxMessageBytes,
    clock,
    onGap: options.onGap,
  });
  const sockets = (): SocketFigures => ({
    ...channel.sockets(),
    opened: channel.opened,
    failed: channel.failedConnects,
  });
  return { channel, capacity: options.sockets.max, pid: () => undefined, sockets };
}

async function wrapped(
  transport: Transport,
  options: ConnectOptions,
  capacity: number,
  redact: Redact,
): Promise<Opened> {
  const { WrappedChannel } = await import('./wrapped.js');
  return { channel: new WrappedChannel(transport, options.clock, redact), capacity, pid: () => undefined };
}

/** `promise`, or a rejection at the deadline or abort; what lost the race is not left unhandled. */
function within<T>(promise: Promise<T>, deadline: number, options: ConnectOptions): Promise<T> {
  const { clock, signal } = options;
  return new Promise((resolve, reject) => {
    const timer = clock.after(deadline - clock.now(), () => reject(new HandshakeTimeout(options.timeoutMs)));
    const offAbort = signal && onAbort(signal, () => reject(signal.reason));
    if (signal?.aborted) reject(signal.reason);
    promise.then(resolve, reject).finally(() => {
      timer.cancel();
      offAbort?.();
    });
  });
}

/** What a silent handshake looks like from here. */
const SILENCE: Record<EndpointDefinition['kind'], string> = {
  stdio: 'the process runs but does not answer initialize',
  memory: 'the server object does not answer',
  http: 'connected or connecting, no answer',
  sse: 'connected or connecting, no answer',
};

class HandshakeTimeout extends Error {
  constructor(ms: number) {
    super(`no answer to the handshake within ${ms} ms`);
  }
}

function speaksOtherEra(error: unknown, definition: EndpointDefinition, opening: Opening): boolean {
  if (!(error instanceof StoreError) || definition.kind === 'sse') return false;
  if (opening === 'auto') return error.figures?.['probe'] === 'silent';
  return error.rpcCode !== undefined && MODERN_ONLY_CODES.includes(error.rpcCode);
}

/** Gives a failed start its code: what could not be reached, what ended, what stayed silent, what said no. */
function connectError(
  definition: EndpointDefinition,
  options: ConnectOptions,
  thrown: unknown,
  reason: Error | undefined,
): StoreError {
  const error = asError(thrown);
  if (error instanceof StoreError && error.code !== 'OUTCOME_UNKNOWN') return beforeCalls(error);
  const cause = unwrap(error);
  if (cause instanceof StoreError) return beforeCalls(cause);
  const data = cause as { code?: unknown; status?: unknown; data?: { status?: unknown } };
  const rpcCode = typeof data.code === 'number' ? data.code : undefined;
  const status = data.data?.status ?? data.status;
  if (status === 401 || cause.name === 'UnauthorizedError')
    return new StoreError('AUTH_REQUIRED', 'the server asks for credentials (401)', {
      cause,
      hint: 'Give an Authorization header under "headers".',
    });
  if (status === 403) return new StoreError('FORBIDDEN', 'the server refuses these credentials (403)', { cause });
  const local = definition.kind === 'stdio' || definition.kind === 'memory';
  const silent = cause instanceof HandshakeTimeout;
  // An error answer says more than the end of the connection, which follows it.
  const said = rpcCode === undefined ? (reason?.message ?? cause.message) : cause.message;
  const what = silent ? `${cause.message} (${SILENCE[definition.kind]})` : said;
  const probe = !silent && /tim(ed|e) ?out/i.test(cause.message) ? 'silent' : undefined;
  return new StoreError(local ? 'START_FAILED' : 'CONNECT_FAILED', what, {
    cause,
    rpcCode,
    figures: {
      // An error answer, and a missing program, stay as they are; an end or a silence may be of the moment.
      retryable: rpcCode === undefined,
      ...(silent && { timeoutMs: options.timeoutMs }),
      ...(probe && { probe }),
      ...(typeof status === 'number' && { status }),
    },
  });
}

/** Whatever became of the handshake, no call was sent: those that wait for it are told so, and may go elsewhere. */
function beforeCalls(error: StoreError): StoreError {
  const { code, message, executed, figures, hint, rpcCode, data, cause } = error;
  if (executed === 'no') return error;
  if (code !== 'OUTCOME_UNKNOWN') return new StoreError(code, message, { figures, hint, rpcCode, data, cause });
  return new StoreError('CONNECT_FAILED', message, { figures: { ...figures, retryable: true }, cause });
}

/** The SDK hides the transport's own error below `cause` or `data.cause`. */
function unwrap(error: Error): Error {
  let at = error;
  for (let depth = 0; depth < 5; depth++) {
    const next = at.cause ?? (at as { data?: { cause?: unknown } }).data?.cause;
    if (!(next instanceof Error)) return at;
    if (next instanceof StoreError) return next;
    at = next;
  }
  return error;
}
