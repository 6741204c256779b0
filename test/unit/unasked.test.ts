/** Knows how much a server may say unasked: a burst, a rate, the last word of each kind, and when it is started anew. */

import { describe, expect, it } from 'vitest';
import { UnaskedBudget } from '../../src/connection/unasked.js';
import { FakeClock } from '../support/fake-clock.js';

interface Message {
  method: string;
  params: Record<string, unknown>;
}

const log = (data: number, more: Record<string, unknown> = {}): Message => ({
  method: 'notifications/message',
  params: { level: 'info', data, ...more },
});

function budget(): {
  clock: FakeClock;
  own: UnaskedBudget;
  later: unknown[];
  ends: string[];
  /** How many of so many go on at once. */
  say: (count: number) => number;
} {
  const clock = new FakeClock();
  const later: unknown[] = [];
  const ends: string[] = [];
  const own = new UnaskedBudget(clock, {
    onmessage: (message) => later.push((message as Message).params['data']),
    onretire: (reason) => ends.push(reason.message),
  });
  const say = (count: number): number => {
    let passed = 0;
    for (let n = 0; n < count; n++) if (own.take(log(n), true)) passed++;
    return passed;
  };
  return { clock, own, later, ends, say };
}

describe('F11: what a server says unasked', () => {
  it('passes up to 2,000 at once, then 1,000 a second', async () => {
    const { clock, say } = budget();
    expect(say(5_000)).toBe(2_000);
    await clock.advance(500);
    expect(say(5_000)).toBe(500);
    await clock.advance(60_000);
    expect(say(5_000)).toBe(2_000);
  });

  it('of the rest keeps the last one of each kind, and hands it on after 250 ms', async () => {
    const { clock, own, later, say } = budget();
    say(3_000);
    own.take(log(1, { level: 'error' }), true);
    own.take(log(2, { logger: 'db' }), true);
    for (const n of [3, 4])
      own.take({ method: 'notifications/resources/updated', params: { uri: `x:${n}`, data: n } }, true);
    own.take(log(5), true);
    await clock.advance(249);
    expect(later).toEqual([]);
    await clock.advance(1);
    expect(later).toEqual([1, 2, 3, 4, 5]);
    expect(own.dropped).toBe(1_000);
    await clock.advance(10_000);
    expect(later.length).toBe(5);
    expect(clock.timers).toBe(0);
  });

  it('never hands on what a later one of its kind has overtaken', async () => {
    const { clock, own, later, say } = budget();
    say(2_001);
    await clock.advance(100);
    expect(own.take(log(7), true)).toBe(true);
    await clock.advance(1_000);
    expect(later).toEqual([]);
  });

  it('keeps no more than a hundred kinds, and no request', async () => {
    const { clock, own, later, say } = budget();
    expect(say(2_000)).toBe(2_000);
    for (let n = 0; n < 1_000; n++)
      own.take({ method: 'notifications/resources/updated', params: { uri: `x:${n}` } }, true);
    expect(own.take({ method: 'roots/list', params: {} }, false)).toBe(false);
    await clock.advance(250);
    expect(later.length).toBe(100);
  });

  it('is too much once it has gone on for 10 s, which is told once', async () => {
    const { clock, ends, say } = budget();
    for (let ms = 0; ms < 9_900; ms += 100) {
      say(1_000);
      await clock.advance(100);
    }
    expect(ends).toEqual([]);
    for (let ms = 0; ms < 5_000; ms += 100) {
      say(1_000);
      await clock.advance(100);
    }
    expect(ends.length).toBe(1);
    expect(ends[0]).toMatch(/^the server said more than 1000 things a second unasked for 10 s \(\d+ were left out\)$/);
  });

  it('is never too much where it pauses', async () => {
    const { clock, ends, say } = budget();
    for (let round = 0; round < 20; round++) {
      for (let ms = 0; ms < 5_000; ms += 100) {
        say(1_000);
        await clock.advance(100);
      }
      await clock.advance(1_500);
    }
    expect(ends).toEqual([]);
  });

  it('leaves no timer where the channel ends', async () => {
    const { clock, own, later, say } = budget();
    say(3_000);
    own.close();
    expect(clock.timers).toBe(0);
    await clock.advance(1_000);
    expect(later).toEqual([]);
  });
});
