/** A message over the limit is its own call's misfortune: who waits beside it is not failed in its place. */

import { afterEach, expect, it, vi } from 'vitest';
import type { MCPStore } from '../../src/index.js';
import { cleanUp, openStore, scripted, textIn } from '../support/harness.js';
import { failure, until } from '../support/waiting.js';

vi.setConfig({ testTimeout: 40_000, hookTimeout: 30_000 });
afterEach(cleanUp);

const bytes = 11 * 1024 * 1024;

/** Waits until the server has written what it was writing: what is answered in the middle of that is lost in it. */
const written = (store: MCPStore): Promise<unknown> =>
  until(() => store.callTool('a__echo', { text: 'x' }, { timeoutMs: 1_000 }).catch(() => false), 'an answer', 30_000);

it.each([
  ['the late answer to a call that was given up', { ms: 600, id: 'first' }, 300],
  ['one whose id is nowhere to be seen', {}, 2_500],
])('F10: %s fails nobody else: each has its deadline', async (_, args, timeoutMs) => {
  const store = await openStore({ services: { a: scripted() } });
  await store.listTools();
  const end = new AbortController();
  const beside = failure(store.callTool('a__hang', {}, { signal: end.signal }));
  expect(await failure(store.callTool('a__huge', { bytes, ...args }, { timeoutMs }))).toMatchObject({
    code: 'TIMEOUT',
  });
  await written(store);
  end.abort();
  expect((await beside).code).toBe('CANCELLED');
});

it('F10: a notification that is too large fails nobody', async () => {
  const store = await openStore({ services: { a: scripted() } });
  await store.listTools();
  expect(textIn(await store.callTool('a__huge', { bytes, id: 'notification' }))).toBe('told');
});
