/** Knows how calls are driven: so many at a time (closed loop), or so many a second whatever becomes of them (open loop). */

import { setImmediate as turn } from 'node:timers/promises';
import { type Clock, systemClock } from '../_util/clock.js';

/** One iteration of what is measured, counted from 0. */
export type Work = (iteration: number) => unknown;

/** What became of an iteration: what it resolved to, or what it threw. */
export type Ended = { result: unknown } | { thrown: unknown };

/** Is told of each iteration at its end, with its latency in milliseconds. */
export type OnEnd = (latencyMs: number, ended: Ended) => void;

/** Where a load has its time from. */
export interface LoadTime {
  readonly clock: Clock;
  /** Resolves at the monotonic time `at`, never before it. */
  until(at: number): Promise<void>;
}

/** Node's timers count in whole milliseconds and come late; what is left is waited for in turns of the event loop. */
const TIMER_MS = 2;

/** Monotonic, and exact to a turn of the event loop: a millisecond's lateness would be measured as latency. */
export const systemTime: LoadTime = {
  clock: systemClock,
  async until(at) {
    const coarse = at - systemClock.now() - TIMER_MS;
    if (coarse >= 1) await new Promise<void>((resolve) => systemClock.after(coarse, resolve, true));
    while (systemClock.now() < at) await turn();
  },
};

/** Calls that are answered without any I/O would keep signals and timers from being heard; so often they are let in. */
const TURN_EVERY_MS = 20;

/**
 * Keeps `concurrency` iterations under way: the next begins when one has ended, so a server that stalls is asked less.
 * Latency counts from when an iteration began.
 * @param calls - how many; `Infinity`: as many as begin within `durationMs`
 */
export async function closedLoop(
  work: Work,
  { calls, durationMs, concurrency }: { calls: number; durationMs: number; concurrency: number },
  { clock }: LoadTime,
  signal: AbortSignal | undefined,
  onEnd: OnEnd,
): Promise<void> {
  const end = clock.now() + durationMs;
  let begun = 0;
  let turned = clock.now();
  const worker = async (): Promise<void> => {
    for (let now = clock.now(); begun < calls && now < end && !signal?.aborted; now = clock.now()) {
      await once(work, begun++, now, clock, onEnd);
      if (clock.now() - turned < TURN_EVERY_MS) continue;
      turned = clock.now();
      await turn();
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, calls) }, worker));
}

/**
 * Begins an iteration every 1,000 ÷ `ratePerSecond` ms, whether or not others have ended. Latency counts from when an
 * iteration was meant to begin: what a server's stall, or this process, kept back has waited too. Counting from when it
 * was sent would leave those waits out ("coordinated omission", G. Tene, "How NOT to Measure Latency", 2013).
 */
export async function openLoop(
  work: Work,
  { calls, ratePerSecond }: { calls: number; ratePerSecond: number },
  { clock, until }: LoadTime,
  signal: AbortSignal | undefined,
  onEnd: OnEnd,
): Promise<void> {
  const start = clock.now();
  let underWay = 0;
  let allEnded: (() => void) | undefined;
  for (let i = 0; i < calls; i++) {
    const intended = start + (i * 1000) / ratePerSecond;
    if (clock.now() < intended) await until(intended);
    // Behind time, it begins at once; but answers that have come are taken first, so that they are not counted late.
    else await turn();
    if (signal?.aborted) break;
    underWay++;
    void once(work, i, intended, clock, onEnd).then(() => {
      if (--underWay === 0) allEnded?.();
    });
  }
  if (underWay > 0) await new Promise<void>((resolve) => (allEnded = resolve));
}

async function once(work: Work, iteration: number, since: number, clock: Clock, onEnd: OnEnd): Promise<void> {
  let ended: Ended;
  try {
    ended = { result: await work(iteration) };
  } catch (thrown) {
    ended = { thrown };
  }
  onEnd(clock.now() - since, ended);
}
