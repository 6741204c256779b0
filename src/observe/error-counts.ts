/** Knows what went wrong: errors by code, by service, and whether there are more of them than a minute ago. */

import type { CallRecord } from '../call.js';
import type { ErrorCode } from '../errors.js';
import { PerSecond } from './per-second.js';

/** Calls that did not end well, those that a fallback answered included. */
export interface ErrorCounts {
  total: number;
  /** Since the store was opened. A result with `isError` counts as `TOOL_ERROR`. */
  byCode: Partial<Record<ErrorCode, number>>;
  /** How many of them a fallback answered. */
  fallbacks: number;
  /** In the last 60 s. */
  lastMinute: number;
  /** In the 60 s before these. */
  minuteBefore: number;
  /** `'steady'`: the difference of the two is within what chance makes of equal rates (two standard deviations). */
  trend: 'rising' | 'steady' | 'falling';
}

/** Of the store, and of each service that had errors. */
export interface ErrorStats extends ErrorCounts {
  services: Record<string, ErrorCounts>;
}

const MINUTE = 60;

class Errors {
  readonly #codes = new Map<ErrorCode, number>();
  readonly #recent = new PerSecond(2 * MINUTE);
  #total = 0;
  #fallbacks = 0;

  add({ code = 'TOOL_ERROR', fallback }: CallRecord, now: number): void {
    this.#total++;
    if (fallback !== undefined) this.#fallbacks++;
    this.#codes.set(code, (this.#codes.get(code) ?? 0) + 1);
    this.#recent.add(now);
  }

  join(other: Errors): void {
    this.#total += other.#total;
    this.#fallbacks += other.#fallbacks;
    for (const [code, count] of other.#codes) this.#codes.set(code, (this.#codes.get(code) ?? 0) + count);
    this.#recent.join(other.#recent);
  }

  counts(now: number): ErrorCounts {
    const lastMinute = this.#recent.count(now, 0, MINUTE - 1);
    const minuteBefore = this.#recent.count(now, MINUTE, 2 * MINUTE - 1);
    return {
      total: this.#total,
      byCode: Object.fromEntries(this.#codes),
      fallbacks: this.#fallbacks,
      lastMinute,
      minuteBefore,
      trend: trendOf(lastMinute, minuteBefore),
    };
  }
}

/** Counts of a Poisson process: the variance of their difference is their sum. */
function trendOf(last: number, before: number): ErrorCounts['trend'] {
  if (Math.abs(last - before) <= 2 * Math.sqrt(last + before)) return 'steady';
  return last > before ? 'rising' : 'falling';
}

export class ErrorsByService {
  readonly #services = new Map<string, Errors>();

  /** @param now - when the call settled, in monotonic milliseconds */
  add(record: CallRecord, now: number): void {
    let errors = this.#services.get(record.service);
    if (errors === undefined) {
      errors = new Errors();
      this.#services.set(record.service, errors);
    }
    errors.add(record, now);
  }

  stats(now: number): ErrorStats {
    const all = new Errors();
    for (const errors of this.#services.values()) all.join(errors);
    const own = [...this.#services].map(([name, errors]) => [name, errors.counts(now)] as const);
    return { ...all.counts(now), services: Object.fromEntries(own) };
  }
}
