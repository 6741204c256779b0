/** Knows whom a server's questions reach, in both eras, and that they reach nobody else; a server in this process asks. */

import { afterEach, describe, expect, it } from 'vitest';
import type { AskContext, AskHandlers, CallRecord } from '../../src/index.js';
import type { MCPStore } from '../../src/store.js';
import { FakeClock, failure, settle, watch } from '../support/fake-clock.js';
import { FakeServer, openStore, text, type Visit } from '../support/fake-server.js';

type Json = Record<string, unknown>;

let store: MCPStore;
afterEach(() => store.close({ drainMs: 0 }));

const FORM = {
  message: 'Who are you?',
  requestedSchema: {
    type: 'object',
    properties: { name: { type: 'string' }, age: { type: 'integer', default: 30 } },
    required: ['name'],
  },
};

/** A server with a tool for each way to ask; each gives back, as JSON, what it was answered. */
function asking(clock = new FakeClock()): FakeServer {
  const ask = (method: string, params: Json) => async (visit: Visit) =>
    text(JSON.stringify(await visit.ask(method, { ...params, ...visit.args })));
  return new FakeServer(
    {
      form: { run: ask('elicitation/create', FORM) },
      page: { run: ask('elicitation/create', { mode: 'url', message: 'Sign in', url: 'https://a.example/x' }) },
      sample: { run: ask('sampling/createMessage', { messages: [], maxTokens: 10 }) },
      roots: { run: ask('roots/list', {}) },
      unknown: { run: ask('tasks/get', {}) },
      slow: { delayMs: 1_000 },
    },
    clock,
  );
}

async function open(
  handlers: AskHandlers,
  more: Parameters<typeof openStore>[2] = {},
): Promise<{ server: FakeServer; clock: FakeClock; records: CallRecord[] }> {
  const clock = new FakeClock();
  const server = asking(clock);
  store = await openStore({ s: server }, clock, { ...handlers, ...more });
  const records: CallRecord[] = [];
  store.on('call', (record) => records.push(record));
  return { server, clock, records };
}

const answerOf = async (call: Promise<{ content: unknown }>): Promise<Json> =>
  JSON.parse(((await call).content as { text: string }[])[0]!.text) as Json;

describe('a legacy server', () => {
  it('is told only of handlers that there are', async () => {
    const { server } = await open({ onElicitation: { form: () => ({ action: 'decline' }) } });
    await store.listTools();
    expect(server.clientCapabilities).toEqual({ elicitation: { form: {} } });
  });

  it('F18: is refused at once what nobody offers', async () => {
    const { records } = await open({ onElicitation: { form: () => ({ action: 'decline' }) } });
    for (const tool of ['sample', 'roots', 'unknown'])
      expect(await answerOf(store.callTool(`s__${tool}`))).toMatchObject({ error: { code: -32601 } });
    expect(await answerOf(store.callTool('s__page'))).toMatchObject({ error: { code: -32602 } });
    expect(records).toHaveLength(4);
  });

  it('gets a form with the defaults filled in for what its answer leaves out', async () => {
    const seen: unknown[] = [];
    const { records } = await open({
      onElicitation: (request, { agent, service, tool }) => {
        seen.push([request, { agent, service, tool }]);
        return { action: 'accept', content: { name: 'Ada' } };
      },
    });
    expect(await answerOf(store.callTool('s__form'))).toEqual({
      result: { action: 'accept', content: { name: 'Ada', age: 30 } },
    });
    expect(seen).toEqual([
      [
        { ...FORM, mode: 'form' },
        { agent: undefined, service: 's', tool: 'form' },
      ],
    ]);
    expect(records.at(-1)).toMatchObject({ asked: 1, outcome: 'ok' });
  });

  it.each<[string, Json]>([
    ['misses what is required', {}],
    ['has what was not asked for', { name: 'Ada', password: 'x' }],
    ['has a wrong type', { name: 'Ada', age: '30' }],
  ])('never gets a form that %s', async (_, content) => {
    const warned: unknown[] = [];
    const logger = { debug: () => {}, info: () => {}, warn: (fields: unknown) => warned.push(fields), error: () => {} };
    await open({ onElicitation: () => ({ action: 'accept', content }) as never }, { logger });
    const answer = await answerOf(store.callTool('s__form'));
    expect(answer).toEqual({ error: { code: -32603, message: 'the client failed to answer' } });
    expect(warned).toEqual([{ service: 's', tool: 'form', handler: 'onElicitation' }]);
  });

  it('A8: has no page opened but of the web', async () => {
    const urls: string[] = [];
    await open({
      onElicitation: {
        url: ({ url }) => {
          urls.push(url);
          return { action: 'accept' };
        },
      },
    });
    expect(await answerOf(store.callTool('s__page'))).toEqual({ result: { action: 'accept' } });
    for (const url of ['javascript:alert(1)', 'file:///etc/passwd', 'x`$(x)`', '', 'data:text/html,x'])
      expect(await answerOf(store.callTool('s__page', { url }))).toMatchObject({ error: { code: -32602 } });
    expect(urls).toEqual(['https://a.example/x']);
  });

  it('gets samples, and folders', async () => {
    await open({
      onSampling: ({ maxTokens }) => ({
        role: 'assistant',
        model: `m${maxTokens}`,
        content: { type: 'text', text: 'hi' },
      }),
      roots: () => ['/tmp/a b', { uri: 'file:///srv', name: 'srv' }],
    });
    const content = { type: 'text', text: 'hi' };
    expect(await answerOf(store.callTool('s__sample'))).toEqual({
      result: { role: 'assistant', model: 'm10', content },
    });
    expect(await answerOf(store.callTool('s__roots'))).toEqual({
      result: { roots: [{ uri: 'file:///tmp/a%20b' }, { uri: 'file:///srv', name: 'srv' }] },
    });
    // Never declared, so never to be had.
    expect(await answerOf(store.callTool('s__sample', { tools: [] }))).toMatchObject({ error: { code: -32602 } });
  });

  it('hears nothing of what a handler threw', async () => {
    await open({ onSampling: () => Promise.reject(new Error('key sk-123')) });
    expect(JSON.stringify(await store.callTool('s__sample'))).not.toContain('sk-123');
  });

  it('is not asked again by a retry: what a caller answered was for one attempt', async () => {
    let asked = 0;
    const { server, clock } = await open(
      {
        onElicitation: () => {
          asked++;
          return { action: 'decline' };
        },
      },
      { own: { s: { trusted: true } } },
    );
    server.tools['dies'] = {
      annotations: { readOnlyHint: true },
      run: async (visit) => {
        await visit.ask('elicitation/create', FORM);
        visit.hangUp();
        return text('never');
      },
    };
    const call = watch(store.callTool('s__dies'));
    await clock.advance(10_000);
    expect(call.error).toMatchObject({ code: 'OUTCOME_UNKNOWN', attempts: 1 });
    expect(asked).toBe(1);
  });
});

describe('while a caller is asked', () => {
  const slow = (ms: number, clock: FakeClock, seen: AbortSignal[] = []) => ({
    onElicitation: (_: unknown, { signal }: AskContext) =>
      new Promise<{ action: 'decline' }>((resolve) => {
        seen.push(signal);
        clock.after(ms, () => resolve({ action: 'decline' }));
      }),
  });

  async function openSlow(ms: number): Promise<{ server: FakeServer; clock: FakeClock; signals: AbortSignal[] }> {
    const clock = new FakeClock();
    const server = asking(clock);
    const signals: AbortSignal[] = [];
    store = await openStore({ s: server }, clock, {
      ...slow(ms, clock, signals),
      performance: { connectionPool: { readTimeoutMs: 1_000 }, calls: { callTimeoutMs: 20_000 } },
    });
    await store.listTools();
    return { server, clock, signals };
  }

  it('silence does not count, and counts again after the answer', async () => {
    const { server, clock } = await openSlow(10_000);
    const call = watch(store.callTool('s__form'));
    await clock.advance(10_500);
    expect(call.value).toBeDefined();
    server.tools['form']!.run = async (visit) => {
      await visit.ask('elicitation/create', FORM);
      return new Promise(() => {});
    };
    const silent = watch(store.callTool('s__form'));
    await clock.advance(10_000);
    expect(silent.settled).toBe(false);
    await clock.advance(1_100);
    expect(silent.error).toMatchObject({ code: 'TIMEOUT', figures: { readTimeoutMs: 1_000 } });
  });

  it('the deadline counts, and reaches the handler', async () => {
    const { server, clock, signals } = await openSlow(60_000);
    const call = watch(store.callTool('s__form', {}, { timeoutMs: 5_000 }));
    await clock.advance(5_100);
    expect(call.error).toMatchObject({ code: 'TIMEOUT', executed: 'unknown' });
    expect((call.error as Error).message).toContain('its caller was asked');
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
    expect([server.cancelled, server.answers.questions]).toEqual([
      1,
      [{ error: expect.objectContaining({ code: -32000 }) }],
    ]);
  });

  it('the caller’s cancel reaches the handler', async () => {
    const { clock, signals } = await openSlow(60_000);
    const abort = new AbortController();
    const call = watch(store.callTool('s__form', {}, { signal: abort.signal }));
    await clock.advance(100);
    abort.abort();
    await settle();
    expect(call.error).toMatchObject({ code: 'CANCELLED' });
    expect(signals[0]!.aborted).toBe(true);
  });

  it('the server may take its question back, and gets no answer then', async () => {
    const { server, clock, signals } = await openSlow(500);
    server.tools['form']!.run = async (visit) => {
      void visit.ask('elicitation/create', FORM);
      visit.takeBack();
      return text('never mind');
    };
    await store.callTool('s__form');
    await clock.advance(1_000);
    expect(signals[0]!.aborted).toBe(true);
    expect(server.answers.questions).toEqual([]);
  });

  it('an end of the connection reaches the handler', async () => {
    const { server, clock, signals } = await openSlow(60_000);
    const call = watch(store.callTool('s__form'));
    await clock.advance(100);
    server.drop();
    await settle();
    expect(call.error).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect(signals[0]!.aborted).toBe(true);
  });
});

describe('on a connection that several share', () => {
  /** Two agents whose handlers say who they are; the store has none. */
  async function two(own: Json = {}): Promise<{
    server: FakeServer;
    clock: FakeClock;
    asked: string[];
    a: ReturnType<MCPStore['forAgent']>;
    b: ReturnType<MCPStore['forAgent']>;
  }> {
    const { server, clock } = await open({}, { own: { s: own } });
    const asked: string[] = [];
    const agent = (id: string) =>
      store.forAgent(id, {
        services: ['s'],
        onElicitation: (_, context) => {
          asked.push(`${id}:${context.agent}`);
          return { action: 'accept', content: { name: id } };
        },
      });
    const [a, b] = [agent('a'), agent('b')];
    await a.listTools();
    return { server, clock, asked, a, b };
  }
  const nameIn = async (call: Promise<{ content: unknown }>): Promise<unknown> =>
    ((await answerOf(call))['result'] as { content: Json }).content['name'];

  it('declares what any of its scopes can be asked', async () => {
    const { server, clock } = await open({ roots: ['/a'] });
    const a = store.forAgent('a', { services: ['s'], onElicitation: { form: () => ({ action: 'decline' }) } });
    store.forAgent('b', { services: ['s'], onElicitation: { url: () => ({ action: 'decline' }) } });
    // What it cannot use does not count.
    store.forAgent('c', { onSampling: () => ({ role: 'assistant', model: 'm', content: { type: 'text', text: '' } }) });
    await a.listTools();
    await clock.advance(10);
    expect(server.clientCapabilities).toEqual({ roots: {}, elicitation: { form: {}, url: {} } });
  });

  it('a question reaches the agent whose call is under way', async () => {
    const { a, b, asked, server } = await two();
    expect(await nameIn(a.callTool('s__form'))).toBe('a');
    expect(await nameIn(b.callTool('s__form'))).toBe('b');
    expect(asked).toEqual(['a:a', 'b:b']);
    expect(server.connects).toBe(1);
  });

  it('a question that may be for either reaches neither', async () => {
    const { a, b, clock, asked } = await two();
    const busy = watch(b.callTool('s__slow'));
    await settle();
    expect(await answerOf(a.callTool('s__form'))).toMatchObject({ error: { code: -32000 } });
    await clock.advance(1_000);
    expect(busy.value).toBeDefined();
    expect(await nameIn(a.callTool('s__form'))).toBe('a');
    expect(asked).toEqual(['a:a']);
  });

  it('also where the other has no handler at all', async () => {
    const { a, clock, asked } = await two();
    const busy = watch(store.callTool('s__slow'));
    await settle();
    expect(await answerOf(a.callTool('s__form'))).toMatchObject({ error: { code: -32000 } });
    await clock.advance(1_000);
    expect([busy.settled, asked]).toEqual([true, []]);
  });

  it('a question that names its call by our progress token reaches that caller', async () => {
    const { server, a, b, clock, asked } = await two();
    server.tools['named'] = {
      run: async (visit) =>
        text(JSON.stringify(await visit.ask('elicitation/create', { ...FORM, _meta: { progressToken: visit.token } }))),
    };
    await a.listTools({ refresh: 'always' });
    await b.listTools({ refresh: 'always' });
    const busy = watch(b.callTool('s__slow'));
    await settle();
    expect(await nameIn(a.callTool('s__named'))).toBe('a');
    await clock.advance(1_000);
    expect([busy.settled, asked]).toEqual([true, ['a:a']]);
  });

  it('a question for a call that was given up does not reach the next caller', async () => {
    const { server, a, b, clock, asked } = await two();
    let release = (): void => {};
    server.tools['late'] = {
      run: async (visit) => {
        await new Promise<void>((resolve) => {
          release = resolve;
        });
        return text(JSON.stringify(await visit.ask('elicitation/create', FORM)));
      },
    };
    await a.listTools({ refresh: 'always' });
    const given = watch(a.callTool('s__late', {}, { timeoutMs: 100 }));
    await clock.advance(200);
    expect(given.error).toMatchObject({ code: 'TIMEOUT' });
    const busy = watch(b.callTool('s__slow'));
    await settle();
    release();
    await settle();
    expect(server.answers.questions).toEqual([{ error: expect.objectContaining({ code: -32000 }) }]);
    await clock.advance(1_000);
    expect([busy.settled, asked]).toEqual([true, []]);
    // Not for ever.
    await clock.advance(61_000);
    expect(await nameIn(b.callTool('s__form'))).toBe('b');
  });

  it('with no call under way only a caller who has the service alone is asked', async () => {
    const asked: string[] = [];
    const { server } = await open({
      roots: () => {
        asked.push('store');
        return ['/store'];
      },
    });
    await store.listTools();
    server.ask('roots/list');
    await settle();
    expect(server.answers.questions).toEqual([{ result: { roots: [{ uri: 'file:///store' }] } }]);
    store.forAgent('a', { services: ['s'], roots: ['/a'] });
    server.ask('roots/list');
    await settle();
    expect(server.answers.questions).toMatchObject([{}, { error: { code: -32000 } }]);
    expect(asked).toEqual(['store']);
  });

  it('a question for a call with a handler of its own that was given up reaches nobody else, with no call under way', async () => {
    const asked: string[] = [];
    const handler = (who: string) => () => {
      asked.push(who);
      return { action: 'decline' as const };
    };
    const { server, clock } = await open({ onElicitation: handler('store') });
    await store.listTools();
    const own = { onElicitation: handler('own'), timeoutMs: 100 };
    const given = watch(store.callTool('s__slow', {}, own));
    await clock.advance(200);
    expect(given.error).toMatchObject({ code: 'TIMEOUT' });
    server.ask('elicitation/create', FORM);
    await settle();
    expect(server.answers.questions).toMatchObject([{ error: { code: -32000 } }]);
    expect(asked).toEqual([]);
    await clock.advance(61_000);
    server.ask('elicitation/create', FORM);
    await settle();
    expect(asked).toEqual(['store']);
  });

  it('an agent’s own service asks that agent when it starts, though the store sees it too', async () => {
    const { server } = await open({ roots: ['/store'] });
    const a = store.forAgent('a', { roots: ['/a'] });
    await a.addService('own', { server });
    await a.listTools({ service: 'own' });
    server.ask('roots/list');
    await settle();
    expect(server.answers.questions).toEqual([{ result: { roots: [{ uri: 'file:///a' }] } }]);
    expect(server.clientCapabilities).toEqual({ roots: {} });
  });

  it('with sharing "agent" each has a connection, which declares and asks that agent alone', async () => {
    const { server, clock } = await open({}, { own: { s: { sharing: 'agent' } } });
    const a = store.forAgent('a', { services: ['s'], roots: ['/a'] });
    const b = store.forAgent('b', { services: ['s'], onElicitation: () => ({ action: 'decline' }) });
    await store.listTools();
    for (const one of [a, b]) {
      void one.callTool('s__slow');
      await clock.advance(1_000);
    }
    expect(server.declared).toEqual([{}, { roots: {} }, { elicitation: { form: {}, url: {} } }]);
    const busy = watch(b.callTool('s__slow'));
    await settle();
    expect(await answerOf(a.callTool('s__roots'))).toEqual({ result: { roots: [{ uri: 'file:///a' }] } });
    await clock.advance(1_000);
    expect(busy.settled).toBe(true);
  });

  it('a call may have a handler of its own', async () => {
    const { a, asked } = await two();
    const own = { onElicitation: () => ({ action: 'accept', content: { name: 'own' } }) as const };
    expect(await nameIn(a.callTool('s__form', {}, own))).toBe('own');
    expect(asked).toEqual([]);
    const error = await failure(a.callTool('s__form', {}, { onElicitation: 'x' as never }));
    expect(error).toMatchObject({ code: 'OPTION_INVALID', figures: { path: 'onElicitation' } });
  });

  it('what a caller answered is cached for nobody', async () => {
    let asked = 0;
    const { server } = await open(
      {
        onElicitation: () => {
          asked++;
          return { action: 'accept', content: { name: `${asked}` } };
        },
      },
      { performance: { resultCache: { enabled: true } } },
    );
    server.tools['form']!.annotations = { readOnlyHint: true };
    await store.listTools();
    const [one, two] = await Promise.all([store.callTool('s__form'), store.callTool('s__form')]);
    expect(one).not.toEqual(two);
    await store.callTool('s__form');
    expect([asked, server.called.length]).toEqual([3, 3]);
  });
});
