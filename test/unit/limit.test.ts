/** Knows how a service's one line of calls has to behave: in turn, bounded, refused with figures, left at once. */

import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { onAbort } from '../../src/_util/abort.js';
import type { Call } from '../../src/call.js';
import { Limit } from '../../src/service/limit.js';
import { fakeCall, permitted } from '../support/fake-call.js';
import { FakeClock, failure, settle, watch } from '../support/fake-clock.js';

function line(options: { maxConcurrentCalls?: number; queueLimit?: number } = {}): {
  clock: FakeClock;
  limit: Limit;
  begun: number[];
  call(id: number, fields?: Parameters<typeof fakeCall>[1]): Promise<Record<string, unknown>>;
  end(id: number, error?: Error): void;
  calls: Map<number, Call>;
} {
  const clock = new FakeClock();
  const limit = new Limit({ maxConcurrentCalls: 2, queueLimit: 100, ...options, clock });
  const begun: number[] = [];
  const ends = new Map<number, (error?: Error) => void>();
  const calls = new Map<number, Call>();
  const handle = permitted(limit, (call) => {
    const id = call.params['id'] as number;
    begun.push(id);
    return new Promise((resolve, reject) => ends.set(id, (error) => (error ? reject(error) : resolve({ id }))));
  });
  return {
    clock,
    limit,
    begun,
    call: (id, fields) => {
      const call = fakeCall(clock, { ...fields, params: { id } });
      calls.set(id, call);
      return handle(call);
    },
    end: (id, error) => ends.get(id)!(error),
    calls,
  };
}

describe('a service’s limit', () => {
  it('runs so many at a time and the others in turn', async () => {
    const { begun, call, end, limit } = line();
    const done = [1, 2, 3, 4].map((id) => call(id));
    expect(begun).toEqual([1, 2]);
    expect([limit.running, limit.waiting]).toEqual([2, 2]);
    end(2);
    await settle();
    expect(begun).toEqual([1, 2, 3]);
    end(3);
    await settle();
    expect(begun).toEqual([1, 2, 3, 4]);
    end(1);
    end(4);
    expect(await Promise.all(done)).toEqual([1, 2, 3, 4].map((id) => ({ id })));
    expect([limit.running, limit.waiting]).toEqual([0, 0]);
  });

  it('lets nobody overtake: a permit that comes free belongs to the oldest, also before that one goes on', async () => {
    const { begun, call, end } = line({ maxConcurrentCalls: 1 });
    const [first] = [call(1), call(2)];
    end(1);
    await first;
    void call(3);
    await settle();
    expect(begun).toEqual([1, 2]);
    end(2);
    await settle();
    expect(begun).toEqual([1, 2, 3]);
  });

  it('gives the permit on where a call fails', async () => {
    const { begun, call, end } = line({ maxConcurrentCalls: 1 });
    const first = failure(call(1));
    void call(2);
    end(1, new Error('no'));
    expect((await first).message).toBe('no');
    await settle();
    expect(begun).toEqual([1, 2]);
  });

  it('refuses one more than may wait, with the figures', async () => {
    const { call, begun } = line({ maxConcurrentCalls: 1, queueLimit: 2 });
    for (const id of [1, 2, 3]) void call(id);
    expect(await failure(call(4))).toMatchObject({
      code: 'LIMIT_EXCEEDED',
      executed: 'no',
      message: '1 call runs (max 1) and 2 wait (queueLimit 2)',
      figures: { running: 1, waiting: 2, maxConcurrentCalls: 1, queueLimit: 2 },
      hint: 'Call less at a time, or raise calls.queueLimit.',
    });
    expect(begun).toEqual([1]);
  });

  it('lets none wait with queueLimit 0', async () => {
    const { call } = line({ maxConcurrentCalls: 1, queueLimit: 0 });
    void call(1);
    expect(await failure(call(2))).toMatchObject({ code: 'LIMIT_EXCEEDED' });
  });

  it('F32: a call that times out in the queue leaves it at once and never runs', async () => {
    const { clock, begun, call, end, limit } = line({ maxConcurrentCalls: 1 });
    void call(1);
    const late = failure(call(2, { forMs: 100 }));
    void call(3);
    await clock.advance(100);
    expect(await late).toMatchObject({
      code: 'TIMEOUT',
      executed: 'no',
      message: 'timed out after 100 ms in the queue (running 1, max 1, waiting 1)',
      figures: { running: 1, waiting: 1, maxConcurrentCalls: 1, queueLimit: 100, timeoutMs: 100 },
    });
    expect(limit.waiting).toBe(1);
    end(1);
    await settle();
    expect(begun).toEqual([1, 3]);
  });

  it('F32: a call that is cancelled in the queue frees its place at once', async () => {
    const { begun, call, end } = line({ maxConcurrentCalls: 1, queueLimit: 1 });
    void call(1);
    const controller = new AbortController();
    const reason = new Error('enough');
    const gone = failure(call(2, { signal: controller.signal }));
    expect(await failure(call(3))).toMatchObject({ code: 'LIMIT_EXCEEDED' });
    controller.abort(reason);
    const next = watch(call(4));
    expect(await gone).toMatchObject({ code: 'CANCELLED', executed: 'no', cause: reason });
    end(1);
    await settle();
    expect([begun, next.settled]).toEqual([[1, 4], false]);
  });

  it('fails what waits when the service is closed, and nothing that runs', async () => {
    const { call, end, limit } = line({ maxConcurrentCalls: 1 });
    const running = call(1);
    const waiting = failure(call(2));
    limit.refuse(() => new Error('closed'));
    expect((await waiting).message).toBe('closed');
    end(1);
    expect(await running).toEqual({ id: 1 });
  });

  it('F33: leaves no permit, place, timer or listener after 100,000 cancels in all phases', async () => {
    const clock = new FakeClock(7);
    const limit = new Limit({ maxConcurrentCalls: 16, queueLimit: 10_000, clock });
    const shared = new AbortController();
    let running = 0;
    let most = 0;
    const handle = permitted(limit, async (call) => {
      most = Math.max(most, ++running);
      try {
        await new Promise<void>((resolve, reject) => {
          const timer = clock.after(call.params['ms'] as number, () => {
            off();
            resolve();
          });
          const off = onAbort(call.signal!, () => {
            timer.cancel();
            reject(new Error('cancelled while it ran'));
          });
        });
        return {};
      } finally {
        running--;
      }
    });
    const ended: Promise<unknown>[] = [];
    let cancelled = 0;
    for (let i = 0; i < 100_000; i++) {
      const controller = new AbortController();
      const signal = i % 10 === 0 ? shared.signal : controller.signal;
      const call = fakeCall(clock, {
        signal,
        forMs: 1 + Math.floor(clock.random() * 20),
        params: { ms: clock.random() * 3 },
      });
      ended.push(
        handle(call).then(
          () => {},
          () => void cancelled++,
        ),
      );
      const when = clock.random();
      if (when < 0.5) controller.abort();
      else if (when < 0.8) clock.after(clock.random() * 10, () => controller.abort());
      if (i % 50 === 0) {
        clock.jump(1);
        await settle(1);
      }
    }
    shared.abort();
    await clock.advance(1_000);
    await Promise.all(ended);
    expect(cancelled).toBeGreaterThan(50_000);
    expect(most).toBe(16);
    expect([limit.running, limit.waiting, running, clock.timers]).toEqual([0, 0, 0, 0]);
    expect(getEventListeners(shared.signal, 'abort').length).toBe(0);
  }, 60_000);
});
