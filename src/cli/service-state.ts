/** Knows what a service that is not started is said to be: its kind, what is wrong with it, and what it will ask for. */

import type { InputDefinition, ServiceConfig, ServiceInfo } from '../index.js';
import { inputWithoutAnswer } from './failure.js';

export interface RestingState {
  kind: ServiceInfo['kind'];
  disabled: boolean;
  /** Ids of `${input:id}` that have neither an answer nor a default: asked for when it starts. */
  needsInputs: string[];
  /** A missing answer is none: nothing needs it yet. */
  problem: ServiceInfo['problem'];
}

/** @param given - answers of `--input`; `inputs` - what the file says of its inputs */
export function restingState(
  info: ServiceInfo,
  config: ServiceConfig,
  given: ReadonlyMap<string, string>,
  inputs: readonly InputDefinition[],
): RestingState {
  const ids = [...JSON.stringify(config).matchAll(/\$\{input:([^}]*)\}/g)].map((found) => found[1]!);
  const hasAnswer = (id: string): boolean =>
    given.has(id) || inputs.some((input) => input.id === id && input.default !== undefined);
  const { disabled, problem } = info;
  return {
    kind: info.kind ?? kindOf(config),
    disabled,
    needsInputs: [...new Set(ids)].filter((id) => !hasAnswer(id)),
    problem: problem && inputWithoutAnswer(problem.message) === undefined ? problem : undefined,
  };
}

/** As it is written: what cannot be filled in now has a kind all the same. */
function kindOf({ command, type }: ServiceConfig): ServiceInfo['kind'] {
  if (command !== undefined) return 'stdio';
  return type === 'sse' ? 'sse' : 'http';
}
