/** Types of `results.mjs`, for its tests. */

export interface ScenarioResult {
  failed: string[];
  passed: number;
  client: string;
}

export function scoredBy(revision: string): string[];
export function judge(
  revision: string,
  results: ReadonlyMap<string, ScenarioResult>,
  exceptions: Readonly<Record<string, string>>,
): { scored: number; passed: number; faults: string[]; others: [string, ScenarioResult][] };
