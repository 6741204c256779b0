/** Knows which calls have one cache key: those that are equal as JSON, and no others. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cachePrefix, canonicalArguments } from '../../src/service/cache-keys.js';

const json = fc.dictionary(fc.string({ maxLength: 4 }), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 });

/** The same value with the keys of every object in another order. */
function reordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reordered);
  if (typeof value !== 'object' || value === null) return value;
  const out: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value).reverse())
    Object.defineProperty(out, key, { value: reordered(inner), enumerable: true, configurable: true, writable: true });
  return out;
}

/** What goes over the wire, compared without regard to the order of keys. */
function wire(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

function same(a: unknown, b: unknown): boolean {
  try {
    expect(a).toStrictEqual(b);
    return true;
  } catch {
    return false;
  }
}

describe('cache keys', () => {
  it('do not depend on the order of keys', () => {
    fc.assert(
      fc.property(json, (args) => {
        expect(canonicalArguments(reordered(args))).toBe(canonicalArguments(args));
      }),
      { seed: 81, numRuns: 500 },
    );
  });

  it('are equal only where the arguments are equal on the wire', () => {
    const near = fc.oneof(
      json,
      fc.dictionary(
        fc.constantFrom('a', 'b'),
        fc.constantFrom<unknown>(1, '1', true, 'true', null, 'null', [], {}, [1], ''),
        {
          maxKeys: 2,
        },
      ),
    );
    fc.assert(
      fc.property(near, near, (a, b) => {
        const [ka, kb] = [canonicalArguments(a), canonicalArguments(b)];
        if (ka === undefined || kb === undefined) return;
        expect(ka === kb).toBe(same(wire(a), wire(b)));
      }),
      { seed: 82, numRuns: 2_000 },
    );
  });

  it('A1: treat __proto__ as any other key', () => {
    const [a, b] = ['{"__proto__":{"x":1},"y":1}', '{"y":1}'].map((text) => canonicalArguments(JSON.parse(text)));
    expect(a).not.toBe(b);
  });

  it('A5: no two lists of fields have one prefix', () => {
    const fields = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '1', ':', '|', ''), maxLength: 4 }), {
      maxLength: 5,
    });
    fc.assert(
      fc.property(fields, fields, (a, b) => {
        expect(cachePrefix(...a) === cachePrefix(...b)).toBe(JSON.stringify(a) === JSON.stringify(b));
      }),
      { seed: 83, numRuns: 5_000 },
    );
  });
});
