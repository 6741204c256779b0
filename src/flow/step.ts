/** Knows one step of a flow: checks what was given for it, and turns data into functions of the run's results. */

import { asObject, refuseUnknown } from '../option-rules.js';
import type { FlowState, StepRetry } from './steps.js';
import { Comparison, copied, type Reference, refuseFlow, Template } from './template.js';

/**
 * Made of what its author gave. A function of his sees `state`, the results of what its step needs; data is looked up in
 * `all` results, among which those that it refers to are needed, too.
 */
export type OfState<T> = (state: FlowState, all: FlowState) => T;

/** A condition of a step, or of all the steps of a branch. */
export class Condition {
  readonly references: readonly Reference[];
  /** What a plan shows. */
  readonly text: string;
  readonly holds: OfState<boolean | Promise<boolean>>;

  constructor(when: unknown, path: string) {
    if (typeof when === 'function') {
      this.references = [];
      this.text = 'a function holds';
      this.holds = async (state) => {
        const held: unknown = await when(state);
        if (typeof held !== 'boolean') throw refuseFlow(path, `expected true or false, got ${typeof held}`);
        return held;
      };
      return;
    }
    const comparison = new Comparison(when, path);
    this.references = [comparison.reference];
    this.text = String(comparison);
    this.holds = (_, all) => comparison.holds(all);
  }
}

/** A condition, and on which of its two answers a step runs. Asked once a run, however many steps share it. */
export interface Gate {
  readonly condition: Condition;
  readonly wanted: boolean;
}

/** A step that was checked. */
export interface Step {
  readonly name: string;
  readonly tool: string;
  readonly service: string | undefined;
  readonly timeoutMs: number | undefined;
  /** Names of steps, each once. */
  readonly needs: readonly string[];
  readonly gates: readonly Gate[];
  /** References of its arguments. */
  readonly references: readonly Reference[];
  readonly arguments: OfState<unknown> | undefined;
  readonly transform: ((result: never, state: FlowState) => unknown) | undefined;
  readonly retry: Required<StepRetry>;
  readonly fallback: unknown;
}

const KNOWN = ['tool', 'arguments', 'when', 'transform', 'retry', 'fallback', 'service', 'timeoutMs'] as const;
const RETRY_DELAY_MS = 1_000;
/** A letter first: numbers would be moved to the front of an object, and a dot ends a name in a path. */
const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;

export function checkName(name: unknown, path: string): string {
  if (typeof name === 'string' && NAME.test(name)) return name;
  throw refuseFlow(path, 'a name of a step is at most 64 letters, digits, _ and -, and begins with a letter');
}

/**
 * @param more - keys that are known here beside those of every step
 * @param needs - steps that it needs whatever its data refers to
 * @param gates - of the branches in which it stands
 * @throws StoreError `FLOW_INVALID` with the place
 */
export function stepOf(
  name: string,
  given: unknown,
  more: readonly string[],
  needs: readonly string[],
  gates: readonly Gate[],
): Step {
  const object = asObject(given, name, refuseFlow);
  refuseUnknown(object, [...KNOWN, ...more], name, refuseFlow);
  const { tool, service, timeoutMs, when, transform } = object;
  if (typeof tool !== 'string' || tool === '') throw refuseFlow(`${name}.tool`, 'expected the name of a tool');
  if (service !== undefined && typeof service !== 'string') throw refuseFlow(`${name}.service`, 'expected a string');
  if (timeoutMs !== undefined && !(typeof timeoutMs === 'number' && timeoutMs > 0))
    throw refuseFlow(`${name}.timeoutMs`, 'expected a number of milliseconds above 0');
  if (transform !== undefined && typeof transform !== 'function')
    throw refuseFlow(`${name}.transform`, 'expected a function');
  const all = [...gates];
  if (when !== undefined) all.push({ condition: new Condition(when, `${name}.when`), wanted: true });
  const { references, fill } = argumentsOf(object['arguments'], `${name}.arguments`);
  const referred = [...references, ...all.flatMap(({ condition }) => condition.references)];
  return {
    name,
    tool,
    service,
    timeoutMs,
    needs: [...new Set([...needs, ...referred.flatMap(({ step }) => step ?? [])])],
    gates: all,
    references,
    arguments: fill,
    transform: transform as Step['transform'],
    retry: retryOf(object['retry'], `${name}.retry`),
    fallback: copied(object['fallback'], `${name}.fallback`),
  };
}

function argumentsOf(given: unknown, path: string): { references: readonly Reference[]; fill: Step['arguments'] } {
  if (given === undefined) return { references: [], fill: undefined };
  if (typeof given === 'function') return { references: [], fill: given as NonNullable<Step['arguments']> };
  const template = new Template(asObject(given, path, refuseFlow), path);
  return { references: template.references, fill: (_, all) => template.fill(all) };
}

function retryOf(given: unknown, path: string): Required<StepRetry> {
  const object = typeof given === 'object' ? asObject(given, path, refuseFlow) : { maxRetries: given ?? 0 };
  refuseUnknown(object, ['maxRetries', 'retryDelayMs'], path, refuseFlow);
  const { maxRetries, retryDelayMs = RETRY_DELAY_MS } = object;
  if (!(Number.isSafeInteger(maxRetries) && (maxRetries as number) >= 0))
    throw refuseFlow(path, 'expected a whole number from 0 on, or { maxRetries, retryDelayMs }');
  if (!(typeof retryDelayMs === 'number' && retryDelayMs >= 0 && retryDelayMs < Number.POSITIVE_INFINITY))
    throw refuseFlow(`${path}.retryDelayMs`, 'expected a number of milliseconds, at least 0');
  return { maxRetries: maxRetries as number, retryDelayMs };
}
