/** What `npm run conformance` makes of the suite's results: what fails has to be listed, and what is listed to fail. */

import { describe, expect, it } from 'vitest';
import { EXCEPTIONS } from '../conformance/exceptions.mjs';
import { judge, type ScenarioResult, scoredBy } from '../conformance/results.mjs';

const REVISION = '2025-11-25';
const good = { failed: [], passed: 1, client: 'done' };
const bad = { failed: ['check: it was wrong'], passed: 3, client: 'TIMEOUT: late' };

function allBut(scenario: string, result: ScenarioResult | undefined): Map<string, ScenarioResult> {
  const results = new Map<string, ScenarioResult>(scoredBy(REVISION).map((name) => [name, good]));
  if (result) results.set(scenario, result);
  else results.delete(scenario);
  return results;
}

describe('the verdict on a run', () => {
  it('is good where all that is scored passes', () => {
    const { scored, passed, faults } = judge(REVISION, allBut('initialize', good), {});
    expect({ passed, faults }).toEqual({ passed: scored, faults: [] });
    expect(scored).toBe(18);
    expect(scoredBy('2026-07-28')).toHaveLength(32);
  });

  it.each([
    ['a check that failed', bad, 'it was wrong'],
    ['a scenario in which nothing was checked', { ...good, passed: 0 }, 'nothing was checked'],
    ['a scenario that left no result', undefined, 'no result'],
  ])('names %s, unless it is listed', (_what, result, words) => {
    const { scored, passed, faults } = judge(REVISION, allBut('initialize', result), {});
    expect(passed).toBe(scored - 1);
    expect(faults).toEqual([expect.stringMatching(new RegExp(`^initialize[^]*${words}`))]);
    expect(judge(REVISION, allBut('initialize', result), { initialize: 'why' }).faults).toEqual([]);
  });

  it('names what is listed and passes, or is not scored at all', () => {
    const { faults } = judge(REVISION, allBut('initialize', good), { initialize: 'why', 'auth/dpop': 'why' });
    expect(faults).toEqual([
      expect.stringMatching(/^initialize passes/),
      expect.stringMatching(/^auth\/dpop .*scored/),
    ]);
  });

  it('has a reason for each exception', () => {
    const reasons = Object.values(EXCEPTIONS).flatMap((list) => Object.values(list));
    expect(reasons.filter((reason) => reason.length < 20)).toEqual([]);
  });
});
