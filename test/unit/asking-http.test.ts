/** Knows how questions go over HTTP: on a call's own stream in the legacy era, as rounds of the call in the modern one. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AskHandlers, type CallRecord, MCPStore, type OpenOptions } from '../../src/index.js';
import { failure, watch } from '../support/fake-clock.js';
import { type HttpServerOptions, HttpTestServer } from '../support/http-server.js';
import { until } from '../support/waiting.js';

type Json = Record<string, unknown>;

let server: HttpTestServer;
let store: MCPStore | undefined;
beforeEach(() => {
  store = undefined;
});
afterEach(async () => {
  await store?.close({ drainMs: 0 });
  await server.close();
});

async function open(options: HttpServerOptions, handlers: AskHandlers & OpenOptions = {}): Promise<MCPStore> {
  server = await HttpTestServer.start({ tools: ['echo', 'slow', 'ask', 'rounds'], ...options });
  store = await MCPStore.open({ stateDir: null, services: { s: { url: server.url.href } }, ...handlers });
  await store.waitService('s');
  return store;
}

const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities';
const rounds = (): Json[] =>
  server
    .calls('tools/call')
    .map(({ message }) => message?.params ?? {})
    .filter(({ name }) => name === 'rounds');
const ids = (): unknown[] =>
  server
    .calls('tools/call')
    .filter(({ message }) => message?.params?.['name'] === 'rounds')
    .map(({ message }) => message?.id);
const textIn = (result: { content: unknown }): string => (result.content as { text: string }[])[0]!.text;

const question = (params: Json = {}): Json => ({
  method: 'elicitation/create',
  params: {
    message: 'Sure?',
    requestedSchema: { type: 'object', properties: { sure: { type: 'boolean' } } },
    ...params,
  },
});
/** Odd on purpose: nobody may parse it and write it anew. */
const STATE = '{"b": 1,\u2028"a":"\\u00e9"} ==';
const yes = () => ({ action: 'accept', content: { sure: true } }) as const;
const ANSWER = { action: 'accept', content: { sure: true } };

describe('a legacy server', () => {
  it('asks on the stream of a call, which is its caller’s whoever else has calls under way', async () => {
    const s = await open({ stream: true }, { roots: ['/store'] });
    const [a, b] = [s.forAgent('a', { services: ['s'], roots: ['/a'] }), s.forAgent('b', { services: ['s'] })];
    const busy = Promise.all([b, s].map((one) => one.callTool('s__slow', { ms: 800 })));
    await until(() => server.calls('tools/call').length === 2, 'both run');
    expect(textIn(await a.callTool('s__ask'))).toBe('{"roots":[{"uri":"file:///a"}]}');
    expect(textIn(await s.callTool('s__ask'))).toBe('{"roots":[{"uri":"file:///store"}]}');
    expect(textIn(await b.callTool('s__ask'))).toContain('-32601');
    await busy;
  });

  it('asks on the standing stream whoever has the service alone, while nobody calls', async () => {
    const s = await open({ stream: true }, { roots: ['/store'] });
    await until(() => server.openStreams > 0, 'the stream is open');
    const answers = (): unknown[] =>
      server.seen.flatMap(({ message }) => (message?.id === 'q' ? [message.result ?? message.error] : []));
    server.push({ jsonrpc: '2.0', id: 'q', method: 'roots/list' });
    await until(() => answers().length === 1, 'it is answered');
    s.forAgent('a', { services: ['s'] });
    server.push({ jsonrpc: '2.0', id: 'q', method: 'roots/list' });
    await until(() => answers().length === 2, 'it is refused');
    expect(answers()).toMatchObject([{ roots: [{ uri: 'file:///store' }] }, { code: -32000 }]);
  });
});

describe('a modern server', () => {
  const modern = { era: 'modern', sessions: false } as const;

  it('gets the same call again with the answers, under a new id, and its state byte for byte', async () => {
    const records: CallRecord[] = [];
    const s = await open(modern, { onElicitation: yes, roots: ['/a'] });
    s.on('call', (record) => records.push(record));
    server.rounds = [
      { inputRequests: { one: question(), two: { method: 'roots/list' } }, requestState: STATE },
      { inputRequests: { three: question() } },
    ];
    expect(textIn(await s.callTool('s__rounds', { text: 'x' }))).toBe('"x"');
    const call = { name: 'rounds', arguments: { text: 'x' } };
    const [first, second, third] = rounds().map(({ _meta, ...rest }) => rest);
    expect(first).toEqual(call);
    const inputResponses = { one: ANSWER, two: { roots: [{ uri: 'file:///a' }] } };
    expect(second).toEqual({ ...call, inputResponses, requestState: STATE });
    expect(third).toEqual({ ...call, inputResponses: { three: ANSWER } });
    expect(new Set(ids()).size).toBe(3);
    expect(server.calls('tools/call').map(({ headers }) => headers['mcp-name'])).toEqual([
      'rounds',
      'rounds',
      'rounds',
    ]);
    expect(records).toMatchObject([{ asked: 3, attempts: 3, outcome: 'ok' }]);
    // Another call knows nothing of it.
    await s.callTool('s__echo', { text: 'y' });
    expect(Object.keys(server.calls('tools/call').at(-1)!.message!.params!).sort()).toEqual([
      '_meta',
      'arguments',
      'name',
    ]);
  });

  it('is told with each request what its caller can be asked', async () => {
    const s = await open(modern, { roots: ['/a'] });
    const a = s.forAgent('a', { services: ['s'], onElicitation: yes });
    const b = s.forAgent('b', { services: ['s'] });
    for (const one of [s, a, b]) await one.callTool('s__echo', { text: '' });
    await a.callTool(
      's__echo',
      { text: '' },
      { onSampling: () => ({ role: 'assistant', model: '', content: [] }) as never },
    );
    const declared = (name: string): unknown[] =>
      server.calls(name).map(({ message }) => message?.params?._meta?.[CAPABILITIES]);
    const elicitation = { form: {}, url: {} };
    expect(declared('tools/call')).toEqual([{ roots: {} }, { elicitation }, {}, { elicitation, sampling: {} }]);
    expect(declared('server/discover')).toEqual([{ roots: {} }]);
  });

  it('is refused where the caller offers nothing, or not this', async () => {
    const s = await open(modern);
    server.rounds = [{ inputRequests: { one: question() } }];
    const refused = {
      code: 'PROTOCOL_ERROR',
      executed: 'no',
      message: expect.stringContaining('that this client does not offer'),
    };
    expect(await failure(s.callTool('s__rounds'))).toMatchObject(refused);
    const a = s.forAgent('a', { services: ['s'], roots: ['/a'] });
    server.rounds = [{ inputRequests: { one: question() } }];
    expect(await failure(a.callTool('s__rounds'))).toMatchObject({ ...refused, rpcCode: undefined });
    expect(server.executed).toBe(0);
  });

  it.each<[string, Json]>([
    ['a page that is none', { inputRequests: { one: question({ mode: 'url', url: 'javascript:alert(1)' }) } }],
    [
      'a form that is none',
      {
        inputRequests: {
          one: question({ requestedSchema: { type: 'object', properties: { x: { type: 'object' } } } }),
        },
      },
    ],
    ['nothing', {}],
    ['too much', { inputRequests: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [i, question()])) }],
  ])('that asks for %s ends the call', async (_, round) => {
    let asked = 0;
    const s = await open(modern, {
      onElicitation: () => {
        asked++;
        return yes();
      },
    });
    server.rounds = [round];
    expect(await failure(s.callTool('s__rounds'))).toMatchObject({ code: 'PROTOCOL_ERROR', executed: 'no' });
    expect([asked, rounds().length]).toEqual([0, 1]);
  });

  it('may want nothing but the call again', async () => {
    const s = await open(modern, { onElicitation: yes });
    server.rounds = [{ requestState: 'busy' }];
    await s.callTool('s__rounds');
    expect(rounds()[1]).toMatchObject({ requestState: 'busy' });
    expect(rounds()[1]).not.toHaveProperty('inputResponses');
  });

  it('asks so often and no more', async () => {
    const s = await open(modern, { onElicitation: yes });
    server.rounds = Array.from({ length: 30 }, () => ({ inputRequests: { one: question() }, requestState: 'again' }));
    expect(await failure(s.callTool('s__rounds'))).toMatchObject({
      code: 'PROTOCOL_ERROR',
      executed: 'unknown',
      figures: { rounds: 10 },
    });
    expect(rounds()).toHaveLength(11);
  });

  it('that refuses a round before it runs gets it again, and nobody is asked anew', async () => {
    let asked = 0;
    const s = await open(modern, {
      onElicitation: () => {
        asked++;
        // The first round is with us: the next request is the second one.
        server.fail('tools/call', { kind: 'status', status: 429, headers: { 'retry-after': '0' } });
        return yes();
      },
    });
    server.rounds = [{ inputRequests: { one: question() }, requestState: STATE }];
    await s.callTool('s__rounds');
    expect([asked, rounds().length]).toEqual([1, 3]);
    expect(rounds()[2]).toMatchObject({ inputResponses: { one: ANSWER }, requestState: STATE });
  });

  it('that is lost in a later round leaves the call in doubt', async () => {
    const s = await open(modern, {
      onElicitation: () => {
        server.fail('tools/call', { kind: 'status', status: 401 });
        return yes();
      },
    });
    server.rounds = [{ inputRequests: { one: question() } }];
    expect(await failure(s.callTool('s__rounds'))).toMatchObject({ code: 'AUTH_REQUIRED', executed: 'unknown' });
    expect(rounds()).toHaveLength(2);
  });

  it('what its caller answered is stored for nobody, nor given to whoever joined', async () => {
    let asked = 0;
    const s = await open(modern, {
      performance: { resultCache: { enabled: true } },
      onElicitation: () => {
        asked++;
        return yes();
      },
    });
    server.round = { inputRequests: { one: question() } };
    const options = { cache: { key: 'k' } };
    await Promise.all([s.callTool('s__rounds', {}, options), s.callTool('s__rounds', {}, options)]);
    await s.callTool('s__rounds', {}, options);
    expect([asked, server.executed, s.stats().cache.entries]).toEqual([3, 3, 0]);
  });

  it('asks over a lease as well', async () => {
    const s = await open(modern, { onElicitation: yes });
    server.rounds = [{ inputRequests: { one: question() } }];
    await s.lease('s', (lease) => lease.callTool('rounds'));
    expect(rounds()[1]).toMatchObject({ inputResponses: { one: ANSWER } });
  });

  it('the deadline and the cancel of the call reach its handler', async () => {
    const signals: AbortSignal[] = [];
    const s = await open(modern, {
      onElicitation: (_, { signal }) => {
        signals.push(signal);
        return new Promise(() => {});
      },
      performance: { connectionPool: { readTimeoutMs: 2_000 } },
    });
    server.rounds = [1, 2].map(() => ({ inputRequests: { one: question() } }));
    const error = await failure(s.callTool('s__rounds', {}, { timeoutMs: 3_000 }));
    expect(error).toMatchObject({
      code: 'TIMEOUT',
      executed: 'unknown',
      message: expect.stringContaining('caller was asked'),
    });
    const abort = new AbortController();
    const call = watch(s.callTool('s__rounds', {}, { signal: abort.signal }));
    await until(() => signals.length === 2, 'it is asked');
    abort.abort();
    await until(() => call.settled, 'it ends');
    expect(call.error).toMatchObject({ code: 'CANCELLED', executed: 'unknown' });
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  });

  it('a handler that fails ends the call, and what else was asked', async () => {
    let other: AbortSignal | undefined;
    const s = await open(modern, {
      onSampling: (_, { signal }) => {
        other = signal;
        return new Promise(() => {});
      },
      onElicitation: () => Promise.reject(new Error('no screen')),
    });
    server.rounds = [
      { inputRequests: { a: { method: 'sampling/createMessage', params: { messages: [] } }, b: question() } },
    ];
    const error = await failure(s.callTool('s__rounds'));
    expect(error).toMatchObject({
      code: 'CANCELLED',
      executed: 'unknown',
      message: 's__rounds: onElicitation failed: no screen',
    });
    expect(other?.aborted).toBe(true);
  });
});
