/** Knows how chains and workflows run: order, conditions, retries, fallbacks, ends, and what a failed run still tells. */

import { describe, expect, it } from 'vitest';
import { type Chain, isStoreError, type StoreError, textOf } from '../../src/index.js';
import type { MCPStore } from '../../src/store.js';
import { FakeClock, failure, settle, watch } from '../support/fake-clock.js';
import { FakeServer, type FakeTool, openStore, RpcFault, text } from '../support/fake-server.js';

interface Bench {
  clock: FakeClock;
  server: FakeServer;
  store: MCPStore;
  /** Moves time until the promise has settled. */
  done<T>(promise: Promise<T>, ms?: number): Promise<T>;
}

const FLAKY = (times: number, fault: () => Record<string, unknown>): FakeTool => {
  let left = times;
  return { run: () => (left-- > 0 ? fault() : text('well')) };
};
const toolError = (): Record<string, unknown> => ({ ...text('not yet'), isError: true });

async function bench(more: Record<string, FakeTool> = {}, performance: object = {}): Promise<Bench> {
  const clock = new FakeClock();
  const tools: Record<string, FakeTool> = {
    echo: { run: ({ args }) => text(String(args['text'])) },
    slow: { delayMs: 100 },
    fails: { run: toolError },
    ...more,
  };
  const server = new FakeServer(tools, clock);
  const store = await openStore({ s: server }, clock, { performance });
  const done = async <T>(promise: Promise<T>, ms = 60_000): Promise<T> => {
    const seen = watch(promise);
    for (let n = 0; n < 20 && !seen.settled; n++) await clock.advance(ms / 20);
    if (!seen.settled) throw new Error(`still runs after ${ms} ms`);
    return promise;
  };
  await done(store.callTool('s__echo', { text: 'first' }));
  server.called.length = 0;
  return { clock, server, store, done };
}

const failed = async (work: Promise<unknown>): Promise<StoreError> => (await failure(work)) as unknown as StoreError;

/** The error of what throws at once. */
function thrown(work: () => unknown): StoreError {
  try {
    work();
  } catch (error) {
    return error as StoreError;
  }
  throw new Error('it was expected to throw');
}

describe('a chain', () => {
  it('hands on results, under the names of its steps and in their order', async () => {
    const { store, done, server } = await bench();
    const chain = store
      .chain<{ who: string }>()
      .step('s__echo', ({ input }) => ({ text: `hello ${input.who}` }), { as: 'hello', transform: textOf })
      .step('s__echo', ({ results }) => ({ text: results.hello.toUpperCase() }), { as: 'loud' })
      .step('s__echo', { text: { $join: [{ $from: 'results.loud.text' }, '!', { $from: 'input.who' }] } })
      .step('s__slow');
    const { results, steps } = await done(chain.run({ input: { who: 'Ada' } }));
    expect(results.hello).toBe('hello Ada');
    expect(textOf(results.loud)).toBe('HELLO ADA');
    expect(textOf((results as Record<string, unknown>)['step3'] as never)).toBe('HELLO ADA!Ada');
    expect(Object.keys(results)).toEqual(['hello', 'loud', 'step3', 'step4']);
    expect(steps['step4']).toEqual({ status: 'ok', executed: 'yes', attempts: 1, durationMs: 100 });
    expect(server.called).toEqual(['echo', 'echo', 'echo', 'slow']);
  });

  it('runs parts side by side and goes on after all of them', async () => {
    const { store, done } = await bench();
    const chain = store
      .chain()
      .step('s__echo', { text: 'a' }, { as: 'a' })
      .parallel([
        { tool: 's__slow', as: 'b' },
        (part) => part.step('s__slow', {}, { as: 'c' }).step('s__slow', {}, { as: 'd' }),
      ])
      .step('s__slow', ({ results }) => ({ seen: Object.keys(results) }), { as: 'e' });
    const { results, durationMs } = await done(chain.run());
    expect(durationMs).toBe(300);
    expect(Object.keys(results)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(textOf(results.e)).toBe('slow {"seen":["a","b","c","d"]}');
    expect(chain.plan().levels.map((level) => level.map(({ step }) => step))).toEqual([
      ['a'],
      ['b', 'c'],
      ['d'],
      ['e'],
    ]);
  });

  it('takes one of two ways, and asks for it once', async () => {
    const { store, done } = await bench();
    let asked = 0;
    const chain = store
      .chain<number>()
      .branch(
        ({ input }) => {
          asked++;
          return input > 0;
        },
        (part) =>
          part.parallel([
            { tool: 's__echo', as: 'more', arguments: { text: 'more' } },
            { tool: 's__echo', as: 'yet', arguments: { text: 'yet' } },
          ]),
        { tool: 's__echo', as: 'less', arguments: { text: 'less' } },
      )
      .step('s__echo', ({ results }) => ({ text: Object.keys(results).join() }), { as: 'end', transform: textOf });
    const yes = await done(chain.run({ input: 1 }));
    expect(yes.results.end).toBe('more,yet');
    expect(yes.steps['less']).toMatchObject({ status: 'skipped', executed: 'no', attempts: 0 });
    expect(asked).toBe(1);
    expect((await done(chain.run({ input: -1 }))).results.end).toBe('less');
    expect(asked).toBe(2);
  });

  it('without the other way goes on, and a way in a way has both conditions', async () => {
    const { store, done, server } = await bench();
    const chain = store
      .chain<{ a: boolean; b: boolean }>()
      .branch({ $from: 'input.a', equals: true }, (part) =>
        part.branch({ $from: 'input.b', equals: true }, { tool: 's__slow', as: 'both' }),
      )
      .step('s__echo', { text: 'end' }, { as: 'end' });
    for (const [a, b, ran] of [
      [true, true, ['slow', 'echo']],
      [true, false, ['echo']],
      [false, true, ['echo']],
    ] as const) {
      server.called.length = 0;
      await done(chain.run({ input: { a, b } }));
      expect(server.called).toEqual(ran);
    }
    expect(chain.plan().text).toBe(
      '1  both  s__slow  when input.a equals true and input.b equals true\n2  end   s__echo  needs both',
    );
  });

  it('is left as it is by every verb, and keeps nothing from run to run, also where runs overlap', async () => {
    const { store, done } = await bench();
    const base = store.chain<string>().step('s__echo', ({ input }) => ({ text: input }), { as: 'a' });
    const longer = base.step('s__slow', ({ results }) => ({ of: textOf(results.a) }), { as: 'b' });
    const runs = ['x', 'y', 'z'].map((input) => longer.run({ input }));
    const all = await done(Promise.all(runs));
    expect(all.map(({ results }) => textOf(results.b))).toEqual(['x', 'y', 'z'].map((of) => `slow {"of":"${of}"}`));
    expect(Object.keys((await done(base.run({ input: 'w' }))).results)).toEqual(['a']);
  });

  it('refuses what is no part of one', async () => {
    const { store, server } = await bench();
    const step = { tool: 's__echo', as: 'a' };
    const bad: [() => unknown, string][] = [
      [() => store.chain().step(5 as never), 'step1.tool: expected the name of a tool'],
      [() => store.chain().step('x', 5 as never), 'step1.arguments: expected an object, got number'],
      [() => store.chain().step('x', {}, { name: 'a' } as never), 'step1.name: unknown option; known here: tool,'],
      [() => store.chain().step('x', {}, { as: '1' }), 'as: a name of a step is'],
      [() => store.chain().step('x', {}, { as: '__proto__' }), 'as: a name of a step is'],
      [() => store.chain().step('x', {}, { as: 'a' }).step('y', {}, { as: 'a' }), 'a: there are two steps'],
      [() => store.chain().parallel([]), 'parallel: expected an array of steps'],
      [() => store.chain().parallel([step, step]), 'a: there are two steps'],
      [() => store.chain().parallel([store.chain() as never]), 'chain: a part is a step, or a function'],
      [() => store.chain().parallel([() => store.chain()]), 'chain: a function has to return the chain'],
      [() => store.chain().branch(true as never, step), 'branch.when: expected an object'],
      [() => store.chain().branch({ $from: 'input' } as never, step), 'branch.when: expected { $from } with one of'],
      [() => store.chain().step('x', {}, { retry: -1 }), 'step1.retry: expected a whole number'],
      [() => store.chain().step('x', {}, { retry: { maxRetries: 1, retryDelayMs: -1 } }), 'step1.retry.retryDelayMs:'],
      [() => store.chain().step('x', {}, { timeoutMs: 0 }), 'step1.timeoutMs: expected a number'],
      [() => store.chain().step('x', {}, { transform: 'text' as never }), 'step1.transform: expected a function'],
      [() => store.chain().plan(), 'a flow needs at least one step'],
      [
        () =>
          store
            .chain()
            .step('x', { a: { $from: 'results.b.text' } })
            .plan(),
        'step1: needs "b", and there is no',
      ],
    ];
    for (const [work, message] of bad) {
      const error = thrown(work);
      expect(error.code).toBe('FLOW_INVALID');
      expect(error.message.slice(0, message.length)).toBe(message);
      expect(error.exitCode).toBe(2);
    }
    expect(server.called).toEqual([]);
  });
});

describe('a workflow', () => {
  it('runs what it can together, so many at a time', async () => {
    const { store, done, server } = await bench();
    const slow = { tool: 's__slow' };
    const flow = store.workflow({
      end: { ...slow, needs: ['a', 'b', 'c', 'd', 'e'] },
      a: slow,
      b: slow,
      c: slow,
      d: slow,
      e: slow,
    });
    const run = await done(flow.run());
    expect(run.durationMs).toBe(200);
    expect(Object.keys(run.results)).toEqual(['end', 'a', 'b', 'c', 'd', 'e']);
    server.mostRunning = 0;
    expect((await done(flow.run({}, { concurrency: 2 }))).durationMs).toBe(400);
    expect(server.mostRunning).toBe(2);
    store.configure({ calls: { batchConcurrency: 1 } });
    expect((await done(flow.run())).durationMs).toBe(600);
  });

  it('takes a reference for a need, and a step sees what it needs alone', async () => {
    const { store, done } = await bench();
    const flow = store.workflow({
      last: { tool: 's__echo', arguments: { text: { $from: 'results.first.text' } } },
      first: { tool: 's__echo', arguments: { text: 'one' } },
      other: { tool: 's__echo', arguments: { text: 'two' } },
      sees: { tool: 's__echo', needs: ['last'], arguments: ({ results }) => ({ text: Object.keys(results).join() }) },
    });
    const { results } = await done(flow.run({}, { concurrency: 1 }));
    expect(textOf(results.last)).toBe('one');
    expect(textOf(results.sees)).toBe('last,first');
  });

  it('skips by condition, and what needs a skipped step runs', async () => {
    const { store, done } = await bench();
    const flow = store.workflow({
      a: { tool: 's__echo', arguments: { text: 'a' }, when: { $from: 'input.on', notEquals: false } },
      b: { tool: 's__echo', arguments: { text: 'b' }, needs: ['a'] },
      c: { tool: 's__echo', arguments: { text: 'c' }, when: { $from: 'results.a', exists: true } },
    });
    expect(Object.keys((await done(flow.run({ input: {} }))).results)).toEqual(['a', 'b', 'c']);
    const off = await done(flow.run({ input: { on: false } }));
    expect(Object.keys(off.results)).toEqual(['b']);
    expect(Object.values(off.steps).map(({ status }) => status)).toEqual(['skipped', 'ok', 'skipped']);
  });

  it('refuses circles, unknown steps and bad data, before anything runs', async () => {
    const { store, server } = await bench();
    const tool = 's__echo';
    const bad: [object, string, object][] = [
      [{}, 'a flow needs at least one step', {}],
      [[], 'workflow: expected an object, got an array', { path: 'workflow' }],
      [{ a: 5 }, 'a: expected an object, got number', { path: 'a' }],
      [{ a: { tool, as: 'b' } }, 'a.as: unknown option; known here: tool, arguments,', { path: 'a.as' }],
      [{ a: { tool, needs: 'b' } }, 'a.needs: expected an array of names of steps', { path: 'a.needs' }],
      [{ a: { tool, needs: ['a'] } }, 'steps need each other in a circle: a → a', { circle: ['a', 'a'] }],
      [
        { a: { tool, needs: ['b'] }, b: { tool, arguments: { x: [{ $from: 'results.a.text' }] } } },
        'steps need each other in a circle: a → b → a',
        { circle: ['a', 'b', 'a'] },
      ],
      [
        { c: { tool, needs: ['b'] }, a: { tool, needs: ['b'] }, b: { tool, needs: ['a'] } },
        'steps need each other in a circle: b → a → b',
        { circle: ['b', 'a', 'b'] },
      ],
      [
        { fetch: { tool }, b: { tool, needs: ['fecth'] } },
        'b: needs "fecth", and there is no such step; nearest: fetch',
        { path: 'b', nearest: ['fetch'] },
      ],
      [{ a: { tool, arguments: { x: { $from: 'a.text' } } } }, 'a.arguments.x.$from: "a.text": a path begins with', {}],
      [{ a: { tool, arguments: { x: { $from: 'results' } } } }, 'a.arguments.x.$from: "results": a path begins', {}],
      [{ a: { tool, arguments: { x: { $from: '' } } } }, 'a.arguments.x.$from: expected a path', {}],
      [{ a: { tool, arguments: { x: { $from: 'input..y' } } } }, 'a.arguments.x.$from: expected a path', {}],
      [{ a: { tool, arguments: { x: { $join: 'a' } } } }, 'a.arguments.x.$join: expected an array', {}],
      [{ a: { tool, arguments: { x: { $join: [{ $form: 'a' }] } } } }, 'a.arguments.x.$join.0.$form: unknown', {}],
      [{ a: { tool, when: { $from: 'input', is: 1 } } }, 'a.when.is: unknown option; known here: equals,', {}],
      [{ a: { tool, when: { $from: 'input', equals: 1, exists: true } } }, 'a.when: expected { $from } with one', {}],
      [{ a: { tool, when: { $from: 'input', exists: 'no' } } }, 'a.when.exists: expected a boolean', {}],
      [JSON.parse('{"__proto__":{"tool":"x"}}'), '__proto__: a name of a step is', { path: '__proto__' }],
    ];
    for (const [steps, message, figures] of bad) {
      const error = thrown(() => store.workflow(steps as never));
      expect(error.code).toBe('FLOW_INVALID');
      expect(error.message.slice(0, message.length)).toBe(message);
      expect(error.figures ?? {}).toMatchObject(figures);
    }
    expect(server.called).toEqual([]);
  });

  it('has a copy of its data: who gave it may change his own', async () => {
    const { store, done } = await bench();
    const args = { text: 'before', list: [1] };
    const flow = store.workflow({ a: { tool: 's__slow', arguments: args } });
    args.text = 'after';
    args.list.push(2);
    expect(textOf((await done(flow.run())).results.a)).toBe('slow {"text":"before","list":[1]}');
    const around: Record<string, unknown> = {};
    around['me'] = around;
    expect(thrown(() => store.workflow({ a: { tool: 'x', arguments: around } })).message).toMatch(
      /or contains itself$/,
    );
  });

  it('plans what it would run', async () => {
    const { store, server } = await bench();
    const plan = store
      .workflow({
        write: { tool: 'write_file', service: 'files', needs: ['read'], when: { $from: 'input.path', exists: true } },
        read: { tool: 'files__read_file' },
        list: { tool: 'files__list' },
      })
      .plan();
    expect(plan.levels).toEqual([
      [
        { step: 'read', tool: 'files__read_file', needs: [] },
        { step: 'list', tool: 'files__list', needs: [] },
      ],
      [
        {
          step: 'write',
          tool: 'write_file',
          service: 'files',
          needs: ['read'],
          when: ['input.path exists true'],
        },
      ],
    ]);
    expect(plan.text).toMatchInlineSnapshot(`
      "1  read   files__read_file
         list   files__list
      2  write  files: write_file  needs read; when input.path exists true"
    `);
    expect(server.called).toEqual([]);
  });

  it('shows a condition on whatever it compares with, also what JSON cannot say', async () => {
    const { store, done } = await bench();
    const step = (equals: unknown) => ({ tool: 's__echo', when: { $from: 'input.n', equals } });
    const loop: { self?: unknown } = {};
    loop.self = loop;
    const flow = store.workflow({ big: step(10n), loop: step(loop), none: step(undefined) });
    expect(
      flow
        .plan()
        .levels.flat()
        .map(({ when }) => when),
    ).toEqual([
      ['input.n equals 10n'],
      ['input.n equals <ref *1> { self: [Circular *1] }'],
      ['input.n equals undefined'],
    ]);
    const { steps } = await done(flow.run({ input: { n: 10n } }));
    expect(Object.values(steps).map(({ status }) => status)).toEqual(['ok', 'skipped', 'skipped']);
  });

  it('is a verb of each agent’s view, whose steps are its calls', async () => {
    const { store, done, clock } = await bench();
    const agent = store.forAgent('ada', { services: ['s'] });
    const scopes: string[] = [];
    store.on('call', ({ scope }) => scopes.push(scope));
    const flow = agent.workflow({ a: { tool: 's__echo', arguments: { text: 'x' } } });
    await done(flow.run());
    await done(agent.chain().step('s__echo').run());
    expect(scopes).toEqual(['ada', 'ada']);
    const other = store
      .forAgent('bob')
      .workflow({ a: { tool: 's__echo' } })
      .run();
    const error = failed(other);
    await clock.advance(1_000);
    expect((await error).code).toBe('TOOL_UNKNOWN');
  });
});

describe('a step that fails', () => {
  it('ends the run: what runs is cancelled and waited for, the rest never begins, and what was done is told', async () => {
    const { store, clock, server } = await bench();
    const flow = store.workflow({
      a: { tool: 's__echo', arguments: { text: 'done' } },
      bad: { tool: 's__fails', needs: ['a'] },
      long: { tool: 's__slow' },
      skipped: { tool: 's__slow', when: { $from: 'input', exists: true } },
      after: { tool: 's__slow', needs: ['bad'] },
    });
    const error = failed(flow.run());
    await clock.advance(50);
    const { code, message, executed, tool, figures, flow: so } = await error;
    expect({ code, message, executed, tool }).toEqual({
      code: 'TOOL_ERROR',
      message: 'step bad: s__fails: not yet',
      // What was cancelled may have run.
      executed: 'unknown',
      tool: 'fails',
    });
    expect(figures).toEqual({
      step: 'bad',
      done: ['a'],
      skipped: ['skipped'],
      failed: ['bad'],
      cancelled: ['long'],
      notRun: ['after'],
    });
    expect(Object.keys(so!.results)).toEqual(['a']);
    expect(textOf(so!.results['a'] as never)).toBe('done');
    expect(so!.steps['long']).toMatchObject({ status: 'cancelled', error: { code: 'CANCELLED' }, executed: 'unknown' });
    expect(so!.steps['after']).toEqual({ status: 'not_run', executed: 'no', attempts: 0, durationMs: 0 });
    expect(server.cancelled).toBe(1);
    expect(server.running).toBe(0);
    expect(JSON.stringify(await error)).not.toContain('done"}');
    expect(Object.keys(await error)).not.toContain('flow');
  });

  it('cancels what waits, which has not failed itself', async () => {
    const { store, done } = await bench();
    const flow = store.workflow({
      fails: { tool: 's__fails' },
      hangs: { tool: 's__echo', arguments: () => new Promise<never>(() => {}) },
      pauses: { tool: 's__fails', retry: 9 },
    });
    const { flow: so } = await failed(done(flow.run()));
    const cancelled = { status: 'cancelled', error: { code: 'CANCELLED', message: 'the step fails failed' } };
    expect(so!.steps).toMatchObject({ fails: { status: 'failed' }, hangs: cancelled, pauses: cancelled });
    expect((so!.steps['hangs']!.error!.cause as StoreError).code).toBe('TOOL_ERROR');
  });

  it('says `executed` of the whole run', async () => {
    const { store, clock } = await bench();
    const run = async (chain: Chain<unknown, unknown>): Promise<string> => {
      const error = failed(chain.run());
      await clock.advance(1_000);
      return (await error).executed;
    };
    expect(await run(store.chain().step('s__nope'))).toBe('no');
    expect(await run(store.chain().step('s__echo').step('s__nope'))).toBe('yes');
  });

  it('is repeated where its tool says that it failed, with the store’s pauses', async () => {
    const { store, clock, server } = await bench(
      { flaky: FLAKY(2, toolError) },
      { calls: { retry: { strategy: 'linear', jitter: 'none' } } },
    );
    const chain = store.chain().step('s__flaky', {}, { as: 'a', retry: { maxRetries: 2, retryDelayMs: 100 } });
    const run = watch(chain.run());
    await clock.advance(299);
    expect(run.settled).toBe(false);
    await clock.advance(1);
    expect(run.value!.steps['a']).toMatchObject({ status: 'ok', attempts: 3, durationMs: 300 });
    expect(server.called).toEqual(['flaky', 'flaky', 'flaky']);
  });

  it('is repeated maxRetries times at most', async () => {
    const { store, done } = await bench({
      rpc: {
        run: () => {
          throw new RpcFault(-32000, 'broken');
        },
      },
    });
    const error = await failed(done(store.chain().step('s__rpc', {}, { as: 'a', retry: 2 }).run()));
    expect(error).toMatchObject({ code: 'RPC_ERROR', message: 'step a: s__rpc: broken', rpcCode: -32000 });
    expect(error.flow!.steps['a']!.attempts).toBe(3);
  });

  it('is never repeated where it may have run', async () => {
    const { store, done, server } = await bench({
      dies: {
        run: ({ hangUp }) => {
          hangUp();
          return {};
        },
      },
    });
    const error = await failed(done(store.chain().step('s__dies', {}, { retry: 5 }).run()));
    expect(error).toMatchObject({ code: 'OUTCOME_UNKNOWN', executed: 'unknown' });
    expect(server.called).toEqual(['dies']);
    const late = await failed(done(store.chain().step('s__slow', {}, { retry: 5, timeoutMs: 50 }).run()));
    expect(late).toMatchObject({ code: 'TIMEOUT', executed: 'unknown' });
    expect(server.called).toEqual(['dies', 'slow']);
  });

  it('is repeated where it did not run and that may pass, and not where it will not', async () => {
    const { store, done, clock, server } = await bench({}, { calls: { maxConcurrentCalls: 1, queueLimit: 0 } });
    const busy = store.callTool('s__slow');
    await settle(20);
    const flow = store.workflow({ a: { tool: 's__echo', arguments: { text: 'x' }, retry: 3 } });
    const run = done(flow.run());
    expect((await run).steps['a']!.attempts).toBeGreaterThan(1);
    await busy;
    server.called.length = 0;
    const never = watch(store.chain().step('s__nope', {}, { retry: 5 }).run());
    await clock.advance(1);
    expect(never.error).toMatchObject({ code: 'TOOL_UNKNOWN', executed: 'no' });
  });

  it('gives each run a fallback value of its own', async () => {
    const { store, done } = await bench();
    const found = { items: [] as string[] };
    const flow = store.workflow({ a: { tool: 's__fails', fallback: found } });
    const first = await done(flow.run());
    (first.results.a as typeof found).items.push('of one caller');
    found.items.push('changed later');
    expect((await done(flow.run())).results.a).toEqual({ items: [] });
    const loop: { self?: unknown } = {};
    loop.self = loop;
    const error = thrown(() => store.workflow({ a: { tool: 's__fails', fallback: loop } }));
    expect(error).toMatchObject({ code: 'FLOW_INVALID', message: expect.stringContaining('a.fallback.self') });
  });

  it('has a fallback: a value, or a function of the error', async () => {
    const { store, done } = await bench();
    const chain = store
      .chain()
      .step('s__fails', {}, { as: 'value', fallback: 'none', retry: { maxRetries: 1, retryDelayMs: 0 } })
      .step('s__fails', {}, { as: 'null', fallback: null })
      .step('s__fails', {}, { as: 'kept', fallback: (error) => error.data })
      .step('s__echo', () => Promise.reject(new Error('no arguments')), { as: 'made', fallback: (error) => error.code })
      .step('s__echo', { text: { $from: 'results.value' } }, { as: 'end', transform: textOf });
    const { results, steps } = await done(chain.run());
    expect(results).toEqual({
      value: 'none',
      null: null,
      kept: { content: [{ type: 'text', text: 'not yet' }], isError: true },
      made: 'FLOW_INVALID',
      end: 'none',
    });
    expect(steps['value']).toMatchObject({ status: 'fallback', attempts: 2, executed: 'yes' });
    expect(steps['value']!.error).toMatchObject({ code: 'TOOL_ERROR' });
    expect(steps['made']).toMatchObject({ status: 'fallback', attempts: 0, executed: 'no' });
  });

  it('by a function of its author is FLOW_INVALID with its place, an error of ours stays as it is', async () => {
    const { store, done } = await bench();
    const boom = (): never => {
      throw new TypeError('boom');
    };
    const chain = store.chain();
    const cases: [Chain<unknown, unknown>, string][] = [
      [chain.step('s__echo', boom), 'step step1: arguments: boom'],
      [chain.step('s__echo', {}, { transform: boom }), 'step step1: transform: boom'],
      [chain.step('s__echo', {}, { when: boom }), 'step step1: when: boom'],
      [chain.step('s__echo', {}, { when: () => 1 as never }), 'step1.when: expected true or false, got number'],
      [chain.step('s__fails', {}, { fallback: boom }), 'step step1: fallback: boom'],
    ];
    for (const [own, message] of cases)
      expect(await failed(done(own.run()))).toMatchObject({ code: 'FLOW_INVALID', message });
    const odd = await failed(done(chain.step('s__echo', () => 5 as never).run()));
    expect(odd).toMatchObject({ code: 'ARGUMENTS_INVALID', message: expect.stringContaining('expected an object') });
  });

  it('for want of a value names the path', async () => {
    const { store, done, server } = await bench({
      json: { run: () => ({ ...text('{"items":[{"id":7}]}'), structuredContent: { name: 'x' } }) },
    });
    const take = (from: unknown): Promise<unknown> =>
      done(
        store
          .workflow({
            a: { tool: 's__json' },
            b: { tool: 's__slow', needs: ['a'], arguments: { x: { $from: from } } } as never,
          })
          .run({ input: { known: 1 } })
          .then(({ results }) => textOf((results as never)['b'])),
      );
    expect(await take('results.a.json.items.0.id')).toBe('slow {"x":7}');
    expect(await take(['results', 'a', 'structuredContent', 'name'])).toBe('slow {"x":"x"}');
    expect(await take('results.a.text')).toBe('slow {"x":"{\\"items\\":[{\\"id\\":7}]}"}');
    expect(await take('input')).toBe('slow {"x":{"known":1}}');
    const nothing: [string, string][] = [
      ['results.a.structuredContent.nam', 'no "nam"; nearest: name'],
      ['results.a.json.items.1', 'no "1" in an array of 1'],
      ['results.a.json.items.0.id.x', '"x" of a number'],
      ['results.a.constructor', 'no "constructor"'],
      ['results.a.structuredContent.__proto__', 'no "__proto__"'],
    ];
    for (const [from, why] of nothing)
      expect(await failed(take(from))).toMatchObject({
        code: 'FLOW_INVALID',
        message: `b.arguments.x.$from: nothing at ${from}: ${why}`,
        figures: { step: 'b', path: 'b.arguments.x.$from', from, done: ['a'] },
      });
    server.called.length = 0;
    const input = await failed(take('input.knwon'));
    expect(input.message).toBe('b.arguments.x.$from: nothing at input.knwon: no "knwon"; nearest: known');
    expect(server.called).toEqual([]);
    const skipped = store.workflow({
      a: { tool: 's__json', when: { $from: 'input', exists: true } },
      b: { tool: 's__slow', arguments: { x: { $from: 'results.a.text' } } },
    });
    expect((await failed(done(skipped.run()))).message).toBe(
      'b.arguments.x.$from: nothing at results.a.text: the step a was skipped',
    );
  });
});

describe('the end of a run', () => {
  it('by a signal cancels what runs, and begins nothing more', async () => {
    const { store, clock, server } = await bench();
    const controller = new AbortController();
    const chain = store.chain().step('s__echo', {}, { as: 'a' }).step('s__slow', {}, { as: 'b' }).step('s__slow');
    const error = failed(chain.run({}, { signal: controller.signal }));
    await clock.advance(50);
    controller.abort(new Error('the user left'));
    const { code, message, cause, figures } = await error;
    expect({ code, message, cause }).toEqual({
      code: 'CANCELLED',
      message: 'the flow was cancelled',
      cause: new Error('the user left'),
    });
    expect(figures).toMatchObject({ done: ['a'], cancelled: ['b'], notRun: ['step3'] });
    expect(server.running).toBe(0);
    const before = await failed(chain.run({}, { signal: AbortSignal.abort() }));
    expect(before).toMatchObject({ code: 'CANCELLED', executed: 'no' });
    expect(server.called).toEqual(['echo', 'slow']);
  });

  it('by its deadline is TIMEOUT, also where a function or a pause hangs, and no fallback stands in', async () => {
    const { store, clock } = await bench();
    const timers = clock.timers;
    const chain = store.chain();
    const hanging: [Chain<unknown, unknown>, object][] = [
      [chain.step('s__slow', {}, { as: 'a', fallback: 'x' }), { cancelled: ['a'] }],
      [chain.step('s__echo', () => new Promise<never>(() => {}), { as: 'a' }), { cancelled: ['a'] }],
      [chain.step('s__fails', {}, { as: 'a', retry: { maxRetries: 9, retryDelayMs: 10_000 } }), { cancelled: ['a'] }],
    ];
    for (const [flow, figures] of hanging) {
      const run = watch(flow.run({}, { timeoutMs: 40 }));
      await clock.advance(39);
      expect(run.settled).toBe(false);
      await clock.advance(1);
      expect(run.error).toMatchObject({
        code: 'TIMEOUT',
        message: 'the flow timed out after 40 ms, waiting for a',
        figures: { timeoutMs: 40, ...figures },
      });
    }
    expect(clock.timers).toBe(timers);
  });

  it('tells each step as it is over; a listener that fails ends it', async () => {
    const { store, done } = await bench();
    const seen: string[] = [];
    const flow = store.workflow({
      slow: { tool: 's__slow' },
      fast: { tool: 's__echo', arguments: { text: 'x' }, transform: textOf },
      skipped: { tool: 's__echo', when: () => false },
    });
    await done(
      flow.run({}, { onResult: ({ step, status, result }) => seen.push(`${step} ${status} ${typeof result}`) }),
    );
    expect(seen).toEqual(['skipped skipped undefined', 'fast ok string', 'slow ok object']);
    const onResult = (): never => {
      throw new Error('full');
    };
    expect(await failed(done(flow.run({}, { onResult })))).toMatchObject({
      code: 'CANCELLED',
      message: 'onResult failed: full',
    });
  });

  it('leaves nothing armed, and nothing listening', async () => {
    const { store, done, clock } = await bench();
    const timers = clock.timers;
    const controller = new AbortController();
    await done(store.chain().step('s__slow').run({}, { signal: controller.signal, timeoutMs: 1_000 }), 200);
    expect(clock.timers).toBe(timers);
    await store.close();
    const error = await failed(store.chain().step('s__slow').run());
    expect(error).toMatchObject({ code: 'STORE_CLOSED', message: 'the store is closed' });
  });

  it('options that are none are refused', async () => {
    const { store, server } = await bench();
    const chain = store.chain().step('s__echo');
    const bad: [Promise<unknown>, string, string][] = [
      [chain.run('x' as never), 'OPTION_INVALID', 'input: '],
      [chain.run({ path: 'x' } as never), 'OPTION_INVALID', 'path: '],
      [chain.run({}, { concurrency: 0 }), 'OPTION_INVALID', 'concurrency: '],
      [chain.run({}, { timeoutMs: -1 }), 'OPTION_INVALID', 'timeoutMs: '],
      [chain.run({}, { signal: {} as never }), 'OPTION_INVALID', 'signal: '],
      [chain.run({}, { retries: 1 } as never), 'OPTION_INVALID', 'retries: '],
    ];
    for (const [work, code, start] of bad) {
      const error = await failed(work);
      expect(isStoreError(error, code as never)).toBe(true);
      expect(error.message.slice(0, start.length)).toBe(start);
    }
    expect(server.called).toEqual([]);
  });
});
