/** Knows what a tool's exposed name promises: valid for every model API, unique, stable, plain where it can be. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ToolIndex } from '../../src/catalog/index-of-tools.js';
import { exposedName, exposedPrefix, nearest, prefixOf } from '../../src/catalog/names.js';
import { nameProblem } from '../../src/config/names.js';

/** Names as people and servers write them, and as an enemy would. */
const anyName = fc.oneof(
  fc.string({
    unit: fc.constantFrom('a', 'B', '1', '_', '-', '.', ' ', 'é', '/'),
    minLength: 1,
    maxLength: 12,
    size: 'max',
  }),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }),
  fc.string({ unit: fc.constantFrom('a', '_', 'b'), minLength: 40, maxLength: 200, size: 'max' }),
);
const service = anyName.filter((name) => nameProblem(name) === undefined);
const pair = fc.tuple(service, anyName);

describe('exposed names', () => {
  it('are at most 64 characters of those that every model API takes, and begin with a letter or underscore', () => {
    fc.assert(
      fc.property(pair, ([local, tool]) => {
        expect(exposedName(local, tool)).toMatch(/^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$/);
      }),
      { seed: 91, numRuns: 3_000 },
    );
  });

  it('F21: no two tools have one name', () => {
    fc.assert(
      fc.property(fc.array(pair, { minLength: 2, maxLength: 60, size: 'max' }), (pairs) => {
        const seen = new Map<string, string>();
        for (const [local, tool] of pairs) {
          const name = exposedName(local, tool);
          const original = JSON.stringify([local, tool]);
          expect(seen.get(name) ?? original).toBe(original);
          seen.set(name, original);
        }
      }),
      { seed: 92, numRuns: 600 },
    );
    // Pairs that differ only in what cleaning or cutting takes away.
    const long = 'x'.repeat(200);
    const pairs = [
      ['a', '_b'],
      ['a_', 'b'],
      ['a', 'b'],
      ['a.b', 'c'],
      ['a b', 'c'],
      ['a_b', 'c'],
      ['a__b', 'c'],
      ['a', 'b__c'],
      ['1', 'x'],
      ['s_1', 'x'],
      ['a', 'b.c'],
      ['a', 'b c'],
      ['a', 'b_c'],
      ['a', long],
      ['a', `${long}y`],
      [long, 'a'],
      [`${long}y`, 'a'],
      ['é', 'x'],
      ['è', 'x'],
      ['a', ''],
    ] as const;
    expect(new Set(pairs.map(([local, tool]) => exposedName(local, tool))).size).toBe(pairs.length);
  });

  it('are of no other service, whatever a server calls its tools', () => {
    const services = [
      'a.b',
      'a_b',
      'a b',
      'a__b',
      `a_b_${'0'.repeat(7)}f`,
      'x'.repeat(60),
      'x'.repeat(61),
      exposedPrefix('a.b'),
    ];
    expect(new Set(services.map(exposedPrefix)).size).toBe(services.length);
    for (const victim of services)
      for (const tool of ['read', 'read.file', 'r'.repeat(80)]) {
        const name = exposedName(victim, tool);
        for (const enemy of services)
          for (let at = 0; at < name.length; at++)
            if (enemy !== victim) expect(exposedName(enemy, name.slice(at))).not.toBe(name);
      }
  });

  it('that were hashed equal no name that another tool of the service has as it is', () => {
    const hashed = exposedName('files', 'a.b');
    const natural = hashed.slice('files__'.length);
    expect(natural).toBe('a_b_4445a1b6');
    expect(exposedName('files', natural)).toBe(`${hashed}_3a2d3983`);
    // A hash of digits alone would look like a date.
    const odd = Array.from({ length: 300 }, (_, i) => exposedName('files', `a.${i}`));
    for (const name of odd) expect(name).toMatch(/_(?=\d*[a-f])[0-9a-f]{8}$/);
  });

  it.each([
    ['files', 'read_file', 'files__read_file'],
    ['my-server', 'Do-It', 'my-server__Do-It'],
    ['_x', '_y', '_x___y'],
    ['web', 'search_20250305', 'web__search_20250305'],
    ['web', '1a2b3c4d', 'web__1a2b3c4d'],
    ['a', 'x'.repeat(61), `a__${'x'.repeat(61)}`],
  ])('are plain where that is unambiguous: %s, %s', (local, tool, name) => {
    expect(exposedName(local, tool)).toBe(name);
  });

  it('do not change when other services come and go, nor between versions of this package', () => {
    expect(exposedName('agent.files', 'read')).toBe('agent_files_9eb0e4fb__read');
    expect(exposedName('files', 'a.b')).toBe('files__a_b_4445a1b6');
    expect(exposedName('files', 'x'.repeat(100))).toBe(`files__${'x'.repeat(48)}_cb65c695`);
  });

  it('split at the first separator into the prefix of their service', () => {
    fc.assert(
      fc.property(service, anyName, (local, tool) => {
        expect(prefixOf(exposedName(local, tool))).toBe(exposedPrefix(local));
      }),
      { seed: 93, numRuns: 2_000 },
    );
    expect(prefixOf('files__read__all')).toBe('files');
    expect([prefixOf('read_file'), prefixOf('__read'), prefixOf('')]).toEqual([undefined, undefined, undefined]);
  });
});

describe('the index of tools', () => {
  const entries = (...tools: string[]): { tool: string; facts: number }[] =>
    tools.map((tool, facts) => ({ tool, facts }));

  it('finds a tool by its exposed name and, within a service, by the server’s own', () => {
    const index = new ToolIndex<string, number>();
    index.put('S1', 'files', entries('read', 'a.b'));
    expect(index.get('files__read')).toEqual({
      exposed: 'files__read',
      local: 'files',
      service: 'S1',
      tool: 'read',
      facts: 0,
    });
    expect(index.tool('S1', 'a.b')?.exposed).toBe(exposedName('files', 'a.b'));
    expect([index.get('read'), index.tool('S2', 'read')]).toEqual([undefined, undefined]);
  });

  it('takes a new list in place of the old one, and drops a service whole', () => {
    const index = new ToolIndex<string, number>();
    index.put('S1', 'files', entries('read', 'write'));
    index.put('S2', 'web', entries('get'));
    index.put('S1', 'files', entries('read', 'move'));
    expect([...index.names()].sort()).toEqual(['files__move', 'files__read', 'web__get']);
    index.drop('S1');
    expect([[...index.names()], index.has('S1'), index.has('S2')]).toEqual([['web__get'], false, true]);
  });
});

describe('the nearest names', () => {
  const names = ['files__read_file', 'files__write_file', 'web__search', 'memory__search_nodes'];

  it.each([
    ['files__read_fil', ['files__read_file', 'files__write_file']],
    ['FILES__READ_FILE', ['files__read_file', 'files__write_file']],
    ['web_search', ['web__search']],
    ['search', ['web__search', 'memory__search_nodes']],
    ['completely_different', []],
  ])('of %s', (name, found) => {
    expect(nearest(name, names)).toEqual(found);
  });

  it('are at most as many as asked for, the nearest first', () => {
    expect(nearest('abcd', ['abcx', 'abcd', 'abxy', 'zzzz'], 2)).toEqual(['abcd', 'abcx']);
  });
});
