/** Knows the fair comparison: all subjects in one run, in short slices, in an order shuffled anew each round. */

import { setImmediate as turn } from 'node:timers/promises';
import { median, shuffled } from './stats.mjs';

async function settle() {
  // Young garbage only: a whole collection would leave its sweeping, and a cold heap, to the next one's account.
  globalThis.gc?.({ type: 'minor' });
  // What the last slice left behind (answers to notifications, timers, finalisers) must not run on the next one's time.
  for (let i = 0; i < 3; i++) await turn();
}

/**
 * @param subjects - `{ name, slice(): Promise<measurement> }`
 * @returns by name, the measurements of each round
 */
export async function paired(subjects, { rounds, random }) {
  const all = Object.fromEntries(subjects.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++)
    for (const subject of shuffled(subjects, random)) {
      await settle();
      all[subject.name].push(await subject.slice());
    }
  return all;
}

/** Median of one figure of one subject. */
export const figure = (all, name, key) => (all[name] ? median(all[name].map((m) => m[key])) : undefined);

/** Median of the ratios within rounds: what disturbs a whole round touches both sides of its pair. */
export function ratio(all, name, base, key) {
  if (!all[name] || !all[base]) return undefined;
  return median(all[name].map((m, i) => m[key] / all[base][i][key]));
}

/** Median of the differences within rounds. */
export function difference(all, name, base, key) {
  if (!all[name] || !all[base]) return undefined;
  return median(all[name].map((m, i) => m[key] - all[base][i][key]));
}

/** One requirement on one value: `op` is '≤', '<' or '≥'. */
export function check(label, value, op, limit, unit = '×') {
  const met = value === undefined ? undefined : op === '≥' ? value.median >= limit : compareBelow(op, value, limit);
  return { label, op, limit, unit, ...value, met };
}

const compareBelow = (op, value, limit) => (op === '<' ? value.median < limit : value.median <= limit);
