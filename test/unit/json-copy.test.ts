/** Knows that a copy is what the other end of a wire would read, whatever is copied. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jsonCopy } from '../../src/connection/json-copy.js';

/** As over a wire; undefined where JSON cannot carry it. */
function overWire(value: unknown): { read: unknown } | undefined {
  try {
    return { read: JSON.parse(JSON.stringify(value)) };
  } catch {
    return undefined;
  }
}

function copied(value: unknown): { read: unknown } | { code: unknown } {
  try {
    return { read: jsonCopy(value as object) };
  } catch (error) {
    return { code: (error as { code?: unknown }).code };
  }
}

const options = { withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true } as const;

describe('a copy', () => {
  it('is what JSON text would say, or the same refusal', () => {
    const anything = fc.anything({ ...options, withNullPrototype: true, withBoxedValues: true, withSparseArray: true });
    fc.assert(
      fc.property(fc.dictionary(fc.string(), anything), (value) => {
        expect(copied(value)).toEqual(overWire(value) ?? { code: 'ARGUMENTS_INVALID' });
      }),
      { seed: 311, numRuns: 3_000 },
    );
  });

  it.each([
    ['minus zero', { n: -0 }],
    ['what is no number', { n: Number.NaN, m: [Number.POSITIVE_INFINITY] }],
    ['functions and symbols', { f() {}, s: Symbol('s'), list: [() => {}, undefined, Symbol('s')] }],
    ['an object that says itself what it is', { a: { toJSON: () => ({ b: 1 }) }, c: new URL('http://a/b') }],
    ['an array that does', { a: Object.assign([1], { toJSON: () => 'list' }) }],
    ['a field named __proto__', JSON.parse('{"a":{"__proto__":{"polluted":1}}}')],
    [
      'an instance',
      {
        a: new (class A {
          x = 1;
        })(),
        b: Buffer.from('b'),
      },
    ],
    ['lone surrogates', { s: '\ud800' }],
  ])('has %s as JSON text has it', (_, value) => {
    const copy = jsonCopy(value as object);
    expect(JSON.stringify(copy)).toBe(JSON.stringify(value));
    expect(copy).toEqual(JSON.parse(JSON.stringify(value)));
    expect(Object.is((copy as { n?: number }).n, -0)).toBe(false);
  });

  it('has nothing that somebody gave all objects', () => {
    Object.defineProperty(Object.prototype, 'everywhere', { value: 1, enumerable: true, configurable: true });
    const copy = jsonCopy({ a: {} });
    delete (Object.prototype as { everywhere?: number }).everywhere;
    expect(JSON.stringify(copy)).toBe('{"a":{}}');
  });

  it('shares no object with its original, at any depth', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 6 })), (value) => {
        const before = JSON.stringify(value);
        change(jsonCopy(value));
        expect(JSON.stringify(value)).toBe(before);
      }),
      { seed: 312, numRuns: 500 },
    );
  });

  it('of a loop is refused, and one that is merely deep is made', () => {
    const loop: Record<string, unknown> = {};
    loop['self'] = [loop];
    expect(copied(loop)).toEqual({ code: 'ARGUMENTS_INVALID' });
    const deep = JSON.parse(`${'{"a":'.repeat(1_000)}1${'}'.repeat(1_000)}`) as object;
    expect(JSON.stringify(jsonCopy(deep))).toBe(JSON.stringify(deep));
  });
});

/** Changes every object of it. */
function change(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  for (const item of Object.values(value)) change(item);
  if (Array.isArray(value)) value.push('changed');
  else (value as Record<string, unknown>)['changed'] = true;
}
