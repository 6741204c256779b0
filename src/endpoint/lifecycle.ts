/** Knows the state of one endpoint: gives its machine what happens, keeps the timer, and hands the other effects on. */

import type { Clock, Timer } from '../_util/clock.js';
import type { StoreError } from '../errors.js';
import { RAMP_MS } from './limits.js';
import { type EndpointEffect, type EndpointEvent, type EndpointState, next } from './machine.js';
import { patienceOver, refusalOf } from './refusal.js';

export interface LifecycleOptions {
  clock: Clock;
  /** Is it given more and more calls once it is ready? It is where siblings take the others. */
  ramps: boolean;
  /** May other credentials be had than those that were refused? */
  newCredentials: () => boolean;
  onState: (state: EndpointState) => void;
  run: (effect: Exclude<EndpointEffect, { type: 'timer' }>) => void;
}

export class Lifecycle {
  readonly #options: LifecycleOptions;
  #state: EndpointState = { name: 'registered' };
  #readyAt = 0;
  #timer: Timer | undefined;
  #restarts = 0;
  #closed = false;
  /** Calls go through without a question. */
  flowing = false;
  /** The next answer is news: a failure is remembered. */
  troubled = false;

  constructor(options: LifecycleOptions) {
    this.#options = options;
  }

  get state(): EndpointState {
    return this.#state;
  }

  /** No restart follows any more. */
  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.#closed = true;
    this.send({ type: 'stop' });
  }

  /** Why a call cannot wait here, until `deadline` if it has one; undefined where it can. */
  refusal(deadline = Number.POSITIVE_INFINITY): StoreError | undefined {
    const now = this.#options.clock.now();
    return refusalOf(this.#state, this.#closed, now) ?? patienceOver(this.#state, deadline, now);
  }

  /** Is to be used now: where it was refused, somebody may have signed in meanwhile. */
  wake(): void {
    if (this.#state.name === 'auth_required' && this.#options.newCredentials()) this.send({ type: 'credentials' });
  }

  /** Which part of its full share it takes now: a tenth when it has just come, all of it after `RAMP_MS`. */
  ramp(now: number): number {
    return Math.min(1, Math.max(0.1, (now - this.#readyAt) / RAMP_MS));
  }

  /** `send` for how a start ends that begins now: one that a restart has ended says nothing of the one that follows. */
  sinceNow(): (event: EndpointEvent) => void {
    const restarts = this.#restarts;
    return (event) => {
      if (restarts === this.#restarts) this.send(event);
    };
  }

  send(event: EndpointEvent): void {
    if (event.type === 'restart') this.#restarts++;
    const { clock, ramps, onState } = this.#options;
    const before = this.#state;
    const { state, effects } = next(before, event, clock.now());
    if (state === before) {
      for (const effect of effects) this.#run(effect);
      return;
    }
    this.#state = state;
    this.flowing = state.name === 'ready' || state.name === 'degraded';
    this.troubled = 'history' in state && (state.name !== 'ready' || state.history.calls.length > 0);
    if (state.name === 'ready' && !ramps) this.#readyAt = 0;
    else if (state.name === 'ready' && before.name !== 'degraded' && before.name !== 'ready')
      this.#readyAt = clock.now();
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const effect of effects) this.#run(effect);
    if (isNews(before, state)) onState(state);
  }

  #run(effect: EndpointEffect): void {
    const { clock, run } = this.#options;
    if (effect.type !== 'timer') run(effect);
    else this.#timer = clock.after(effect.at - clock.now(), () => this.send({ type: 'due' }));
  }
}

/** Another state, or another time of the next try; the figures that a state merely keeps are nobody's news. */
function isNews(before: EndpointState, state: EndpointState): boolean {
  if (before.name !== state.name) return true;
  const nextTryAt = (of: EndpointState): number | undefined => ('nextTryAt' in of ? of.nextTryAt : undefined);
  const attempt = (of: EndpointState): number | undefined => ('attempt' in of ? of.attempt : undefined);
  return nextTryAt(before) !== nextTryAt(state) || attempt(before) !== attempt(state);
}
