/** Knows what a process holds of its machine, and whether that stays level. Linux alone. */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const MIB = 1024 * 1024;

/** Processes below this one: living ones and zombies. */
export function descendants() {
  const parents = new Map();
  const states = new Map();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)))
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      parents.set(Number(name), Number(parent));
      states.set(Number(name), state);
    } catch {
      // It ended while we looked.
    }
  const found = { living: [], zombies: [] };
  for (const pid of parents.keys())
    for (let at = parents.get(pid); at !== undefined && at !== 0; at = parents.get(at))
      if (at === process.pid) {
        (states.get(pid) === 'Z' ? found.zombies : found.living).push(pid);
        break;
      }
  return found;
}

/** What is open, by descriptor. */
export function openFiles() {
  const open = new Map();
  for (const name of readdirSync('/proc/self/fd'))
    try {
      open.set(name, readlinkSync(`/proc/self/fd/${name}`));
    } catch {
      // It was open to read the list.
    }
  return open;
}

/** One look. Garbage is collected before, so that memory is what is held, not what is yet to be freed. */
export function sample(since) {
  globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  return {
    hours: (performance.now() - since) / 3_600_000,
    rss: rss / MIB,
    heap: heapUsed / MIB,
    files: openFiles().size,
    processes: descendants().living.length,
  };
}

/** Two-sided 95 % of Student's t with 8 degrees of freedom: ten blocks, two parameters. */
const T_8 = 2.306;
const BLOCKS = 10;

/**
 * Slope of a figure by the hour. Neighbours in time resemble each other, so that a line through all samples would look
 * surer than it is: the line goes through the means of ten blocks.
 * @returns `slope`, and `low` and `high`, between which it lies with 95 %
 */
export function trend(samples, key) {
  const points = Array.from({ length: BLOCKS }, (_, i) => {
    const block = samples.slice(
      Math.floor((i * samples.length) / BLOCKS),
      Math.floor(((i + 1) * samples.length) / BLOCKS),
    );
    return { x: mean(block.map((one) => one.hours)), y: mean(block.map((one) => one[key])) };
  });
  const x = mean(points.map((point) => point.x));
  const y = mean(points.map((point) => point.y));
  const spread = points.reduce((sum, point) => sum + (point.x - x) ** 2, 0);
  const slope = points.reduce((sum, point) => sum + (point.x - x) * (point.y - y), 0) / spread;
  const rest = points.reduce((sum, point) => sum + (point.y - y - slope * (point.x - x)) ** 2, 0);
  const margin = T_8 * Math.sqrt(rest / (BLOCKS - 2) / spread);
  return { slope, low: slope - margin, high: slope + margin };
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
