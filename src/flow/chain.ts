/** Knows a flow that is written step by step: one after the other, side by side, or one of two ways. */

import { Graph } from './graph.js';
import type { FlowPlan } from './plan.js';
import type { FlowParts } from './run-step.js';
import { Condition, checkName, type Gate, type Step, stepOf } from './step.js';
import type {
  ChainStep,
  FlowCondition,
  FlowResult,
  FlowRunOptions,
  FlowState,
  NamedResult,
  StepArguments,
  StepOptions,
} from './steps.js';
import { refuseFlow } from './template.js';
import { Workflow } from './workflow.js';

/** A part of a chain: one step, or a function that goes on with the chain that it is given. */
export type ChainPart<Input, Results> =
  | ChainStep<FlowState<Input, Results>>
  | ((chain: Chain<Input, Results>) => Chain<Input, unknown>);

type Added<Part> = Part extends (...args: never[]) => Chain<infer _, infer Results> ? Results : NamedResult<Part>;
type AllAdded<Parts extends readonly unknown[]> = Parts extends readonly [infer First, ...infer Rest]
  ? Added<First> & AllAdded<Rest>
  : unknown;

/** Where a chain has come to. */
interface Laid {
  readonly steps: readonly Step[];
  /** Steps after which the next one comes. */
  readonly last: readonly string[];
  /** Of the branches that it stands in. */
  readonly gates: readonly Gate[];
}

/** Each verb gives a new chain and leaves this one as it is, so that a chain can be kept, run, and gone on with. */
export class Chain<Input, Results> {
  readonly #parts: FlowParts;
  readonly #laid: Laid;
  /** The part of a chain that it belongs to: what a part gives back has to have come from what it was given. */
  readonly #part: object;
  #workflow: Workflow<Results, Input> | undefined;

  /** @internal */
  constructor(parts: FlowParts, laid: Laid = { steps: [], last: [], gates: [] }, part: object = {}) {
    this.#parts = parts;
    this.#laid = laid;
    this.#part = part;
  }

  /**
   * A step that comes after all that is before it.
   * @param tool - `service__tool`, or a bare name that one service has
   * @param args - the tool's arguments, or a function of what is known by then
   * @throws StoreError `FLOW_INVALID`
   */
  step<const Options extends StepOptions<FlowState<Input, Results>>>(
    tool: string,
    args?: StepArguments<FlowState<Input, Results>>,
    options?: Options,
  ): Chain<Input, Results & NamedResult<Options>> {
    return this.#then(this.#extended(this.#laid, { ...options, tool, arguments: args }));
  }

  /** Parts that need not wait for each other; the next step comes after all of them. @throws StoreError `FLOW_INVALID` */
  parallel<const Parts extends readonly ChainPart<Input, Results>[]>(
    parts: Parts,
  ): Chain<Input, Results & AllAdded<Parts>> {
    if (!Array.isArray(parts) || parts.length === 0)
      throw refuseFlow('parallel', 'expected an array of steps, or of functions such as (chain) => chain.step(…)');
    let { steps } = this.#laid;
    const last: string[] = [];
    for (const part of parts) {
      const end = this.#extended({ ...this.#laid, steps }, part);
      steps = end.steps;
      last.push(...end.last);
    }
    return this.#then({ ...this.#laid, steps, last: [...new Set(last)] });
  }

  /**
   * One of two parts: steps of the other are skipped. The next step comes after both.
   * @param when - asked once a run
   * @throws StoreError `FLOW_INVALID`
   */
  branch<
    const Then extends ChainPart<Input, Results>,
    const Else extends ChainPart<Input, Results> = (chain: Chain<Input, Results>) => Chain<Input, Results>,
  >(
    when: FlowCondition | ((state: FlowState<Input, Results>) => boolean | Promise<boolean>),
    then: Then,
    otherwise?: Else,
  ): Chain<Input, Results & Partial<Added<Then>> & Partial<Added<Else>>> {
    const condition = new Condition(when, 'branch.when');
    const { gates, steps, last } = this.#laid;
    const way = (from: readonly Step[], part: unknown, wanted: boolean): Laid =>
      this.#extended({ steps: from, last, gates: [...gates, { condition, wanted }] }, part);
    const yes = way(steps, then, true);
    const no = otherwise === undefined ? { ...yes, last } : way(yes.steps, otherwise, false);
    return this.#then({ steps: no.steps, last: [...new Set([...yes.last, ...no.last])], gates });
  }

  /** As `Workflow.run`. */
  async run(given: { input?: Input } = {}, options: FlowRunOptions = {}): Promise<FlowResult<Results>> {
    return this.#ready().run(given, options);
  }

  /** As `Workflow.plan`. */
  plan(): FlowPlan {
    return this.#ready().plan();
  }

  #ready(): Workflow<Results, Input> {
    this.#workflow ??= new Workflow<Results, Input>(new Graph(this.#laid.steps), this.#parts);
    return this.#workflow;
  }

  #then<More>(laid: Laid): Chain<Input, More> {
    return new Chain<Input, More>(this.#parts, laid, this.#part);
  }

  /** What was laid, and the part after it. */
  #extended(laid: Laid, part: unknown): Laid {
    if (part instanceof Chain)
      throw refuseFlow('chain', 'a part is a step, or a function such as (chain) => chain.step(…)');
    if (typeof part !== 'function') return withStep(laid, part);
    const given = new Chain<Input, Results>(this.#parts, laid);
    const end: unknown = part(given);
    if (!(end instanceof Chain) || end.#part !== given.#part)
      throw refuseFlow('chain', 'a function has to return the chain that it was given, with its steps');
    return end.#laid;
  }
}

function withStep({ steps, last, gates }: Laid, part: unknown): Laid {
  const { as } = Object(part) as { as?: unknown };
  const name = as === undefined ? `step${steps.length + 1}` : checkName(as, 'as');
  const step = stepOf(name, part, ['as'], last, gates);
  if (steps.some((other) => other.name === name)) throw refuseFlow(name, 'there are two steps of this name');
  return { steps: [...steps, step], last: [name], gates };
}
