/** F22, A9: whatever a server puts into a tool's definition, looking at it ends soon, and no other tool suffers. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { factsOf, type RawTool, usableTools } from '../../src/catalog/tool.js';
import { argumentProblem } from '../../src/catalog/validate.js';
import { failure, timed } from '../support/waiting.js';

const good = { name: 'good', inputSchema: { type: 'object' } };
const named = (name: string, inputSchema: object): RawTool => ({ name, inputSchema }) as unknown as RawTool;
const schemaOf = (a: object): RawTool => named('odd', { type: 'object', properties: { a } });
/** Nested so deep in a way that no recursive walk survives. */
function nested(levels: number, wrap: (inner: unknown) => unknown, inner: unknown = {}): unknown {
  let value = inner;
  for (let i = 0; i < levels; i++) value = wrap(value);
  return value;
}
const keys = (count: number, value: unknown): Record<string, unknown> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, value]));

describe('a definition beyond any sense is left out, and the others are used', () => {
  it.each<[string, Record<string, unknown>, string]>([
    [
      'a schema of 100,000 levels',
      { inputSchema: nested(1e5, (i) => ({ type: 'object', properties: { a: i } })) as object },
      'nested deeper',
    ],
    ['a list of 100,000 levels in its annotations', { annotations: nested(1e5, (i) => [i]) }, 'nested deeper'],
    [
      '200,000 properties',
      { inputSchema: { type: 'object', properties: keys(2e5, { type: 'string' }) } },
      'has more than 20000 values',
    ],
    ['200,000 keys in _meta', { _meta: keys(2e5, 1) }, 'has more than 20000 values'],
    [
      'a million required names',
      { inputSchema: { type: 'object', required: new Array(1e6).fill('a') } },
      'has more than 20000 values',
    ],
  ])('A9: %s', async (_what, more, why) => {
    const bad = { ...good, name: 'bad', ...more };
    // Of the processor: the machine may be busy.
    const before = process.cpuUsage();
    const value = usableTools([bad, good]);
    expect(process.cpuUsage(before).user / 1_000).toBeLessThan(1_500);
    expect(value.tools).toEqual([good]);
    expect([...value.blocked.keys()]).toEqual(['bad']);
    expect(value.blocked.get('bad')).toContain(why);
  });

  it('a good tool of the same name counts', () => {
    const bad = { name: 'good', inputSchema: nested(1_000, (i) => ({ a: i })) as Record<string, unknown> };
    expect(usableTools([bad, good])).toEqual({ tools: [good], skipped: 1, blocked: new Map() });
  });

  it('any JSON as a list of tools gives tools that can be written, hashed and shown', () => {
    const item = fc.record(
      { name: fc.anything(), inputSchema: fc.anything(), annotations: fc.anything() },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(item, fc.dictionary(fc.string(), fc.jsonValue()))), (items) => {
        const list = JSON.parse(
          JSON.stringify(items, (_key, value: unknown) => (typeof value === 'bigint' ? 1 : value)),
        ) as Record<string, unknown>[];
        const { tools, skipped } = usableTools(list);
        expect(tools.length + skipped).toBe(list.length);
        expect(new Set(tools.map((tool) => tool.name)).size).toBe(tools.length);
        for (const tool of tools) expect(factsOf(tool, {}).definition).toHaveLength(16);
      }),
      { seed: 22, numRuns: 200 },
    );
  });
});

describe('F22: arguments are checked in bounded time, or not at all', () => {
  const trap = 'a'.repeat(40);
  it.each<[string, RawTool, Record<string, unknown>]>([
    ['a pattern that blows up', schemaOf({ type: 'string', pattern: '^(a+)+$' }), { a: `${trap}!` }],
    ['one for names', named('odd', { type: 'object', patternProperties: { '^(a|a)*$': {} } }), { [`${trap}!`]: 1 }],
    ['references that double at each step', named('odd', doubling()), {}],
    ['a reference to itself', named('odd', { $ref: '#' }), {}],
    [
      'more values than can be compiled',
      named('odd', { type: 'object', properties: keys(5_000, { type: 'string' }) }),
      {},
    ],
  ])('%s: TOOL_BLOCKED, the second time at once', async (_what, tool, args) => {
    const first = await timed(() => failure(argumentProblem(tool, args)));
    expect(first.value).toMatchObject({ code: 'TOOL_BLOCKED', executed: 'no' });
    expect(first.ms).toBeLessThan(15_000);
    const second = await timed(() => failure(argumentProblem(tool, { a: 'x' })));
    expect(second.value.code).toBe('TOOL_BLOCKED');
    expect(second.ms).toBeLessThan(1_000);
    expect(await argumentProblem(named('good', { type: 'object', required: ['a'] }), {})).toBe('"a" is required');
  });

  it('huge arguments that take too long fail their own call alone', async () => {
    const tool = schemaOf({ type: 'array', uniqueItems: true, items: { type: 'object' } });
    const list = Array.from({ length: 20_000 }, (_, i) => ({ i }));
    expect((await failure(argumentProblem(tool, { a: list }))).code).toBe('TOOL_BLOCKED');
    expect(await argumentProblem(tool, { a: [{ i: 1 }, { i: 2 }] })).toBeUndefined();
  });

  it('a $ref to another document is never fetched', async () => {
    let asked = 0;
    const server = createServer((_request, response) => {
      asked++;
      response.end('{}');
    }).listen(0, '127.0.0.1');
    await new Promise((done) => server.once('listening', done));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/schema.json`;
    for (const schema of [
      { $ref: url },
      { $schema: url, $id: url, $ref: `${url}#/x` },
      { properties: { a: { $ref: url } } },
    ])
      expect(await argumentProblem(named('odd', schema), { a: 1 })).toBeUndefined();
    expect(usableTools([{ name: 'odd', inputSchema: { $ref: url } }]).tools).toHaveLength(1);
    await new Promise((done) => server.close(done));
    expect(asked).toBe(0);
  });

  it('a schema cannot refer to what another tool brought', async () => {
    const id = 'https://example.com/shared';
    const owner = named('owner', {
      type: 'object',
      $defs: { x: { $id: id, type: 'object', required: ['secret'] } },
      $ref: id,
    });
    expect(await argumentProblem(owner, {})).toBe('"secret" is required');
    expect(await argumentProblem(named('thief', { $ref: id }), {})).toBeUndefined();
  });

  it('A1: names that every object has are checked as any other', async () => {
    const schema = {
      type: 'object',
      required: ['constructor', '__proto__'],
      properties: { constructor: { type: 'string' } },
    };
    expect(await argumentProblem(named('odd', schema), {})).toContain('is required');
    const args = JSON.parse('{"constructor":"x","__proto__":{"polluted":1}}') as Record<string, unknown>;
    expect(await argumentProblem(named('odd', schema), args)).toBeUndefined();
    expect(JSON.stringify(args)).toBe('{"constructor":"x","__proto__":{"polluted":1}}');
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('any JSON as a schema says what is wrong or nothing, or blocks; it changes no argument', async () => {
    const word = fc.constantFrom(
      'string',
      'object',
      'array',
      'integer',
      '^(a|b)+$',
      '(',
      '#',
      '#/properties/a',
      1,
      -1,
      true,
      null,
      {},
    );
    const schema = fc.letrec((tie) => ({
      node: fc.dictionary(
        fc.constantFrom(
          ...[
            'type',
            'properties',
            'items',
            'required',
            'pattern',
            'enum',
            'anyOf',
            'not',
            '$ref',
            '$defs',
            'if',
            'const',
          ],
          ...[
            'minimum',
            'uniqueItems',
            'additionalProperties',
            'a',
            '$id',
            '$anchor',
            '$dynamicRef',
            'dependentRequired',
          ],
        ),
        fc.oneof({ depthSize: 'small' }, word, tie('node'), fc.array(fc.oneof(word, tie('node')), { maxLength: 3 })),
        { maxKeys: 5 },
      ),
    })).node;
    await fc.assert(
      fc.asyncProperty(
        schema,
        fc.dictionary(fc.constantFrom('a', 'b', '__proto__'), fc.jsonValue()),
        async (inputSchema, args) => {
          const before = JSON.stringify(args);
          const outcome = await argumentProblem(named('odd', inputSchema as object), args).catch(
            (error: unknown) => error,
          );
          if (outcome !== undefined && typeof outcome !== 'string')
            expect(outcome).toMatchObject({ code: 'TOOL_BLOCKED' });
          expect(JSON.stringify(args)).toBe(before);
        },
      ),
      { seed: 8, numRuns: 150 },
    );
  }, 60_000);
});

/** Each definition asks for the next one twice: 2^40 visits. */
function doubling(): object {
  const $defs: Record<string, object> = { d40: { type: 'object' } };
  for (let i = 0; i < 40; i++)
    $defs[`d${i}`] = { allOf: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] };
  return { $defs, $ref: '#/$defs/d0' };
}
