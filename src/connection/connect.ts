/** Knows how a connection to each kind of endpoint is made, and what a failure to make one means. */

import type { AuthProvider, Client, DiscoverResult, Transport } from '@modelcontextprotocol/client';
import { onAbort } from '../_util/abort.js';
import type { Clock } from '../_util/clock.js';
import type { EndpointDefinition } from '../config/definition.js';
import { asError, isStoreError, StoreError } from '../errors.js';
import { Asked, type Asking } from './asked.js';
import type { Credentials } from './auth.js';
import type { Channel, ChannelLimits } from './channel.js';
import { connectError, HandshakeTimeout } from './connect-error.js';
import { Connection, type SocketFigures } from './connection.js';
import { rememberEra, wasLegacy } from './known-era.js';
import type { ServerSource } from './memory.js';
import { both, type Redact, redactedError, redactorOf } from './redact.js';
import { assertRoomToLoad, markLoaded } from './room.js';

/** What we call ourselves in a handshake. */
const CLIENT_INFO = { name: 'mcpstore', version: '0.1.0' } as const;

export interface ConnectOptions extends ChannelLimits {
  clock: Clock;
  /** Bounds connect and handshake together. */
  timeoutMs: number;
  /** Ends a connect that is under way: it rejects with the signal's reason, a StoreError. */
  signal?: AbortSignal | undefined;
  stopTimeoutMs: number;
  maxMessageBytes: number;
  maxInFlight: number;
  /** Where processes are noted, so that a later run can end what this one could not. */
  stateDir?: string | undefined;
  onNoise?: ((line: string) => void) | undefined;
  onStderr?: ((text: string) => void) | undefined;
  /** Signs the requests of an HTTP endpoint. */
  credentials?: Credentials | undefined;
  /** Notices may have been missed: lists should be fetched again. */
  onGap?: (() => void) | undefined;
  /** A server that spoke the modern era does so no longer. */
  onOtherEra?: (() => void) | undefined;
  /** The callers whom the server may ask; undefined: nobody. */
  asking?: Asking | undefined;
}

/** A channel that is not connected yet, and what is known of its kind. */
interface Opened {
  channel: Channel;
  capacity: number;
  pid: () => number | undefined;
  sockets?: () => SocketFigures;
  closeIdle?: (maxIdleMs: number) => number;
}

/** The server answered `initialize` with an error that a modern server may give: it speaks only the other era. */
const MODERN_ONLY_CODES: readonly number[] = [-32022, -32601, -32602, -32600];

/** So does an HTTP server say it that knows no `initialize` and no JSON-RPC error for it. */
const NO_SUCH_REQUEST: readonly unknown[] = [400, 404, 405];

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
  const { credentials, signal } = options;
  try {
    await credentials?.load();
    return await inOneEra(definition, options, known).catch(async (error) => {
      // A person's time is not the server's: what bounds the connect begins anew.
      if (!isStoreError(error, 'AUTH_REQUIRED') || !(await credentials?.ask(signal))) throw error;
      return await inOneEra(definition, options, known);
    });
  } catch (error) {
    throw redactedError(asError(error), redactOf(definition, options));
  }
}

function redactOf(definition: EndpointDefinition, options: ConnectOptions): Redact {
  return both(redactorOf(definition), options.credentials?.redact);
}

async function inOneEra(
  definition: EndpointDefinition,
  options: ConnectOptions,
  known: KnownEra | undefined,
): Promise<Connection> {
  const { clock, stateDir } = options;
  const deadline = clock.now() + options.timeoutMs;
  let opening = openingOf(definition, known, clock);
  const asks = opening === 'auto' && stateDir !== undefined;
  if (asks && known === undefined && (await wasLegacy(stateDir, definition, clock.wall()))) opening = 'legacy';
  const first = opening;
  let connection: Connection;
  try {
    connection = await attempt(definition, options, first, deadline);
  } catch (error) {
    const over = options.signal?.aborted || clock.now() >= deadline;
    if (over || !speaksOtherEra(error, definition, first)) throw error;
    opening = first === 'auto' ? 'legacy' : 'auto';
    connection = await attempt(definition, options, opening, deadline);
  }
  const askedNow = first === 'auto' || opening === 'auto';
  if (asks && askedNow) await rememberEra(stateDir, definition, connection.era, clock.wall());
  return connection;
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
  assertRoomToLoad(definition.kind);
  const sdk = await import('@modelcontextprotocol/client');
  options.signal?.throwIfAborted();
  const opened = await openWithin(definition, options, deadline);
  markLoaded(definition.kind);
  const { channel } = opened;
  const capabilities = options.asking?.capabilities() ?? {};
  if (options.asking) channel.asked = new Asked(options.asking, (message) => channel.send(message));
  const client: Client = new sdk.Client(CLIENT_INFO, {
    capabilities,
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
    const modern = client.getProtocolEra() === 'modern';
    const envelope = modern
      ? {
          [sdk.PROTOCOL_VERSION_META_KEY]: version,
          [sdk.CLIENT_INFO_META_KEY]: CLIENT_INFO,
          [sdk.CLIENT_CAPABILITIES_META_KEY]: capabilities,
        }
      : undefined;
    if (envelope) opened.channel.setEnvelope?.(envelope);
    return new Connection({
      envelope,
      client,
      channel: opened.channel,
      capacity: opened.capacity,
      clock: options.clock,
      redact: redactOf(definition, options),
      pid: opened.pid(),
      sockets: opened.sockets,
      closeIdle: opened.closeIdle,
    });
  } catch (error) {
    const { closeReason: reason, lastWords } = opened.channel;
    await opened.channel.close().catch(() => {});
    throw connectError(definition, options.timeoutMs, error, reason, lastWords);
  }
}

/** A server object's factory is the user's own code: it may throw, or never come to an end. */
async function openWithin(definition: EndpointDefinition, options: ConnectOptions, deadline: number): Promise<Opened> {
  const opening = open(definition, options);
  try {
    return await within(opening, deadline, options);
  } catch (error) {
    opening.then(({ channel }) => channel.close()).catch(() => {});
    throw connectError(definition, options.timeoutMs, error, undefined);
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
      new SSEClientTransport(new URL(definition.url), { requestInit: { headers }, ...(await signedBy(options)) }),
      options,
      options.sockets.max,
      redactOf(definition, options),
    );
  }
  const { HttpChannel } = await import('./http.js');
  const channel = new HttpChannel({
    url: new URL(definition.url),
    headers: definition.headers,
    sockets: options.sockets,
    connectTimeoutMs: options.timeoutMs,
    writeTimeoutMs: options.writeTimeoutMs,
    maxMessageBytes: options.maxMessageBytes,
    clock,
    credentials: options.credentials,
    onGap: options.onGap,
    onOtherEra: options.onOtherEra,
  });
  const sockets = (): SocketFigures => ({
    ...channel.sockets(),
    opened: channel.opened,
    failed: channel.failedConnects,
  });
  const closeIdle = (maxIdleMs: number): number => channel.closeIdle(maxIdleMs);
  return { channel, capacity: options.sockets.max, pid: () => undefined, sockets, closeIdle };
}

/** For the SDK's own transport. */
async function signedBy({ credentials }: ConnectOptions): Promise<{ authProvider?: AuthProvider }> {
  if (credentials === undefined) return {};
  const { providerOf } = await import('./auth-http.js');
  return { authProvider: providerOf(credentials) };
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

function speaksOtherEra(error: unknown, definition: EndpointDefinition, opening: Opening): boolean {
  if (!(error instanceof StoreError) || definition.kind === 'sse') return false;
  if (opening === 'auto') return error.figures?.['probe'] === 'silent';
  if (error.rpcCode !== undefined) return MODERN_ONLY_CODES.includes(error.rpcCode);
  // Over HTTP nobody begins in the legacy era who did not know it from before, and it may be so no longer.
  return definition.kind === 'http' && NO_SUCH_REQUEST.includes(error.figures?.['status']);
}
