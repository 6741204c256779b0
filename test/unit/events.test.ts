/** Knows what listeners are told, that one that fails harms nobody, and what a store tells while it works. */

import { describe, expect, it } from 'vitest';
import type { CallRecord } from '../../src/call.js';
import { Events, type Logger } from '../../src/events.js';
import { FakeClock, settle } from '../support/fake-clock.js';
import { FakeServer, openStore, text } from '../support/fake-server.js';

function logger(): Logger & { lines: string[] } {
  const lines: string[] = [];
  const at = (level: string) => (_fields: object, message: string) => void lines.push(`${level} ${message}`);
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

describe('events', () => {
  it('reach every listener of their name until it is taken back', () => {
    const events = new Events(undefined);
    const heard: string[] = [];
    const off = events.on('serviceAdded', ({ service }) => heard.push(`1 ${service}`));
    events.on('serviceAdded', ({ service }) => heard.push(`2 ${service}`));
    events.on('serviceRemoved', ({ service }) => heard.push(`3 ${service}`));
    events.emit('serviceAdded', { service: 'a' });
    off();
    off();
    events.emit('serviceAdded', { service: 'b' });
    expect(heard).toEqual(['1 a', '2 a', '2 b']);
    expect([events.has('serviceAdded'), events.has('call')]).toEqual([true, false]);
  });

  it('of a listener that throws: the others hear, the code that tells goes on, the logger is told', () => {
    const log = logger();
    const events = new Events(log);
    const heard: string[] = [];
    events.on('serviceAdded', () => {
      throw new Error('broken');
    });
    events.on('serviceAdded', ({ service }) => heard.push(service));
    events.emit('serviceAdded', { service: 'a' });
    expect([heard, log.lines]).toEqual([['a'], ['error an event listener failed']]);
  });

  it('end for a listener that takes itself back while it is told', () => {
    const events = new Events(undefined);
    let told = 0;
    const off = events.on('serviceAdded', () => {
      told++;
      off();
    });
    events.emit('serviceAdded', { service: 'a' });
    events.emit('serviceAdded', { service: 'a' });
    expect(told).toBe(1);
  });
});

describe('a store tells', () => {
  it('states, lists, messages and one record for each call, and a listener that throws harms no call', async () => {
    const clock = new FakeClock();
    const server = new FakeServer({ x: { delayMs: 7 } }, clock);
    const log = logger();
    const store = await openStore({ s: server }, clock, { logger: log });
    const told: unknown[] = [];
    store.on('state', ({ service, status }) => told.push(`${service} ${status}`));
    store.on('toolsChanged', ({ service, tools }) => told.push(`${service} ${tools} tools`));
    store.on('log', (event) => told.push(event));
    const records: CallRecord[] = [];
    store.on('call', (record) => records.push(record));
    for (const name of ['state', 'toolsChanged', 'log', 'call'] as const)
      store.on(name, () => {
        throw new Error('broken');
      });
    const calling = store.callTool('s__x', { a: 1 });
    await settle(20);
    await clock.advance(100);
    expect(await calling).toEqual(text('x {"a":1}'));
    server.notify('notifications/message', { level: 'warning', logger: 'db', data: { slow: true } });
    server.tools = { x: {}, y: {} };
    server.listChanged();
    await clock.advance(300);
    expect(told).toEqual([
      's starting',
      's ready',
      's 1 tools',
      { service: 's', level: 'warning', logger: 'db', data: { slow: true } },
      's 2 tools',
    ]);
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({
      scope: '',
      service: 's',
      tool: 'x',
      outcome: 'ok',
      executed: 'yes',
      attempts: 1,
      cache: 'off',
      callMs: 7,
      totalMs: 7,
      queueMs: 0,
      code: undefined,
    });
    expect(log.lines.filter((line) => line === 'error an event listener failed').length).toBeGreaterThan(3);
    await store.close();
  });
});
