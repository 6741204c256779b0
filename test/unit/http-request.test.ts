/** Requests over streamable HTTP: each caller gets its own answer, whatever the others and the sockets do. */

import { describe, expect, it } from 'vitest';
import { callTool, connected, handshake, openChannel, startServer, textOf, within } from '../support/http-channel.js';
import { silentServer } from '../support/tcp.js';
import { failure, until } from '../support/waiting.js';

describe.each(['json', 'sse'] as const)('requests over http, answered as %s', (reply) => {
  it('gives every caller its own answer, over no more sockets than allowed', async () => {
    const { server, channel } = await connected({ reply }, { sockets: { max: 3 } });
    const numbers = Array.from({ length: 200 }, (_, n) => n);
    const answers = await Promise.all(numbers.map((text) => callTool(channel, 'echo', { text })));
    expect(answers.map(textOf)).toEqual(numbers);
    expect(channel.sockets()).toMatchObject({ open: 3, inFlight: 0, waiting: 0 });
    expect(channel.opened).toBe(3);
    expect(server.calls('tools/call').every((call) => typeof call.message!.id === 'string')).toBe(true);
  });

  it('keeps to one socket for calls one after the other', async () => {
    const { channel } = await connected({ reply });
    for (let text = 0; text < 20; text++) expect(textOf(await callTool(channel, 'echo', { text }))).toBe(text);
    expect(channel.opened).toBe(1);
  });
});

describe('requests over http', () => {
  it('routes progress to its call and everything else to the client', async () => {
    const { channel, client } = await connected();
    const logged: unknown[] = [];
    client.setNotificationHandler('notifications/message', (notice) => {
      logged.push(notice.params.data);
    });
    const seen: number[] = [];
    const options = within(5_000, { onProgress: ({ progress }) => seen.push(progress) });
    await callTool(channel, 'progress', { steps: 3 }, options);
    expect(seen).toEqual([1, 2, 3]);
    await until(() => logged.length === 1);
  });

  it('answers what the server asks during a call, even when that call holds the only socket', async () => {
    const { channel, client } = await connected({}, { sockets: { max: 1 } });
    client.setRequestHandler('roots/list', () => ({ roots: [{ uri: 'file:///tmp', name: 'tmp' }] }));
    expect(textOf(await callTool(channel, 'ask'))).toEqual({ roots: [{ uri: 'file:///tmp', name: 'tmp' }] });
  });

  it('closes a stream that stays open after its answer, and uses the socket again if it ends', async () => {
    const { server, channel } = await connected({}, { sockets: { max: 1 } });
    server.fail('tools/call', { kind: 'open-sse' });
    expect(textOf(await callTool(channel, 'echo', { text: 1 }))).toBe(1);
    expect(textOf(await callTool(channel, 'echo', { text: 2 }))).toBe(2);
    expect(channel.opened).toBe(2);
  });

  it('F32: takes a cancelled request out of the line; it is never sent', async () => {
    const { server, channel } = await connected({}, { sockets: { max: 1 } });
    const running = callTool(channel, 'slow', { ms: 1_000 });
    const stop = new AbortController();
    const queued = failure(callTool(channel, 'echo', { text: 'no' }, within(5_000, { signal: stop.signal })));
    const late = failure(callTool(channel, 'echo', { text: 'late' }, within(500)));
    const after = callTool(channel, 'echo', { text: 'yes' });
    expect(channel.sockets()).toMatchObject({ inFlight: 1, waiting: 3 });
    stop.abort();
    expect(await queued).toMatchObject({ code: 'CANCELLED', executed: 'no' });
    expect(channel.sockets().waiting).toBe(2);
    expect(await late).toMatchObject({ code: 'TIMEOUT', executed: 'no' });
    await running;
    expect(textOf(await after)).toBe('yes');
    expect(server.calls('tools/call')).toHaveLength(2);
    expect(server.calls('notifications/cancelled')).toEqual([]);
    expect(channel.opened).toBe(1);
  });

  it('does not count time in line as silence of the server', async () => {
    const { channel } = await connected({}, { sockets: { max: 1 } });
    const running = callTool(channel, 'slow', { ms: 500 });
    const second = callTool(channel, 'echo', { text: 2 }, within(5_000, { silenceMs: 250 }));
    await running;
    expect(textOf(await second)).toBe(2);
    const silent = await failure(callTool(channel, 'slow', { ms: 3_000 }, within(5_000, { silenceMs: 60 })));
    expect(silent).toMatchObject({ code: 'TIMEOUT', executed: 'unknown', figures: { readTimeoutMs: 60 } });
  });

  it('tells a legacy server of a cancelled call and frees its socket', async () => {
    const { server, channel } = await connected({}, { sockets: { max: 1 } });
    server.fail('tools/call', { kind: 'hang' });
    const stop = new AbortController();
    const call = failure(callTool(channel, 'echo', {}, within(5_000, { signal: stop.signal })));
    await until(() => server.calls('tools/call').length === 1);
    stop.abort(new Error('enough'));
    expect(await call).toMatchObject({ code: 'CANCELLED', executed: 'unknown', cause: new Error('enough') });
    await until(() => server.calls('notifications/cancelled').length === 1);
    const { id } = server.calls('tools/call')[0]!.message!;
    expect(server.calls('notifications/cancelled')[0]!.message!.params).toMatchObject({ requestId: id });
    expect(textOf(await callTool(channel, 'echo', { text: 3 }))).toBe(3);
  });

  it('shows a modern server a cancelled call by closing its stream, without a notification', async () => {
    const { server, channel } = await connected({ era: 'modern' });
    server.fail('tools/call', { kind: 'hang' });
    const call = await failure(callTool(channel, 'echo', {}, within(50)));
    expect(call).toMatchObject({ code: 'TIMEOUT', executed: 'unknown' });
    expect(textOf(await callTool(channel, 'echo', { text: 3 }))).toBe(3);
    expect(server.calls('notifications/cancelled')).toEqual([]);
  });

  it('closes the stream of a request that the SDK itself gave up', async () => {
    const { server, channel, client } = await connected({}, { sockets: { max: 1 } });
    server.fail('tools/list', { kind: 'hang' });
    await expect(client.listTools({}, { timeout: 50 })).rejects.toThrow(/timed out/i);
    expect(textOf(await callTool(channel, 'echo', { text: 1 }))).toBe(1);
  });

  it('resumes a request of the SDK from a token and hands its answer over under the new id', async () => {
    const { server, channel } = await connected({ eventIds: true, stream: true });
    server.fail('tools/list', { kind: 'reset-mid-sse' });
    const request = { jsonrpc: '2.0' as const, id: 'first', method: 'tools/list' };
    const tokens: string[] = [];
    const onresumptiontoken = (token: string): void => {
      tokens.push(token);
    };
    expect(await failure(channel.send(request, { onresumptiontoken }))).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    const answers: unknown[] = [];
    channel.onmessage = (message) => answers.push(message);
    await channel.send({ ...request, id: 'second' }, { resumptionToken: tokens.at(-1) });
    expect(answers).toMatchObject([{ id: 'second', result: { tools: [{ name: 'echo' }] } }]);
    expect(server.calls('tools/list')).toHaveLength(1);
  });

  it('F30: one byte at a time does not outlive the deadline', async () => {
    const { server, channel } = await connected();
    server.fail('tools/call', { kind: 'trickle', everyMs: 5 });
    expect(await failure(callTool(channel, 'echo', {}, within(80)))).toMatchObject({ code: 'TIMEOUT' });
  });

  it('F33: leaves nothing of thousands of cancels in all phases', async () => {
    const { server, channel } = await connected({ era: 'modern' }, { sockets: { max: 2 } });
    const stops = Array.from({ length: 3_000 }, () => new AbortController());
    const calls = stops.map((stop, n) =>
      failure(callTool(channel, 'slow', { ms: n % 3 }, within(20_000, { signal: stop.signal }))).catch(() => undefined),
    );
    for (const [n, stop] of stops.entries()) {
      stop.abort();
      if (n % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await Promise.all(calls);
    await until(() => channel.sockets().inFlight === 0);
    expect(channel.sockets().waiting).toBe(0);
    expect(textOf(await callTool(channel, 'echo', { text: 1 }))).toBe(1);
    expect(server.sockets.size).toBeLessThanOrEqual(3);
  });

  it('carries a body of several megabytes', async () => {
    const { channel } = await connected();
    const text = 'ä'.repeat(1_500_000);
    expect(textOf(await callTool(channel, 'echo', { text }))).toBe(text);
    expect(textOf(await callTool(channel, 'echo', { text: 1 }))).toBe(1);
    expect(channel.opened).toBe(1);
  });

  it('gives up on a server that does not take the request', async () => {
    const { port } = await silentServer();
    const channel = openChannel(new URL(`http://127.0.0.1:${port}/`), { writeTimeoutMs: 100, maxMessageBytes: 1000 });
    const error = await failure(callTool(channel, 'echo', { text: 'x'.repeat(20_000_000) }, within(30_000)));
    expect(error).toMatchObject({ code: 'TIMEOUT', executed: 'no', figures: { writeTimeoutMs: 100 } });
    await channel.close();
  });

  it('refuses arguments that JSON cannot carry, and goes on', async () => {
    const { channel } = await connected();
    const error = await failure(callTool(channel, 'echo', { text: 1n }));
    expect(error).toMatchObject({ code: 'ARGUMENTS_INVALID', executed: 'no' });
    const header = await failure(callTool(channel, 'echo', {}, within(1_000, { headers: { 'x-a': 'a\nb' } })));
    expect(header).toMatchObject({ code: 'ARGUMENTS_INVALID', executed: 'no' });
    expect(textOf(await callTool(channel, 'echo', { text: 1 }))).toBe(1);
  });

  it('keeps the first sockets and closes the others when they idle', async () => {
    const { channel } = await connected({}, { sockets: { idleMs: 50 } });
    await Promise.all([1, 2, 3, 4].map(() => callTool(channel, 'slow', { ms: 20 })));
    expect(channel.opened).toBe(4);
    await until(() => channel.sockets().open === 1, 'idle sockets closed');
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(channel.sockets()).toMatchObject({ open: 1, idle: 1 });
  });

  it('F15: ignores a second answer and one to nobody', async () => {
    const { server, channel } = await connected();
    const body = (id: string): string => JSON.stringify({ jsonrpc: '2.0', id, result: { content: [] } });
    server.fail('tools/call', { kind: 'body', contentType: 'text/event-stream', body: `data: ${body('c99')}\n\n` });
    expect(await failure(callTool(channel, 'echo'))).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect(channel.ignored).toBe(1);
    expect(textOf(await callTool(channel, 'echo', { text: 1 }))).toBe(1);
  });

  it('takes a batch as a reply', async () => {
    const { server, channel } = await connected();
    const notice = { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 1 } };
    const answer = { jsonrpc: '2.0', id: 'c0', result: { ok: true } };
    server.fail('tools/call', {
      kind: 'body',
      contentType: 'application/json',
      body: JSON.stringify([notice, answer]),
    });
    expect(await callTool(channel, 'echo')).toEqual({ ok: true });
  });

  it('opens its channel on a server that answers slowly without holding back others', async () => {
    const server = await startServer();
    const channel = openChannel(server.url, { sockets: { max: 2 } });
    await handshake(channel, 'legacy');
    let answered = false;
    const slow = callTool(channel, 'slow', { ms: 500 }).then(() => {
      answered = true;
    });
    await callTool(channel, 'echo');
    expect(answered).toBe(false);
    await slow;
  });
});
