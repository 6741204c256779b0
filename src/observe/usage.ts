/** Knows how tools were used: sums over the entries of a history, in all, by service, by tool and by period. */

import { didFail } from '../call.js';
import type { HistoryEntry } from './history-entry.js';

/** Sums over some calls. */
export interface Usage {
  calls: number;
  /** Calls that did not end well, results with `isError` included, those that their caller cancelled not. */
  errors: number;
  /** From 0 to 1: the calls that were no errors. */
  successRate: number;
  /** Mean of whole calls, in milliseconds. */
  meanMs: number;
  maxMs: number;
}

export interface ServiceUsage extends Usage {
  service: string;
}

export interface ToolUsage extends ServiceUsage {
  tool: string;
}

export interface UsageReport extends Usage {
  /** When the oldest call began, and the newest; milliseconds since the epoch. Undefined where there is none. */
  firstAt: number | undefined;
  lastAt: number | undefined;
  /** Most calls first. */
  services: ServiceUsage[];
  tools: ToolUsage[];
  mostUsed: ToolUsage[];
  /** By mean time. */
  slowest: ToolUsage[];
  /** Tools that had errors, by their number. */
  mostFailing: ToolUsage[];
  /** The oldest first; one without calls is left out. `startsAt`: milliseconds since the epoch, whole periods of it. */
  periods: (Usage & { startsAt: number })[];
}

class Sum {
  calls = 0;
  errors = 0;
  sumMs = 0;
  maxMs = 0;

  add(entry: HistoryEntry): void {
    this.calls++;
    if (didFail(entry)) this.errors++;
    this.sumMs += entry.totalMs;
    this.maxMs = Math.max(this.maxMs, entry.totalMs);
  }

  get usage(): Usage {
    const { calls, errors, sumMs, maxMs } = this;
    const share = (part: number, none: number): number => (calls === 0 ? none : part / calls);
    return { calls, errors, successRate: share(calls - errors, 1), meanMs: share(sumMs, 0), maxMs };
  }
}

export class UsageCount {
  readonly #periodMs: number;
  readonly #all = new Sum();
  readonly #services = new Map<string, { sum: Sum; tools: Map<string, Sum> }>();
  readonly #periods = new Map<number, Sum>();
  #firstAt = Number.POSITIVE_INFINITY;
  #lastAt = Number.NEGATIVE_INFINITY;

  constructor(periodMs: number) {
    this.#periodMs = periodMs;
  }

  add(entry: HistoryEntry): void {
    const { at, service, tool } = entry;
    let own = this.#services.get(service);
    if (own === undefined) {
      own = { sum: new Sum(), tools: new Map() };
      this.#services.set(service, own);
    }
    const period = Math.floor(at / this.#periodMs) * this.#periodMs;
    for (const sum of [this.#all, own.sum, sumOf(own.tools, tool), sumOf(this.#periods, period)]) sum.add(entry);
    this.#firstAt = Math.min(this.#firstAt, at);
    this.#lastAt = Math.max(this.#lastAt, at);
  }

  report(top: number): UsageReport {
    const none = this.#all.calls === 0;
    const services = [...this.#services].map(([service, { sum }]) => ({ service, ...sum.usage }));
    const tools = [...this.#services].flatMap(([service, own]) =>
      [...own.tools].map(([tool, sum]) => ({ service, tool, ...sum.usage })),
    );
    const most = <T extends Usage>(all: readonly T[], by: 'calls' | 'errors' | 'meanMs'): T[] =>
      [...all].sort((a, b) => b[by] - a[by]);
    const failing = tools.filter(({ errors }) => errors > 0);
    return {
      firstAt: none ? undefined : this.#firstAt,
      lastAt: none ? undefined : this.#lastAt,
      ...this.#all.usage,
      services: most(services, 'calls'),
      tools: most(tools, 'calls'),
      mostUsed: most(tools, 'calls').slice(0, top),
      slowest: most(tools, 'meanMs').slice(0, top),
      mostFailing: most(failing, 'errors').slice(0, top),
      periods: [...this.#periods].sort(([a], [b]) => a - b).map(([startsAt, sum]) => ({ startsAt, ...sum.usage })),
    };
  }
}

function sumOf<K>(sums: Map<K, Sum>, key: K): Sum {
  let sum = sums.get(key);
  if (sum === undefined) {
    sum = new Sum();
    sums.set(key, sum);
  }
  return sum;
}
