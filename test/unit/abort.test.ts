/** Knows what one AbortSignal shared by many calls may cost: a single listener, and none when no call listens. */

import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { onAbort } from '../../src/_util/abort.js';

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

describe('one signal for many calls', () => {
  it('has one listener however many calls hear it, and each of them does', () => {
    const controller = new AbortController();
    const heard: number[] = [];
    for (let i = 0; i < 1_000; i++) onAbort(controller.signal, () => heard.push(i));
    expect(listeners(controller.signal)).toBe(1);
    controller.abort();
    expect(heard).toEqual(Array.from({ length: 1_000 }, (_, i) => i));
    expect(listeners(controller.signal)).toBe(0);
  });

  it('F33: has none when the last call has ended', () => {
    const { signal } = new AbortController();
    const offs = Array.from({ length: 1_000 }, () => onAbort(signal, () => {}));
    for (const off of offs) off();
    expect(listeners(signal)).toBe(0);
    // And one again for the next call.
    const off = onAbort(signal, () => {});
    expect(listeners(signal)).toBe(1);
    off();
    off();
    expect(listeners(signal)).toBe(0);
  });

  it('does not tell a call that has ended', () => {
    const controller = new AbortController();
    const heard: string[] = [];
    const off = onAbort(controller.signal, () => heard.push('ended'));
    onAbort(controller.signal, () => heard.push('running'));
    off();
    controller.abort();
    expect(heard).toEqual(['running']);
  });
});
