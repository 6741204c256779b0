/** Knows that a number which JSON cannot carry is refused with its place, before anything is sent, on every transport. */

import { expect, it } from 'vitest';
import { refuseNonFinite } from '../../src/connection/finite.js';
import { canonicalArguments } from '../../src/service/cache-keys.js';
import { FakeClock, failure } from '../support/fake-clock.js';
import { FakeServer, openStore } from '../support/fake-server.js';
import { callTool, connected } from '../support/http-channel.js';

it.each([
  [{ n: Number.NaN }, 'n', 'NaN'],
  [{ arguments: { list: [1, { x: Number.POSITIVE_INFINITY }] } }, 'arguments.list[1].x', 'Infinity'],
  [{ list: [null, Number.NEGATIVE_INFINITY] }, 'list[1]', '-Infinity'],
])('%j is refused at %s', (params, path, number) => {
  expect(() => refuseNonFinite(params, JSON.stringify(params))).toThrow(
    expect.objectContaining({
      code: 'ARGUMENTS_INVALID',
      message: `${path}: JSON cannot carry ${number}`,
      figures: { path },
    }),
  );
});

it('null, dates, what says itself what it is and words in a text are none', () => {
  const own = { toJSON: () => null, n: Number.NaN };
  const loop: Record<string, unknown> = {};
  loop['self'] = loop;
  for (const params of [
    { a: null, b: [null] },
    { at: new Date(Number.NaN) },
    { own },
    { text: ':null' },
    { f: () => 1 },
  ])
    refuseNonFinite(params, JSON.stringify(params));
  refuseNonFinite(loop);
});

it('a call with such a number fails before it is sent: in this process, over HTTP, and behind the cache', async () => {
  const clock = new FakeClock();
  const server = new FakeServer({ echo: { annotations: { readOnlyHint: true } } }, clock);
  const store = await openStore({ s: server }, clock, { performance: { resultCache: { enabled: true } } });
  await store.callTool('s__echo', { n: null });
  const refused = { code: 'ARGUMENTS_INVALID', executed: 'no', figures: { path: 'arguments.n' } };
  expect(await failure(store.callTool('s__echo', { n: Number.NaN }))).toMatchObject(refused);
  expect(server.called).toEqual(['echo']);
  await store.close();
  const { channel } = await connected();
  expect(await failure(callTool(channel, 'echo', { n: Number.NaN }))).toMatchObject(refused);
  expect(canonicalArguments({ n: Number.NaN })).toBe(undefined);
});
