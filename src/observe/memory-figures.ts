/** Knows the figures of memory: what one sample has, and what several say together. */

import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import type { Lag } from './loop-lag.js';

const MB = 1024 * 1024;

/** A process that the store started, with everything that it started itself. */
export interface ChildMemory {
  service: string;
  pid: number;
  rssMb: number;
}

/** Memory at one moment. `Mb` are 1,048,576 bytes. */
export interface MemorySample {
  /** Milliseconds since the epoch. */
  at: number;
  /** Of this process; `process.memoryUsage()` has the same figures in bytes. */
  rssMb: number;
  heapUsedMb: number;
  heapTotalMb: number;
  /** Beyond which V8 ends the program. */
  heapLimitMb: number;
  externalMb: number;
  /** Part of `externalMb`. */
  arrayBuffersMb: number;
  /**
   * `rssMb` without what was freed in it and not given back to the system: falls with a collection, where RSS alone may
   * not. This is what `thresholdMb` is compared with.
   */
  usedMb: number;
  /** Which part of the machine's memory `rssMb` is, 0 to 1; of the container's, where that has less. */
  machineShare: number;
  /** How late the event loop ran since the sample before: on the average, and at worst. Undefined: not watched yet. */
  loopLagMs: number | undefined;
  loopLagMaxMs: number | undefined;
  /** Undefined where the system does not tell (Windows). */
  children: ChildMemory[] | undefined;
  /** All of `children` together. */
  childrenMb: number | undefined;
}

/** One figure over several samples. */
export interface FigureSummary {
  current: number;
  mean: number;
  max: number;
  /** Slope of the line through them. Undefined where all are of one moment. */
  trendPerMinute: number | undefined;
}

const SUMMARIZED = ['rssMb', 'heapUsedMb', 'externalMb', 'usedMb', 'childrenMb', 'loopLagMs', 'loopLagMaxMs'] as const;

/** The last samples together; a figure that none of them has is undefined. */
export type MemorySummary = { samples: number } & Record<(typeof SUMMARIZED)[number], FigureSummary | undefined>;

/** A sample, and when it was taken on a clock that never jumps. */
export interface TimedSample {
  now: number;
  sample: MemorySample;
}

const rounded = (value: number): number => Math.round(value * 100) / 100;

/**
 * @param children - undefined: unknown
 * @param previous - the sample before
 */
export function sampleOf(
  at: number,
  children: ChildMemory[] | undefined,
  lag: Lag | undefined,
  previous?: MemorySample,
): MemorySample {
  const { rss, heapUsed, heapTotal, external, arrayBuffers } = process.memoryUsage();
  const mb = (bytes: number): number => rounded(bytes / MB);
  const own = { rssMb: mb(rss), heapUsedMb: mb(heapUsed), externalMb: mb(external) };
  return {
    at,
    ...own,
    heapTotalMb: mb(heapTotal),
    heapLimitMb: mb(getHeapStatistics().heap_size_limit),
    arrayBuffersMb: mb(arrayBuffers),
    usedMb: rounded(usedMb(own, previous)),
    machineShare: Math.round((rss / machineBytes()) * 10_000) / 10_000,
    loopLagMs: lag && rounded(lag.meanMs),
    loopLagMaxMs: lag && rounded(lag.maxMs),
    children,
    childrenMb: children && rounded(children.reduce((sum, { rssMb }) => sum + rssMb, 0)),
  };
}

type Held = Pick<MemorySample, 'rssMb' | 'heapUsedMb' | 'externalMb'>;

/**
 * What objects and buffers took or gave back since the sample before, and what RSS grew by beyond that: a system library
 * may have it. Neither what V8 has committed nor RSS tells how much of it is free, but never is more used than RSS.
 */
export function usedMb(now: Held, previous?: Held & { usedMb: number }): number {
  const live = now.heapUsedMb + now.externalMb;
  if (previous === undefined) return now.rssMb;
  const grown = live - previous.heapUsedMb - previous.externalMb;
  const beyond = Math.max(0, now.rssMb - previous.rssMb - Math.max(0, grown));
  return Math.min(now.rssMb, Math.max(live, previous.usedMb + grown + beyond));
}

/** A process in megabytes, as samples have it. */
export function childOf(service: string, pid: number, bytes: number): ChildMemory {
  return { service, pid, rssMb: rounded(bytes / MB) };
}

export function summaryOf(samples: readonly TimedSample[]): MemorySummary | undefined {
  if (samples.length === 0) return undefined;
  const figures = SUMMARIZED.map((key) => {
    const points = samples.flatMap(({ now, sample }) => {
      const value = sample[key];
      return value === undefined ? [] : [{ x: now / 60_000, y: value }];
    });
    return [key, points.length === 0 ? undefined : over(points)] as const;
  });
  return { samples: samples.length, ...Object.fromEntries(figures) } as MemorySummary;
}

function over(points: readonly { x: number; y: number }[]): FigureSummary {
  const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(points.map((point) => point.x)), mean(points.map((point) => point.y))];
  const spread = points.reduce((sum, point) => sum + (point.x - x) ** 2, 0);
  const common = points.reduce((sum, point) => sum + (point.x - x) * (point.y - y), 0);
  return {
    current: points.at(-1)!.y,
    mean: rounded(y),
    max: Math.max(...points.map((point) => point.y)),
    trendPerMinute: spread > 0 ? rounded(common / spread) : undefined,
  };
}

/** A container may use less than its machine has; without a bound the system tells 0, or more than there is. */
function machineBytes(): number {
  const bound = process.constrainedMemory();
  return bound > 0 ? Math.min(bound, totalmem()) : totalmem();
}
