/** Knows how a store's calls are measured: warm-up apart, the cache out of the way, every run's figures kept. */

import { orAborted } from '../_util/abort.js';
import { badOption } from '../call-options.js';
import { StoreError } from '../errors.js';
import type { MCPStore } from '../store.js';
import { closedLoop, type LoadTime, openLoop, systemTime, type Work } from './load.js';
import { type BenchmarkRunOptions, type Plan, planOf } from './plan.js';
import { type Figures, Sample } from './sample.js';
import { reportOf } from './text.js';

/** What one run has measured. Times are in milliseconds of a monotonic clock, of calls that succeeded. */
export interface BenchmarkResult extends Figures {
  name: string;
  /** Calls before the measured ones, in no figure. */
  warmup: number;
  /** Calls under way at a time; undefined in an open loop. */
  concurrency: number | undefined;
  /** Calls begun a second (open loop); latency counts from when a call was meant to begin. Undefined in a closed loop. */
  ratePerSecond: number | undefined;
}

/** Measures what calls of a store cost: latencies, throughput, failures. Defaults: the store's `performance.benchmark`. */
export class PerformanceBenchmark {
  readonly #store: MCPStore;
  readonly #time: LoadTime;
  readonly #results: BenchmarkResult[] = [];

  /** @throws StoreError `OPTION_INVALID` */
  constructor(store: MCPStore, /** @internal */ time: LoadTime = systemTime) {
    if (typeof (store as MCPStore | undefined)?.suspendResultCache !== 'function')
      throw badOption('store', 'what MCPStore.open gives');
    this.#store = store;
    this.#time = time;
  }

  /**
   * Calls `fn` again and again, and measures each time from its call to what it returns, or its promise settles. An `fn`
   * that throws counts as an error; one that gives a result with `isError`, or a batch of which not every call succeeded,
   * as a tool error.
   *
   * Unless `cache` is set, no call of the store, whoever makes it, reads or fills the result cache meanwhile.
   * @param name - what the figures are shown under
   * @param fn - is given the number of the iteration, from 0 on, warm-up and measured ones each for themselves
   * @throws StoreError `OPTION_INVALID`, `CANCELLED`; never what `fn` throws
   */
  async run(
    name: string,
    fn: (iteration: number) => unknown,
    options: BenchmarkRunOptions = {},
  ): Promise<BenchmarkResult> {
    if (typeof name !== 'string') throw badOption('name', 'a string');
    if (typeof fn !== 'function') throw badOption('fn', 'a function');
    const plan = planOf(options, this.#store.effectiveOptions.benchmark);
    const { signal } = options;
    const resume = options.cache === true ? undefined : this.#store.suspendResultCache();
    try {
      const figures = await orAborted(this.#measure(fn, plan, signal), signal);
      const { warmup, concurrency, ratePerSecond } = plan;
      const result: BenchmarkResult = { name, warmup, concurrency, ratePerSecond, ...figures };
      this.#results.push(result);
      return result;
    } catch (error) {
      if (!signal?.aborted) throw error;
      throw new StoreError('CANCELLED', `${name}: cancelled by the caller`, {
        executed: 'unknown',
        cause: signal.reason,
      });
    } finally {
      resume?.();
    }
  }

  /** Every finished run, in order. */
  get results(): readonly BenchmarkResult[] {
    return [...this.#results];
  }

  /** Writes the figures of every finished run as text. @param write - default: to this process's stdout */
  print(write: (text: string) => void = (text) => void process.stdout.write(text)): void {
    if (typeof write !== 'function') throw badOption('write', 'a function');
    write(this.#results.map(reportOf).join('\n'));
  }

  async #measure(fn: Work, plan: Plan, signal: AbortSignal | undefined): Promise<Figures> {
    const { warmup, calls, durationMs, concurrency, ratePerSecond } = plan;
    const first = { calls: warmup, durationMs: Number.POSITIVE_INFINITY, concurrency: concurrency ?? 1 };
    await closedLoop(fn, first, this.#time, signal, () => {});
    const sample = new Sample();
    const since = this.#time.clock.now();
    const add = sample.add.bind(sample);
    if (ratePerSecond !== undefined) await openLoop(fn, { calls, ratePerSecond }, this.#time, signal, add);
    else await closedLoop(fn, { calls, durationMs, concurrency: concurrency ?? 1 }, this.#time, signal, add);
    return sample.figures(this.#time.clock.now() - since);
  }
}
