/** Knows which forms may be asked for, what fits their fields, and what their defaults fill in. */

import { describe, expect, it } from 'vitest';
import { elicitationProblem, schemaProblem, withDefaults } from '../../src/elicitation.js';

type Json = Record<string, unknown>;
const form = (properties: Json, required: string[] = []): Json => ({ type: 'object', properties, required });
const problem = (field: Json, value: unknown): string | undefined =>
  elicitationProblem(form({ x: field }), { x: value });

describe('a form', () => {
  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['a list', []],
    ['no object', { type: 'string' }],
    ['fields that are none', form([] as never)],
    ['a field that is none', form({ x: null })],
    ['an object within', form({ x: { type: 'object' } })],
    ['a reference', form({ x: { $ref: 'https://a.example/schema' } })],
    ['several types', form({ x: { type: ['string', 'null'] } })],
    ['what is required is no list', { ...form({}), required: 'x' }],
  ])('is refused: %s', (_, schema) => {
    expect(schemaProblem(schema)).toMatch(/requestedSchema/);
  });

  it('is taken: flat, of primitive values', () => {
    const fields = { s: { type: 'string' }, n: { type: 'number' }, i: { type: 'integer' }, b: { type: 'boolean' } };
    const choices = { e: { enum: ['a'] }, o: { oneOf: [{ const: 'a', title: 'A' }] }, a: { type: 'array', items: {} } };
    expect(schemaProblem(form({ ...fields, ...choices }))).toBeUndefined();
    expect(schemaProblem({ type: 'object' })).toBeUndefined();
  });
});

describe('a value', () => {
  const choice = { type: 'string', enum: ['a', 'b'] };
  const titled = { type: 'string', oneOf: [{ const: 'a', title: 'A' }, null] };
  const many = { type: 'array', minItems: 1, maxItems: 2, items: { type: 'string', enum: ['a', 'b', 'c'] } };
  const titledMany = { type: 'array', items: { anyOf: [{ const: 'a', title: 'A' }] } };

  it.each<[Json, unknown[]]>([
    [{ type: 'string', minLength: 2, maxLength: 3 }, ['ab', 'abc', '👋👋']],
    [{ type: 'string', format: 'email' }, ['a@b.example']],
    [{ type: 'string', format: 'uri' }, ['https://a.example', 'urn:x:y']],
    [{ type: 'string', format: 'date' }, ['2028-02-29']],
    [{ type: 'string', format: 'date-time' }, ['2026-07-28T12:00:00Z', '2026-07-28T12:00:00.5+02:00']],
    [{ type: 'string', format: 'toString' }, ['whatever']],
    [{ type: 'integer', minimum: 1, maximum: 3 }, [1, 3]],
    [{ type: 'number' }, [0.5, -1]],
    [{ type: 'boolean' }, [true, false]],
    [choice, ['b']],
    [titled, ['a']],
    [many, [['a'], ['c', 'b']]],
    [titledMany, [['a'], []]],
  ])('of %j fits', (field, values) => {
    for (const value of values) expect(problem(field, value), String(value)).toBeUndefined();
  });

  it.each<[Json, unknown[]]>([
    [{ type: 'string', minLength: 2, maxLength: 3 }, ['a', 'abcd', 1, null, {}]],
    [{ type: 'string', format: 'email' }, ['a', '@b', 'a b@c', `${'a'.repeat(400)}@b`]],
    [{ type: 'string', format: 'uri' }, ['a', '/x']],
    [{ type: 'string', format: 'date' }, ['2026-02-30', '2026-13-01', '28.7.2026']],
    [{ type: 'string', format: 'date-time' }, ['2026-07-28', '2026-07-28T25:00:00Z', '2026-02-30T12:00:00Z']],
    [{ type: 'integer', minimum: 1, maximum: 3 }, [0, 4, 1.5, '2', Number.NaN]],
    [{ type: 'number' }, [Number.POSITIVE_INFINITY, '1', null]],
    [{ type: 'boolean' }, ['true', 0, null]],
    [choice, ['c', 1]],
    [titled, ['A', undefined as never, 'b'].filter((value) => value !== undefined)],
    [many, [[], ['a', 'b', 'c'], ['x'], 'a', [1]]],
    [titledMany, [['A'], [undefined]]],
  ])('of %j does not fit', (field, values) => {
    for (const value of values) expect(problem(field, value), String(value)).toMatch(/^"x" must /);
  });

  it('is required, unless it has a default; and only what was asked for is given', () => {
    const schema = form({ a: { type: 'string' }, b: { type: 'integer', default: 3 } }, ['a', 'b', 'gone']);
    expect(elicitationProblem(schema, {})).toBe('"a" is required');
    expect(elicitationProblem(schema, { a: undefined })).toBe('"a" is required');
    expect(elicitationProblem(schema, { a: '' })).toBeUndefined();
    expect(elicitationProblem(schema, { a: '', c: 1 })).toBe('"c" is not asked for');
  });

  it('no pattern of a server is run, however long it would take', () => {
    const field = { type: 'string', pattern: '^(a+)+$' };
    const since = performance.now();
    expect(problem(field, `${'a'.repeat(50_000)}!`)).toBeUndefined();
    expect(problem({ type: 'string', format: 'email' }, `${'@'.repeat(100_000)}`)).toMatch(/must be/);
    expect(performance.now() - since).toBeLessThan(1_000);
  });

  it('a long list of choices is told in part', () => {
    const text = problem({ enum: Array.from({ length: 10_000 }, (_, i) => `choice ${i}`) }, 'x')!;
    expect([text.length < 1_000, text.endsWith(', …')]).toEqual([true, true]);
  });
});

describe('defaults', () => {
  it('fill in what is left out, and nothing else', () => {
    const schema = form({
      text: { type: 'string', default: 'x' },
      off: { type: 'boolean', default: false },
      none: { type: 'string' },
      list: { type: 'array', items: { enum: ['a'] }, default: ['a'] },
    });
    expect(withDefaults(schema, { text: 'own', off: undefined })).toEqual({ text: 'own', off: false, list: ['a'] });
  });

  it('that do not fit are none', () => {
    const schema = form({ age: { type: 'integer', default: 'many' }, kind: { enum: ['a'], default: 'b' } }, ['age']);
    expect(withDefaults(schema, {})).toEqual({});
    expect(elicitationProblem(schema, {})).toBe('"age" is required');
  });

  it('A1: a field named __proto__ is a field', () => {
    const schema = JSON.parse('{"type":"object","properties":{"__proto__":{"type":"string","default":"x"}}}') as Json;
    const filled = withDefaults(schema, {});
    expect([Object.hasOwn(filled, '__proto__'), JSON.stringify(filled)]).toEqual([true, '{"__proto__":"x"}']);
    expect(({} as Json)['x']).toBeUndefined();
    expect(elicitationProblem(schema, {})).toBeUndefined();
  });
});
