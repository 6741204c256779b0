/** Knows how to tell what a flow would run. */

import type { Graph } from './graph.js';

export interface PlannedStep {
  step: string;
  tool: string;
  /** Of a bare tool name, where it was given. */
  service?: string;
  needs: string[];
  /** Conditions, in words: where one does not hold, the step is skipped. */
  when?: string[];
}

export interface FlowPlan {
  /** Steps that need only steps of levels before theirs. A step begins when those that it needs are over. */
  levels: PlannedStep[][];
  /** The same as lines of text. */
  text: string;
}

export function planOf(graph: Graph): FlowPlan {
  const levels = graph.levels.map((level) =>
    level.map((i): PlannedStep => {
      const { name, tool, service, needs, gates } = graph.steps[i]!;
      const when = gates.map(({ condition, wanted }) => (wanted ? condition.text : `not: ${condition.text}`));
      return {
        step: name,
        tool,
        ...(service !== undefined && { service }),
        needs: [...needs],
        ...(when.length > 0 && { when }),
      };
    }),
  );
  return { levels, text: textOf(levels) };
}

function textOf(levels: readonly (readonly PlannedStep[])[]): string {
  const all = levels.flat();
  const names = Math.max(...all.map(({ step }) => step.length));
  const tools = Math.max(...all.map((step) => toolOf(step).length));
  const number = String(levels.length).length;
  const lines = levels.flatMap((level, n) =>
    level.map((step, i) => {
      const { needs, when } = step;
      const more = [
        ...(needs.length > 0 ? [`needs ${needs.join(', ')}`] : []),
        ...(when ? [`when ${when.join(' and ')}`] : []),
      ];
      const at = (i === 0 ? String(n + 1) : '').padStart(number);
      return `${at}  ${step.step.padEnd(names)}  ${toolOf(step).padEnd(tools)}  ${more.join('; ')}`.trimEnd();
    }),
  );
  return lines.join('\n');
}

function toolOf({ tool, service }: PlannedStep): string {
  return service === undefined ? tool : `${service}: ${tool}`;
}
