/** What an edit of mcp.json changes, and that it keeps everything else: comments, order, others' keys, templates. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EditProblem, removeAt, setAt } from '../../src/config/edit.js';
import { type Path, parseTree, toValue } from '../../src/config/json-tree.js';

const HAND_WRITTEN = `{
  // my servers
  "theme": "dark", // another program's
  "mcpServers": {
    // notes
    "files": {
      "command": "npx", /* always the newest */
      "args": ["-y", "\${HOME}/x"],
      "env": { "A": "1", "B": "\${B:-2}" }
    },
    "wiki": { "url": "https://wiki.example", }, // trailing
  },
}
`;

describe('setting', () => {
  it('adds a service below the last one, comments and trailing comma included', () => {
    expect(setAt(HAND_WRITTEN, ['mcpServers', 'new'], { command: 'x', args: ['${Y}'] })).toBe(
      HAND_WRITTEN.replace(
        '// trailing\n',
        '// trailing\n    "new": {\n      "command": "x",\n      "args": [\n        "${Y}"\n      ]\n    },\n',
      ),
    );
  });

  it('touches only the keys of an object that differ', () => {
    const files = { command: 'node', args: ['-y', '${HOME}/x'], env: { A: '1', B: '${B:-2}', C: '3' } };
    expect(setAt(HAND_WRITTEN, ['mcpServers', 'files'], files)).toBe(
      HAND_WRITTEN.replace('"npx"', '"node"').replace('"${B:-2}" }', '"${B:-2}", "C": "3" }'),
    );
  });

  it('changes nothing where the value is equal', () => {
    const value = (toValue(parseTree(HAND_WRITTEN)) as Record<string, unknown>)['mcpServers'];
    expect(setAt(HAND_WRITTEN, ['mcpServers'], value)).toBe(HAND_WRITTEN);
  });

  it('writes in the style of the file: indent, line ends, one line', () => {
    expect(setAt('{\r\n\t"a": {}\r\n}\r\n', ['a', 'b'], { c: 1 })).toBe(
      '{\r\n\t"a": {\r\n\t\t"b": {\r\n\t\t\t"c": 1\r\n\t\t}\r\n\t}\r\n}\r\n',
    );
    expect(setAt('{ "a": 1 }', ['b', 'c'], { d: [1, {}] })).toBe('{ "a": 1, "b": { "c": { "d": [1, {}] } } }');
    expect(setAt('{}', ['a'], 1)).toBe('{\n  "a": 1\n}');
    expect(setAt('{ // why\n}', ['a'], 1)).toBe('{ // why\n  "a": 1\n}');
    expect(setAt('{ /* why */ }', ['a'], 1)).toBe('{ /* why */\n  "a": 1\n}');
    expect(setAt('{\n  "a": 1 // one\n  // end\n}', ['b'], 2)).toBe('{\n  "a": 1, // one\n  // end\n  "b": 2\n}');
    expect(setAt('{\n  "a": [1, 2] }', ['b'], 2)).toBe('{\n  "a": [1, 2],\n  "b": 2\n}');
  });

  it('sets items of arrays, one after the last included', () => {
    expect(setAt('{"a":[1, 2]}', ['a', 1], 'x')).toBe('{"a":[1, "x"]}');
    expect(setAt('{"a":[1, 2]}', ['a', 2], 3)).toBe('{"a":[1, 2, 3]}');
    expect(() => setAt('{"a":[1]}', ['a', 3], 3)).toThrow('the array has only 1 items');
  });

  it('refuses what would be lost, and places that cannot be', () => {
    const cyclic: Record<string, unknown> = {};
    cyclic['self'] = cyclic;
    for (const bad of [undefined, () => {}, { f: () => {} }, Number.NaN, { x: [1n] }, cyclic])
      expect(() => setAt('{}', ['a'], bad)).toThrow(EditProblem);
    expect(() => setAt('{"a":1}', ['a', 'b'], 1)).toThrow('what stands here is no object');
    expect(() => setAt('{}', [], {})).toThrow('the whole file is never replaced');
  });

  it('takes __proto__ as a key like any other', () => {
    const text = setAt('{}', ['__proto__', 'a'], JSON.parse('{"__proto__":1}'));
    expect(JSON.parse(text)).toEqual(JSON.parse('{"__proto__":{"a":{"__proto__":1}}}'));
    expect(({} as Record<string, unknown>)['a']).toBeUndefined();
  });
});

describe('removing', () => {
  it('takes a property with its comma and its line, and no comment', () => {
    expect(removeAt(HAND_WRITTEN, ['mcpServers', 'wiki'])).toBe(
      HAND_WRITTEN.replace('"wiki": { "url": "https://wiki.example", }, ', ''),
    );
    expect(removeAt(HAND_WRITTEN, ['mcpServers', 'files', 'args'])).toBe(HAND_WRITTEN.replace(/ {6}"args".*\n/, ''));
    expect(removeAt('{ "a": 1, "b": 2, "c": 3 }', ['b'])).toBe('{ "a": 1, "c": 3 }');
    expect(removeAt('{ "a": 1, "b": 2 }', ['b'])).toBe('{ "a": 1 }');
    expect(removeAt('{\n  "a": 1, // one\n  "b": 2 // two\n}', ['b'])).toBe('{\n  "a": 1 // one\n  // two\n}');
    expect(removeAt('{\n  "a": 1\n}\n', ['a'])).toBe('{}\n');
    expect(removeAt('{ "a": 1, }', ['a'])).toBe('{}');
    expect(removeAt('[1, 2, 3]', [2])).toBe('[1, 2]');
  });

  it('changes nothing where nothing stands', () => {
    expect(removeAt(HAND_WRITTEN, ['mcpServers', 'none'])).toBe(HAND_WRITTEN);
    expect(removeAt(HAND_WRITTEN, ['none', 'x'])).toBe(HAND_WRITTEN);
  });
});

describe('any edits of any file', () => {
  const key = fc.constantFrom('a', 'b', 'c', '__proto__', 'x y');
  const gap = fc.constantFrom('', ' ', '\n', '\n    ', '\r\n\t');
  let comments = 0;
  const trivia = fc.tuple(gap, fc.constantFrom('none', 'line', 'block'), gap).map(([before, kind, after]) => {
    const id = `note-${++comments}-eton`;
    return before + (kind === 'line' ? `// ${id}\n` : kind === 'block' ? `/* ${id} */` : '') + after;
  });
  const scalar = fc.constantFrom('1', 'true', 'null', '"${T:-x}"', '"// no comment"');
  /** Text of an object or array with comments and white space everywhere that they may stand. */
  const { text } = fc.letrec<{ text: string; object: string; array: string }>((tie) => ({
    text: fc.oneof({ maxDepth: 4 }, scalar, tie('object'), tie('array')),
    object: fc
      .tuple(
        fc.uniqueArray(fc.tuple(key, trivia, tie('text'), trivia, trivia, trivia), {
          maxLength: 3,
          selector: ([k]) => k,
        }),
        trivia,
        fc.boolean(),
      )
      .map(
        ([items, end, comma]) =>
          `{${items.map(([k, a, v, b, c, d], i) => `${a}${JSON.stringify(k)}${b}:${c}${v}${d}${comma || i < items.length - 1 ? ',' : ''}`).join('')}${end}}`,
      ),
    array: fc
      .tuple(fc.array(fc.tuple(trivia, tie('text'), trivia), { maxLength: 3 }), trivia, fc.boolean())
      .map(
        ([items, end, comma]) =>
          `[${items.map(([a, v, b], i) => `${a}${v}${b}${comma || i < items.length - 1 ? ',' : ''}`).join('')}${end}]`,
      ),
  }));
  const root = fc.tuple(trivia, text, trivia).map(([a, body, b]) => `${a}{"top":${body}}${b}`);
  const path = fc.array(fc.oneof(key, fc.nat(3)), { maxLength: 3 }).map((rest): Path => ['top', ...rest]);
  const edit = fc.oneof(
    fc.record({ do: fc.constant('set' as const), path, value: fc.jsonValue({ maxDepth: 2 }) }),
    fc.record({ do: fc.constant('remove' as const), path, value: fc.constant(undefined) }),
  );

  const ids = (content: string): string[] => content.match(/note-\d+-eton/g) ?? [];

  /** The stretch of text that an edit may rewrite. */
  function rewritten(content: string, where: Path): string {
    let node = parseTree(content);
    for (const segment of where) {
      if (node.type === 'scalar') return '';
      const place = typeof segment === 'number' ? segment : (node.index?.get(segment) ?? -1);
      const child = (typeof segment === 'number') === (node.index === undefined) ? node.children[place] : undefined;
      if (child === undefined) return '';
      node = child.value;
      if (segment === where.at(-1)) return content.slice(child.start, child.value.end);
    }
    return '';
  }

  it('do what they say, leave the rest as it is, comments too, and always give a readable file', () => {
    fc.assert(
      fc.property(root, fc.array(edit, { maxLength: 6 }), (start, edits) => {
        let current = start;
        for (const step of edits) {
          const before = toValue(parseTree(current));
          let next: string;
          try {
            next = step.do === 'set' ? setAt(current, step.path, step.value) : removeAt(current, step.path);
          } catch (error) {
            if (error instanceof EditProblem) continue;
            throw error;
          }
          const after = toValue(parseTree(next));
          // The edit did what it says …
          expect(JSON.stringify(after)).toBe(JSON.stringify(edited(before, step.path, step.value)));
          // … and every comment outside of what it replaced is still there.
          const lost = new Set(ids(current));
          for (const id of ids(next)) lost.delete(id);
          const allowed = new Set(ids(rewritten(current, step.path)));
          expect([...lost].filter((id) => !allowed.has(id))).toEqual([]);
          // Comments do not move over one another.
          const kept = ids(current).filter((id) => ids(next).includes(id));
          expect(ids(next)).toEqual(kept);
          current = next;
        }
      }),
      { numRuns: 1_500 },
    );
  });

  const isObject = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const fromEntries = (entries: [string, unknown][]): unknown => Object.fromEntries(entries); // defines, never assigns

  /** The same edit on plain data. Keys that stay keep their order, new ones come last, as in the text. */
  function edited(old: unknown, [key, ...rest]: Path, value: unknown): unknown {
    if (key === undefined) return merged(old, value);
    if (Array.isArray(old) && typeof key === 'number') {
      if (key < old.length)
        return old.flatMap((item, i) =>
          i !== key ? [item] : value === undefined && rest.length === 0 ? [] : [edited(item, rest, value)],
        );
      return value === undefined ? old : [...old, edited({}, rest, value)];
    }
    if (!isObject(old) || typeof key !== 'string') return old;
    if (!Object.hasOwn(old, key))
      return value === undefined
        ? old
        : fromEntries([...Object.entries(old), [key, rest.length === 0 ? value : edited({}, rest, value)]]);
    return fromEntries(
      Object.entries(old).flatMap(([k, v]): [string, unknown][] =>
        k !== key ? [[k, v]] : value === undefined && rest.length === 0 ? [] : [[k, edited(v, rest, value)]],
      ),
    );
  }

  function merged(old: unknown, value: unknown): unknown {
    if (!isObject(old) || !isObject(value)) return value;
    const kept = Object.keys(old).filter((k) => Object.hasOwn(value, k));
    const added = Object.keys(value).filter((k) => !Object.hasOwn(old, k));
    return fromEntries([
      ...kept.map((k): [string, unknown] => [k, merged(old[k], value[k])]),
      ...added.map((k): [string, unknown] => [k, value[k]]),
    ]);
  }
});
