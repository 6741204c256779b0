/** Knows what the size of arguments has to say: the bytes of their JSON, without making it, whatever they are. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { jsonBytes } from '../../src/observe/json-bytes.js';

const exact = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

it('is the size of the JSON text, for whatever JSON can carry', () => {
  // Escapes count as one character each.
  const plain = fc.string({ unit: fc.constantFrom('a', 'é', '日', '😀', ' ', '/'), maxLength: 60, size: 'max' });
  const value = fc.jsonValue({ maxDepth: 5 }).map((one) => JSON.parse(JSON.stringify(one).replaceAll(/\\./g, '_')));
  fc.assert(
    fc.property(fc.dictionary(plain, fc.oneof(value, plain, fc.double(), fc.integer())), (args) => {
      expect(jsonBytes(args)).toBe(exact(args));
    }),
  );
  for (const number of [0, -0, 9, 10, -10, 99, 100, 2 ** 53 - 1, -(2 ** 53) + 1, 2 ** 53, 1e21, 1.5, -0.1, NaN])
    expect(jsonBytes([number])).toBe(exact([number]));
});

it('leaves out what JSON leaves out', () => {
  const odd = {
    a: undefined,
    b: () => 1,
    c: Symbol('x'),
    d: [undefined, () => 1],
    e: new Date(0),
    f: new Map([[1, 2]]),
  };
  expect(jsonBytes(odd)).toBe(exact(odd));
  expect(jsonBytes(Object.create({ inherited: 1 }))).toBe(2);
});

it('counts an escaped character as the one that it stands for', () => {
  expect(jsonBytes({ text: 'a\n"' })).toBe(exact({ text: 'abc' }));
});

it('is unknown for what has no JSON, has no end, or throws', () => {
  const loop: Record<string, unknown> = {};
  loop['self'] = loop;
  let doubled: unknown[] = [];
  for (let i = 0; i < 60; i++) doubled = [doubled, doubled];
  const throws = Object.defineProperty({}, 'x', {
    enumerable: true,
    get: () => {
      throw new Error('mine');
    },
  });
  for (const value of [loop, doubled, throws, { big: 1n }, undefined]) expect(jsonBytes(value)).toBeUndefined();
});
