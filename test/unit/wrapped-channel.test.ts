/** Knows our side channel over a transport of the SDK, and the pair of ends that joins a server in this process. */

import { describe, expect, it } from 'vitest';
import { connectServer, isServerSource } from '../../src/connection/memory.js';
import { WrappedChannel } from '../../src/connection/wrapped.js';
import { FakeClock, failure, settle, watch } from '../support/fake-clock.js';

type Transport = ConstructorParameters<typeof WrappedChannel>[0];
type Message = { id?: unknown; method?: string; params?: Record<string, unknown>; result?: unknown };

function bench(send: (message: Message) => Promise<void> = () => Promise.resolve()): {
  clock: FakeClock;
  channel: WrappedChannel;
  inner: Transport;
  sent: Message[];
  ask(params?: Record<string, unknown>, options?: object): Promise<Record<string, unknown>>;
} {
  const clock = new FakeClock();
  const sent: Message[] = [];
  const inner: Transport = {
    start: () => Promise.resolve(),
    send: (message) => {
      sent.push(message as Message);
      return send(message as Message);
    },
    close: () => {
      inner.onclose?.();
      return Promise.resolve();
    },
  };
  const channel = new WrappedChannel(inner, clock);
  return {
    clock,
    channel,
    inner,
    sent,
    ask: (params, options = {}) =>
      channel.request('tools/call', params, {
        deadline: clock.now() + 1_000,
        timeoutMs: 1_000,
        silenceMs: 0,
        ...options,
      }),
  };
}

describe('a wrapped transport', () => {
  it('asks with ids of ours, adds the envelope, and takes the answers past the SDK', async () => {
    const { channel, inner, sent, ask } = bench();
    const heard: unknown[] = [];
    channel.onmessage = (message) => heard.push(message);
    channel.setEnvelope({ era: 'modern' });
    const answer = ask({ name: 'x' });
    expect(sent).toEqual([
      { jsonrpc: '2.0', id: 'c0', method: 'tools/call', params: { name: 'x', _meta: { era: 'modern' } } },
    ]);
    inner.onmessage!({ jsonrpc: '2.0', id: 'c0', result: { ok: 1 } } as never);
    inner.onmessage!({ jsonrpc: '2.0', id: 7, result: {} } as never);
    expect(await answer).toEqual({ ok: 1 });
    expect(heard).toEqual([{ jsonrpc: '2.0', id: 7, result: {} }]);
  });

  it('tells the server of what is given up', async () => {
    const { clock, sent, ask } = bench();
    const late = failure(ask());
    await clock.advance(1_010);
    expect(await late).toMatchObject({ code: 'TIMEOUT', executed: 'unknown' });
    expect(sent.at(-1)).toMatchObject({
      method: 'notifications/cancelled',
      params: { requestId: 'c0', reason: 'timed out' },
    });
  });

  it('does not know how far a transport got that refuses to send', async () => {
    const { ask } = bench(() => Promise.reject(new Error('socket hang up')));
    expect(await failure(ask({ name: 'x' }))).toMatchObject({
      code: 'OUTCOME_UNKNOWN',
      executed: 'unknown',
      message: 'the request could not be sent completely: socket hang up',
    });
  });

  it('knows that what JSON cannot carry was never sent', async () => {
    const { ask } = bench((message) => Promise.resolve().then(() => void JSON.stringify(message)));
    const loop: Record<string, unknown> = {};
    loop['self'] = loop;
    for (const args of [loop, { n: 1n }])
      expect(await failure(ask({ arguments: args }))).toMatchObject({ code: 'ARGUMENTS_INVALID', executed: 'no' });
  });

  it('fails what is under way when it ends, with the reason that it was given, and what comes after', async () => {
    const { channel, inner, ask, clock } = bench();
    let closed = 0;
    channel.onclose = () => closed++;
    const lost = failure(ask());
    const reason = new Error('reset');
    inner.onerror!(reason);
    inner.onclose!();
    inner.onclose!();
    expect(await lost).toMatchObject({ code: 'OUTCOME_UNKNOWN', cause: reason });
    expect(await failure(ask())).toMatchObject({ code: 'CONNECT_FAILED', executed: 'no', cause: reason });
    expect([closed, channel.closeReason, clock.timers]).toEqual([1, reason, 0]);
  });

  it('cancels at the server what is under way when we close it', async () => {
    const { channel, sent, ask } = bench();
    const lost = failure(ask());
    await channel.close();
    expect(await lost).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect(sent.at(-1)).toMatchObject({ method: 'notifications/cancelled', params: { requestId: 'c0' } });
  });
});

describe('a server in this process', () => {
  it('gets what was said before it listened, and both ends end together, once', async () => {
    const got: unknown[] = [];
    let theirs: Transport | undefined;
    let ended = 0;
    const ours = await connectServer({
      connect: async (transport) => {
        theirs = transport;
        transport.onmessage = (message) => got.push(message);
        transport.onclose = () => ended++;
      },
    });
    const message = { jsonrpc: '2.0' as const, method: 'x' };
    await ours.send(message);
    expect(got).toEqual([]);
    await theirs!.start();
    expect(got).toEqual([message]);
    ours.onclose = () => ended++;
    await theirs!.close();
    await ours.close();
    expect(ended).toBe(2);
    // A server that answers late brings nobody down.
    await ours.send(message);
    await theirs!.send(message);
    expect(got).toHaveLength(1);
  });

  it('shares nothing of a message with its sender, and answers for a result that JSON cannot carry', async () => {
    const got: Message[] = [];
    let theirs: Transport | undefined;
    const ours = await connectServer({
      connect: async (transport) => {
        theirs = transport;
        transport.onmessage = (message) => got.push(message as Message);
        await transport.start();
      },
    });
    const heard: Message[] = [];
    ours.onmessage = (message) => heard.push(message as Message);
    await ours.start();
    const params = { list: [1], when: new Date(0), nothing: undefined };
    await ours.send({ jsonrpc: '2.0', id: 1, method: 'x', params });
    expect(got).toEqual([
      { jsonrpc: '2.0', id: 1, method: 'x', params: { list: [1], when: '1970-01-01T00:00:00.000Z' } },
    ]);
    (got[0]!.params!['list'] as number[]).push(2);
    expect(params.list).toEqual([1]);
    const result = { content: [{ type: 'text', text: 'a' }] };
    await theirs!.send({ jsonrpc: '2.0', id: 1, result });
    Object.freeze(heard[0]!.result);
    expect([heard[0]!.result, Object.isFrozen(result)]).toEqual([result, false]);
    await theirs!.send({ jsonrpc: '2.0', id: 2, result: { n: 1n } } as never);
    expect(heard[1]).toMatchObject({ id: 2, error: { code: -32603, message: expect.stringContaining('BigInt') } });
    await expect(theirs!.send({ jsonrpc: '2.0', method: 'x', params: { n: 1n } })).rejects.toMatchObject({
      code: 'ARGUMENTS_INVALID',
    });
  });

  it('may come from a function, anew for each connection', async () => {
    let made = 0;
    const source = async (): Promise<{ connect(): Promise<void> }> => {
      made++;
      return { connect: () => Promise.resolve() };
    };
    await connectServer(source);
    await connectServer(source);
    expect(made).toBe(2);
    const seen = watch(connectServer({ connect: () => Promise.reject(new Error('no')) }));
    await settle();
    expect(seen.error).toEqual(new Error('no'));
    expect([
      isServerSource(source),
      isServerSource({ connect: 5 }),
      isServerSource({ connect() {} }),
      isServerSource(null),
    ]).toEqual([true, false, true, false]);
  });
});
