/** Knows that a bad value given to the store itself is refused with its path, before it has any effect. */

import { expect, it } from 'vitest';
import { MCPStore } from '../../src/store.js';
import { FakeClock, failure } from '../support/fake-clock.js';

const open = (options: object = {}): Promise<MCPStore> =>
  MCPStore.open({ stateDir: null, clock: new FakeClock(), env: {}, services: {}, ...options } as never);

function thrown(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('it was accepted');
}

it('to open', async () => {
  const bad: [object, string][] = [
    [{ inputs: 5 }, 'inputs'],
    [{ inputs: { token: 5 } }, 'inputs.token'],
    [{ inputs: ['a'] }, 'inputs'],
    [{ env: 5 }, 'env'],
    [{ env: null }, 'env'],
    [{ env: { A: 5 } }, 'env.A'],
    [{ clock: 5 }, 'clock'],
    [{ clock: {} }, 'clock.now'],
  ];
  for (const [options, path] of bad) {
    const error = await failure(open(options));
    expect(error, path).toMatchObject({ code: 'OPTION_INVALID', figures: { path } });
    expect(error.message).toMatch(new RegExp(`^${path}: expected `));
  }
  for (const inputs of [() => 'x', { token: 'x' }]) await (await open({ inputs })).close();
});

it('to forAgent, closeIdle, on', async () => {
  const store = (await open({ services: { a: { command: 'a' } } })) as MCPStore &
    Record<string, (...args: unknown[]) => unknown>;
  const bad: [string, unknown[], string][] = [
    ['forAgent', [5], 'id'],
    ['forAgent', [undefined], 'id'],
    ['forAgent', ['x', 5], 'options'],
    ['forAgent', ['x', { services: 'a' }], 'services'],
    ['forAgent', ['x', { services: ['a', 5] }], 'services.1'],
    ['closeIdle', ['x'], 'maxIdleMs'],
    ['closeIdle', [-1], 'maxIdleMs'],
    ['closeIdle', [Number.NaN], 'maxIdleMs'],
    ['on', ['bogus', () => {}], 'name'],
    ['on', ['toString', () => {}], 'name'],
    ['on', ['call', 5], 'listener'],
  ];
  for (const [verb, args, path] of bad) {
    const error = thrown(() => store[verb]!(...args));
    expect(error, `${verb} ${path}`).toMatchObject({ code: 'OPTION_INVALID', figures: { path } });
    expect((error as Error).message).toMatch(new RegExp(`^${path}: expected `));
  }
  expect(store.forAgent('x').listServices()).toEqual([]);
  expect(store.closeIdle(Number.POSITIVE_INFINITY)).toBe(0);
  await store.close();
});

it('to close, which then has not begun', async () => {
  const store = await open();
  for (const drainMs of ['x', -1, Number.NaN]) {
    const error = await failure(store.close({ drainMs } as never));
    expect(error).toMatchObject({ code: 'OPTION_INVALID', figures: { path: 'drainMs' } });
  }
  expect(await failure(store.close(5 as never))).toMatchObject({ code: 'OPTION_INVALID' });
  expect(await failure(store.close({ drain: 5 } as never))).toMatchObject({ code: 'OPTION_INVALID' });
  expect(await store.listTools()).toEqual([]);
  await store.close({ drainMs: 0 });
  await store.close({ drainMs: 0 });
});

it('to a change of a service', async () => {
  const store = await open();
  const error = await failure(store.addService('a', { command: 'a' }, 5 as never));
  expect(error).toMatchObject({ code: 'OPTION_INVALID' });
  expect(store.listServices()).toEqual([]);
  await store.close();
});
