/** Knows one thing that a caller does in a run: its limits, how often it settled, with what, and when. */

import { isStoreError, type StoreError } from '../../src/errors.js';
import type { World } from './world.js';

/** A call of a tool, by itself or in a batch. */
export interface CallPlan {
  mark: string;
  service: string;
  tool: 'read' | 'put' | 'post';
  /** May it run more than once? */
  repeatable: boolean;
}

/** Everything that has to settle: a call, a batch, a change of the configuration. */
export class Attempt {
  readonly what: string;
  readonly calls: readonly CallPlan[];
  readonly since: number;
  /** Simulated time at which it has to be over. */
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
  /** When its caller gave it up. */
  cancelledAt: number | undefined;
  settledAt: number | undefined;
  /** It makes pauses of its own. */
  slow = false;
  value: unknown;
  error: StoreError | undefined;
  readonly #world: World;

  constructor(
    world: World,
    what: string,
    options: { calls?: readonly CallPlan[]; deadline?: number; signal?: AbortSignal | undefined } = {},
  ) {
    this.#world = world;
    this.what = what;
    this.calls = options.calls ?? [];
    this.since = world.loop.now;
    this.deadline = options.deadline ?? Number.POSITIVE_INFINITY;
    this.signal = options.signal;
    world.trace(`begin ${what}`);
  }

  /** Runs it and notes how it ends. */
  watch(work: () => Promise<unknown>): void {
    let promise: Promise<unknown>;
    try {
      promise = work();
    } catch (error) {
      promise = Promise.reject(error);
    }
    promise.then(
      (value) => this.#settled(value, undefined),
      (error: unknown) => this.#settled(undefined, error),
    );
  }

  get settled(): boolean {
    return this.settledAt !== undefined;
  }

  #settled(value: unknown, error: unknown): void {
    const world = this.#world;
    if (this.settledAt !== undefined) world.fail(`${this.what} settled twice`);
    this.settledAt = world.loop.now;
    this.value = value;
    if (error === undefined) {
      world.trace(`end ${this.what}: ok`);
      return;
    }
    if (!isStoreError(error)) {
      world.fail(`${this.what} failed with something that is no StoreError: ${(error as Error)?.stack ?? error}`);
      return;
    }
    this.error = error;
    world.trace(`end ${this.what}: ${error.code} ${error.executed}: ${error.message}`);
  }
}
