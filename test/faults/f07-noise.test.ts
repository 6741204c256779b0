/** A server that prints to stdout what is no message: skipped, told to listeners, counted, and logged now and then. */

import { afterEach, expect, it, vi } from 'vitest';
import type { Logger } from '../../src/index.js';
import { cleanUp, openStore, scripted, textIn } from '../support/harness.js';
import { until } from '../support/waiting.js';

vi.setConfig({ testTimeout: 40_000, hookTimeout: 30_000 });
afterEach(cleanUp);

it('F7: noise without end: calls are answered beside it, the log has its first lines and its count', async () => {
  const logged: { count: number; line: string; service: string }[] = [];
  const logger: Logger = {
    debug() {},
    info() {},
    error() {},
    warn(fields) {
      if ('line' in fields) logged.push(fields as (typeof logged)[number]);
    },
  };
  const store = await openStore({ services: { a: scripted(), b: scripted() }, logger });
  await store.listTools();
  let lines = 0;
  store.on('output', (event) => {
    if (event.stream === 'stdout') lines++;
  });
  await store.callTool('a__spam', { line: 'request $N \u001b[31mtook 3 ms' });
  for (let n = 0; n < 50; n++) expect(textIn(await store.callTool('a__echo', { text: `${n}` }))).toBe(`${n}`);
  await until(() => lines >= 20_000, 'so many lines');
  expect(textIn(await store.callTool('a__echo', { text: 'still' }))).toBe('still');
  expect(logged.slice(0, 7).map(({ count }) => count)).toEqual([1, 2, 3, 10, 100, 1_000, 10_000]);
  expect(logged[0]).toEqual({ service: 'a', count: 1, line: 'request 0 \\x1b[31mtook 3 ms' });
  expect(logged.length).toBeLessThan(12);
  expect(Object.values(store.connectionStats()['a']!)[0]).toMatchObject({ created: 1, open: 1 });
});

it('F7: one line without end is thrown away as it comes, and the next message is understood', async () => {
  const store = await openStore({ services: { a: scripted() } });
  await store.listTools();
  const MIB = 1024 * 1024;
  const { rss } = process.memoryUsage();
  // Though it is the only one that waits, its call is not failed: this is nobody's answer.
  expect(textIn(await store.callTool('a__huge', { bytes: 100 * MIB, id: 'noise' }, { timeoutMs: 30_000 }))).toBe(
    'told',
  );
  expect(process.memoryUsage().rss - rss).toBeLessThan(64 * MIB);
});
