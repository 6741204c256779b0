/** A message over the limit is its own call's misfortune: who waits beside it is not failed in its place. */

import { afterEach, expect, it, vi } from 'vitest';
import { cleanUp, openStore, scripted, textIn } from '../support/harness.js';
import { failure, until } from '../support/waiting.js';

vi.setConfig({ testTimeout: 40_000, hookTimeout: 30_000 });
afterEach(cleanUp);

const bytes = 11 * 1024 * 1024;

it.each([
  ['the late answer to a call that was given up', { ms: 600, id: 'first' }, 300],
  ['one whose id is nowhere to be seen', {}, 2_500],
])('F10: %s fails nobody else: each has its deadline', async (_, args, timeoutMs) => {
  const store = await openStore({ services: { a: scripted() } });
  await store.listTools();
  let written = false;
  store.on('log', () => {
    written = true;
  });
  const end = new AbortController();
  const beside = failure(store.callTool('a__hang', {}, { signal: end.signal }));
  expect(await failure(store.callTool('a__huge', { bytes, ...args }, { timeoutMs }))).toMatchObject({
    code: 'TIMEOUT',
  });
  await until(() => written, 'it has come to its end', 30_000);
  end.abort();
  expect((await beside).code).toBe('CANCELLED');
});

it('F10: a notification that is too large fails nobody', async () => {
  const store = await openStore({ services: { a: scripted() } });
  await store.listTools();
  expect(textIn(await store.callTool('a__huge', { bytes, id: 'notification' }))).toBe('told');
});
