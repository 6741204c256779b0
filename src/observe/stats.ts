/** Knows the figures of all calls, by service and tool, made from the records of settled calls alone. */

import type { CallRecord } from '../call.js';
import { type CallStats, Counter } from './counter.js';
import { ErrorsByService } from './error-counts.js';

/** Figures of one service's calls, and of each of its tools. */
export interface ServiceStats extends CallStats {
  /** By the server's own name of the tool, or the method of what is no tool call. */
  tools: Record<string, CallStats>;
}

/** Sizes of the batches that were run (`batchCall`, `batchStream`, `batch()`). */
export interface BatchStats {
  batches: number;
  calls: number;
  meanSize: number;
  maxSize: number;
}

/** Tools with figures of their own, over all services; what others do counts for their service. */
const MAX_TOOLS = 1_000;
/** What the calls of other tools are counted under. */
export const OTHER_TOOLS = '(other)';

export class Stats {
  readonly #since: number;
  readonly #services = new Map<string, Map<string, Counter>>();
  readonly errors = new ErrorsByService();
  #tools = 0;
  #batches = 0;
  #batchCalls = 0;
  #maxBatch = 0;

  /** @param since - when counting begins, in monotonic milliseconds */
  constructor(since: number) {
    this.#since = since;
  }

  add(record: CallRecord): void {
    let tools = this.#services.get(record.service);
    if (tools === undefined) {
      tools = new Map();
      this.#services.set(record.service, tools);
    }
    const counter = tools.get(record.tool) ?? this.#newCounter(tools, record.tool);
    const now = record.startedAt + record.totalMs;
    counter.add(record, now);
    if (record.outcome !== 'ok') this.errors.add(record, now);
  }

  addBatch(size: number): void {
    this.#batches++;
    this.#batchCalls += size;
    this.#maxBatch = Math.max(this.#maxBatch, size);
  }

  /** Joined when somebody asks: a call is counted once. */
  total(now: number): CallStats {
    const total = new Counter();
    for (const [, , counter] of this.counters()) total.join(counter);
    return total.stats(now, this.#since);
  }

  /** Services that were called. */
  services(now: number): Record<string, ServiceStats> {
    const services: [string, ServiceStats][] = [];
    for (const [name, tools] of this.#services) {
      const whole = new Counter();
      for (const counter of tools.values()) whole.join(counter);
      const own = [...tools].map(([tool, counter]) => [tool, counter.stats(now, this.#since)] as const);
      services.push([name, { ...whole.stats(now, this.#since), tools: Object.fromEntries(own) }]);
    }
    return Object.fromEntries(services);
  }

  get batches(): BatchStats {
    const [batches, calls] = [this.#batches, this.#batchCalls];
    return { batches, calls, meanSize: batches === 0 ? 0 : calls / batches, maxSize: this.#maxBatch };
  }

  /** Service, tool, and what is counted of it. */
  *counters(): Generator<[string, string, Counter]> {
    for (const [service, tools] of this.#services) for (const [tool, counter] of tools) yield [service, tool, counter];
  }

  #newCounter(tools: Map<string, Counter>, tool: string): Counter {
    const full = this.#tools >= MAX_TOOLS;
    const name = full ? OTHER_TOOLS : tool;
    const counter = tools.get(name) ?? new Counter();
    tools.set(name, counter);
    if (!full) this.#tools++;
    return counter;
  }
}
