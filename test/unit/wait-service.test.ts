/** Knows what may be waited for, and that anything else is refused before anybody waits. */

import { expect, it } from 'vitest';
import type { ServiceStatus } from '../../src/events.js';
import { FakeClock, failure, settle } from '../support/fake-clock.js';
import { FakeServer, openStore } from '../support/fake-server.js';

const STATUSES: ServiceStatus[] = [
  'registered',
  'starting',
  'ready',
  'degraded',
  'reconnecting',
  'breaker_open',
  'probing',
  'ejected',
  'auth_required',
  'stopped',
  'failed',
];

it('a status that there is not is refused at once, with those that there are', async () => {
  const clock = new FakeClock();
  const store = await openStore({ a: new FakeServer({}, clock) }, clock);
  for (const status of ['running', '', null, 5, 'toString'] as never[]) {
    const error = await failure(store.waitService('a', { status }));
    expect(error).toMatchObject({ code: 'OPTION_INVALID', executed: 'no', figures: { path: 'status' } });
    expect(error.message).toBe(`status: expected one of ${STATUSES.join(', ')}`);
  }
  expect(await failure(store.waitService('a', { signal: {} as never }))).toMatchObject({
    code: 'OPTION_INVALID',
    figures: { path: 'signal' },
  });
  expect(clock.timers).toBe(0);
  await store.close();
});

it.each(STATUSES)('%s may be waited for', async (status) => {
  const clock = new FakeClock();
  const store = await openStore({ a: new FakeServer({}, clock) }, clock);
  const waiting = store.waitService('a', { status, timeoutMs: 100 }).catch((error: { code: string }) => error.code);
  await settle(20);
  await clock.advance(200);
  expect(await waiting).not.toBe('OPTION_INVALID');
  await store.close();
});
