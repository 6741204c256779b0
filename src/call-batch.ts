/** Knows a batch that is filled call by call: what has come together starts by itself, `execute` answers for all. */

import { Batch, type BatchCall, type BatchOptions, type BatchParts, type BatchResult, Gathered } from './batch.js';
import { checkBatchCall } from './call-options.js';

export interface CallBatchOptions extends Omit<BatchOptions, 'concurrency' | 'timeoutMs'> {
  /** So many waiting calls start by themselves. Default: `calls.batchSize` (10). */
  batchSize?: number;
  /** Calls at a time. Default: `calls.maxWorkers` (5). */
  maxWorkers?: number;
  /** Bounds the whole batch, from its first start on. Milliseconds; default: none but the calls' own. */
  timeoutMs?: number;
}

/** Gives a batch its workers, each time that it begins anew. */
export type BatchMaker = () => { options: BatchOptions; parts: BatchParts; batchSize: number };

export class CallBatch {
  readonly #make: BatchMaker;
  #calls: BatchCall[] = [];
  #run: { batch: Batch; gathered: Gathered; since: number } | undefined;

  /** @internal */
  constructor(make: BatchMaker) {
    this.#make = make;
  }

  /** Calls for which `execute` will answer, begun or waiting. */
  get size(): number {
    return this.#calls.length;
  }

  /**
   * Adds a call; with the ones that wait it may start at once, see `batchSize`.
   * @param options - `cacheKey`: equal calls with it share one execution within the batch; `service` of a bare name
   * @throws StoreError `OPTION_INVALID`
   */
  add(tool: string, args?: Record<string, unknown>, options: Pick<BatchCall, 'cacheKey' | 'service'> = {}): this {
    const call: BatchCall = { ...options, tool, ...(args !== undefined && { arguments: args }) };
    checkBatchCall(call);
    this.#calls.push(call);
    if (this.#calls.length - (this.#run?.batch.released ?? 0) >= this.#make().batchSize) this.#begin().batch.release();
    return this;
  }

  /** Drops the calls that have not been let begin; returns how many. `execute` answers for the others. */
  clear(): number {
    const begun = this.#run?.batch.released ?? 0;
    return this.#calls.splice(begun).length;
  }

  /**
   * Starts the rest and answers for all, in the order in which they were added; always resolves, as `batchCall` does.
   * What is added after it belongs to the next batch.
   */
  async execute(): Promise<BatchResult> {
    const { batch, gathered, since } = this.#begin();
    this.#calls = [];
    this.#run = undefined;
    batch.release();
    await batch.finish();
    return gathered.result(this.#make().parts.clock.now() - since);
  }

  #begin(): { batch: Batch; gathered: Gathered; since: number } {
    if (this.#run === undefined) {
      const { options, parts } = this.#make();
      const gathered = new Gathered();
      const batch = new Batch(this.#calls, options, parts, gathered.take);
      this.#run = { batch, gathered, since: parts.clock.now() };
    }
    return this.#run;
  }
}
