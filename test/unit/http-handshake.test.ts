/** The handshake over streamable HTTP, in both eras, with the SDK's client on our channel. */

import { describe, expect, it } from 'vitest';
import { callTool, connected, handshake, openChannel, startServer, textOf, within } from '../support/http-channel.js';
import { MODERN_VERSION } from '../support/http-server.js';
import { failure, until } from '../support/waiting.js';

/** What the SDK's client throws of a probe that failed; its cause is the channel's own error. */
async function refusal(url: URL): Promise<Error> {
  return handshake(openChannel(url), 'auto').then(
    () => Promise.reject(new Error('it shook hands')),
    (error: Error) => error,
  );
}

describe('http channel with the SDK client on it', () => {
  it.each(['json', 'sse'] as const)('shakes hands with a legacy server that answers as %s', async (reply) => {
    const { server, channel, client } = await connected({ reply });
    expect(client.getServerVersion()?.name).toBe('scripted');
    expect(channel.sessionId).toBe('session-1');
    expect((await client.listTools()).tools).toHaveLength(1);
    const list = server.calls('tools/list')[0]!;
    expect(list.headers['mcp-session-id']).toBe('session-1');
    expect(list.headers['mcp-protocol-version']).toBe(client.getNegotiatedProtocolVersion());
    expect(list.headers['mcp-method']).toBeUndefined();
    expect(server.calls('initialize')[0]!.headers['mcp-session-id']).toBeUndefined();
  });

  it.each(['json', 'sse'] as const)('shakes hands with a modern server that answers as %s', async (reply) => {
    const { server, channel, client } = await connected({ era: 'modern', reply });
    expect(client.getProtocolEra()).toBe('modern');
    expect(channel.sessionId).toBeUndefined();
    expect((await client.listTools()).tools).toHaveLength(1);
    expect(server.calls('initialize')).toEqual([]);
    const probe = server.calls('server/discover')[0]!;
    expect(probe.headers).toMatchObject({ 'mcp-protocol-version': MODERN_VERSION, 'mcp-method': 'server/discover' });
  });

  it('falls back from the probe to a legacy server', async () => {
    const server = await startServer();
    const channel = openChannel(server.url);
    const client = await handshake(channel, 'auto');
    expect(client.getProtocolEra()).toBe('legacy');
    expect(textOf(await callTool(channel, 'echo', { text: 'hi' }))).toBe('hi');
  });

  it.each([400, 404, 405])('takes a plain %i to the probe for a legacy server', async (status) => {
    const server = await startServer();
    server.fail('server/discover', { kind: 'status', status, body: 'no' });
    const client = await handshake(openChannel(server.url), 'auto');
    expect(client.getProtocolEra()).toBe('legacy');
  });

  it.each([
    [401, 'AUTH_REQUIRED'],
    [403, 'FORBIDDEN'],
    [429, 'RATE_LIMITED'],
    [500, 'OUTCOME_UNKNOWN'],
  ])('never takes a %i to the probe for a legacy server', async (status, code) => {
    const server = await startServer();
    server.fail('server/discover', { kind: 'status', status });
    const error = await refusal(server.url);
    expect(error.cause).toMatchObject({ code });
    expect(server.calls('initialize')).toEqual([]);
  });

  it('calls a body that is no JSON what it is, at once', async () => {
    const server = await startServer();
    server.fail('server/discover', { kind: 'body', contentType: 'text/html', body: '<html>' });
    const error = await refusal(server.url);
    expect((error.cause as Error).cause).toMatchObject({ code: 'PROTOCOL_ERROR' });
    expect(server.calls('initialize')).toEqual([]);
  });

  it('hands a connect failure through as a StoreError', async () => {
    const server = await startServer();
    await server.close();
    expect(await failure(handshake(openChannel(server.url), 'legacy'))).toMatchObject({
      code: 'CONNECT_FAILED',
      figures: { errno: 'ECONNREFUSED', retryable: true },
    });
    expect((await refusal(server.url)).cause).toMatchObject({ code: 'CONNECT_FAILED' });
  });

  it('ends the session on close, once, and leaves no socket', async () => {
    const { server, channel, client } = await connected({ stream: true });
    await until(() => server.openStreams === 1);
    await callTool(channel, 'echo');
    let closed = 0;
    const before = channel.onclose;
    channel.onclose = () => {
      closed++;
      before?.();
    };
    await Promise.all([client.close(), channel.close(), channel.close()]);
    expect(closed).toBe(1);
    expect(server.calls('DELETE')).toHaveLength(1);
    await until(() => server.sockets.size === 0, 'no socket left');
    expect(await failure(callTool(channel, 'echo'))).toMatchObject({ code: 'CONNECT_FAILED', executed: 'no' });
  });

  it('does not wait long for a server that never takes the end of the session', async () => {
    const { server, channel } = await connected();
    server.fail('DELETE', { kind: 'hang' });
    const started = Date.now();
    await channel.close();
    expect(Date.now() - started).toBeLessThan(4_000);
  });

  it('sends a modern request with its envelope and headers', async () => {
    const { server, channel } = await connected({ era: 'modern' });
    const options = within(5_000, { headers: { 'Mcp-Param-City': 'Bern', Authorization: 'stolen', 'Mcp-Name': 'x' } });
    await callTool(channel, 'echo', {}, options);
    await callTool(channel, 'grüße', {});
    const [plain, encoded] = server.calls('tools/call');
    expect(plain!.headers).toMatchObject({
      'mcp-protocol-version': MODERN_VERSION,
      'mcp-method': 'tools/call',
      'mcp-name': 'echo',
      'mcp-param-city': 'Bern',
    });
    expect(plain!.headers.authorization).toBeUndefined();
    expect(plain!.message!.params!._meta).toMatchObject({ 'io.modelcontextprotocol/protocolVersion': MODERN_VERSION });
    expect(encoded!.headers['mcp-name']).toBe(`=?base64?${Buffer.from('grüße').toString('base64')}?=`);
  });

  it('takes a 404 with -32601 from a modern server as its answer', async () => {
    const { channel, client } = await connected({ era: 'modern' });
    const error = await failure(channel.request('no/such', {}, within()));
    expect(error).toMatchObject({ code: 'RPC_ERROR', rpcCode: -32601 });
    expect(channel.closeReason).toBeUndefined();
    await expect(client.listTools()).resolves.toBeDefined();
  });

  it('subscribes on a modern server beside the sockets of its requests', async () => {
    const { server, channel, client } = await connected({ era: 'modern' }, { sockets: { max: 1 } });
    let changes = 0;
    client.setNotificationHandler('notifications/tools/list_changed', () => {
      changes++;
    });
    const subscription = await client.listen({ toolsListChanged: true });
    expect(textOf(await callTool(channel, 'echo', { text: 1 }))).toBe(1);
    const id = server.calls('subscriptions/listen')[0]!.message!.id;
    server.push({
      jsonrpc: '2.0',
      method: 'notifications/tools/list_changed',
      params: { _meta: { 'io.modelcontextprotocol/subscriptionId': id } },
    });
    await until(() => changes === 1, 'notice');
    expect(channel.sockets().open).toBe(1);
    await subscription.close();
    await until(() => server.openStreams === 0, 'stream closed');
    const second = await client.listen({ toolsListChanged: true });
    server.endStreams();
    expect(await second.closed).toBe('remote');
  });
});
