/** Knows how the requests under way on a channel have to be found, and that none keeps another alive. */

import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OpenRequests } from '../../src/connection/open-requests.js';

interface Request {
  id: string;
  answer?: unknown;
}

describe('the requests under way on a channel', () => {
  it('behave as a map that gives ids, whatever comes and goes in which order', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constant('open'), fc.nat(200)), { maxLength: 400, size: 'max' }), (steps) => {
        const open = new OpenRequests<Request>();
        const model = new Map<string, Request>();
        const given = new Set<string>();
        for (const step of steps) {
          if (step === 'open') {
            const request = { id: open.newId() };
            expect(given.has(request.id)).toBe(false);
            given.add(request.id);
            open.add(request);
            model.set(request.id, request);
          } else if (model.size > 0) {
            const request = [...model.values()][(step as number) % model.size]!;
            expect(open.delete(request)).toBe(true);
            expect(open.delete(request)).toBe(false);
            model.delete(request.id);
          }
          expect(open.size).toBe(model.size);
        }
        expect(open.all()).toEqual([...model.values()]);
        for (const id of given) expect(open.get(id)).toBe(model.get(id));
      }),
    );
  });

  it('are found by nothing but their ids', () => {
    const open = new OpenRequests<Request>();
    const request = { id: open.newId() };
    open.add(request);
    expect(request.id).toBe('c0');
    for (const id of [undefined, null, 0, '', 'c', '0', 'c00', 'c0x', 'c16', 'c-0', 'c1e3', 'x0', {}, ['c0']])
      expect(open.get(id)).toBeUndefined();
    expect(open.get('c0')).toBe(request);
  });

  it('tells whether any is left of those that were there at a mark', () => {
    const open = new OpenRequests<Request>();
    const begin = (): Request => {
      const request = { id: open.newId() };
      open.add(request);
      return request;
    };
    expect(open.anyBefore(open.mark)).toBe(false);
    const first = begin();
    const mark = open.mark;
    const after = [begin(), begin()];
    expect(open.anyBefore(mark)).toBe(true);
    // Its own id is before the mark, that of the first after it is not.
    open.delete(first);
    expect(open.anyBefore(mark)).toBe(false);
    expect(open.anyBefore(open.mark)).toBe(true);
    for (const request of after) open.delete(request);
    expect(open.anyBefore(open.mark)).toBe(false);
  });

  it('die young: an answer is not kept by the requests of its time', () => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    const open = new OpenRequests<Request>();
    const run = (count: number): void => {
      for (let i = 0; i < count; i++) {
        const request: Request = { id: open.newId() };
        open.add(request);
        request.answer = new Array(50).fill(i);
        open.delete(request);
      }
    };
    const oldBytes = (): number =>
      getHeapSpaceStatistics().find((one) => one.space_name === 'old_space')!.space_used_size;
    run(1_000);
    // What lives now becomes old; what it leads to would follow.
    const request = { id: open.newId() };
    open.add(request);
    gc();
    open.delete(request);
    gc();
    const before = oldBytes();
    run(40_000);
    // 18 MB were allocated.
    expect(oldBytes() - before).toBeLessThan(4_000_000);
  });
});
