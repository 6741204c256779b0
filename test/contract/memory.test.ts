/** The contract with server objects in this process, of both SDK versions. */

import { afterEach, describe, expect, it } from 'vitest';
import { Behaviour } from '../support/behaviour.mjs';
import { serverV1, serverV2 } from '../support/carriers.js';
import { cleanUp, failure, openStore, timed } from '../support/harness.js';
import { describeTransport } from './suite.js';

describeTransport('memory, SDK 2', () => ({ server: serverV2(new Behaviour()) }), { kind: 'memory' });
describeTransport('memory, SDK 1', () => ({ server: serverV1(new Behaviour()) }), { kind: 'memory' });

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
