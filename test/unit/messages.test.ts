/** Knows how a request of ours stands on the wire, and to whom each message that comes in belongs. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deliver, encode, wireParams } from '../../src/connection/messages.js';
import { Pending, type PendingRequest } from '../../src/connection/pending.js';
import { UnaskedBudget } from '../../src/connection/unasked.js';
import { FakeClock } from '../support/fake-clock.js';

function request(
  options: { onProgress?: () => void; silenceMs?: number; trace?: Record<string, string> | undefined } = {},
): PendingRequest {
  return {
    id: 'c1',
    method: 'tools/call',
    options: { deadline: 0, timeoutMs: 0, silenceMs: 0, ...options },
  } as unknown as PendingRequest;
}

function inbox(): {
  pending: Pending;
  channel: { onmessage: (m: unknown) => void; onerror: (e: Error) => void };
  budget: UnaskedBudget;
  sdk: unknown[];
  errors: Error[];
} {
  const sdk: unknown[] = [];
  const errors: Error[] = [];
  const clock = new FakeClock();
  const pending = new Pending(clock, () => {});
  const channel = { onmessage: (m: unknown) => void sdk.push(m), onerror: (e: Error) => void errors.push(e) };
  return { pending, channel, budget: new UnaskedBudget(clock, channel), sdk, errors };
}

function ask(pending: Pending, onProgress?: (at: unknown) => void): Promise<unknown> {
  const options = { deadline: Number.POSITIVE_INFINITY, timeoutMs: 1, silenceMs: 0, ...(onProgress && { onProgress }) };
  return pending.open('tools/call', options, (own) => {
    own.sent = true;
  });
}

describe('a request on the wire', () => {
  it('is one line with the parameters as they were given', () => {
    const params = { name: 'x', arguments: { text: 'a\nb\u2028c', n: 1.5, list: [null, true] } };
    const line = encode(request(), params, undefined);
    expect(line.indexOf('\n')).toBe(line.length - 1);
    expect(JSON.parse(line)).toEqual({ jsonrpc: '2.0', id: 'c1', method: 'tools/call', params });
  });

  it('reads the same whether it was put together from texts or from a copy', () => {
    const meta = fc.option(fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 2 }), { nil: undefined });
    fc.assert(
      fc.property(
        fc.option(fc.dictionary(fc.string({ minLength: 1 }), fc.jsonValue(), { maxKeys: 3 }), { nil: undefined }),
        meta,
        meta,
        fc.boolean(),
        fc.option(fc.constant({ traceparent: '00-1-2-01' }), { nil: undefined }),
        (given, own, envelope, progress, trace) => {
          const params = given && { ...given, ...(own && { _meta: own }) };
          const asked = request({ ...(progress && { silenceMs: 5 }), trace });
          const text = JSON.parse(encode(asked, params, envelope)) as { params: unknown };
          expect(text.params).toEqual(JSON.parse(JSON.stringify(wireParams(asked, params, envelope))));
        },
      ),
      { seed: 41, numRuns: 300 },
    );
  });

  it('carries a progress token where silence is bounded or progress is heard, and the caller’s own meta above the envelope', () => {
    expect(wireParams(request(), { a: 1 }, undefined)).toEqual({ a: 1 });
    expect(wireParams(request({ silenceMs: 1 }), { a: 1 }, undefined)).toEqual({
      a: 1,
      _meta: { progressToken: 'c1' },
    });
    expect(
      wireParams(request({ onProgress: () => {} }), { _meta: { x: 'own', y: 1 } }, { x: 'envelope', z: 2 }),
    ).toEqual({
      _meta: { x: 'own', y: 1, z: 2, progressToken: 'c1' },
    });
  });

  it('carries the trace context, below the caller’s own meta', () => {
    const trace = { traceparent: 'ours', tracestate: 'state' };
    expect(wireParams(request({ trace }), { a: 1 }, undefined)).toEqual({ a: 1, _meta: trace });
    const own = { _meta: { traceparent: 'given' } };
    expect(wireParams(request({ trace, silenceMs: 1 }), own, { z: 1 })).toEqual({
      _meta: { traceparent: 'given', tracestate: 'state', progressToken: 'c1', z: 1 },
    });
  });

  it('says ARGUMENTS_INVALID for what JSON cannot carry', () => {
    const loop: Record<string, unknown> = {};
    loop['self'] = loop;
    for (const args of [loop, { n: 1n }])
      expect(() => encode(request(), { arguments: args }, undefined)).toThrowError(
        expect.objectContaining({ code: 'ARGUMENTS_INVALID', executed: 'no' }),
      );
  });
});

describe('a message that came in', () => {
  it('goes to our request where it answers one, to the SDK where it does not', async () => {
    const { pending, channel, budget, sdk } = inbox();
    const answer = ask(pending);
    deliver({ jsonrpc: '2.0', id: 0, result: { for: 'sdk' } }, pending, channel, budget);
    deliver({ jsonrpc: '2.0', id: 'listen:1', result: { for: 'sdk' } }, pending, channel, budget);
    deliver({ jsonrpc: '2.0', id: 'c0', result: { for: 'us' } }, pending, channel, budget);
    expect(await answer).toEqual({ for: 'us' });
    expect(sdk).toHaveLength(2);
  });

  it('F15: an answer of ours that nobody waits for stays with us', () => {
    const { pending, channel, budget, sdk } = inbox();
    deliver({ jsonrpc: '2.0', id: 'c77', result: {} }, pending, channel, budget);
    expect([sdk, pending.ignored]).toEqual([[], 1]);
  });

  it('hands progress to its request, and requests and notifications to the SDK', async () => {
    const { pending, channel, budget, sdk } = inbox();
    const heard: unknown[] = [];
    void ask(pending, (at) => heard.push(at));
    const progress = (progressToken: unknown): unknown => ({
      method: 'notifications/progress',
      params: { progressToken, progress: 1, total: 2 },
    });
    deliver(progress('c0'), pending, channel, budget);
    expect(heard).toEqual([{ progress: 1, total: 2 }]);
    deliver(progress(3), pending, channel, budget);
    deliver({ id: 9, method: 'roots/list' }, pending, channel, budget);
    deliver({ method: 'notifications/message', params: {} }, pending, channel, budget);
    expect(sdk).toHaveLength(3);
  });

  it('counts each member of a batch for itself', async () => {
    const { pending, channel, budget, sdk } = inbox();
    const answers = Promise.all([ask(pending), ask(pending)]);
    const batch = [
      { id: 'c1', result: { n: 1 } },
      { method: 'x' },
      [{ id: 'c0', result: {} }],
      { id: 'c0', result: { n: 0 } },
    ];
    deliver(batch, pending, channel, budget);
    expect(await answers).toEqual([{ n: 0 }, { n: 1 }]);
    expect(sdk).toEqual([{ method: 'x' }]);
  });

  it('never throws, whatever a server writes', () => {
    const { pending, channel, budget } = inbox();
    const odd = fc.oneof(
      fc.jsonValue(),
      fc.record(
        {
          id: fc.oneof(fc.constant('c0'), fc.jsonValue()),
          method: fc.oneof(fc.constant('notifications/progress'), fc.jsonValue()),
          params: fc.jsonValue(),
          result: fc.jsonValue(),
          error: fc.jsonValue(),
        },
        { requiredKeys: [] },
      ),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(odd, { maxLength: 4 }),
          odd.filter((v) => typeof v === 'object' && v !== null),
        ),
        (value) => {
          deliver(value, pending, channel, budget);
        },
      ),
      { seed: 42, numRuns: 1_000 },
    );
    for (const value of [[null], [1, 'x', true], [[null]]]) deliver(value, pending, channel, budget);
  });

  it('tells the SDK’s own failure to its error handler', () => {
    const { pending, channel, budget, errors } = inbox();
    channel.onmessage = () => {
      throw new Error('sdk');
    };
    deliver({ method: 'x' }, pending, channel, budget);
    expect(errors.map(({ message }) => message)).toEqual(['sdk']);
  });
});
