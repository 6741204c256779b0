/** The contract with server objects in this process, of both SDK versions. */

import { afterEach, describe, expect, it } from 'vitest';
import { Behaviour } from '../support/behaviour.mjs';
import { serverV1, serverV2 } from '../support/carriers.js';
import { FakeServer } from '../support/fake-server.js';
import { cleanUp, openStore } from '../support/harness.js';
import { failure, timed } from '../support/waiting.js';
import { describeTransport } from './suite.js';

describeTransport('memory, SDK 2', () => ({ server: serverV2(new Behaviour()) }), { kind: 'memory' });
describeTransport('memory, SDK 1', () => ({ server: serverV1(new Behaviour()) }), { kind: 'memory' });

describe('memory, what both sides hold', () => {
  afterEach(cleanUp);

  it('is never shared: neither can change what the other has, and nothing of the server’s is frozen', async () => {
    const result = { content: [{ type: 'text', text: 'mine' }] };
    const given: Record<string, unknown>[] = [];
    const server = new FakeServer({
      keep: {
        annotations: { readOnlyHint: true },
        run: ({ args }) => {
          given.push(args);
          (args['list'] as unknown[]).push('changed by the server');
          return result;
        },
      },
    });
    const store = await openStore({ services: { t: { server } }, performance: { resultCache: { enabled: true } } });
    const args = { list: ['mine'] };
    const first = await store.callTool('t__keep', args);
    expect(args).toEqual({ list: ['mine'] });
    args.list.push('later');
    expect(given[0]).toEqual({ list: ['mine', 'changed by the server'] });
    expect([Object.isFrozen(first), Object.isFrozen(result), Object.isFrozen(result.content[0])]).toEqual([
      true,
      false,
      false,
    ]);
    result.content[0]!.text = 'changed later';
    const second = await store.callTool('t__keep', { list: ['mine'] });
    expect([second.content, given.length]).toEqual([[{ type: 'text', text: 'mine' }], 1]);
  });

  it('is what JSON carries: arguments are refused before they run, a result that is none is an error answer', async () => {
    const server = new FakeServer({ big: { run: () => ({ content: [], n: 1n }) }, echo: {} });
    const store = await openStore({ services: { t: { server } } });
    expect(await failure(store.callTool('t__echo', { n: 1n }))).toMatchObject({
      code: 'ARGUMENTS_INVALID',
      executed: 'no',
    });
    expect(server.called).toEqual([]);
    const error = await failure(store.callTool('t__big', {}, { timeoutMs: 5_000 }));
    expect(error).toMatchObject({ code: 'RPC_ERROR', executed: 'yes', rpcCode: -32603 });
    expect(error.message).toContain('JSON cannot carry the result');
  });
});

describe('memory, a factory', () => {
  afterEach(cleanUp);

  it('makes a server for each connection', async () => {
    const store = await openStore({ services: { t: { server: () => serverV2(new Behaviour()) } } });
    await store.callTool('t__counter');
    const leased = await store.lease('t', (lease) => lease.callTool('counter'));
    expect(leased.content).toEqual([{ type: 'text', text: '1' }]);
  });

  it('that throws, or never comes to an end, is START_FAILED', async () => {
    const services = {
      throws: { server: () => Promise.reject(new Error('no database')) },
      hangs: { server: () => new Promise<never>(() => {}) },
    };
    const performance = { connectionPool: { connectionTimeoutMs: 200, maxRetries: 0 } };
    const store = await openStore({ services, performance });
    const errors = await Promise.all(
      Object.keys(services).map((service) => failure(store.callTool('echo', {}, { service, timeoutMs: 5_000 }))),
    );
    for (const error of errors) expect(error).toMatchObject({ code: 'START_FAILED', executed: 'no' });
    expect(errors[0]!.message).toContain('no database');
    const { ms } = await timed(() => store.close());
    expect(ms).toBeLessThan(1_000);
  });
});
