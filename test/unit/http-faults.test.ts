/** Streamable HTTP when something is wrong: each fault is named, and says whether the call may have run. */

import { describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../src/_util/clock.js';
import { challenge, retryAfter } from '../../src/connection/http-errors.js';
import { fieldValue } from '../../src/connection/http-headers.js';
import { callTool, connected, openChannel, startServer, textOf, within } from '../support/http-channel.js';
import { silentServer } from '../support/tcp.js';
import { failure, until } from '../support/waiting.js';

describe('F23: cannot connect', () => {
  it('says refused, not executed, worth another try', async () => {
    const server = await startServer();
    const channel = openChannel(server.url);
    await server.close();
    const error = await failure(callTool(channel, 'echo'));
    expect(error).toMatchObject({
      code: 'CONNECT_FAILED',
      executed: 'no',
      figures: { errno: 'ECONNREFUSED', retryable: true },
    });
    expect(error.hint).toMatch(/listens/);
    expect(channel.failedConnects).toBe(1);
    expect(channel.sockets()).toEqual({ open: 0, idle: 0, inFlight: 0, waiting: 0 });
  });

  it('fails all that wait with one refused connection', async () => {
    const server = await startServer();
    const channel = openChannel(server.url, { sockets: { max: 2 } });
    await server.close();
    const errors = await Promise.all(Array.from({ length: 500 }, () => failure(callTool(channel, 'echo'))));
    expect(new Set(errors.map((error) => error.code))).toEqual(new Set(['CONNECT_FAILED']));
    expect(channel.failedConnects).toBeLessThanOrEqual(2);
  });

  it('connects again once the server is back', async () => {
    const { server, channel } = await connected({ sessions: false });
    await callTool(channel, 'echo');
    await server.restart();
    expect(
      textOf(await callTool(channel, 'echo', { text: 1 }).catch(() => callTool(channel, 'echo', { text: 1 }))),
    ).toBe(1);
  });

  it('says that a host does not exist, not worth another try', async () => {
    const channel = openChannel(new URL('http://no-such-host.invalid/mcp'));
    const error = await failure(callTool(channel, 'echo'));
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', executed: 'no' });
    const { errno, retryable } = error.figures as { errno: string; retryable: boolean };
    // A machine without a name server says EAI_AGAIN.
    expect(retryable).toBe(errno === 'EAI_AGAIN');
  });

  it('says that TLS failed, not worth another try', async () => {
    const server = await startServer();
    const channel = openChannel(new URL(`https://127.0.0.1:${server.url.port}/mcp`));
    const error = await failure(callTool(channel, 'echo'));
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', executed: 'no', figures: { retryable: false } });
    expect(error.hint).toMatch(/TLS/);
  });
});

describe('F24: connect hangs', () => {
  it('ends at the deadline of the call, not executed', async () => {
    // A TLS handshake with a server that says nothing hangs like a connection that is not accepted.
    const { port, accepted } = await silentServer({ reads: true });
    const channel = openChannel(new URL(`https://127.0.0.1:${port}/mcp`), { connectTimeoutMs: 10_000 });
    const error = await failure(callTool(channel, 'echo', {}, within(100)));
    expect(error).toMatchObject({ code: 'TIMEOUT', executed: 'no' });
    await channel.close();
    await until(() => accepted.size === 0, 'the connection that was being made is ended');
  });
});

describe('F26–F28: refusals', () => {
  it.each([
    [401, {}, 'AUTH_REQUIRED', 'no'],
    [403, {}, 'FORBIDDEN', 'no'],
    [429, {}, 'RATE_LIMITED', 'no'],
    [503, { 'retry-after': '2' }, 'RATE_LIMITED', 'no'],
    [503, {}, 'OUTCOME_UNKNOWN', 'unknown'],
    [500, {}, 'OUTCOME_UNKNOWN', 'unknown'],
    [502, {}, 'OUTCOME_UNKNOWN', 'unknown'],
    [504, {}, 'OUTCOME_UNKNOWN', 'unknown'],
    [400, {}, 'PROTOCOL_ERROR', 'no'],
    [413, {}, 'PROTOCOL_ERROR', 'no'],
  ] as const)('%i %o is %s, executed %s', async (status, headers, code, executed) => {
    const { server, channel } = await connected();
    server.fail('tools/call', { kind: 'status', status, headers, body: 'what  it\nsays' });
    const error = await failure(callTool(channel, 'echo'));
    expect(error).toMatchObject({ code, executed, figures: { status } });
    if (code === 'PROTOCOL_ERROR') expect(error.message).toContain('what it says');
    expect(channel.closeReason).toBeUndefined();
    expect(textOf(await callTool(channel, 'echo', { text: 1 }))).toBe(1);
  });

  it('takes a JSON-RPC error in a 4xx for the answer', async () => {
    const { server, channel } = await connected();
    const body = JSON.stringify({
      jsonrpc: '2.0',
      id: null,
      error: { code: -32020, message: 'mismatch', data: { a: 1 } },
    });
    server.fail('tools/call', { kind: 'status', status: 400, body });
    const error = await failure(callTool(channel, 'echo'));
    expect(error).toMatchObject({ code: 'RPC_ERROR', rpcCode: -32020, data: { a: 1 } });
  });

  it('shows the challenge without secrets', async () => {
    const { server, channel } = await connected();
    const header = 'Bearer realm="x", resource_metadata="https://a/b", error="invalid_token", nonce="hush"';
    server.fail('tools/call', { kind: 'status', status: 401, headers: { 'www-authenticate': header } });
    const error = await failure(callTool(channel, 'echo'));
    expect(error.figures?.['wwwAuthenticate']).toEqual({
      scheme: 'Bearer',
      params: { realm: 'x', resource_metadata: 'https://a/b', error: 'invalid_token' },
    });
    expect(challenge(undefined)).toBeUndefined();
  });

  it('reads Retry-After as seconds or a date, and caps nonsense', () => {
    const now = Date.parse('2026-01-01T00:00:00Z');
    expect(retryAfter('3', now)).toBe(3_000);
    expect(retryAfter('Thu, 01 Jan 2026 00:00:10 GMT', now)).toBe(10_000);
    expect(retryAfter('Thu, 01 Jan 2015 00:00:10 GMT', now)).toBe(0);
    expect(retryAfter('99999999999', now)).toBe(24 * 3_600_000);
    expect(retryAfter('soon', now)).toBeUndefined();
    expect(retryAfter(undefined, now)).toBeUndefined();
  });

  it('reads no more of an endless error page than it shows', async () => {
    const { server, channel } = await connected();
    server.fail('tools/call', { kind: 'status', status: 500, body: 'y'.repeat(5_000_000) });
    const error = await failure(callTool(channel, 'echo'));
    expect(error.code).toBe('OUTCOME_UNKNOWN');
    expect(error.message.length).toBeLessThan(400);
  });
});

describe('redirects', () => {
  it('follows a 307 within the origin, and remembers an added slash', async () => {
    const { server, channel } = await connected();
    server.fail('tools/call', { kind: 'status', status: 307, headers: { location: '/mcp/' } });
    expect(textOf(await callTool(channel, 'echo', { text: 1 }))).toBe(1);
    expect(textOf(await callTool(channel, 'echo', { text: 2 }))).toBe(2);
    expect(server.calls('tools/call').map((call) => call.url)).toEqual(['/mcp', '/mcp/', '/mcp/']);
    expect(server.executed).toBe(2);
  });

  it('gives up after three', async () => {
    const { server, channel } = await connected();
    server.fail('tools/call', { kind: 'status', status: 307, headers: { location: '/other' } }, 10);
    expect(await failure(callTool(channel, 'echo'))).toMatchObject({ code: 'CONNECT_FAILED', executed: 'no' });
    expect(server.calls('tools/call')).toHaveLength(4);
  });

  it('never follows one to another origin, and says where it would lead', async () => {
    const other = await startServer();
    const { server, channel } = await connected({}, { headers: { Authorization: 'Bearer canary-1234' } });
    const location = `${other.url.href}?token=secret-token`;
    server.fail('tools/call', { kind: 'status', status: 307, headers: { location } });
    const error = await failure(callTool(channel, 'echo'));
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', executed: 'no', figures: { origin: other.url.origin } });
    expect(error.message).toContain(other.url.origin);
    expect(JSON.stringify(error)).not.toContain('secret-token');
    expect(other.seen).toEqual([]);
  });

  it('does not turn a POST into something else', async () => {
    const { server, channel } = await connected();
    server.fail('tools/call', { kind: 'status', status: 303, headers: { location: '/mcp' } });
    expect(await failure(callTool(channel, 'echo'))).toMatchObject({ code: 'CONNECT_FAILED' });
  });
});

describe('replies that are none', () => {
  it.each([
    ['HTML', { kind: 'body', contentType: 'text/html', body: '<html>' }],
    ['no content type', { kind: 'body', body: '{}' }],
    ['broken JSON', { kind: 'body', contentType: 'application/json', body: '{"jsonrpc"' }],
    ['a number', { kind: 'body', contentType: 'application/json', body: '7' }],
    ['nothing', { kind: 'body', contentType: 'application/json', body: '' }],
    ['202', { kind: 'status', status: 202 }],
    ['an answer to another', { kind: 'body', contentType: 'application/json', body: '{"id":"c77","result":{}}' }],
  ] as const)('%s is a PROTOCOL_ERROR at once', async (_name, fault) => {
    const { server, channel } = await connected();
    server.fail('tools/call', fault);
    expect(await failure(callTool(channel, 'echo'))).toMatchObject({ code: 'PROTOCOL_ERROR', executed: 'yes' });
    expect(textOf(await callTool(channel, 'echo', { text: 1 }))).toBe(1);
  });

  it.each([true, false])('F10: refuses an answer over the limit and keeps the others (stream: %s)', async (sse) => {
    const { server, channel } = await connected({}, { maxMessageBytes: 100_000 });
    server.fail('tools/call', { kind: 'huge', bytes: 5_000_000, sse });
    const [error, other] = await Promise.all([
      failure(callTool(channel, 'echo')),
      callTool(channel, 'echo', { text: 1 }),
    ]);
    expect(error).toMatchObject({ code: 'MESSAGE_TOO_LARGE', executed: 'yes' });
    expect(textOf(other)).toBe(1);
  });
});

describe('F29: the connection breaks', () => {
  it.each(['reset', 'reset-mid-json', 'reset-mid-sse', 'empty-sse'] as const)('%s is unknown', async (kind) => {
    const { server, channel } = await connected();
    server.fail('tools/call', { kind });
    expect(await failure(callTool(channel, 'echo'))).toMatchObject({ code: 'OUTCOME_UNKNOWN', executed: 'unknown' });
    expect(server.calls('tools/call')).toHaveLength(1);
    expect(textOf(await callTool(channel, 'echo', { text: 1 }))).toBe(1);
  });

  it('resumes a legacy stream whose events are numbered', async () => {
    const { server, channel } = await connected({ eventIds: true });
    server.fail('tools/call', { kind: 'reset-mid-sse' });
    expect(textOf(await callTool(channel, 'echo', { text: 'kept' }))).toBe('kept');
    expect(server.calls('tools/call')).toHaveLength(1);
    expect(server.calls('GET').at(-1)!.headers['last-event-id']).toBe('1');
  });

  it('resumes no earlier than the server asks, and keeps the process alive for it', async () => {
    const pauses: [number, boolean | undefined][] = [];
    const after: Clock['after'] = (ms, fn, keepAlive) => {
      pauses.push([ms, keepAlive]);
      return systemClock.after(ms, fn, keepAlive);
    };
    const { server, channel } = await connected({ eventIds: true }, { clock: { ...systemClock, after } });
    const body = 'retry: 60000\nid: 1\ndata:\n\n';
    server.fail('tools/call', { kind: 'body', contentType: 'text/event-stream', body });
    expect(await failure(callTool(channel, 'echo', {}, within(600)))).toMatchObject({ code: 'TIMEOUT' });
    expect(pauses).toContainEqual([60_000, true]);
  });

  it('gives up resuming after three tries', async () => {
    const { server, channel } = await connected({ eventIds: true });
    await until(() => server.calls('GET').length === 1, 'asked for a stream');
    server.fail('tools/call', { kind: 'reset-mid-sse' });
    server.fail('GET', { kind: 'reset' }, 10);
    expect(await failure(callTool(channel, 'echo', {}, within(10_000)))).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect(server.calls('GET')).toHaveLength(4);
  });

  it('does not resume on a modern connection', async () => {
    const { server, channel } = await connected({ era: 'modern', eventIds: true });
    server.fail('tools/call', { kind: 'reset-mid-sse' });
    expect(await failure(callTool(channel, 'echo'))).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect(server.calls('GET')).toEqual([]);
  });

  it('stops resuming when the caller gives up', async () => {
    const { server, channel } = await connected({ eventIds: true });
    await until(() => server.calls('GET').length === 1, 'asked for a stream');
    server.fail('tools/call', { kind: 'reset-mid-sse' });
    server.fail('GET', { kind: 'hang' });
    expect(await failure(callTool(channel, 'echo', {}, within(600)))).toMatchObject({ code: 'TIMEOUT' });
    expect(channel.sockets().inFlight).toBe(0);
  });
});

describe('A3: secrets', () => {
  it('shows none of them in any error', async () => {
    const server = await startServer();
    const url = new URL(server.url);
    url.username = 'user';
    url.password = 'canary-password';
    url.search = '?key=canary-query';
    const logged: string[] = [];
    const channel = openChannel(url, {
      headers: { 'X-Api-Key': 'canary-header' },
      onLog: (text) => logged.push(text),
      onNoise: (text) => logged.push(text),
    });
    const basic = Buffer.from('user:canary-password').toString('base64');
    const echo = `you sent canary-header, Basic ${basic}, canary-query, canary-password`;
    server.fail('tools/call', { kind: 'status', status: 400, body: echo });
    server.fail('tools/call', { kind: 'status', status: 500, body: echo });
    server.fail('tools/call', { kind: 'body', contentType: 'application/json', body: echo });
    server.fail('tools/call', { kind: 'body', contentType: 'text/event-stream', body: `data: ${echo}\n\n` });
    server.fail('tools/call', { kind: 'reset' });
    for (let n = 0; n < 5; n++) {
      const error = await failure(callTool(channel, 'echo'));
      logged.push(String(error.stack), JSON.stringify(error), String((error.cause as Error | undefined)?.stack));
    }
    expect(server.calls('tools/call')[0]!.headers.authorization).toBe(`Basic ${basic}`);
    await server.close();
    logged.push(JSON.stringify(await failure(callTool(channel, 'echo'))));
    expect(logged.join('\n')).not.toMatch(/canary/);
    expect(logged.join('\n')).not.toContain(basic);
  });

  it('refuses a header that HTTP forbids without repeating its value', () => {
    expect(() => openChannel(new URL('http://127.0.0.1:1/'), { headers: { 'X-Key': 'canary\nvalue' } })).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID', message: expect.not.stringContaining('canary') }),
    );
  });
});

describe('header values', () => {
  it('leaves plain text and encodes the rest', () => {
    expect(fieldValue('get weather')).toBe('get weather');
    for (const text of ['', ' a', 'a ', 'ä', 'a\nb', '=?base64?eA==?='])
      expect(fieldValue(text)).toBe(`=?base64?${Buffer.from(text).toString('base64')}?=`);
  });
});
