/** Knows what a connection does with a server's requests before any caller sees them: odd ids, late ones, too many. */

import { beforeEach, describe, expect, it } from 'vitest';
import type { Asker, Question } from '../../src/call.js';
import { Asked } from '../../src/connection/asked.js';
import { deliver } from '../../src/connection/messages.js';
import { Pending, type PendingRequest } from '../../src/connection/pending.js';
import { UnaskedBudget } from '../../src/connection/unasked.js';
import { FakeClock, settle } from '../support/fake-clock.js';

type Json = Record<string, unknown>;

let clock: FakeClock;
let pending: Pending;
let sent: Json[];
let passed: unknown[];
let questions: Question[];
let result: unknown;
const asker: Asker = {
  capabilities: {},
  offers: true,
  answer: async (question) => {
    questions.push(question);
    return result as Json;
  },
};
let budget: UnaskedBudget;
let channel: { asked: Asked; onmessage: (message: unknown) => void };

beforeEach(() => {
  clock = new FakeClock();
  pending = new Pending(clock, () => {});
  [sent, passed, questions, result] = [[], [], [], { ok: 1 }];
  const asking = { service: 's', capabilities: () => ({}), sole: () => undefined };
  const send = (message: unknown): Promise<void> => {
    sent.push(JSON.parse(JSON.stringify(message)) as Json);
    return Promise.resolve();
  };
  channel = { asked: new Asked(asking, send), onmessage: (message) => passed.push(message) };
  budget = new UnaskedBudget(clock, channel);
});

/** A call of that caller's, on its way. */
function call(): PendingRequest {
  let request!: PendingRequest;
  const options = { deadline: clock.now() + 60_000, timeoutMs: 60_000, silenceMs: 0, ask: asker };
  pending
    .open('tools/call', options, (opened) => {
      opened.sent = true;
      request = opened;
    })
    .catch(() => {});
  return request;
}

const ask = (id: unknown, more: Json = {}, stream?: PendingRequest): void =>
  deliver({ jsonrpc: '2.0', id, method: 'roots/list', ...more }, pending, channel as never, budget, stream);

describe('a request of the server', () => {
  it('is answered under its own id, text or number', async () => {
    call();
    for (const id of ['a', 0, 7]) ask(id);
    await settle();
    expect(sent).toEqual(['a', 0, 7].map((id) => ({ jsonrpc: '2.0', id, result: { ok: 1 } })));
    expect(passed).toEqual([]);
  });

  it('with an id that is none, or of another method, is the SDK’s', () => {
    call();
    for (const id of [undefined, null, {}, ['a']]) ask(id);
    ask(1, { method: 'ping' });
    ask(2, { method: 'tasks/get' });
    ask(3, { method: '__proto__' });
    expect([passed.length, questions.length, sent.length]).toEqual([7, 0, 0]);
  });

  it('with parameters that are none asks with empty ones', async () => {
    call();
    for (const [id, params] of [null, 'x', 7, { _meta: 'x' }].entries()) ask(id, { params });
    await settle();
    expect(questions.map(({ params }) => params)).toEqual([{}, {}, {}, { _meta: 'x' }]);
  });

  it('under an id that is being answered is not asked a second time', async () => {
    call();
    ask('a');
    ask('a');
    await settle();
    expect([questions.length, sent.length]).toEqual([1, 1]);
  });

  it('on the stream of a call that is over reaches nobody', async () => {
    const request = call();
    pending.settle({ id: request.id, result: {} });
    ask('a', {}, request);
    await settle();
    expect([questions, sent]).toEqual([
      [],
      [{ jsonrpc: '2.0', id: 'a', error: { code: -32000, message: 'the call is over' } }],
    ]);
  });

  it('beyond 64 at a time is refused, until some are answered', async () => {
    call();
    result = new Promise(() => {});
    for (let id = 0; id < 70; id++) ask(id);
    await settle();
    expect([questions.length, sent.length]).toEqual([64, 6]);
    expect(sent[0]).toMatchObject({ id: 64, error: { code: -32000 } });
    pending.failAll(new Error('gone'));
    expect(questions.every(({ signal }) => signal.aborted)).toBe(true);
    call();
    result = { ok: 1 };
    ask('next');
    await settle();
    expect(sent.at(-1)).toMatchObject({ id: 'next', result: { ok: 1 } });
  });

  it('that gets an answer which JSON cannot carry is told so', async () => {
    call();
    result = { big: 1n };
    ask('a');
    await settle();
    expect(sent).toEqual([
      { jsonrpc: '2.0', id: 'a', error: { code: -32603, message: expect.stringContaining('JSON') } },
    ]);
  });

  it('leaves nothing behind, however it ends', async () => {
    const request = call();
    for (let id = 0; id < 1_000; id++) {
      ask(id);
      if (id % 2)
        deliver({ method: 'notifications/cancelled', params: { requestId: id } }, pending, channel as never, budget);
      await Promise.resolve();
    }
    await settle();
    expect(request.asked?.size).toBe(0);
    pending.settle({ id: request.id, result: {} });
    expect([pending.size, sent.length]).toEqual([0, 500]);
  });
});
