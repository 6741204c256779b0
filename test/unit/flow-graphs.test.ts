/** Knows what holds for every graph: each step once, never before what it needs, bounded, in order; and no circle runs. */

import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { WorkflowStep } from '../../src/index.js';
import type { MCPStore } from '../../src/store.js';
import { FakeClock, settle, watch } from '../support/fake-clock.js';
import { FakeServer, openStore, text } from '../support/fake-server.js';

let clock: FakeClock;
let store: MCPStore;
/** What happened, in this order. */
let log: { step: string; what: 'begins' | 'ends' }[] = [];

beforeAll(async () => {
  clock = new FakeClock();
  const server = new FakeServer(
    {
      work: {
        run: ({ args }) => {
          const step = String(args['step']);
          log.push({ step, what: 'begins' });
          return new Promise((resolve) => {
            clock.after(Number(args['ms']), () => {
              log.push({ step, what: 'ends' });
              resolve(text(step));
            });
          });
        },
      },
    },
    clock,
  );
  store = await openStore({ s: server }, clock);
  const first = store.callTool('s__work', { ms: 0 });
  await settle(20);
  await clock.advance(10);
  await first;
});
afterAll(() => store.close({ drainMs: 0 }));

interface Drawn {
  steps: Record<string, WorkflowStep>;
  names: string[];
}

/** Steps that need only those drawn before them, declared in whatever order. */
const graphs: fc.Arbitrary<Drawn> = fc
  .array(fc.record({ needs: fc.array(fc.nat(1_000), { maxLength: 4 }), ms: fc.nat(50), key: fc.nat() }), {
    minLength: 1,
    maxLength: 10,
  })
  .map((drawn) => {
    const steps = drawn.map(({ needs, ms, key }, i) => {
      const needed = i === 0 ? [] : [...new Set(needs.map((n) => `n${n % i}`))];
      // Half of them by name, half by what they take.
      const [named, taken] = [needed.filter((_, n) => n % 2 === 0), needed.filter((_, n) => n % 2 === 1)];
      const args = { step: `n${i}`, ms, of: taken.map((name) => ({ $from: `results.${name}.text` })) };
      return { key, name: `n${i}`, step: { tool: 's__work', arguments: args, needs: named } };
    });
    steps.sort((a, b) => a.key - b.key);
    return {
      steps: Object.fromEntries(steps.map(({ name, step }) => [name, step])),
      names: steps.map(({ name }) => name),
    };
  });

it('every graph runs each step once, after what it needs, never too many at a time, with results in declared order', async () => {
  await fc.assert(
    fc.asyncProperty(graphs, fc.integer({ min: 1, max: 4 }), async ({ steps, names }, concurrency) => {
      log = [];
      const flow = store.workflow(steps);
      const plan = flow.plan();
      const run = flow.run({}, { concurrency });
      const seen = watch(run);
      for (let n = 0; n < 40 && !seen.settled; n++) await clock.advance(20);
      const { results } = await run;

      expect(Object.keys(results)).toEqual(names);
      expect(Object.values(results)).toEqual(names.map(text));
      expect(log.filter(({ what }) => what === 'begins').map(({ step }) => step)).toHaveLength(names.length);
      const ended = new Set<string>();
      let running = 0;
      for (const { step, what } of log) {
        if (what === 'ends') {
          ended.add(step);
          running--;
          continue;
        }
        expect(++running).toBeLessThanOrEqual(concurrency);
        expect(needsOf(plan, step).filter((need) => !ended.has(need))).toEqual([]);
      }
      expect([...ended].sort()).toEqual([...names].sort());
      expect(plan.levels.flat()).toHaveLength(names.length);
    }),
    { numRuns: 60 },
  );
});

it('a graph with room for all takes as long as its longest way', async () => {
  await fc.assert(
    fc.asyncProperty(graphs, async ({ steps, names }) => {
      const flow = store.workflow(steps);
      const plan = flow.plan();
      const longest = new Map<string, number>();
      for (const { step, needs } of plan.levels.flat()) {
        const { ms } = steps[step]!.arguments as { ms: number };
        longest.set(step, ms + Math.max(0, ...needs.map((need) => longest.get(need)!)));
      }
      const run = flow.run({}, { concurrency: names.length });
      const seen = watch(run);
      for (let n = 0; n < 40 && !seen.settled; n++) await clock.advance(20);
      expect((await run).durationMs).toBe(Math.max(...longest.values()));
    }),
    { numRuns: 30 },
  );
});

it('no graph with a circle runs anything, and the circle is named', () => {
  fc.assert(
    fc.property(graphs, fc.array(fc.nat(1_000), { minLength: 1, maxLength: 5 }), ({ steps, names }, picked) => {
      log = [];
      const around = [...new Set(picked.map((n) => names[n % names.length]!))];
      const bad: Record<string, WorkflowStep> = { ...steps };
      for (const [i, name] of around.entries()) {
        const next = around[(i + 1) % around.length]!;
        bad[name] = { ...bad[name]!, needs: [...(bad[name]!.needs ?? []), next] };
      }
      let error: { code?: string; message?: string; figures?: { circle: string[] } } = {};
      try {
        store.workflow(bad);
      } catch (thrown) {
        error = thrown as typeof error;
      }
      expect(error.code).toBe('FLOW_INVALID');
      const { circle } = error.figures!;
      expect(error.message).toContain(circle.join(' → '));
      expect(circle.length).toBeGreaterThan(1);
      expect(circle.at(-1)).toBe(circle[0]);
      for (const [i, name] of circle.slice(0, -1).entries()) expect(allNeeds(bad[name]!)).toContain(circle[i + 1]);
      expect(log).toEqual([]);
    }),
    { numRuns: 200 },
  );
});

function needsOf(plan: { levels: { step: string; needs: string[] }[][] }, name: string): string[] {
  return plan.levels.flat().find(({ step }) => step === name)!.needs;
}

function allNeeds({ needs = [], arguments: args }: WorkflowStep): string[] {
  const { of } = args as unknown as { of: { $from: string }[] };
  return [...needs, ...of.map(({ $from }) => $from.split('.')[1]!)];
}
