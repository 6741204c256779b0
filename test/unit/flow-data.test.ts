/** Knows what data of a flow becomes: itself, but for its references, which find own keys alone. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { StoreError } from '../../src/errors.js';
import type { FlowParts } from '../../src/flow/run-step.js';
import type { FlowState } from '../../src/flow/steps.js';
import { Comparison, Template } from '../../src/flow/template.js';
import { Workflow, workflowGraph } from '../../src/flow/workflow.js';
import { FakeClock, watch } from '../support/fake-clock.js';
import { text } from '../support/fake-server.js';

const stateOf = (input: unknown, results: Record<string, unknown> = {}): FlowState => ({
  input,
  results,
  signal: new AbortController().signal,
});
const hostile = fc.constantFrom('__proto__', 'constructor', 'toString', 'length', '0', 'a', '$from ', '');
const keys = fc.oneof(
  hostile,
  fc.string({ maxLength: 5 }).filter((key) => key !== '$from' && key !== '$join'),
);
const { json } = fc.letrec((again) => ({
  json: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(null, true, 0, -1.5, '', 'text', '{"$from":"input"}', '${input}'),
    fc.array(again('json'), { maxLength: 3 }),
    fc.array(fc.tuple(keys, again('json')), { maxLength: 3 }).map((entries) => Object.fromEntries(entries)),
  ),
}));

it('data without references is itself, and a copy', () => {
  fc.assert(
    fc.property(json, (value) => {
      const filled = new Template(value, 'x').fill(stateOf(undefined));
      expect(JSON.stringify(filled)).toBe(JSON.stringify(value));
      if (typeof value === 'object' && value !== null) expect(filled).not.toBe(value);
    }),
  );
});

it('a reference finds what JSON has there, and nothing that it has not', () => {
  const path = fc.array(
    keys.filter((key) => key !== ''),
    { maxLength: 4 },
  );
  fc.assert(
    fc.property(json, path, (input, keysOf) => {
      // As text: what a prototype has is not in it.
      let expected: unknown = input;
      for (const key of keysOf) {
        const own = typeof expected === 'object' && expected !== null ? Object.entries(expected) : [];
        expected = Array.isArray(expected) && key === 'length' ? expected.length : new Map(own).get(key);
        if (expected === undefined) break;
      }
      const data = { found: { $from: ['input', ...keysOf] } };
      const exists = new Comparison({ $from: ['input', ...keysOf], exists: true }, 'when');
      expect(exists.holds(stateOf(input))).toBe(expected !== undefined);
      if (expected === undefined)
        expect(() => new Template(data, 'x').fill(stateOf(input))).toThrow(
          expect.objectContaining({
            code: 'FLOW_INVALID',
            figures: expect.objectContaining({ path: 'x.found.$from' }),
          }),
        );
      else expect(new Template(data, 'x').fill(stateOf(input))).toEqual({ found: expected });
    }),
  );
});

it('compares whole values', () => {
  const holds = (when: object, input: unknown): boolean => new Comparison(when, 'when').holds(stateOf(input));
  expect(holds({ $from: 'input.a', equals: { b: [1] } }, { a: { b: [1] } })).toBe(true);
  expect(holds({ $from: 'input.a', equals: 1 }, { a: '1' })).toBe(false);
  expect(holds({ $from: 'input.a', notEquals: 1 }, {})).toBe(true);
  expect(holds({ $from: 'input.a', equals: null }, { a: null })).toBe(true);
  expect(holds({ $from: 'input.a', exists: true }, { a: null })).toBe(true);
  expect(holds({ $from: 'input.a', exists: false }, {})).toBe(true);
});

it('joins texts, and writes the rest as JSON', () => {
  const template = new Template({ x: { $join: ['a', { $from: 'input.n' }, { $from: 'results.s.text' }] } }, 'x');
  expect(template.fill(stateOf({ n: [1, null] }, { s: text('!') }))).toEqual({ x: 'a[1,null]!' });
});

it('a step is called again no sooner than its error says', async () => {
  const clock = new FakeClock();
  let calls = 0;
  const parts: FlowParts = {
    clock,
    concurrency: () => 1,
    pauseMs: () => 10,
    check: () => {},
    assertOpen: () => {},
    call: async () => {
      if (calls++ > 0) return text('well') as never;
      throw new StoreError('RATE_LIMITED', 'too many', { figures: { retryAfterMs: 5_000 } });
    },
  };
  const run = watch(new Workflow(workflowGraph({ a: { tool: 'x', retry: 1 } }), parts).run());
  await clock.advance(4_999);
  expect([calls, run.settled]).toEqual([1, false]);
  await clock.advance(1);
  expect([calls, run.settled]).toEqual([2, true]);
});
