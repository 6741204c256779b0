/** Knows the steps of a flow as a graph: who needs whom, that there is no circle, and what could run together. */

import { nearest } from '../_util/nearest.js';
import { StoreError } from '../errors.js';
import type { Step } from './step.js';

export class Graph {
  readonly steps: readonly Step[];
  /** By the index of a step, indexes of those that it needs. */
  readonly needs: readonly (readonly number[])[];
  /** By the index of a step, indexes of those that need it. */
  readonly dependents: readonly (readonly number[])[];
  /** Indexes of steps; each needs only steps of levels before its own. */
  readonly levels: readonly (readonly number[])[];

  /** @throws StoreError `FLOW_INVALID` for no step at all, a step that there is not, or steps that need each other */
  constructor(steps: readonly Step[]) {
    if (steps.length === 0) throw new StoreError('FLOW_INVALID', 'a flow needs at least one step');
    this.steps = steps;
    const indexes = new Map(steps.map(({ name }, i) => [name, i]));
    const dependents: number[][] = steps.map(() => []);
    this.needs = steps.map((step, i) =>
      step.needs.map((name) => {
        const index = indexes.get(name);
        if (index === undefined) throw unknown(step, name, indexes.keys());
        dependents[index]!.push(i);
        return index;
      }),
    );
    this.dependents = dependents;
    this.levels = this.#order();
  }

  #order(): number[][] {
    const levels: number[][] = [];
    const unmet = this.needs.map((needs) => needs.length);
    let level = [...unmet.keys()].filter((i) => unmet[i] === 0);
    let ordered = 0;
    while (level.length > 0) {
      levels.push(level);
      ordered += level.length;
      level = level.flatMap((i) => this.dependents[i]!.filter((next) => --unmet[next]! === 0)).sort((a, b) => a - b);
    }
    if (ordered < this.steps.length) throw this.#circle(unmet);
    return levels;
  }

  /** What is left needs something that is left: who goes from need to need comes round. */
  #circle(unmet: readonly number[]): StoreError {
    const path: number[] = [];
    const seen = new Map<number, number>();
    let at = unmet.findIndex((count) => count > 0);
    while (!seen.has(at)) {
      seen.set(at, path.push(at) - 1);
      at = this.needs[at]!.find((need) => unmet[need]! > 0)!;
    }
    const circle = [...path.slice(seen.get(at)), at].map((i) => this.steps[i]!.name);
    return new StoreError('FLOW_INVALID', `steps need each other in a circle: ${circle.join(' → ')}`, {
      figures: { path: circle[0], circle },
    });
  }
}

function unknown({ name }: Step, need: string, known: Iterable<string>): StoreError {
  const near = nearest(need, known);
  const more = near.length > 0 ? `; nearest: ${near.join(', ')}` : '';
  return new StoreError('FLOW_INVALID', `${name}: needs "${need}", and there is no such step${more}`, {
    figures: { path: name, nearest: near },
  });
}
