/** Knows the whole table of an endpoint's life: which state follows which event, the back-off, and when it gives up. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type EndpointEvent,
  type EndpointState,
  FAILED_WINDOW_MS,
  MAX_FAILED_STARTS,
  next,
  PROBE_MS,
  RESTART_DELAY_MS,
  RESTART_MAX_DELAY_MS,
} from '../../src/endpoint/machine.js';
import { StoreError } from '../../src/errors.js';

const NOW = 500_000;
const reason = new StoreError('CONNECT_FAILED', 'before');
const error = new StoreError('START_FAILED', 'now');
const auth = new StoreError('AUTH_REQUIRED', 'credentials');
const forbidden = new StoreError('FORBIDDEN', 'refused');
const missing = new StoreError('SPAWN_FAILED', 'no such command', { figures: { retryable: false } });

const states = {
  registered: { name: 'registered' },
  starting: { name: 'starting', attempt: 2, failures: [NOW - 1_000] },
  ready: { name: 'ready', since: NOW - 5_000, failures: [NOW - 6_000] },
  reconnecting: { name: 'reconnecting', attempt: 1, nextTryAt: NOW, reason, failures: [NOW - 100] },
  failed: { name: 'failed', reason, nextTryAt: NOW + 100 },
  auth_required: { name: 'auth_required', reason: auth },
  stopped: { name: 'stopped' },
} satisfies Record<string, EndpointState>;

const events = {
  use: { type: 'use' },
  opened: { type: 'opened' },
  open_failed: { type: 'open_failed', error, random: 0.5 },
  lost: { type: 'lost', error, answered: true, expired: false, random: 0.5 },
  expired: { type: 'lost', error, answered: true, expired: true, random: 0.5 },
  'lost unused': { type: 'lost', error, answered: false, expired: false, random: 0.5 },
  idle: { type: 'idle' },
  due: { type: 'due' },
  stop: { type: 'stop' },
  reset: { type: 'reset' },
} satisfies Record<string, EndpointEvent>;

/** What each event makes of each state, with its effects; `-` is: nothing happens. */
const TABLE: Record<keyof typeof events, Record<keyof typeof states, string>> = {
  use: {
    registered: 'starting open',
    starting: '-',
    ready: '-',
    reconnecting: '-',
    failed: '-',
    auth_required: '-',
    stopped: '-',
  },
  opened: {
    registered: 'ready',
    starting: 'ready',
    ready: 'ready',
    reconnecting: 'ready',
    failed: 'ready',
    auth_required: 'ready',
    stopped: '-',
  },
  open_failed: {
    registered: '-',
    starting: 'reconnecting refuse timer',
    ready: '-',
    reconnecting: '-',
    failed: '-',
    auth_required: '-',
    stopped: '-',
  },
  lost: {
    registered: '-',
    starting: '-',
    ready: 'reconnecting timer',
    reconnecting: '-',
    failed: '-',
    auth_required: '-',
    stopped: '-',
  },
  expired: {
    registered: '-',
    starting: '-',
    ready: 'starting open',
    reconnecting: '-',
    failed: '-',
    auth_required: '-',
    stopped: '-',
  },
  'lost unused': {
    registered: '-',
    starting: '-',
    ready: 'reconnecting refuse timer',
    reconnecting: '-',
    failed: '-',
    auth_required: '-',
    stopped: '-',
  },
  idle: {
    registered: '-',
    starting: '-',
    ready: 'registered',
    reconnecting: '-',
    failed: '-',
    auth_required: '-',
    stopped: '-',
  },
  due: {
    registered: '-',
    starting: '-',
    ready: '-',
    reconnecting: 'starting open',
    failed: 'starting open',
    auth_required: '-',
    stopped: '-',
  },
  stop: {
    registered: 'stopped',
    starting: 'stopped',
    ready: 'stopped',
    reconnecting: 'stopped',
    failed: 'stopped',
    auth_required: 'stopped',
    stopped: 'stopped',
  },
  reset: {
    registered: 'starting open',
    starting: 'starting open',
    ready: 'starting open',
    reconnecting: 'starting open',
    failed: 'starting open',
    auth_required: 'starting open',
    stopped: 'starting open',
  },
};

const cells = Object.entries(TABLE).flatMap(([event, row]) =>
  Object.entries(row).map(([state, follows]) => ({ event, state, follows })),
) as { event: keyof typeof events; state: keyof typeof states; follows: string }[];

/** Starts fail one after the other, each as soon as the machine allows it; gives the delays and the last state. */
function failingStarts(
  randoms: readonly number[],
  took: number,
  failWith = error,
): { delays: number[]; state: EndpointState } {
  let now = NOW;
  let { state } = next(states.registered, { type: 'use' }, now);
  const delays: number[] = [];
  for (const random of randoms) {
    now += took;
    ({ state } = next(state, { type: 'open_failed', error: failWith, random }, now));
    if (state.name !== 'reconnecting') break;
    delays.push(state.nextTryAt - now);
    now = state.nextTryAt;
    ({ state } = next(state, { type: 'due' }, now));
  }
  return { delays, state };
}

describe('the life of an endpoint', () => {
  it.each(cells)('$state, $event: $follows', ({ event, state, follows }) => {
    const before: EndpointState = states[state];
    const step = next(before, events[event], NOW);
    if (follows === '-') expect(step).toEqual({ state: before, effects: [] });
    else {
      expect([step.state.name, ...step.effects.map(({ type }) => type)].join(' ')).toBe(follows);
      // Times that are waited for are the ones that are told.
      for (const effect of step.effects)
        if (effect.type === 'timer') expect((step.state as { nextTryAt: number }).nextTryAt).toBe(effect.at);
    }
  });

  it('is pure: the same question has the same answer, and the state that was given stays as it was', () => {
    const deep = JSON.stringify(states);
    for (const { event, state } of cells)
      expect(next(states[state], events[event], NOW)).toEqual(next(states[state], events[event], NOW));
    expect(JSON.stringify(states)).toBe(deep);
  });

  it('doubles its back-off from 0.5 s up to 60 s, each delay uniform between 0 and that', () => {
    const full = failingStarts([1, 1, 1, 1], 1);
    expect(full.delays).toEqual([500, 1_000, 2_000, 4_000]);
    expect(failingStarts([0, 0, 0, 0], 1).delays).toEqual([0, 0, 0, 0]);
    expect(failingStarts([0.5, 0.25, 0.5, 0.25], 1).delays).toEqual([250, 250, 1_000, 1_000]);
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { minLength: 1, maxLength: 30 }),
        fc.integer({ min: 1, max: 40_000 }),
        (randoms, took) => {
          for (const [i, delay] of failingStarts(randoms, took).delays.entries()) {
            expect(delay).toBeGreaterThanOrEqual(0);
            expect(delay).toBeLessThanOrEqual(Math.min(RESTART_DELAY_MS * 2 ** i, RESTART_MAX_DELAY_MS));
          }
        },
      ),
      { seed: 51, numRuns: 300 },
    );
  });

  it('F5: gives up after five failed starts within 60 s, refuses whoever waits and looks again after 5 min', () => {
    const { delays, state } = failingStarts([0, 0, 0, 0, 0, 0, 0], 100);
    expect(delays).toHaveLength(MAX_FAILED_STARTS - 1);
    expect(state).toEqual({ name: 'failed', reason: error, nextTryAt: NOW + 500 + PROBE_MS });
    const last: EndpointState = { name: 'starting', attempt: 5, failures: [NOW - 4, NOW - 3, NOW - 2, NOW - 1] };
    const step = next(last, events.open_failed, NOW);
    expect(step.effects).toEqual([
      { type: 'refuse', error },
      { type: 'timer', at: NOW + PROBE_MS },
    ]);
  });

  it('does not give up on failures that are further apart', () => {
    const slow = failingStarts(new Array<number>(50).fill(0), FAILED_WINDOW_MS / 4 + 1);
    expect(slow.state.name).toBe('starting');
    expect(slow.delays).toHaveLength(50);
  });

  it('gives up at once on what repeating cannot mend', () => {
    const step = next(states.starting, { type: 'open_failed', error: missing, random: 0.5 }, NOW);
    expect(step.state).toEqual({ name: 'failed', reason: missing, nextTryAt: NOW + PROBE_MS });
  });

  it.each([auth, forbidden])('waits for other credentials after $code, without a timer', (refused) => {
    const step = next(states.starting, { type: 'open_failed', error: refused, random: 0.5 }, NOW);
    expect(step.state).toEqual({ name: 'auth_required', reason: refused });
    expect(step.effects).toEqual([{ type: 'refuse', error: refused }]);
    for (const event of [events.use, events.due, events.idle])
      expect(next(step.state, event, NOW).state).toBe(step.state);
    expect(next(step.state, events.reset, NOW).state.name).toBe('starting');
  });

  it('takes the server’s own word on when to come back over its back-off', () => {
    const asked = new StoreError('RATE_LIMITED', 'later', { figures: { retryAfterMs: 7_000 } });
    const step = next(states.starting, { type: 'open_failed', error: asked, random: 0 }, NOW);
    expect(step.state).toMatchObject({ name: 'reconnecting', nextTryAt: NOW + 7_000 });
  });

  it('forgets earlier failures of a server that answered, and counts one that never did', () => {
    const lost = next(states.ready, events.lost, NOW).state;
    expect(lost).toMatchObject({ failures: [], nextTryAt: NOW + 0.5 * RESTART_DELAY_MS });
    // Four loud starts that served nobody and one more: that is a crash loop.
    let state: EndpointState = { name: 'ready', since: NOW, failures: [NOW - 4, NOW - 3, NOW - 2, NOW - 1] };
    ({ state } = next(state, events['lost unused'], NOW));
    expect(state.name).toBe('failed');
  });

  it('begins afresh with a reset', () => {
    expect(next(states.starting, events.reset, NOW).state).toEqual({ name: 'starting', attempt: 1, failures: [] });
  });

  it('never waits without a timer or an opening, whatever happens to it', () => {
    const names = Object.keys(events) as (keyof typeof events)[];
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(...names), fc.nat(30_000)), { maxLength: 80 }), (plan) => {
        let state: EndpointState = { name: 'registered' };
        let now = NOW;
        let opening = 0;
        let timer: number | undefined;
        for (const [name, ms] of plan) {
          now += ms;
          if ((name === 'opened' || name === 'open_failed') && opening === 0) continue;
          if (name === 'due' && timer === undefined) continue;
          if (name === 'opened' || name === 'open_failed') opening--;
          const step = next(state, events[name], now);
          if (step.state !== state) timer = undefined;
          for (const effect of step.effects) {
            if (effect.type === 'open') opening++;
            if (effect.type === 'timer') timer = effect.at;
          }
          state = step.state;
          if (state.name === 'reconnecting' || state.name === 'failed') expect(timer).toBe(state.nextTryAt);
          if (state.name === 'starting') expect(opening).toBeGreaterThan(0);
          if ('failures' in state) expect(state.failures.length).toBeLessThan(MAX_FAILED_STARTS + 1);
        }
      }),
      { seed: 52, numRuns: 500 },
    );
  });
});
