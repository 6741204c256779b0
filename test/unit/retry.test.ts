/** Knows which failures may be tried again and at what price: verdicts, delays, the budget, and what ends a pause. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Call, Handler } from '../../src/call.js';
import { type ErrorCode, type Executed, StoreError } from '../../src/errors.js';
import { Limit } from '../../src/service/limit.js';
import { delayMs, judge, Retry, type RetryPolicy } from '../../src/service/retry.js';
import { fakeCall, permitted } from '../support/fake-call.js';
import { FakeClock, failure, settle, watch } from '../support/fake-clock.js';

const refused = (): StoreError => new StoreError('CONNECT_FAILED', 'connection refused');
const unknown = (): StoreError => new StoreError('OUTCOME_UNKNOWN', 'reset', { executed: 'unknown' });

function policy(
  clock: FakeClock,
  fields: Partial<Omit<RetryPolicy, 'retry'>> & Partial<RetryPolicy['retry']> = {},
): RetryPolicy {
  const {
    maxRetries = 3,
    retryDelayMs = 1_000,
    strategy = 'exponential',
    jitter = 'none',
    maxDelayMs = 60_000,
  } = fields;
  const { elsewhere = () => false } = fields;
  return { maxRetries, retryDelayMs, retry: { strategy, jitter, maxDelayMs }, clock, elsewhere };
}

/** A hop that fails with what it is given, one error an attempt, and then answers; notes when it was asked. */
function failing(clock: FakeClock, errors: readonly unknown[]): { next: Handler; at: number[] } {
  const since = clock.now();
  const at: number[] = [];
  return {
    at,
    next: () => {
      const error = errors[at.length];
      at.push(clock.now() - since);
      return error === undefined ? Promise.resolve({ ok: 1 }) : Promise.reject(error);
    },
  };
}

async function run(
  errors: readonly unknown[],
  fields: Parameters<typeof policy>[1] = {},
  call: Parameters<typeof fakeCall>[1] = {},
): Promise<{ at: number[]; outcome: unknown; clock: FakeClock }> {
  const clock = new FakeClock();
  const { next, at } = failing(clock, errors);
  const seen = watch(new Retry(policy(clock, fields)).around(next)(fakeCall(clock, call)));
  await clock.advance(1_000_000);
  return { at, outcome: seen.error ?? seen.value, clock };
}

describe('what may be tried again', () => {
  const of = (code: ErrorCode, executed: Executed = 'no', figures: Record<string, unknown> = {}): StoreError =>
    new StoreError(code, 'x', { executed, figures });
  const cases: [string, unknown, boolean, unknown][] = [
    ['refused connect', of('CONNECT_FAILED'), false, 'backoff'],
    ['a child that ended at start', of('START_FAILED', 'no', { retryable: true }), false, 'backoff'],
    ['TLS, unknown host', of('CONNECT_FAILED', 'no', { retryable: false }), true, 'elsewhere'],
    ['a start that stayed silent', of('START_FAILED', 'no', { timeoutMs: 30_000, retryable: true }), true, 'elsewhere'],
    ['a command that is missing', of('SPAWN_FAILED'), true, 'elsewhere'],
    ['a breaker that is open', of('SERVICE_DOWN'), true, 'elsewhere'],
    ['a full queue', of('LIMIT_EXCEEDED'), true, 'final'],
    ['an expired session', of('CONNECT_FAILED', 'no', { sessionExpired: true }), false, 'replay'],
    ['429 with its time', of('RATE_LIMITED', 'no', { retryAfterMs: 250 }), false, { afterMs: 250 }],
    ['429 without one', of('RATE_LIMITED'), true, 'elsewhere'],
    ['an answer that was lost', of('OUTCOME_UNKNOWN', 'unknown'), false, 'final'],
    ['the same, of a call that may be repeated', of('OUTCOME_UNKNOWN', 'unknown'), true, 'backoff'],
    ['an error answer', of('RPC_ERROR', 'yes'), true, 'final'],
    ['a malformed answer', of('PROTOCOL_ERROR', 'yes'), true, 'final'],
    ['a deadline before sending', of('TIMEOUT'), true, 'final'],
    ['a deadline after sending', of('TIMEOUT', 'unknown'), true, 'final'],
    ['the caller’s abort', of('CANCELLED'), true, 'final'],
    ['credentials', of('AUTH_REQUIRED'), true, 'final'],
    ['a refusal', of('FORBIDDEN'), true, 'final'],
    ['a store that is closed', of('STORE_CLOSED'), true, 'final'],
    ['too large an answer', of('MESSAGE_TOO_LARGE', 'yes'), true, 'final'],
    ['429 without any figures', new StoreError('RATE_LIMITED', 'x'), true, 'elsewhere'],
    ['a connect that failed after something was sent', of('CONNECT_FAILED', 'unknown'), true, 'final'],
    ['a thing that is no error of ours', new TypeError('x'), true, 'final'],
    [
      'another library’s error with a code of ours',
      Object.assign(new Error('x'), { code: 'CONNECT_FAILED', executed: 'no' }),
      true,
      'final',
    ],
  ];
  it.each(cases)('%s', (_what, error, repeatable, verdict) => {
    expect(judge(error, { repeatable })).toEqual(verdict);
  });
});

describe('how long it waits', () => {
  const delays = (fields: Parameters<typeof policy>[1]): number[] =>
    [1, 2, 3, 4, 5, 6].map((attempt) => delayMs(attempt, policy(new FakeClock(), { retryDelayMs: 100, ...fields })));

  it.each([
    ['exponential', [100, 200, 400, 800, 1_600, 3_200]],
    ['fixed', [100, 100, 100, 100, 100, 100]],
    ['linear', [100, 200, 300, 400, 500, 600]],
    ['fibonacci', [100, 100, 200, 300, 500, 800]],
  ] as const)('%s', (strategy, expected) => {
    expect(delays({ strategy })).toEqual(expected);
    expect(delays({ strategy, maxDelayMs: 250 })).toEqual(expected.map((ms) => Math.min(ms, 250)));
  });

  it('as a function says, within 0 and the cap', () => {
    expect(delays({ strategy: (attempt) => attempt * 7 })).toEqual([7, 14, 21, 28, 35, 42]);
    expect(delays({ strategy: () => -5 })).toEqual([0, 0, 0, 0, 0, 0]);
    expect(delays({ strategy: () => 1e9, maxDelayMs: 10 })).toEqual([10, 10, 10, 10, 10, 10]);
    expect(delays({ strategy: () => Number.POSITIVE_INFINITY, maxDelayMs: 10 })).toEqual([10, 10, 10, 10, 10, 10]);
    const clock = new FakeClock();
    clock.randoms.push(0.5);
    expect(delayMs(1, policy(clock, { strategy: () => 1e9, maxDelayMs: 10, jitter: 'full' }))).toBe(5);
  });

  it.each([
    ['NaN', (): unknown => Number.NaN, 'got NaN'],
    ['nothing', (): unknown => undefined, 'got undefined'],
    ['a text', (): unknown => '100', 'got string'],
    ['a promise', (): unknown => Promise.resolve(100), 'got object'],
    [
      'its own failure',
      (): unknown => {
        throw new Error('oops');
      },
      'it threw',
    ],
  ])('a function that gives %s is refused', (_what, strategy, got) => {
    const bad = (): number => delayMs(2, policy(new FakeClock(), { strategy: strategy as () => number }));
    expect(bad).toThrow(`calls.retry.strategy: expected a number of milliseconds of the function, ${got}`);
    expect(bad).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID', figures: expect.objectContaining({ attempt: 2 }) }),
    );
  });

  it('stays at the cap where growth leaves what numbers can hold, and at 0 where it begins with 0', () => {
    for (const strategy of ['exponential', 'linear', 'fibonacci'] as const) {
      const of = (retryDelayMs: number): number => delayMs(5_000, policy(new FakeClock(), { strategy, retryDelayMs }));
      expect([of(100), of(0)]).toEqual([60_000, 0]);
    }
  });

  it('jitter only shortens: never above the delay, never above the cap', () => {
    const strategy = fc.constantFrom('exponential', 'fixed', 'linear', 'fibonacci' as const);
    fc.assert(
      fc.property(strategy, fc.nat(60), fc.nat(5_000), fc.nat(20_000), fc.nat(), (kind, n, base, cap, seed) => {
        const fields = { strategy: kind, retryDelayMs: base, maxDelayMs: cap };
        const whole = delayMs(n + 1, policy(new FakeClock(), fields));
        const jittered = delayMs(n + 1, policy(new FakeClock(seed), { ...fields, jitter: 'full' }));
        expect(whole).toBeLessThanOrEqual(cap);
        expect(jittered).toBeGreaterThanOrEqual(0);
        expect(jittered).toBeLessThanOrEqual(whole);
      }),
      { seed: 71 },
    );
    const clock = new FakeClock();
    clock.randoms.push(0.25);
    expect(delayMs(2, policy(clock, { jitter: 'full' }))).toBe(500);
  });
});

describe('trying again', () => {
  it('repeats with growing pauses until it succeeds', async () => {
    const { at, outcome } = await run([refused(), refused()]);
    expect([at, outcome]).toEqual([[0, 1_000, 3_000], { ok: 1 }]);
  });

  it('gives up after maxRetries with the last failure; 0 switches it off', async () => {
    const last = refused();
    const { at, outcome } = await run([refused(), refused(), refused(), last, refused()]);
    expect([at.length, outcome]).toEqual([4, last]);
    expect((await run([last], { maxRetries: 0 })).outcome).toBe(last);
  });

  it('repeats once, at once, where the session had expired; a second refusal is the answer', async () => {
    const expired = (): StoreError => new StoreError('CONNECT_FAILED', '404', { figures: { sessionExpired: true } });
    expect((await run([expired()])).at).toEqual([0, 0]);
    // It is the connection's repair, not a retry: neither the switch nor the budget concerns it.
    expect((await run([expired()], { maxRetries: 0 })).outcome).toEqual({ ok: 1 });
    const twice = await run([expired(), expired()]);
    expect(twice.at).toEqual([0, 0]);
    expect(twice.outcome).toMatchObject({ message: '404' });
    // A retry that went before does not count as one.
    const both = await run([refused(), expired()]);
    expect([both.at, both.outcome]).toEqual([[0, 1_000, 1_000], { ok: 1 }]);
    // Time stands still here.
    const clock = new FakeClock();
    const { next } = failing(clock, [expired()]);
    expect(await new Retry(policy(clock)).around(next)(fakeCall(clock))).toEqual({ ok: 1 });
    expect(clock.timers).toBe(0);
  });

  it('F27: waits as long as the server asks where the deadline allows it, else fails at once with that time', async () => {
    const limited = (retryAfterMs: number): StoreError =>
      new StoreError('RATE_LIMITED', '429', { figures: { retryAfterMs } });
    expect((await run([limited(2_500)])).at).toEqual([0, 2_500]);
    const again = await run([limited(2_500), limited(100)]);
    expect(again.at).toEqual([0, 2_500]);
    expect(again.outcome).toMatchObject({ code: 'RATE_LIMITED', figures: { retryAfterMs: 100 } });
    const absurd = await run([limited(86_400_000)]);
    expect(absurd.at).toEqual([0]);
    expect(absurd.outcome).toMatchObject({ code: 'RATE_LIMITED', figures: { retryAfterMs: 86_400_000 } });
  });

  it('does not begin a pause that would not end before the deadline', async () => {
    const { at, outcome } = await run([refused(), refused(), refused()], {}, { forMs: 2_500 });
    expect(at).toEqual([0, 1_000]);
    expect(outcome).toMatchObject({ code: 'CONNECT_FAILED' });
    expect((await run([refused()], {}, { forMs: 1_000 })).at).toEqual([0]);
    expect((await run([refused()], {}, { forMs: 1_001 })).at).toEqual([0, 1_000]);
  });

  it('does not repeat what its caller was asked for: nobody is asked twice for one call', async () => {
    const clock = new FakeClock();
    let attempts = 0;
    const handle = new Retry(policy(clock)).around((call) => {
      attempts++;
      call.record.asked++;
      return Promise.reject(unknown());
    });
    const seen = watch(handle(fakeCall(clock, { repeatable: true })));
    await clock.advance(10_000);
    expect(attempts).toBe(1);
    expect(seen.error).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  });

  it('repeats a call whose outcome is unknown only where that does no harm', async () => {
    expect((await run([unknown()])).at).toEqual([0]);
    expect((await run([unknown()], {}, { repeatable: true })).at).toEqual([0, 1_000]);
  });

  it('ends a pause at once when the caller aborts, and does not try again', async () => {
    const clock = new FakeClock();
    const controller = new AbortController();
    const { next, at } = failing(clock, [refused()]);
    const reason = new Error('enough');
    const seen = watch(new Retry(policy(clock)).around(next)(fakeCall(clock, { signal: controller.signal })));
    await clock.advance(10);
    controller.abort(reason);
    await settle();
    expect(seen.error).toMatchObject({
      code: 'CANCELLED',
      message: 'cancelled by the caller',
      executed: 'no',
      cause: reason,
    });
    await clock.advance(10_000);
    expect([at, clock.timers]).toEqual([[0], 0]);
  });

  it('does not try again once the caller has aborted, also where no pause is due', async () => {
    const clock = new FakeClock();
    const controller = new AbortController();
    let asked = 0;
    const next: Handler = () => {
      asked++;
      controller.abort();
      return Promise.reject(new StoreError('CONNECT_FAILED', '404', { figures: { sessionExpired: true } }));
    };
    const error = await failure(new Retry(policy(clock)).around(next)(fakeCall(clock, { signal: controller.signal })));
    expect(asked).toBe(1);
    expect(error).toMatchObject({ code: 'CANCELLED' });
  });

  it('never says that a call did not run after an attempt whose outcome is unknown', async () => {
    const repeatable = { repeatable: true };
    const later = await run([unknown(), refused(), refused(), refused()], {}, repeatable);
    expect(later.outcome).toMatchObject({ code: 'CONNECT_FAILED', executed: 'unknown' });
    const clock = new FakeClock();
    const controller = new AbortController();
    const { next } = failing(clock, [unknown()]);
    const call = fakeCall(clock, { ...repeatable, signal: controller.signal });
    const seen = watch(new Retry(policy(clock)).around(next)(call));
    await clock.advance(10);
    controller.abort();
    await settle();
    expect(seen.error).toMatchObject({ code: 'CANCELLED', executed: 'unknown' });
    // An answer of a later attempt is an answer.
    const answered = new StoreError('RPC_ERROR', 'bad', { executed: 'yes' });
    expect((await run([unknown(), answered], {}, repeatable)).outcome).toBe(answered);
  });

  it('ends where its function gives no number, and says what the attempt became', async () => {
    const strategy = (): number => Number.NaN;
    expect((await run([refused()], { strategy })).outcome).toMatchObject({
      code: 'OPTION_INVALID',
      executed: 'no',
      hint: 'The attempt before had failed: CONNECT_FAILED: connection refused',
    });
    const lost = await run([unknown()], { strategy }, { repeatable: true });
    expect(lost.outcome).toMatchObject({ code: 'OPTION_INVALID', executed: 'unknown' });
    expect(lost.clock.timers).toBe(0);
  });

  it('holds no permit while it pauses', async () => {
    const clock = new FakeClock();
    const limit = new Limit({ maxConcurrentCalls: 1, queueLimit: 10, clock });
    const { next } = failing(clock, [refused()]);
    const handle = new Retry(policy(clock)).around(permitted(limit, next));
    const first = watch(handle(fakeCall(clock)));
    await clock.advance(500);
    expect([first.settled, limit.running]).toEqual([false, 0]);
    expect(await handle(fakeCall(clock))).toEqual({ ok: 1 });
    await clock.advance(500);
    expect(first.value).toEqual({ ok: 1 });
  });

  it('ends its pauses when the service is closed', async () => {
    const clock = new FakeClock();
    const { next, at } = failing(clock, [refused()]);
    const retries = new Retry(policy(clock));
    const seen = watch(retries.around(next)(fakeCall(clock)));
    await clock.advance(10);
    retries.refuse(() => new StoreError('STORE_CLOSED', 'closed'));
    await settle();
    expect(seen.error).toMatchObject({ code: 'STORE_CLOSED' });
    expect([at.length, clock.timers]).toEqual([1, 0]);
  });

  it('begins no pause once the service is closed: what was under way ends with its own failure', async () => {
    const clock = new FakeClock();
    const retries = new Retry(policy(clock));
    const last = refused();
    let fail: ((error: Error) => void) | undefined;
    const attempt = new Promise<never>((_resolve, reject) => {
      fail = reject;
    });
    const seen = watch(retries.around(() => attempt)(fakeCall(clock)));
    retries.refuse(() => new StoreError('STORE_CLOSED', 'closed'));
    fail!(last);
    await settle();
    expect([seen.error, clock.timers]).toEqual([last, 0]);
  });
});

describe('F36: the budget', () => {
  /** A full outage: so many calls a second for so many seconds, every attempt refused; looked at at each attempt. */
  async function outage(
    perSecond: number,
    seconds: number,
  ): Promise<{ calls: number; attempts: number; over: number }> {
    const clock = new FakeClock();
    const since = clock.now();
    const seen = { calls: 0, attempts: 0, over: 0 };
    const handle = new Retry(policy(clock, { retryDelayMs: 10 })).around(() => {
      const allowed = 1.2 * seen.calls + (3 * (clock.now() - since)) / 1_000;
      seen.over = Math.max(seen.over, ++seen.attempts - allowed);
      return Promise.reject(refused());
    });
    const ended: Promise<unknown>[] = [];
    for (let i = 0; i < perSecond * seconds; i++) {
      seen.calls++;
      ended.push(handle(fakeCall(clock)).catch(() => {}));
      await settle(1);
      clock.jump(1_000 / perSecond);
    }
    await clock.advance(60_000);
    await Promise.all(ended);
    return seen;
  }

  it.each([
    [5, 60],
    [50, 20],
    [500, 4],
  ])('at %i calls a second for %i s: attempts within 1.2 × calls + 3 × seconds', async (perSecond, seconds) => {
    const { calls, attempts, over } = await outage(perSecond, seconds);
    expect(over).toBeLessThan(0.001);
    expect(attempts).toBeGreaterThan(calls);
  });

  it('makes a retry wait for its turn, and refuses it where too many wait', async () => {
    const clock = new FakeClock();
    const since = clock.now();
    const at: number[] = [];
    const first = new WeakSet<Call>();
    const handle = new Retry(policy(clock, { retryDelayMs: 0 })).around((call) => {
      if (first.has(call)) at.push(Math.round(clock.now() - since));
      if (first.has(call)) return Promise.resolve({});
      first.add(call);
      return Promise.reject(refused());
    });
    const calls = Array.from({ length: 60 }, () => watch(handle(fakeCall(clock))));
    await clock.advance(20_000);
    // 60 × 0.2 are there at once, the others come in at 3 a second, and 30 of them may be owed.
    expect(at.filter((ms) => ms === 0)).toHaveLength(12);
    expect(at.slice(12, 15)).toEqual([333, 667, 1_000]);
    expect(calls.filter(({ error }) => error !== undefined)).toHaveLength(60 - at.length);
    expect(at.length).toBeGreaterThanOrEqual(41);
    expect(at.length).toBeLessThanOrEqual(42);
  });

  it('goes elsewhere at once where another endpoint can take the call, and only there with what repeating cannot mend', async () => {
    const missing = (): StoreError =>
      new StoreError('SPAWN_FAILED', 'no such command', { figures: { retryable: false } });
    const alone = missing();
    expect(await run([alone])).toMatchObject({ at: [0], outcome: alone });
    const { at, outcome } = await run([missing(), refused()], { elsewhere: () => true });
    expect(outcome).toEqual({ ok: 1 });
    // The budget alone makes it wait: 0.2 for the call, the rest at 3 a second.
    expect(at.map(Math.round)).toEqual([0, 267, 600]);
  });

  it('is not spent on sessions that had expired', async () => {
    const clock = new FakeClock();
    const expired = new StoreError('CONNECT_FAILED', '404', { figures: { sessionExpired: true } });
    const retries = new Retry(policy(clock, { retryDelayMs: 0 }));
    for (let i = 0; i < 5; i++) await retries.around(failing(clock, [expired]).next)(fakeCall(clock));
    // 6 × 0.2 are there, so the next retry need not wait.
    expect(await retries.around(failing(clock, [refused()]).next)(fakeCall(clock))).toEqual({ ok: 1 });
    expect(clock.timers).toBe(0);
  });

  it('does not limit the retries of a service that rarely fails', async () => {
    const clock = new FakeClock();
    const handle = new Retry(policy(clock, { retryDelayMs: 10 }));
    for (let i = 0; i < 50; i++) {
      const { next } = failing(clock, [refused(), refused(), refused()]);
      const seen = watch(handle.around(next)(fakeCall(clock)));
      await clock.advance(1_000);
      expect(seen.value).toEqual({ ok: 1 });
    }
  });
});
