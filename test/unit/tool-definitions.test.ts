/** Knows what a tool's definition says about calling it: policies, headers, and what is wrong with arguments. */

import { describe, expect, it } from 'vitest';
import { factsOf, headersOf, type RawTool, usableTools } from '../../src/catalog/tool.js';
import { argumentProblem } from '../../src/catalog/validate.js';

function tool(schema: object, more: object = {}): RawTool {
  return { name: 'read', inputSchema: schema, ...more } as RawTool;
}

const plain = tool({ type: 'object' });

describe('policies', () => {
  it.each([
    [{}, {}, { repeatable: false, cacheable: false, readOnly: false }],
    [{ readOnlyHint: true }, {}, { repeatable: false, cacheable: true, readOnly: true }],
    [{ readOnlyHint: true }, { trusted: true }, { repeatable: true, cacheable: true, readOnly: true }],
    [{ idempotentHint: true }, { trusted: true }, { repeatable: true, cacheable: false, readOnly: false }],
    [{}, { trusted: true }, { repeatable: false, cacheable: false, readOnly: false }],
    [{}, { tools: { read: { cache: true, repeatable: true } } }, { repeatable: true, cacheable: true, readOnly: true }],
    [
      { readOnlyHint: true },
      { trusted: true, tools: { read: { cache: false, repeatable: false } } },
      { repeatable: false, cacheable: false, readOnly: true },
    ],
    [
      { readOnlyHint: true },
      { tools: { other: { cache: false } } },
      { repeatable: false, cacheable: true, readOnly: true },
    ],
  ])('hints %j, options %j', (annotations, options, facts) => {
    expect(factsOf(tool({ type: 'object' }, { annotations }), options)).toMatchObject(facts);
  });

  it('A1: a tool named like a property of every object has no policy by that', () => {
    const odd = { ...plain, name: 'constructor' } as RawTool;
    expect(factsOf(odd, { tools: {} })).toMatchObject({ cacheable: false, repeatable: false });
  });

  it('a definition has a hash of its own', () => {
    const one = factsOf(plain, {}).definition;
    expect(factsOf(tool({ type: 'object' }), {}).definition).toBe(one);
    expect(factsOf(tool({ type: 'object', properties: {} }), {}).definition).not.toBe(one);
    expect(factsOf(tool({ type: 'object' }, { description: 'x' }), {}).definition).not.toBe(one);
  });
});

describe('arguments that a server wants as headers', () => {
  const schema = {
    type: 'object',
    properties: {
      region: { type: 'string', 'x-mcp-header': 'Region' },
      on: { type: 'boolean', 'x-mcp-header': 'On' },
      deep: { type: 'object', properties: { n: { type: 'integer', 'x-mcp-header': 'N' } } },
    },
  };
  const facts = factsOf(tool(schema), {});

  it('become headers as they are, or in Base64 where a header cannot carry them', () => {
    expect(headersOf(facts, { region: 'eu-1', on: false, deep: { n: 5 }, other: 'x' })).toEqual({
      'Mcp-Param-Region': 'eu-1',
      'Mcp-Param-On': 'false',
      'Mcp-Param-N': '5',
    });
    const base64 = (text: string): string => `=?base64?${Buffer.from(text).toString('base64')}?=`;
    for (const text of ['Zürich', ' padded ', 'a\nb', '', '=?base64?eA==?='])
      expect(headersOf(facts, { region: text })).toEqual({ 'Mcp-Param-Region': base64(text) });
  });

  it('are left out where they are not there or no text, number or boolean', () => {
    expect(headersOf(facts, { region: null, deep: [], on: {} })).toEqual({});
    expect(headersOf(facts, undefined)).toEqual({});
    expect(headersOf(factsOf(plain, {}), { region: 'x' })).toBeUndefined();
  });
});

describe('a tool that asks for headers against the rules is not used', () => {
  const text = (header: unknown, type = 'string'): object => ({ type, 'x-mcp-header': header });
  it.each([
    ['an empty name', { a: text('') }],
    ['a name that is no text', { a: text(5) }],
    ['a space', { a: text('My Region') }],
    ['a colon', { a: text('Region:Primary') }],
    ['a letter beyond ASCII', { a: text('Région') }],
    ['a control character', { a: text('Region\t1') }],
    ['a number, which has many spellings', { a: text('A', 'number') }],
    ['an object', { a: text('A', 'object') }],
    ['a list', { a: text('A', 'array') }],
    ['two of one name', { a: text('Region'), b: { type: 'object', properties: { c: text('region') } } }],
    ['one in the items of a list', { a: { type: 'array', items: text('A') } }],
    ['one that only some arguments have', { a: { anyOf: [{ type: 'object' }, { properties: { b: text('A') } }] } }],
    ['one that is referred to', { a: { $defs: { b: text('A') } } }],
  ])('%s', (_what, properties) => {
    const good = tool({ type: 'object', properties: { a: text('A'), 'x-mcp-header': { type: 'string' } } });
    const bad = { name: 'bad', inputSchema: { type: 'object', properties } };
    const items = [bad, good] as unknown as Record<string, unknown>[];
    const blocked = new Map([['bad', 'it asks for headers against the rules']]);
    expect(usableTools(items)).toEqual({ tools: [good], skipped: 1, blocked });
  });
});

describe('what is wrong with arguments', () => {
  const schema = {
    type: 'object',
    properties: {
      path: { type: 'string' },
      mode: { enum: ['r', 'w'] },
      at: { type: 'object', properties: { line: { type: 'integer' } }, required: ['line'] },
    },
    required: ['path'],
    additionalProperties: false,
  };

  it.each([
    [{ path: 'a' }, undefined],
    [{}, '"path" is required (string)'],
    [{ path: 5 }, '"path" must be string'],
    [{ path: 'a', mode: 'x' }, '"mode" must be one of "r", "w"'],
    [{ path: 'a', at: {} }, '"at.line" is required (integer)'],
    [{ path: 'a', at: { line: 'x' } }, '"at.line" must be integer'],
    [{ path: 'a', pth: 'b' }, '"pth" is not an argument of this tool'],
  ])('%j: %s', async (args, problem) => {
    expect(await argumentProblem(tool(schema), args)).toBe(problem);
  });

  it.each([
    [
      'a dialect that is not known',
      { $schema: 'https://example.com/dialect', type: 'object', required: ['a'] },
      '"a" is required',
    ],
    [
      'an id that another tool has too',
      { $id: 'https://example.com/one', type: 'object', required: ['a'] },
      '"a" is required',
    ],
    ['F22: a reference elsewhere, which is not fetched', { $ref: 'https://example.com/schema' }, undefined],
    ['no schema at all', { type: 'nonsense' }, undefined],
    ['an unknown format and keyword', { type: 'object', format: 'x', 'x-own': 1 }, undefined],
  ])('of a schema with %s', async (_what, odd, problem) => {
    expect(await argumentProblem(tool(odd), {})).toBe(problem);
    expect(await argumentProblem(tool({ ...odd }), {})).toBe(problem);
  });
});
