/** Knows how requests under way have to end: each once, by its answer, deadline, silence, signal or lost connection. */

import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Asker } from '../../src/call.js';
import type { RequestOptions } from '../../src/connection/channel.js';
import { Pending, type PendingRequest, type Watcher } from '../../src/connection/pending.js';
import { FakeClock, failure, settle, watch } from '../support/fake-clock.js';

function table(): {
  clock: FakeClock;
  pending: Pending;
  told: string[];
  open(options?: Partial<RequestOptions> & { forMs?: number }, sent?: boolean): Promise<Record<string, unknown>>;
  last(): PendingRequest;
} {
  const clock = new FakeClock();
  const told: string[] = [];
  const pending = new Pending(clock, (request, reason) => told.push(`${request.id} ${reason}`));
  let last: PendingRequest;
  return {
    clock,
    pending,
    told,
    open: ({ forMs = 1_000, ...options } = {}, sent = true) =>
      pending.open(
        'tools/call',
        { deadline: clock.now() + forMs, timeoutMs: forMs, silenceMs: 0, ...options },
        (request) => {
          request.sent = sent;
          last = request;
        },
      ),
    last: () => last,
  };
}

describe('requests under way', () => {
  it('give each an id of its own that is no number, and each its own answer', async () => {
    const { pending, open } = table();
    const answers = [open(), open(), open()];
    const ids = pending.all().map(({ id }) => id);
    expect(new Set(ids).size).toBe(3);
    for (const id of ids) expect(Number.isNaN(Number(id))).toBe(true);
    for (const id of [...ids].reverse()) expect(pending.settle({ id, result: { for: id } })).toBe(true);
    expect(await Promise.all(answers)).toEqual(ids.map((id) => ({ for: id })));
    expect(pending.size).toBe(0);
  });

  it('F15: the first answer wins; a second, a late and an invented one are counted and dropped', async () => {
    const { clock, pending, open, last } = table();
    const first = open();
    const { id } = last();
    pending.settle({ id, result: { n: 1 } });
    expect(pending.settle({ id, result: { n: 2 } })).toBe(false);
    expect(pending.settle({ id: 'c999', result: {} })).toBe(false);
    expect(pending.settle({ id: 5, result: {} })).toBe(false);
    expect(await first).toEqual({ n: 1 });
    const late = failure(open({ forMs: 100 }));
    await clock.advance(200);
    expect((await late)['code']).toBe('TIMEOUT');
    expect(pending.settle({ id: last().id, result: {} })).toBe(false);
    expect(pending.ignored).toBe(4);
  });

  it('turns an error answer into RPC_ERROR with its code and data', async () => {
    const { pending, open, last } = table();
    const failed = failure(open());
    pending.settle({ id: last().id, error: { code: -32602, message: 'bad', data: { at: 'x' } } });
    expect(await failed).toMatchObject({
      code: 'RPC_ERROR',
      message: 'bad',
      rpcCode: -32602,
      data: { at: 'x' },
      executed: 'yes',
    });
    const odd = failure(open());
    pending.settle({ id: last().id, error: 'broken' });
    expect(await odd).toMatchObject({ code: 'RPC_ERROR', message: 'an error without a message' });
    const text = failure(open());
    pending.settle({ id: last().id, error: { code: '-32602', message: 'bad' } });
    expect((await text)['rpcCode']).toBeUndefined();
  });

  it('F16: result and error both, neither, or no object is PROTOCOL_ERROR', async () => {
    const { pending, open, last } = table();
    for (const body of [{ result: {}, error: { code: 1, message: 'x' } }, {}, { result: null }, { result: 'text' }]) {
      const failed = failure(open());
      pending.settle({ id: last().id, ...body });
      expect(await failed).toMatchObject({
        code: 'PROTOCOL_ERROR',
        executed: 'yes',
        message: 'tools/call: the answer has neither one result nor one error',
      });
    }
  });

  it('end at the deadline, tell the server where they were sent, and say how far they got', async () => {
    const { clock, told, open } = table();
    const sent = failure(open({ forMs: 100 }));
    const unsent = failure(open({ forMs: 100 }, false));
    await clock.advance(99);
    expect(told).toEqual([]);
    await clock.advance(5);
    expect(await sent).toMatchObject({
      code: 'TIMEOUT',
      executed: 'unknown',
      message: 'timed out after 100 ms, waiting for the answer',
    });
    expect(await unsent).toMatchObject({
      code: 'TIMEOUT',
      executed: 'no',
      message: 'timed out after 100 ms, waiting to be sent',
    });
    expect(told).toEqual(['c0 timed out']);
    expect(clock.timers).toBe(0);
  });

  it('is refused before it is sent where the deadline or the signal is over already', async () => {
    const { pending, open, told } = table();
    expect(await failure(open({ forMs: 0 }))).toMatchObject({
      code: 'TIMEOUT',
      executed: 'no',
      message: 'timed out after 0 ms, before it was sent',
      figures: { timeoutMs: 0 },
    });
    const reason = new Error('enough');
    expect(await failure(open({ signal: AbortSignal.abort(reason) }))).toMatchObject({
      code: 'CANCELLED',
      executed: 'no',
      cause: reason,
    });
    expect([pending.size, told]).toEqual([0, []]);
  });

  it('end by silence, which progress puts off and the deadline does not', async () => {
    const { clock, pending, open, last } = table();
    const progress: unknown[] = [];
    const seen = watch(open({ forMs: 1_000, silenceMs: 100, onProgress: (at) => progress.push(at) }));
    for (let i = 1; i <= 5; i++) {
      await clock.advance(90);
      pending.progress(last().id, { progress: i });
    }
    expect(seen.settled).toBe(false);
    expect(progress).toHaveLength(5);
    await clock.advance(99);
    expect(seen.settled).toBe(false);
    await clock.advance(4);
    expect(seen.error).toMatchObject({
      code: 'TIMEOUT',
      message: 'no answer and no progress for 100 ms',
      executed: 'unknown',
      figures: { readTimeoutMs: 100 },
      hint: expect.stringContaining('connectionPool.readTimeoutMs') as string,
    });
  });

  it('F19: progress for ever ends at the deadline', async () => {
    const { clock, pending, open, last } = table();
    const seen = watch(open({ forMs: 500, silenceMs: 100 }));
    for (let i = 0; i < 5; i++) {
      await clock.advance(99);
      expect(seen.settled).toBe(false);
      pending.progress(last().id, { progress: i });
    }
    await clock.advance(10);
    expect(seen.error).toMatchObject({ message: 'timed out after 500 ms, waiting for the answer' });
  });

  it('does not count silence while it waits to be sent', async () => {
    const { clock, open, last } = table();
    const seen = watch(open({ forMs: 1_000, silenceMs: 100 }, false));
    await clock.advance(500);
    expect(seen.settled).toBe(false);
    last().sent = true;
    last().lastSeen = clock.now();
    await clock.advance(205);
    expect(seen.error).toMatchObject({ message: 'no answer and no progress for 100 ms' });
  });

  it('ignores progress for nobody, and a progress listener that throws', async () => {
    const { pending, open, last } = table();
    const answer = open({
      onProgress: () => {
        throw new Error('listener');
      },
    });
    expect(pending.progress('c99', { progress: 1 })).toBe(false);
    expect(pending.progress(0, { progress: 1 })).toBe(false);
    expect(pending.progress(last().id, { progress: 1 })).toBe(true);
    pending.settle({ id: last().id, result: { ok: 1 } });
    expect(await answer).toEqual({ ok: 1 });
  });

  it('end at once when the caller aborts, with the reason as cause; the server is told before', async () => {
    const { told, open } = table();
    const controller = new AbortController();
    const sent = failure(open({ signal: controller.signal }));
    const unsent = failure(open({ signal: controller.signal }, false));
    const reason = new Error('enough');
    controller.abort(reason);
    expect(told).toEqual(['c0 cancelled by the caller']);
    expect(await sent).toMatchObject({
      code: 'CANCELLED',
      message: 'cancelled by the caller',
      executed: 'unknown',
      cause: reason,
    });
    expect(await unsent).toMatchObject({ code: 'CANCELLED', executed: 'no', cause: reason });
  });

  it('runs what ends a request early on its transport, once', async () => {
    const { pending, open, last } = table();
    const controller = new AbortController();
    let stopped = 0;
    const failed = failure(open({ signal: controller.signal }));
    last().stop = () => stopped++;
    controller.abort();
    controller.abort();
    pending.failAll(new Error('lost'));
    await failed;
    expect(stopped).toBe(1);
  });

  it('F1: a lost connection makes what was sent OUTCOME_UNKNOWN and the rest CONNECT_FAILED', async () => {
    const { clock, pending, open } = table();
    const sent = failure(open());
    const unsent = failure(open({}, false));
    const reason = new Error('the server exited with code 1');
    pending.failAll(reason);
    expect(await sent).toMatchObject({
      code: 'OUTCOME_UNKNOWN',
      executed: 'unknown',
      cause: reason,
      message: 'the connection was lost before the answer: the server exited with code 1',
      hint: 'The call may have run. Repeat it only if that does no harm.',
    });
    expect(await unsent).toMatchObject({
      code: 'CONNECT_FAILED',
      executed: 'no',
      cause: reason,
      message: 'the connection was lost before the call was sent: the server exited with code 1',
    });
    expect([pending.size, clock.timers]).toEqual([0, 0]);
  });

  it('rejects with what sending throws', async () => {
    const { clock, pending } = table();
    const options = { deadline: clock.now() + 10, timeoutMs: 10, silenceMs: 0 };
    const failed = failure(
      pending.open('x', options, () => {
        throw new Error('cannot send');
      }),
    );
    expect(await failed).toMatchObject({ message: 'cannot send' });
    // Nothing of it was handed over, unless it says so.
    let sent: boolean | undefined;
    void pending.open('x', options, (request) => {
      sent = request.sent;
      pending.settle({ id: request.id, result: {} });
    });
    expect(sent).toBe(false);
    // It ended while it was sent: nothing is left to look after.
    expect([pending.size, clock.timers]).toEqual([0, 0]);
  });

  it('are found by their ids while they are under way', async () => {
    const { pending, open, last } = table();
    const answer = open();
    const { id } = last();
    expect([pending.has(id), pending.get(id), pending.has('c9'), pending.get('c9')]).toEqual([
      true,
      last(),
      false,
      undefined,
    ]);
    pending.settle({ id, result: {} });
    await answer;
    expect([pending.has(id), pending.get(id)]).toEqual([false, undefined]);
  });

  it('are given up on the server where they were sent, when the connection is closed', () => {
    const { pending, told, open } = table();
    void open();
    void open({}, false);
    void open();
    pending.cancelAll('closed');
    expect(told).toEqual(['c0 closed', 'c2 closed']);
    expect(pending.size).toBe(3);
  });

  it('do not count silence while their caller is asked, and count it anew from the last reply on', async () => {
    const { clock, pending, open, last } = table();
    const watchers: Watcher[] = [{ over: () => {} }, { over: () => {} }];
    const seen = watch(open({ forMs: 10_000, silenceMs: 100 }));
    await clock.advance(50);
    for (const watcher of watchers) pending.asking(last(), watcher);
    await clock.advance(500);
    expect(seen.settled).toBe(false);
    pending.answered(last(), watchers[0]!);
    await clock.advance(500);
    expect(seen.settled).toBe(false);
    pending.answered(last(), watchers[1]!);
    await clock.advance(99);
    // What was not asked, or was answered before, is no sign of life.
    pending.answered(last(), watchers[1]!);
    expect(seen.settled).toBe(false);
    await clock.advance(4);
    expect(seen.error).toMatchObject({ message: 'no answer and no progress for 100 ms' });
    // A reply that comes too late for its request sets nothing going.
    pending.answered(last(), watchers[1]!);
    expect(clock.timers).toBe(0);
    const never = open();
    pending.answered(last(), watchers[0]!);
    pending.settle({ id: last().id, result: {} });
    expect(await never).toEqual({});
  });

  it('tell whoever asks their caller that they are over, however they end, and that it was the caller’s time', async () => {
    const { clock, pending, open, last } = table();
    const over: string[] = [];
    const watcher: Watcher = { over: ({ id }) => over.push(id) };
    const answered = open();
    pending.asking(last(), watcher);
    pending.settle({ id: last().id, result: {} });
    await answered;
    const late = failure(open({ forMs: 100, silenceMs: 10 }));
    pending.asking(last(), watcher);
    await clock.advance(150);
    expect((await late).message).toBe('timed out after 100 ms, while its caller was asked for input');
    // The watcher still stands there: a reply changes nothing for a request that is over.
    pending.answered(last(), watcher);
    expect([over, clock.timers]).toEqual([['c0', 'c1'], 0]);
  });

  it('remember whose they were when they are given up, since their server may go on asking', async () => {
    const { pending, open } = table();
    const asker = {} as Asker;
    const other = {} as Asker;
    const controller = new AbortController();
    const unasked = failure(open({ signal: controller.signal }));
    const unsent = failure(open({ signal: controller.signal, ask: asker }, false));
    controller.abort();
    await Promise.all([unasked, unsent]);
    expect(pending.givenUp.otherThan(other)).toBe(false);
    const again = new AbortController();
    const sent = failure(open({ signal: again.signal, ask: asker }));
    again.abort();
    await sent;
    expect([pending.givenUp.otherThan(other), pending.givenUp.otherThan(asker)]).toEqual([true, false]);
  });

  it('keep one timer, whatever progress comes, also where nobody listens for it', async () => {
    const { clock, pending, open, last } = table();
    const answer = open({ forMs: 1_000, silenceMs: 50 });
    for (let i = 0; i < 20; i++) {
      await clock.advance(20);
      expect(pending.progress(last().id, { progress: i })).toBe(true);
      expect(clock.timers).toBe(1);
    }
    pending.settle({ id: last().id, result: {} });
    expect(await answer).toEqual({});
  });

  it('looks at a thousand deadlines that fall together in one sweep', async () => {
    const { clock, open } = table();
    let armed = 0;
    const after = clock.after.bind(clock);
    clock.after = (ms, fn) => {
      armed++;
      return after(ms, fn);
    };
    const failed = Array.from({ length: 1_000 }, (_, i) => failure(open({ forMs: 100 + (i >> 1) / 500 })));
    expect([clock.timers, armed]).toEqual([1, 1]);
    clock.jump(110);
    expect(armed).toBeLessThan(4);
    const codes = (await Promise.all(failed)).map((error) => error['code']);
    expect(new Set(codes)).toEqual(new Set(['TIMEOUT']));
    expect(clock.timers).toBe(0);
  });

  it('F33: leaves no entry, timer or listener, whatever ends the requests', async () => {
    const end = fc.constantFrom('answer', 'abort', 'deadline', 'fail', 'progress' as const);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(end, fc.integer({ min: 1, max: 100 })), { maxLength: 60, size: 'max' }),
        async (plan) => {
          const { clock, pending, open, last } = table();
          const controllers = [new AbortController(), new AbortController()];
          let settled = 0;
          const requests = plan.map(([how, forMs], i) => {
            const { signal } = controllers[i % 2]!;
            const done = (): void => void settled++;
            open({ forMs, silenceMs: i % 3 === 0 ? 50 : 0, signal }, i % 2 === 0).then(done, done);
            return { how, request: last() };
          });
          for (const { how, request } of requests) {
            if (how === 'answer') pending.settle({ id: request.id, result: {} });
            else if (how === 'fail') pending.fail(request, new Error('x'));
            else if (how === 'progress') pending.progress(request.id, { progress: 1 });
            else if (how === 'deadline') clock.jump(3);
          }
          controllers[0]!.abort();
          clock.jump(200);
          clock.jump(200);
          await settle(1);
          expect(settled).toBe(plan.length);
          expect([pending.size, clock.timers]).toEqual([0, 0]);
          for (const { signal } of controllers) expect(getEventListeners(signal, 'abort')).toHaveLength(0);
        },
      ),
      { seed: 31, numRuns: 150 },
    );
  });
});
