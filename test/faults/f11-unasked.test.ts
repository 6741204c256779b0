/** A server that does not stop talking: a budget for what it says unasked, the last word kept, in the end a new process. */

import { afterEach, describe, expect, it, vi } from 'vitest';
import type { StoreEvents } from '../../src/index.js';
import { allGone, cleanUp, openStore, scripted, textIn } from '../support/harness.js';
import { until } from '../support/waiting.js';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 });
afterEach(cleanUp);

const LOG = '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":$N}}';

describe('F11: a flood of notifications', () => {
  it('reaches listeners within the budget, its last word too, and answers come through', async () => {
    const store = await openStore({ services: { a: scripted() } });
    await store.listTools();
    const seen: unknown[] = [];
    store.on('log', (event) => seen.push(event.data));
    const COUNT = 50_000;
    const since = performance.now();
    const flood = store.callTool('a__spam', { line: LOG, count: COUNT });
    for (let n = 0; n < 20; n++) expect(textIn(await store.callTool('a__echo', { text: `${n}` }))).toBe(`${n}`);
    await flood;
    await until(() => seen.at(-1) === COUNT - 1, 'the last word');
    const seconds = (performance.now() - since) / 1_000;
    expect(seen.length).toBeGreaterThanOrEqual(2_000);
    // What is kept of the rest is handed on four times a second.
    expect(seen.length).toBeLessThanOrEqual(2_000 + (1_000 + 4) * seconds + 1);
    expect(seen.length).toBeLessThan(COUNT / 2);
    expect(Object.values(store.connectionStats()['a']!)[0]).toMatchObject({ created: 1, open: 1 });
  });

  it('without end: a new process, once the calls of the old one have ended', async () => {
    const floods = {
      notifications: LOG,
      requests: '{"jsonrpc":"2.0","id":$N,"method":"roots/list"}',
      answers: '{"jsonrpc":"2.0","id":"c9$N","result":{}}',
      progress: '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"c9$N"}}',
    };
    const names = Object.keys(floods);
    const store = await openStore({ services: Object.fromEntries(names.map((name) => [name, scripted()])) });
    await store.listTools();
    const old = names.map((name) => store.serviceInfo(name).pids[0]!);
    const states: StoreEvents['state'][] = [];
    store.on('state', (event) => states.push(event));
    for (const [service, line] of Object.entries(floods)) await store.callTool('spam', { line }, { service });
    const slow = names.map((service) => store.callTool('sleep', { ms: 14_000, text: service }, { service }));
    for (const [i, service] of names.entries()) {
      const given = (event: StoreEvents['state']): boolean =>
        event.service === service && event.status === 'reconnecting';
      const lost = await until(() => states.find(given), `${service} is given up`, 20_000);
      expect(lost.error?.message, service).toMatch(/unasked for 10 s/);
      const fresh = await store.waitService(service, { timeoutMs: 10_000 });
      expect(fresh.pids).not.toContain(old[i]);
      expect(textIn(await store.callTool('echo', { text: 'quiet' }, { service }))).toBe('quiet');
    }
    expect((await Promise.all(slow)).map(textIn)).toEqual(names);
    await allGone(old);
  });
});
