/** Knows which step follows while a program holds too much memory, as a pure function of what was done and what is held. */

/** In this order: half of the cached results go, then all; then connections that nobody uses, down to their minimum. */
export const MEMORY_STEPS = ['trim', 'clear', 'idle'] as const;
export type MemoryStep = (typeof MEMORY_STEPS)[number];

/** Steps go on until this share of the threshold, so that it is not crossed again by the next small thing. */
const LOW = 0.9;
/** After a round of steps in vain, what is held has to grow by this share of the threshold before the next round. */
const GROWN = 0.1;

export interface Pressure {
  /** Steps of this round that are behind us; 0: none is under way. */
  readonly taken: number;
  /** No step before that. Monotonic milliseconds. */
  readonly coolUntil: number;
  /** What was held when all steps were behind us and it was still too much; undefined: it was not, or is no more. */
  readonly spentMb: number | undefined;
}

export const CALM: Pressure = { taken: 0, coolUntil: Number.NEGATIVE_INFINITY, spentMb: undefined };

export interface MemoryLook {
  now: number;
  usedMb: number;
  thresholdMb: number;
  /** Can the last step be judged? What it let go is not given back before V8 has collected it. */
  judged: boolean;
}

export interface PressureChange {
  pressure: Pressure;
  /** To be taken now. */
  step?: MemoryStep;
  /** `'relieved'`: it is little enough again. `'spent'`: too much, and nothing is left that could be given up. */
  news?: 'relieved' | 'spent';
}

export function nextStep(pressure: Pressure, { now, usedMb, thresholdMb, judged }: MemoryLook): PressureChange {
  const { taken, coolUntil, spentMb } = pressure;
  if (taken > 0 && !judged) return { pressure };
  if (taken > 0 || spentMb !== undefined) {
    if (usedMb < LOW * thresholdMb) return { pressure: { ...CALM, coolUntil }, news: 'relieved' };
    if (spentMb !== undefined && usedMb <= spentMb + GROWN * thresholdMb) return { pressure };
  }
  if (now < coolUntil) return { pressure };
  if (taken === MEMORY_STEPS.length) return { pressure: { taken: 0, coolUntil, spentMb: usedMb }, news: 'spent' };
  if (taken === 0 && usedMb <= thresholdMb) return { pressure };
  return { pressure: { taken: taken + 1, coolUntil, spentMb: undefined }, step: MEMORY_STEPS[taken]! };
}

/** After a step that has let something go. */
export function cooled(pressure: Pressure, until: number): Pressure {
  return { ...pressure, coolUntil: until };
}
