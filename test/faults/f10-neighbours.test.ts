/** A message over the limit is its own call's misfortune: who waits beside it is not failed in its place. */

import { afterEach, expect, it, vi } from 'vitest';
import { cleanUp, openStore, scripted, textIn } from '../support/harness.js';
import { failure } from '../support/waiting.js';

vi.setConfig({ testTimeout: 40_000, hookTimeout: 30_000 });
afterEach(cleanUp);

const bytes = 11 * 1024 * 1024;

it('F10: the late answer to a call that was given up fails nobody', async () => {
  const store = await openStore({ services: { a: scripted() } });
  await store.listTools();
  const beside = store.callTool('a__sleep', { ms: 3_000, text: 'beside' });
  const late = failure(store.callTool('a__huge', { bytes, ms: 600, id: 'first' }, { timeoutMs: 300 }));
  expect((await late).code).toBe('TIMEOUT');
  expect(textIn(await beside)).toBe('beside');
});

it('F10: a notification that is too large fails nobody', async () => {
  const store = await openStore({ services: { a: scripted() } });
  await store.listTools();
  expect(textIn(await store.callTool('a__huge', { bytes, id: 'notification' }))).toBe('told');
});

it('F10: one whose id is nowhere to be seen fails none of two: each has its deadline', async () => {
  const store = await openStore({ services: { a: scripted() } });
  await store.listTools();
  const beside = store.callTool('a__sleep', { ms: 1_500, text: 'beside' });
  expect(await failure(store.callTool('a__huge', { bytes }, { timeoutMs: 2_500 }))).toMatchObject({ code: 'TIMEOUT' });
  expect(textIn(await beside)).toBe('beside');
});
