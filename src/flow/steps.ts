/** Knows what the steps of a flow are made of, and what type each one's result has. */

import type { CallToolResult } from '../call.js';
import type { Executed, StoreError } from '../errors.js';

/** What the functions of a step are given. */
// biome-ignore lint/suspicious/noExplicitAny: results of a graph are known by name alone; a chain knows their types
export interface FlowState<Input = any, Results = Record<string, any>> {
  /** What the run was given. */
  input: Input;
  /**
   * Results by name of the steps that this one needs, directly or not; a step that was skipped has none. Of others it
   * sees nothing, so that it does not depend on who was faster.
   */
  results: Results;
  /** Aborts when the run is stopped: hand it to whatever waits. */
  signal: AbortSignal;
}

/**
 * Where a value is found: `input` or `results.<step>`, and the keys from there, joined by dots or as an array. Directly
 * below a step, `text` is the text of its result, and `json` that text read as JSON, unless the result has such a key.
 */
export type FlowPath = string | readonly (string | number)[];

/** A condition as data: one comparison of one value. */
export type FlowCondition = { $from: FlowPath } & ({ equals: unknown } | { notEquals: unknown } | { exists: boolean });

export interface StepRetry {
  /** How often the tool is called again at most. */
  maxRetries: number;
  /** The pause before the first of them, in milliseconds; it grows as `calls.retry` says. Default 1,000. */
  retryDelayMs?: number;
}

/** What a step of a chain and of a workflow both take. */
export interface StepRules<State = FlowState> {
  /** Where it is false the step is skipped; what needs it runs all the same. */
  when?: FlowCondition | ((state: State) => boolean | Promise<boolean>);
  /** Makes the step's result of the tool's. */
  transform?: (result: CallToolResult, state: State) => unknown;
  /**
   * Calls the tool again after an answer that says that it failed (`isError`, `RPC_ERROR`), and where it did not run.
   * Never where that is unknown. Comes on top of the retries within each call. A number is `maxRetries`.
   */
  retry?: number | StepRetry;
  /** The step's result where it failed: a value, or a function of the error. Not where the run was stopped. */
  fallback?: ((error: StoreError, state: State) => unknown) | string | number | boolean | object | null;
  /** The service of a bare tool name. */
  service?: string;
  /** Bounds each call of the tool, in milliseconds. Default: the service's `callTimeoutMs`. */
  timeoutMs?: number;
}

export type StepArguments<State = FlowState> =
  | Readonly<Record<string, unknown>>
  | ((state: State) => Record<string, unknown> | undefined | Promise<Record<string, unknown> | undefined>);

export interface StepOptions<State = FlowState> extends StepRules<State> {
  /** Its name, under which its result is found. Default: `step` and its place. */
  as?: string;
}

/** One step of a chain as an object. */
export interface ChainStep<State = FlowState> extends StepOptions<State> {
  /** `service__tool`, or a bare name that one service has. */
  tool: string;
  /** Data, in which `{ $from: path }` and `{ $join: [...] }` stand for values of the run; or a function. */
  arguments?: StepArguments<State>;
}

/** One step of a workflow. */
export interface WorkflowStep extends StepRules {
  /** `service__tool`, or a bare name that one service has. */
  tool: string;
  /** Data, in which `{ $from: path }` and `{ $join: [...] }` stand for values of the run; or a function. */
  arguments?: StepArguments;
  /** Steps that have to be over before; those to which data refers (`$from`) need not be named. */
  needs?: readonly string[];
}

export type WorkflowSteps = Readonly<Record<string, WorkflowStep>>;

type Returned<T> = T extends (...args: never[]) => infer R ? Awaited<R> : T;

/** The type of a step's result. */
export type ResultOf<Step> =
  | (Step extends { transform: (...args: never[]) => infer R } ? Awaited<R> : CallToolResult)
  | (Step extends { fallback: infer F } ? Returned<F> : never)
  | (Step extends { when: unknown } ? undefined : never);

/** What a step adds to the results of its chain. */
export type NamedResult<Step> = Step extends { as: infer Name extends string }
  ? { [K in Name]: ResultOf<Step> }
  : unknown;

/**
 * What became of a step. `ok`; `fallback`: it failed, and its fallback stands in; `skipped`: its condition was false;
 * `failed`; `cancelled`: the run ended while it ran; `not_run`: the run ended before it began.
 */
export type StepStatus = 'ok' | 'fallback' | 'skipped' | 'failed' | 'cancelled' | 'not_run';

export interface FlowEntry {
  status: StepStatus;
  error?: StoreError;
  /** May its tool have run? */
  executed: Executed;
  durationMs: number;
  /** How often its tool was called. */
  attempts: number;
}

export interface FlowResult<Results = Record<string, unknown>> {
  /** Results by the names of their steps, in declared order. */
  results: Results;
  /** What became of each step, by name, in declared order. */
  steps: Record<string, FlowEntry>;
  durationMs: number;
}

export interface FlowRunOptions {
  /** Ends the run as `CANCELLED`: what runs is cancelled and waited for, nothing more begins. */
  signal?: AbortSignal;
  /** Steps at a time. Default: `calls.batchConcurrency` (20). */
  concurrency?: number;
  /** Bounds the whole run, which then fails with `TIMEOUT`. Milliseconds; default: none but the calls' own. */
  timeoutMs?: number;
  /** Called as each step is over, with its name and, where it has one, its result. */
  onResult?: (entry: FlowEntry & { step: string; result?: unknown }) => void;
}
