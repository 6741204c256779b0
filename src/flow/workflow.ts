/** Knows a flow that is ready to run, as often as one likes. */

import { asObject, refuseOption } from '../option-rules.js';
import { Graph } from './graph.js';
import { type FlowPlan, planOf } from './plan.js';
import { Run } from './run.js';
import type { FlowParts } from './run-step.js';
import { checkName, stepOf } from './step.js';
import type { FlowResult, FlowRunOptions, WorkflowSteps } from './steps.js';
import { refuseFlow } from './template.js';

// biome-ignore lint/suspicious/noExplicitAny: whoever builds a graph knows what it takes
export class Workflow<Results = Record<string, unknown>, Input = any> {
  readonly #graph: Graph;
  readonly #parts: FlowParts;

  /** @internal */
  constructor(graph: Graph, parts: FlowParts) {
    this.#graph = graph;
    this.#parts = parts;
  }

  /**
   * Runs every step once, each as soon as those that it needs are over, so many at a time. Nothing is kept from one run
   * to the next, and runs may overlap.
   * @param given - `input`: whatever the steps look at
   * @throws StoreError of the first step that failed, with its name: what runs meanwhile is cancelled and waited for.
   *   `CANCELLED`, `TIMEOUT`; `FLOW_INVALID` where the input lacks what a step is sure to take. `error.figures` says what
   *   was done and what was not, and `error.flow` has the results so far
   */
  async run(given: { input?: Input } = {}, options: FlowRunOptions = {}): Promise<FlowResult<Results>> {
    checkGiven(given);
    this.#parts.check(options);
    this.#parts.assertOpen();
    return (await new Run(this.#graph, this.#parts, given.input, options).go()) as FlowResult<Results>;
  }

  /** What would run, by levels; `text` to be printed. Runs nothing. */
  plan(): FlowPlan {
    return planOf(this.#graph);
  }
}

function checkGiven(given: unknown): void {
  const isObject = typeof given === 'object' && given !== null && !Array.isArray(given);
  const stray = isObject ? Object.keys(given).find((key) => key !== 'input') : undefined;
  if (!isObject || stray !== undefined)
    throw refuseOption(stray ?? 'input', 'the input of a run is given as run({ input })');
}

/** @throws StoreError `FLOW_INVALID` with the place of what is wrong */
export function workflowGraph(steps: WorkflowSteps): Graph {
  const entries = Object.entries(asObject(steps, 'workflow', refuseFlow));
  return new Graph(
    entries.map(([name, given]) => {
      checkName(name, name);
      const { needs = [] } = asObject(given, name, refuseFlow);
      if (!Array.isArray(needs) || needs.some((need) => typeof need !== 'string'))
        throw refuseFlow(`${name}.needs`, 'expected an array of names of steps');
      return stepOf(name, given, ['needs'], needs, []);
    }),
  );
}

/**
 * Checks a workflow without a store, and says what would run.
 * @throws StoreError `FLOW_INVALID` with the place of what is wrong
 */
export function planWorkflow(steps: WorkflowSteps): FlowPlan {
  return planOf(workflowGraph(steps));
}
