/** Knows one run of a flow: which step may begin, how many at a time, and how the run ends. */

import { onAbort } from '../_util/abort.js';
import { sleep } from '../_util/sleep.js';
import { asError, type Executed, StoreError } from '../errors.js';
import type { Graph } from './graph.js';
import { type FlowParts, type StepOutcome, StepRun } from './run-step.js';
import type { Condition } from './step.js';
import type { FlowEntry, FlowResult, FlowRunOptions, FlowState, StepStatus } from './steps.js';

/** Everything that a run remembers: another run of the same flow has its own. */
export class Run {
  readonly #graph: Graph;
  readonly #parts: FlowParts;
  /** What data of the flow may refer to. */
  readonly #all: FlowState;
  readonly #options: FlowRunOptions;
  readonly #abort = new AbortController();
  readonly #conditions = new Map<Condition, Promise<boolean>>();
  /** By the index of a step. */
  readonly #unmet: number[];
  readonly #outcomes: (StepOutcome & { durationMs: number })[] = [];
  /** Steps that need nothing any more, those from `#next` on have not begun. */
  readonly #ready: number[];
  #next = 0;
  readonly #running = new Set<number>();
  #stopped: { why: StoreError; step?: string } | undefined;
  #finish!: () => void;

  constructor(graph: Graph, parts: FlowParts, input: unknown, options: FlowRunOptions) {
    this.#graph = graph;
    this.#parts = parts;
    this.#all = { input, results: {}, signal: this.#abort.signal };
    this.#options = options;
    this.#unmet = graph.needs.map((needs) => needs.length);
    this.#ready = [...graph.levels[0]!];
  }

  /** @throws StoreError of the first step that failed, or `CANCELLED`, `TIMEOUT`; `flow` has what was done */
  async go(): Promise<FlowResult> {
    const { signal, timeoutMs } = this.#options;
    const { clock } = this.#parts;
    this.#checkInput();
    const since = clock.now();
    const cancel = (): void =>
      this.#stop(new StoreError('CANCELLED', 'the flow was cancelled', { cause: signal?.reason }));
    const offAbort = signal && onAbort(signal, cancel);
    if (signal?.aborted) cancel();
    const over = new AbortController();
    if (timeoutMs !== undefined)
      sleep(clock, timeoutMs, over.signal).then(
        () => this.#stop(this.#timeout(timeoutMs)),
        () => {},
      );
    await new Promise<void>((resolve) => {
      this.#finish = resolve;
      this.#begin();
    });
    offAbort?.();
    over.abort();
    const result = this.#result(clock.now() - since);
    if (this.#stopped) throw failed(this.#stopped.why, this.#stopped.step, result);
    return result;
  }

  /** Begins what may begin; ends the run where nothing does. */
  #begin(): void {
    const { concurrency = this.#parts.concurrency() } = this.#options;
    while (!this.#stopped && this.#running.size < concurrency && this.#next < this.#ready.length)
      void this.#run(this.#ready[this.#next++]!);
    if (this.#running.size === 0) this.#finish();
  }

  async #run(index: number): Promise<void> {
    this.#running.add(index);
    const { clock } = this.#parts;
    const since = clock.now();
    const step = this.#graph.steps[index]!;
    const outcome = await new StepRun(step, this.#stateOf(index), this.#all, this.#parts).go(this.#holds);
    this.#running.delete(index);
    this.#outcomes[index] = { ...outcome, durationMs: clock.now() - since };
    if ('result' in outcome) this.#all.results[step.name] = outcome.result;
    if (outcome.status === 'failed') this.#stop(outcome.error!, step.name);
    this.#tell(index);
    for (const next of this.#graph.dependents[index]!) if (--this.#unmet[next]! === 0) this.#ready.push(next);
    this.#begin();
  }

  /** Begins nothing more and cancels what runs. The first reason counts. */
  #stop(why: StoreError, step?: string): void {
    if (this.#stopped) return;
    this.#stopped = { why, ...(step !== undefined && { step }) };
    // What waits ends with the reason: the error of another step is not its own.
    const reason = step === undefined ? why : new StoreError('CANCELLED', `the step ${step} failed`, { cause: why });
    this.#abort.abort(reason);
  }

  #tell(index: number): void {
    try {
      this.#options.onResult?.({ step: this.#graph.steps[index]!.name, ...this.#outcomes[index]! });
    } catch (error) {
      // As in a batch: going on would repeat its failure at every step.
      this.#stop(new StoreError('CANCELLED', `onResult failed: ${asError(error).message}`, { cause: error }));
    }
  }

  /** A condition of several steps is asked once. */
  readonly #holds = (condition: Condition, state: FlowState): Promise<boolean> => {
    let answer = this.#conditions.get(condition);
    if (answer === undefined) {
      answer = (async () => condition.holds(state, this.#all))();
      this.#conditions.set(condition, answer);
    }
    return answer;
  };

  #stateOf(index: number): FlowState {
    const resultsOf = (): Record<string, unknown> => this.#resultsFor(index);
    let results: Record<string, unknown> | undefined;
    return {
      ...this.#all,
      get results() {
        results ??= resultsOf();
        return results;
      },
    };
  }

  /** Of the steps that this one needs, directly or not, in declared order. */
  #resultsFor(index: number): Record<string, unknown> {
    const needed = new Set(this.#graph.needs[index]);
    // A set goes on to what is added on the way.
    for (const need of needed) for (const further of this.#graph.needs[need]!) needed.add(further);
    return this.#named([...needed].sort((a, b) => a - b));
  }

  #named(indexes: Iterable<number>): Record<string, unknown> {
    const named: Record<string, unknown> = {};
    for (const i of indexes) {
      const outcome = this.#outcomes[i];
      if (outcome && 'result' in outcome) named[this.#graph.steps[i]!.name] = outcome.result;
    }
    return named;
  }

  /** What a step is sure to look for in the input has to be there before anything runs. */
  #checkInput(): void {
    for (const { gates, fallback, references } of this.#graph.steps)
      if (gates.length === 0 && fallback === undefined)
        for (const reference of references) if (reference.step === undefined) reference.value(this.#all);
  }

  #timeout(timeoutMs: number): StoreError {
    const running = [...this.#running].map((i) => this.#graph.steps[i]!.name);
    return new StoreError('TIMEOUT', `the flow timed out after ${timeoutMs} ms, waiting for ${running.join(', ')}`, {
      figures: { timeoutMs },
    });
  }

  #result(durationMs: number): FlowResult {
    const steps: Record<string, FlowEntry> = {};
    for (const [i, { name }] of this.#graph.steps.entries()) {
      const { result: _, ...entry } = this.#outcomes[i] ?? NOT_RUN;
      steps[name] = entry;
    }
    return { results: this.#named(this.#graph.steps.keys()), steps, durationMs };
  }
}

const NOT_RUN: StepOutcome & { durationMs: number } = {
  status: 'not_run',
  executed: 'no',
  attempts: 0,
  durationMs: 0,
};

/** The error of a whole run: where it failed, what ran and what did not; `executed` is that of all steps together. */
function failed(error: StoreError, step: string | undefined, flow: FlowResult): StoreError {
  const { code, message, service, tool, endpoint, attempts, hint, rpcCode, data, cause } = error;
  const all = Object.entries(flow.steps);
  const names = (...wanted: StepStatus[]): string[] =>
    all.flatMap(([name, { status }]) => (wanted.includes(status) ? name : []));
  const is = (executed: Executed): boolean => all.some(([, entry]) => entry.executed === executed);
  return new StoreError(code, step === undefined ? message : messageAt(step, message), {
    service,
    tool,
    endpoint,
    attempts,
    executed: is('unknown') ? 'unknown' : is('yes') ? 'yes' : 'no',
    figures: {
      ...error.figures,
      ...(step !== undefined && { step }),
      done: names('ok', 'fallback'),
      skipped: names('skipped'),
      failed: names('failed'),
      cancelled: names('cancelled'),
      notRun: names('not_run'),
    },
    hint,
    rpcCode,
    data,
    cause,
    flow,
  });
}

/** An error of the flow's own data begins with its place in the step. */
function messageAt(step: string, message: string): string {
  return message.startsWith(`${step}.`) ? message : `step ${step}: ${message}`;
}
