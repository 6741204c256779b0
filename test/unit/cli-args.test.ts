/** `key=value` becomes what a tool's schema says, and `key:=json` what it is. */

import { describe, expect, it } from 'vitest';
import { argumentsOf, isPair } from '../../src/cli/args.js';

const SCHEMA = {
  type: 'object',
  properties: {
    text: { type: 'string' },
    count: { type: 'integer' },
    ratio: { type: 'number' },
    on: { type: 'boolean' },
    tags: { type: 'array', items: { type: 'string' } },
    numbers: { type: 'array', items: { type: 'integer' } },
    filter: { type: 'object', properties: { since: { type: 'integer' }, 'x.y': { type: 'number' } } },
    maybe: { type: ['integer', 'null'] },
    either: { anyOf: [{ type: 'integer' }, { type: 'boolean' }] },
    textOrNumber: { anyOf: [{ type: 'integer' }, { type: 'string' }] },
    level: { enum: [1, 2] },
    ref: { $ref: '#/$defs/Count' },
    loop: { $ref: '#/properties/loop' },
    free: {},
    'a.b': { type: 'integer' },
  },
  $defs: { Count: { type: 'integer' } },
};

const parse = (...pairs: string[]): unknown => argumentsOf(pairs, SCHEMA);

describe('key=value', () => {
  it.each([
    ['text=5', { text: '5' }],
    ['text=', { text: '' }],
    ['text= a=b ', { text: ' a=b ' }],
    ['count=-3', { count: -3 }],
    ['ratio=1e3', { ratio: 1000 }],
    ['ratio=.5', { ratio: 0.5 }],
    ['on=true', { on: true }],
    ['on=false', { on: false }],
    ['tags=a,b', { tags: ['a,b'] }],
    ['tags=["a","b"]', { tags: ['a', 'b'] }],
    ['numbers=7', { numbers: [7] }],
    ['filter={"since":1}', { filter: { since: 1 } }],
    ['filter.since=3', { filter: { since: 3 } }],
    ['maybe=null', { maybe: null }],
    ['maybe=4', { maybe: 4 }],
    ['either=true', { either: true }],
    ['textOrNumber=4', { textOrNumber: '4' }],
    ['level=2', { level: 2 }],
    ['ref=9', { ref: 9 }],
    ['loop=x', { loop: 'x' }],
    ['free=1', { free: '1' }],
    ['unknown=1', { unknown: '1' }],
    ['unknown.key=1', { 'unknown.key': '1' }],
    ['a.b=1', { 'a.b': 1 }],
  ])('%s', (pair, expected) => {
    expect(parse(pair)).toEqual(expected);
  });

  it('is text where nothing is known of the tool', () => {
    expect(argumentsOf(['count=1', 'a.b=c'], undefined)).toEqual({ count: '1', 'a.b': 'c' });
  });

  it('makes an array of a key that stands more than once', () => {
    expect(parse('numbers=1', 'numbers=2', 'numbers=3')).toEqual({ numbers: [1, 2, 3] });
    expect(parse('tags=["a"]', 'tags=b')).toEqual({ tags: ['a', 'b'] });
    expect(parse('text=a', 'text=b')).toEqual({ text: ['a', 'b'] });
  });

  it('joins the keys of one object', () => {
    expect(parse('filter.since=1', 'filter.until=2')).toEqual({ filter: { since: 1, until: '2' } });
  });

  it.each([
    'count=x',
    'count=1.5',
    'count=',
    'count=9007199254740993',
    'ratio=0x10',
    'on=yes',
    'filter=a',
    'numbers=x',
  ])('refuses %s, which is no value of its type', (pair) => {
    expect(() => parse(pair)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', exitCode: 2 }));
  });

  it('refuses what would overwrite another key', () => {
    expect(parse('filter={"a":1}', 'filter.since=1')).toEqual({ filter: { a: 1, since: 1 } });
    expect(() => parse('text=a', 'text.b=1')).toThrow(/has a value already/);
    expect(() => parse('tags=["a"]', 'tags.b=1')).toThrow(/has a value already/);
  });

  it('never touches a prototype', () => {
    expect(Object.keys(argumentsOf(['__proto__=1'], undefined))).toEqual(['__proto__']);
    expect(Object.keys(argumentsOf(['__proto__:={"polluted":1}'], undefined))).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

describe('key:=json', () => {
  it('wins over the schema', () => {
    expect(parse('text:=5', 'free:={"a":[1]}', 'on:="no"')).toEqual({ text: 5, free: { a: [1] }, on: 'no' });
  });

  it('is refused where it is no JSON', () => {
    expect(() => parse('free:={')).toThrow(/this is not JSON/);
  });
});

it('tells an argument from a name', () => {
  expect(['a=', 'a=b', 'a:=1', 'a.b=c'].every(isPair)).toBe(true);
  expect(['a', '=b', '', 'files__read'].some(isPair)).toBe(false);
});
