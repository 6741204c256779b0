/** Knows how one connection is replaced between calls: never under one, and with nobody left waiting. */

import { describe, expect, it } from 'vitest';
import { Gate } from '../../src/_util/gate.js';
import type { Connection } from '../../src/connection/connection.js';
import { Endpoint } from '../../src/endpoint/endpoint.js';
import { resolvePerformance } from '../../src/option-layers.js';
import { FakeClock, watch } from '../support/fake-clock.js';
import { FakeServer } from '../support/fake-server.js';

function bench(maxConnections = 1) {
  const clock = new FakeClock();
  const server = new FakeServer({ echo: {} }, clock);
  const own = { connectionPool: { maxConnections } };
  const { options } = resolvePerformance([{ source: 'service', values: own }]);
  const states: string[] = [];
  const endpoint = new Endpoint({
    definition: { kind: 'memory', server },
    performance: options,
    own,
    clock,
    gate: new Gate(8, clock),
    onState: ({ name }) => states.push(name),
    onOpened: () => {},
    onNotice: () => {},
    onLine: () => {},
  });
  const wait = (forMs = 60_000): Promise<Connection> =>
    endpoint.wait({ deadline: clock.now() + forMs, signal: undefined }, forMs);
  /** As a call does it: at once, or in line. */
  const taken = async (): Promise<Connection> => endpoint.take() ?? (await wait());
  return { clock, server, states, endpoint, wait, taken };
}

it('an idle one at once: the next call has a new connection, which is begun without it', async () => {
  const { clock, server, states, endpoint, wait, taken } = bench();
  const old = await wait();
  endpoint.release(old);
  expect(await endpoint.renew(old, 1_000)).toBe('renewed');
  await clock.advance(0);
  expect([old.closed, server.connects, states]).toEqual([true, 2, ['starting', 'ready', 'starting', 'ready']]);
  const next = await taken();
  expect(next).not.toBe(old);
});

it('a busy one when its calls have ended; those that come meanwhile wait for the new one', async () => {
  const { clock, endpoint, wait, taken } = bench();
  const old = await wait();
  const renewing = watch(endpoint.renew(old, 1_000));
  const late = watch(taken());
  await clock.advance(500);
  expect([renewing.settled, late.settled, old.closed]).toEqual([false, false, false]);
  endpoint.release(old);
  await clock.advance(20);
  expect([renewing.value, old.closed]).toEqual(['renewed', true]);
  expect(late.value).not.toBe(old);
  expect(late.value?.closed).toBe(false);
});

it('one that stays busy goes on, and serves who waited', async () => {
  const { clock, server, states, endpoint, wait, taken } = bench();
  const old = await wait();
  const renewing = watch(endpoint.renew(old, 1_000));
  const late = watch(taken());
  await clock.advance(999);
  expect([renewing.settled, late.settled]).toEqual([false, false]);
  await clock.advance(1);
  expect([renewing.value, late.value === old, old.closed, server.connects]).toEqual(['busy', true, false, 1]);
  expect(states).toEqual(['starting', 'ready']);
  // It can still be lost, and that is still noticed.
  endpoint.release(old);
  endpoint.release(old);
  await endpoint.renew(old, 1_000);
  await clock.advance(0);
  expect(server.connects).toBe(2);
});

it('one that ends by itself meanwhile leaves no endpoint without a connection', async () => {
  const { clock, server, endpoint, wait, taken } = bench();
  const old = await wait();
  const renewing = watch(endpoint.renew(old, 5_000));
  const late = watch(taken());
  await old.end(new Error('crashed'));
  endpoint.release(old);
  await clock.advance(20);
  expect([renewing.value, server.connects, late.value?.closed]).toEqual(['renewed', 2, false]);
});

it('one of several: the others serve meanwhile', async () => {
  const { clock, server, endpoint, wait, taken } = bench(2);
  const first = await wait();
  const second = await taken();
  await clock.advance(0);
  const other = endpoint.connections.find((connection) => connection !== first)!;
  expect([second, server.connects]).toEqual([first, 2]);
  const renewing = watch(endpoint.renew(first, 1_000));
  expect([await taken(), await taken()]).toEqual([other, other]);
  endpoint.release(first);
  endpoint.release(first);
  await clock.advance(20);
  expect([renewing.value, first.closed, endpoint.state.name]).toEqual(['renewed', true, 'ready']);
});

describe('whoever stops, restarts or closes the endpoint meanwhile', () => {
  it.each(['stop', 'restart', 'close'] as const)('%s: has its way', async (verb) => {
    for (const busy of [true, false]) {
      const { clock, server, endpoint, wait } = bench();
      const old = await wait();
      if (!busy) endpoint.release(old);
      const renewing = watch(endpoint.renew(old, 1_000));
      const ending = watch(endpoint[verb](10_000));
      await clock.advance(2_000);
      if (busy) {
        expect([renewing.value, ending.settled, old.closed]).toEqual(['busy', false, false]);
        endpoint.release(old);
        await clock.advance(100);
      }
      expect([renewing.settled, ending.settled, old.closed]).toEqual([true, true, true]);
      expect(endpoint.state.name).toBe(verb === 'restart' ? 'ready' : 'stopped');
      expect(server.open.size).toBe(verb === 'restart' ? 1 : 0);
    }
  });

  it('finds what is not lent out left alone', async () => {
    const { endpoint, wait } = bench();
    const old = await wait();
    await endpoint.stop(0);
    expect(await endpoint.renew(old, 1_000)).toBe('gone');
  });
});
