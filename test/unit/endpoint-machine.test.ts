/** Knows the whole table of an endpoint's life: which state follows which event, the back-off, and when it gives up. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  FAILED_WINDOW_MS,
  MAX_FAILED_STARTS,
  OUT_MAX_MS,
  OUT_MS,
  PROBE_MS,
  RESTART_DELAY_MS,
  RESTART_MAX_DELAY_MS,
  TRIP_FAILURES,
  TRIP_WINDOW_MS,
} from '../../src/endpoint/limits.js';
import { type EndpointEvent, type EndpointState, type History, NO_HISTORY, next } from '../../src/endpoint/machine.js';
import { StoreError } from '../../src/errors.js';

const NOW = 500_000;
const reason = new StoreError('CONNECT_FAILED', 'before');
const error = new StoreError('START_FAILED', 'now');
const auth = new StoreError('AUTH_REQUIRED', 'credentials');
const forbidden = new StoreError('FORBIDDEN', 'refused');
const missing = new StoreError('SPAWN_FAILED', 'no such command', { figures: { retryable: false } });

/** What is left of failures that lie behind. */
const history: History = { starts: [NOW - 6_000], calls: [], trips: 1, backAt: NOW - 200_000 };

const states = {
  registered: { name: 'registered' },
  starting: { name: 'starting', attempt: 2, history },
  ready: { name: 'ready', since: NOW - 5_000, history },
  degraded: { name: 'degraded', since: NOW - 5_000, misses: 1, reason, history },
  reconnecting: { name: 'reconnecting', attempt: 1, nextTryAt: NOW, reason, history },
  breaker_open: { name: 'breaker_open', nextTryAt: NOW, reason, history },
  ejected: { name: 'ejected', nextTryAt: NOW, reason, history },
  probing: { name: 'probing', of: 'call', busy: false, reason, history },
  probing_busy: { name: 'probing', of: 'call', busy: true, reason, history },
  probing_start: { name: 'probing', of: 'start', busy: true, reason, history },
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
  own_failed: { type: 'own_failed', error, sentAt: NOW - 10, random: 0.5 },
  'own_failed together': { type: 'own_failed', error, sentAt: NOW - 7_000, random: 0.5 },
  call_ok: { type: 'call_ok', own: false, connected: true },
  'call_ok own': { type: 'call_ok', own: true, connected: true },
  'call_ok over a lease': { type: 'call_ok', own: false, connected: false },
  call_failed: { type: 'call_failed', error, sentAt: NOW - 10, leadsTo: 'breaker_open' },
  probe: { type: 'probe', connected: true },
  'probe unconnected': { type: 'probe', connected: false },
  probe_over: { type: 'probe_over' },
  health_missed: { type: 'health_missed', error },
  health_ok: { type: 'health_ok' },
  due: { type: 'due' },
  stop: { type: 'stop' },
  restart: { type: 'restart' },
  drained: { type: 'drained', needed: true },
  'drained, not needed': { type: 'drained', needed: false },
} satisfies Record<string, EndpointEvent>;

/** What each event makes of each state, with its effects; where nothing is said, nothing happens. */
const TABLE: Record<keyof typeof events, Partial<Record<keyof typeof states, string>>> = {
  use: { registered: 'starting open' },
  opened: {
    registered: 'ready',
    starting: 'ready',
    reconnecting: 'ready',
    failed: 'ready',
    auth_required: 'ready',
    probing_start: 'ready',
  },
  open_failed: {
    starting: 'reconnecting refuse timer',
    probing: 'reconnecting refuse timer',
    probing_busy: 'reconnecting refuse timer',
    probing_start: 'failed refuse timer',
  },
  lost: { ready: 'reconnecting timer', degraded: 'reconnecting timer' },
  expired: { ready: 'starting open', degraded: 'starting open' },
  'lost unused': { ready: 'reconnecting refuse timer', degraded: 'reconnecting refuse timer' },
  idle: { ready: 'registered', degraded: 'registered' },
  own_failed: {
    registered: 'reconnecting refuse timer',
    ready: 'reconnecting refuse timer',
    degraded: 'reconnecting refuse timer',
    reconnecting: 'reconnecting refuse timer',
    probing: 'reconnecting refuse timer',
    probing_busy: 'reconnecting refuse timer',
  },
  'own_failed together': {
    registered: 'reconnecting refuse timer',
    probing: 'reconnecting refuse timer',
    probing_busy: 'reconnecting refuse timer',
  },
  'call_ok own': { ready: 'ready', degraded: 'ready', probing: 'ready', probing_busy: 'ready' },
  call_ok: { degraded: 'ready', probing: 'ready', probing_busy: 'ready' },
  'call_ok over a lease': { degraded: 'ready', probing: 'registered' },
  call_failed: {
    starting: 'starting',
    ready: 'degraded',
    degraded: 'degraded',
    reconnecting: 'reconnecting timer',
    probing: 'breaker_open refuse timer',
    probing_busy: 'breaker_open refuse timer',
  },
  probe: { probing: 'probing' },
  'probe unconnected': { probing: 'probing open' },
  probe_over: { probing: 'probing', probing_busy: 'probing' },
  health_missed: { ready: 'degraded', degraded: 'degraded' },
  health_ok: { degraded: 'ready' },
  due: { reconnecting: 'starting open', failed: 'probing open', breaker_open: 'probing', ejected: 'probing' },
  stop: {
    registered: 'stopped',
    starting: 'stopped',
    ready: 'stopped',
    degraded: 'stopped',
    reconnecting: 'stopped',
    breaker_open: 'stopped',
    ejected: 'stopped',
    probing: 'stopped',
    probing_busy: 'stopped',
    probing_start: 'stopped',
    failed: 'stopped',
    auth_required: 'stopped',
    stopped: 'stopped',
  },
  restart: {
    registered: 'starting',
    starting: 'starting',
    ready: 'starting',
    degraded: 'starting',
    reconnecting: 'starting',
    breaker_open: 'starting',
    ejected: 'starting',
    probing: 'starting',
    probing_busy: 'starting',
    probing_start: 'starting',
    failed: 'starting',
    auth_required: 'starting',
    stopped: 'starting',
  },
  drained: { starting: 'starting open' },
  'drained, not needed': { starting: 'registered' },
};

const cells = (Object.keys(events) as (keyof typeof events)[]).flatMap((event) =>
  (Object.keys(states) as (keyof typeof states)[]).map((state) => ({
    event,
    state,
    follows: TABLE[event][state] ?? '-',
  })),
);

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
        fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), {
          minLength: 1,
          maxLength: 30,
          size: 'max',
        }),
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
    const starts = [NOW - 4, NOW - 3, NOW - 2, NOW - 1];
    const last: EndpointState = { name: 'starting', attempt: 5, history: { ...NO_HISTORY, starts } };
    const step = next(last, events.open_failed, NOW);
    expect(step.effects).toEqual([
      { type: 'refuse', error },
      { type: 'timer', at: NOW + PROBE_MS },
    ]);
  });

  it('F43: does not give up, and counts nothing, where this machine is full', () => {
    const figures = { errno: 'EMFILE', retryable: true };
    const full = new StoreError('SPAWN_FAILED', 'cannot start it: out of file descriptors', { figures });
    let state: EndpointState = { name: 'starting', attempt: 1, history: NO_HISTORY };
    let now = NOW;
    for (let n = 1; n <= 20; n++) {
      const step = next(state, { type: 'open_failed', error: full, random: 1 }, now);
      expect(step.state).toMatchObject({ name: 'reconnecting', reason: full, history: { starts: [] } });
      const { nextTryAt } = step.state as Extract<EndpointState, { name: 'reconnecting' }>;
      expect(nextTryAt - now).toBe(Math.min(RESTART_DELAY_MS * 2 ** (n - 1), RESTART_MAX_DELAY_MS));
      now = nextTryAt;
      state = next(step.state, { type: 'due' }, now).state;
    }
    expect(state.name).toBe('starting');
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
    expect(next(step.state, events.restart, NOW).state.name).toBe('starting');
  });

  it('takes the server’s own word on when to come back over its back-off', () => {
    const asked = new StoreError('RATE_LIMITED', 'later', { figures: { retryAfterMs: 7_000 } });
    const step = next(states.starting, { type: 'open_failed', error: asked, random: 0 }, NOW);
    expect(step.state).toMatchObject({ name: 'reconnecting', nextTryAt: NOW + 7_000 });
  });

  it('forgets earlier failures of a server that answered, and counts one that never did', () => {
    const lost = next(states.ready, events.lost, NOW).state;
    expect(lost).toMatchObject({ history: { starts: [] }, nextTryAt: NOW + 0.5 * RESTART_DELAY_MS });
    // Four loud starts that served nobody and one more: that is a crash loop.
    const starts = [NOW - 4, NOW - 3, NOW - 2, NOW - 1];
    let state: EndpointState = { name: 'ready', since: NOW, history: { ...NO_HISTORY, starts } };
    ({ state } = next(state, events['lost unused'], NOW));
    expect(state.name).toBe('failed');
  });

  it('begins afresh with a restart', () => {
    expect(next(states.starting, events.restart, NOW).state).toEqual({
      name: 'starting',
      attempt: 1,
      history: NO_HISTORY,
    });
  });

  it('never waits without a timer or an opening, whatever happens to it', () => {
    const names = Object.keys(events) as (keyof typeof events)[];
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...names), fc.nat(30_000)), { maxLength: 80, size: 'max' }),
        (plan) => {
          let state: EndpointState = { name: 'registered' };
          let now = NOW;
          let opening = 0;
          let timer: number | undefined;
          for (const [name, ms] of plan) {
            now += ms;
            if ((name === 'opened' || name === 'open_failed') && opening === 0) continue;
            // The endpoint sends it once, when what ran before the restart has ended.
            if (name.startsWith('drained')) continue;
            if (name === 'due' && timer === undefined) continue;
            if (name === 'opened' || name === 'open_failed') opening--;
            let step = next(state, events[name], now);
            if (name === 'restart') step = next(step.state, events.drained, now);
            if (step.state !== state) timer = undefined;
            for (const effect of step.effects) {
              if (effect.type === 'open') opening++;
              if (effect.type === 'timer') timer = effect.at;
            }
            state = step.state;
            if ('nextTryAt' in state) expect(timer).toBe(state.nextTryAt);
            if (state.name === 'starting' || (state.name === 'probing' && state.of === 'start'))
              expect(opening).toBeGreaterThan(0);
            if (!('history' in state)) continue;
            expect(state.history.starts.length).toBeLessThanOrEqual(MAX_FAILED_STARTS);
            expect(state.history.calls.length).toBeLessThanOrEqual(TRIP_FAILURES);
          }
        },
      ),
      { seed: 52, numRuns: 500 },
    );
  });

  it('F5: one start every five minutes tries what has failed; its calls fail fast meanwhile', () => {
    const failed = next(states.starting, { type: 'open_failed', error: missing, random: 0 }, NOW).state;
    const probing = next(failed, events.due, NOW + PROBE_MS).state;
    expect(probing).toMatchObject({ name: 'probing', of: 'start', busy: true });
    const again = next(probing, events.open_failed, NOW + PROBE_MS);
    expect(again.state).toEqual({ name: 'failed', reason: error, nextTryAt: NOW + 2 * PROBE_MS });
    expect(next(probing, events.opened, NOW).state).toMatchObject({ name: 'ready', history: NO_HISTORY });
  });
});

describe('the breaker', () => {
  const fail = (state: EndpointState, now: number, leadsTo: 'breaker_open' | 'ejected' | 'degraded' = 'breaker_open') =>
    next(state, { type: 'call_failed', error, sentAt: now - 1, leadsTo }, now);

  /** So many failures of calls that followed each other, `apart` milliseconds from one to the next. */
  function failing(count: number, apart: number, leadsTo?: 'ejected' | 'degraded'): EndpointState {
    let state: EndpointState = { name: 'ready', since: 0, history: NO_HISTORY };
    for (let i = 0; i < count; i++) ({ state } = fail(state, NOW + i * apart, leadsTo));
    return state;
  }

  it('opens after five failures with no success between, for ten seconds, and refuses whoever waits', () => {
    expect(failing(TRIP_FAILURES - 1, 100)).toMatchObject({ name: 'degraded', reason: error });
    const now = NOW + (TRIP_FAILURES - 1) * 100;
    const step = fail(failing(TRIP_FAILURES - 1, 100), now);
    expect(step.state).toMatchObject({ name: 'breaker_open', nextTryAt: now + OUT_MS, reason: error });
    expect(step.effects).toEqual([{ type: 'refuse' }, { type: 'timer', at: now + OUT_MS }]);
  });

  it('forgets failures at a success, and those that are further apart than its window', () => {
    const { state } = next(failing(TRIP_FAILURES - 1, 100), events.call_ok, NOW);
    expect(state).toMatchObject({ name: 'ready', history: { calls: [] } });
    expect(failing(50, TRIP_WINDOW_MS / 4).name).toBe('degraded');
  });

  it('counts calls that were under way together once', () => {
    let { state } = fail({ name: 'ready', since: 0, history: NO_HISTORY }, NOW);
    for (let i = 0; i < 100; i++)
      ({ state } = next(state, { type: 'call_failed', error, sentAt: NOW - 50, leadsTo: 'breaker_open' }, NOW + i));
    expect(state).toMatchObject({ name: 'degraded', history: { calls: [NOW] } });
  });

  it('lets one call probe; another failure doubles its time, up to two minutes, and success ends it', () => {
    let state = failing(TRIP_FAILURES, 1);
    const out: number[] = [];
    for (let i = 0; i < 15; i++) {
      if (state.name !== 'breaker_open') throw new Error(`it is ${state.name}`);
      const since = i === 0 ? NOW + TRIP_FAILURES - 1 : state.nextTryAt - OUT_MS * Math.min(i + 1, 12);
      out.push(state.nextTryAt - since);
      const now: number = state.nextTryAt;
      ({ state } = next(state, events.due, now));
      ({ state } = next(state, events.probe, now));
      ({ state } = fail(state, now));
      if (state.name === 'breaker_open') expect(state.nextTryAt - now).toBe(Math.min(OUT_MS * (i + 2), OUT_MAX_MS));
    }
    ({ state } = next(state, events.due, NOW));
    ({ state } = next(next(state, events.probe, NOW).state, events.call_ok, NOW));
    expect(state).toMatchObject({ name: 'ready', history: { calls: [] } });
    // Failing again soon goes on where it stood; after a while it begins anew.
    let soon = state;
    let later = state;
    for (let i = 0; i < TRIP_FAILURES; i++) ({ state: soon } = fail(soon, NOW + i));
    expect(soon).toMatchObject({ nextTryAt: NOW + TRIP_FAILURES - 1 + OUT_MAX_MS });
    for (let i = 0; i < TRIP_FAILURES; i++) ({ state: later } = fail(later, NOW + TRIP_WINDOW_MS + i));
    expect(later).toMatchObject({ nextTryAt: NOW + TRIP_WINDOW_MS + TRIP_FAILURES - 1 + OUT_MS });
  });

  it('a probe without a verdict leaves the place to the next call', () => {
    const busy = next(states.probing, events.probe, NOW).state;
    expect(next(busy, events.probe, NOW).state).toBe(busy);
    expect(next(busy, events.probe_over, NOW).state).toMatchObject({ name: 'probing', busy: false });
  });

  it('ejects where there are siblings, and stays in use where too many of them are out', () => {
    expect(failing(TRIP_FAILURES, 1, 'ejected').name).toBe('ejected');
    expect(failing(3 * TRIP_FAILURES, 1, 'degraded').name).toBe('degraded');
  });

  it('counts calls that fail while it is started again, and then opens all the same', () => {
    let state: EndpointState = { name: 'reconnecting', attempt: 0, nextTryAt: NOW + 500, reason, history: NO_HISTORY };
    for (let i = 0; i < TRIP_FAILURES; i++) ({ state } = fail(state, NOW + i));
    expect(state.name).toBe('breaker_open');
    expect(next(state, events.opened, NOW).state).toBe(state);
  });
});
