/** Opens our HTTP channel on a scripted server with an SDK client on it, and closes both again. */

import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  Client,
  PROTOCOL_VERSION_META_KEY,
} from '@modelcontextprotocol/client';
import { onTestFinished } from 'vitest';
import { systemClock } from '../../src/_util/clock.js';
import type { RequestOptions, RpcResult } from '../../src/connection/channel.js';
import { HttpChannel, type HttpOptions } from '../../src/connection/http.js';
import { type HttpServerOptions, HttpTestServer } from './http-server.js';

type ChannelOptions = Omit<Partial<HttpOptions>, 'sockets'> & { sockets?: Partial<HttpOptions['sockets']> };

/** Closed when the test ends, the last one first. */
function closing<T extends { close(): Promise<void> }>(one: T): T {
  onTestFinished(() => one.close());
  return one;
}

export async function startServer(options: HttpServerOptions = {}): Promise<HttpTestServer> {
  return closing(await HttpTestServer.start(options));
}

export function openChannel(url: URL, options: ChannelOptions = {}): HttpChannel {
  const own = {
    headers: {},
    connectTimeoutMs: 2_000,
    writeTimeoutMs: 2_000,
  };
  const sockets = { max: 4, min: 1, idleMs: 10_000, ...options.sockets };
  return closing(new HttpChannel({ url, ...own, clock: systemClock, ...options, sockets }));
}

export interface Connected {
  readonly server: HttpTestServer;
  readonly channel: HttpChannel;
  readonly client: Client;
}

/** A server, and a client that shook hands with it over our channel. */
export async function connected(
  serverOptions: HttpServerOptions = {},
  options: ChannelOptions = {},
): Promise<Connected> {
  const server = await startServer(serverOptions);
  const channel = openChannel(server.url, options);
  const client = await handshake(channel, serverOptions.era === 'modern' ? 'auto' : 'legacy');
  return { server, channel, client };
}

export async function handshake(channel: HttpChannel, mode: 'auto' | 'legacy'): Promise<Client> {
  const info = { name: 'test', version: '1' };
  const client = new Client(info, { capabilities: { roots: {} }, versionNegotiation: { mode } });
  client.onerror = () => {};
  await client.connect(channel);
  if (client.getProtocolEra() === 'modern')
    channel.setEnvelope({
      [PROTOCOL_VERSION_META_KEY]: client.getNegotiatedProtocolVersion(),
      [CLIENT_INFO_META_KEY]: info,
      [CLIENT_CAPABILITIES_META_KEY]: {},
    });
  return client;
}

export function within(timeoutMs = 5_000, more: Partial<RequestOptions> = {}): RequestOptions {
  return { deadline: systemClock.now() + timeoutMs, timeoutMs, silenceMs: 0, ...more };
}

export function callTool(
  channel: HttpChannel,
  name: string,
  args: Record<string, unknown> = {},
  options: RequestOptions = within(),
): Promise<RpcResult> {
  return channel.request('tools/call', { name, arguments: args }, options);
}

/** The text of a tool's result, parsed. */
export function textOf(result: RpcResult): unknown {
  return JSON.parse((result['content'] as { text: string }[])[0]!.text);
}
