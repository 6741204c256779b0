/** The session over streamable HTTP: how it gets lost, and the stream of the server's own messages. */

import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/_util/clock.js';
import { callTool, connected, handshake, openChannel, startServer, textOf } from '../support/http-channel.js';
import { failure, until } from '../support/waiting.js';

/**
 * The system's clock, a hundred times as fast for pauses of up to a minute, but not for the deadline of what the
 * handshake says (10 s): a busy machine takes longer than a hundredth of that.
 */
const hurried = {
  ...systemClock,
  after: (ms: number, fn: () => void) => systemClock.after(ms === 10_000 ? ms : ms / 100, fn),
};

describe('F25: the session is gone', () => {
  it.each([
    [404, 'Session not found'],
    [400, 'Bad Request: No valid session ID provided'],
    [400, '{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: Server not initialized"}}'],
  ])('a %i saying %j ends the channel once; nothing ran', async (status, body) => {
    const { server, channel } = await connected();
    let closed = 0;
    channel.onclose = () => closed++;
    server.fail('tools/call', { kind: 'status', status, body }, 2);
    const errors = await Promise.all([failure(callTool(channel, 'echo')), failure(callTool(channel, 'echo'))]);
    for (const error of errors)
      expect(error).toMatchObject({ code: 'CONNECT_FAILED', executed: 'no', figures: { sessionExpired: true } });
    expect(closed).toBe(1);
    expect(channel.closeReason).toMatchObject({ code: 'CONNECT_FAILED' });
    expect(await failure(callTool(channel, 'echo'))).toMatchObject({ figures: { sessionExpired: true } });
    expect(server.executed).toBe(0);
    await channel.close();
    expect(closed).toBe(1);
    expect(server.calls('DELETE')).toEqual([]);
  });

  it('lets what is under way settle by itself and fails what still waits', async () => {
    const { server, channel } = await connected({}, { sockets: { max: 2 } });
    const slow = callTool(channel, 'slow', { ms: 150, text: 'done' });
    await until(() => server.calls('tools/call').length === 1);
    server.expireSessions();
    const lost = [1, 2, 3].map(() => failure(callTool(channel, 'echo')));
    for (const error of await Promise.all(lost)) expect(error).toMatchObject({ figures: { sessionExpired: true } });
    expect(server.calls('tools/call')).toHaveLength(2);
    expect(textOf(await slow)).toBe('done');
  });

  it('reads the words of servers that answer the request itself with it, and no others', async () => {
    const { server, channel } = await connected();
    const body = (id: string, code: number): string =>
      JSON.stringify({ jsonrpc: '2.0', id, error: { code, message: 'Session not found' } });
    server.fail('tools/call', { kind: 'status', status: 404, body: body('c0', -32601) });
    expect(await failure(callTool(channel, 'echo'))).toMatchObject({ code: 'RPC_ERROR', rpcCode: -32601 });
    server.fail('tools/call', { kind: 'status', status: 404, body: body('c1', -32001) });
    expect(await failure(callTool(channel, 'echo'))).toMatchObject({ figures: { sessionExpired: true } });
  });

  it('does not take a 404 without a session, or a 400 about something else, for one', async () => {
    const { server, channel } = await connected({ sessions: false });
    server.fail('tools/call', { kind: 'status', status: 404, body: 'Session not found' });
    expect(await failure(callTool(channel, 'echo'))).toMatchObject({
      code: 'PROTOCOL_ERROR',
      figures: { status: 404 },
    });
    const second = await connected();
    second.server.fail('tools/call', { kind: 'status', status: 400, body: 'invalid arguments' });
    expect(await failure(callTool(second.channel, 'echo'))).toMatchObject({ code: 'PROTOCOL_ERROR' });
    expect(second.channel.closeReason).toBeUndefined();
  });
});

describe('the stream of the server’s own messages', () => {
  it('opens after the handshake, beside the sockets of the requests', async () => {
    const { server, channel, client } = await connected({ stream: true }, { sockets: { max: 1 } });
    let changes = 0;
    client.setNotificationHandler('notifications/tools/list_changed', () => {
      changes++;
    });
    await until(() => server.openStreams === 1);
    server.push({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    await until(() => changes === 1);
    expect(textOf(await callTool(channel, 'echo', { text: 1 }))).toBe(1);
    expect(channel.sockets().open).toBe(1);
    expect(server.calls('GET')[0]!.headers['mcp-session-id']).toBe(channel.sessionId);
  });

  it('is not asked for again where there is none', async () => {
    const { server, channel } = await connected({}, { clock: hurried });
    await until(() => server.calls('GET').length === 1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(server.calls('GET')).toHaveLength(1);
    expect(channel.closeReason).toBeUndefined();
  });

  it('is reopened after a break, and the gap is told', async () => {
    let gaps = 0;
    const { server } = await connected({ stream: true }, { clock: hurried, onGap: () => gaps++ });
    await until(() => server.openStreams === 1);
    expect(gaps).toBe(0);
    server.endStreams();
    await until(() => server.openStreams === 1 && gaps === 1, 'reopened');
  });

  it('resumes after the last numbered event instead of telling a gap', async () => {
    let gaps = 0;
    const { server, client } = await connected(
      { stream: true, eventIds: true },
      { clock: hurried, onGap: () => gaps++ },
    );
    let changes = 0;
    client.setNotificationHandler('notifications/tools/list_changed', () => {
      changes++;
    });
    await until(() => server.openStreams === 1);
    server.push({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    await until(() => changes === 1);
    server.endStreams();
    await until(() => server.openStreams === 1, 'reopened');
    expect(server.calls('GET').at(-1)!.headers['last-event-id']).toBe('1');
    expect(gaps).toBe(0);
  });

  it('gives up on a server that closes it politely again and again', async () => {
    const log: string[] = [];
    const server = await startServer({ stream: true });
    server.fail('GET', { kind: 'empty-sse' }, 100);
    const channel = openChannel(server.url, { clock: hurried, onLog: (text) => log.push(text) });
    await handshake(channel, 'legacy');
    await until(() => log.some((text) => text.includes('keeps ending')), 'given up');
    expect(server.calls('GET')).toHaveLength(6);
    expect(textOf(await callTool(channel, 'echo', { text: 1 }))).toBe(1);
  });

  it('waits as long as the server asks, by its stream for ever, by Retry-After for once', async () => {
    const pauses: number[] = [];
    const after = (ms: number, fn: () => void) => {
      pauses.push(ms);
      return hurried.after(ms >= 60_000 ? 1 : ms, fn);
    };
    const server = await startServer({ stream: true });
    server.fail('GET', { kind: 'body', contentType: 'text/event-stream', body: 'retry: 90000\n\n' });
    server.fail('GET', { kind: 'status', status: 503, headers: { 'retry-after': '120' } });
    server.fail('GET', { kind: 'empty-sse' });
    const channel = openChannel(server.url, { clock: { ...hurried, after } });
    await handshake(channel, 'legacy');
    await until(() => server.openStreams === 1, 'the fourth try holds');
    expect(pauses.filter((ms) => ms >= 60_000)).toEqual([90_000, 120_000, 90_000]);
  });

  it('F31: notices by it that a restarted server lost the session', async () => {
    const { server, channel } = await connected({ stream: true }, { clock: hurried });
    await until(() => server.openStreams === 1);
    await server.restart();
    await until(() => channel.closeReason !== undefined, 'noticed');
    expect(channel.closeReason).toMatchObject({ figures: { sessionExpired: true } });
  });

  it('ends with the channel', async () => {
    const { server, channel } = await connected({ stream: true }, { clock: hurried });
    await until(() => server.openStreams === 1);
    await channel.close();
    await until(() => server.sockets.size === 0);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(server.calls('GET')).toHaveLength(1);
  });
});
