/** A config file that somebody damaged: always a document, or CONFIG_INVALID with its place; and never written over. */

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.js';
import { ConfigFile } from '../../src/config/save.js';
import { isStoreError } from '../../src/index.js';
import { tempDir } from '../support/tmp.js';

const valid = {
  mcpServers: {
    files: { command: 'npx', args: ['-y', 'files', '${workspaceFolder}'], env: { TOKEN: '${env:TOKEN}' }, timeout: 30 },
    web: { type: 'http', url: 'https://example.com/mcp?key=${input:key}', headers: { Authorization: 'Bearer ${KEY}' } },
    many: {
      mcpstore: { endpoints: [{ command: 'a', weight: 2 }, { url: 'http://localhost:1/mcp' }], balance: 'round-robin' },
    },
    tuned: {
      command: 'x',
      disabled: true,
      mcpstore: {
        trusted: true,
        sharing: 'agent',
        tools: { read: { cache: true } },
        connectionPool: { maxConnections: 3 },
      },
    },
  },
  inputs: [{ id: 'key', type: 'promptString', password: true }],
  performance: { calls: { callTimeoutMs: 1_000, retry: { jitter: 'none' } }, resultCache: { enabled: true } },
  mcpstore: { agents: { one: { services: ['files'], mcpServers: { own: { command: 'y' } } } } },
};
const TEXT = `// mine\n${JSON.stringify(valid, null, 2)}\n`;

/** Places of a document, as keys from its root. */
function places(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [path];
  const below = Object.entries(value).flatMap(([key, child]) =>
    places(child, [...path, Array.isArray(value) ? Number(key) : key]),
  );
  return [path, ...below];
}

const odd = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    '',
    0,
    -1,
    1e308,
    true,
    [],
    {},
    '__proto__',
    '${',
    '${env:}',
    '\0',
    '\ud800',
    'x'.repeat(5_000),
  ),
  fc.jsonValue({ maxDepth: 2 }),
  fc.constant('{"__proto__":{"command":"x"},"constructor":1}').map((text) => JSON.parse(text) as unknown),
);

/** One value of the document is another, or stands under another name. */
const replaced = fc.tuple(fc.constantFrom(...places(valid)), odd, fc.option(fc.string())).map(([path, value, name]) => {
  const copy = structuredClone(valid) as unknown;
  if (path.length === 0) return JSON.stringify(value);
  const parent = path.slice(0, -1).reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], copy);
  // By definition, not by assignment: the name may be `__proto__`.
  const key = Array.isArray(parent) ? path.at(-1)! : (name ?? path.at(-1)!);
  Object.defineProperty(parent, key, { value, enumerable: true, configurable: true, writable: true });
  return JSON.stringify(copy, null, 2);
});
/** A piece of the text is missing, stands twice, or is something else. */
const cut = fc
  .tuple(
    fc.nat(TEXT.length),
    fc.nat(40),
    fc.oneof(fc.constantFrom('', '"', '{', '}', ',', '\\', '/*', '\uFEFF', '\u2028'), fc.string({ unit: 'binary' })),
  )
  .map(([at, length, piece]) => TEXT.slice(0, at) + piece + TEXT.slice(at + length));

function check(text: string): 'valid' | 'invalid' {
  try {
    expect(parseConfig(text, 'mcp.json').text).toBe(text);
    return 'valid';
  } catch (error) {
    if (!isStoreError(error, 'CONFIG_INVALID')) throw error;
    const { file, line, column } = error.figures as Record<string, unknown>;
    const lines = text.split(/\r\n|\r|\n/);
    expect(file).toBe('mcp.json');
    expect(line).toBeGreaterThanOrEqual(1);
    expect(line).toBeLessThanOrEqual(lines.length);
    expect(column).toBeGreaterThanOrEqual(1);
    expect(error.message).toMatch(/^mcp\.json:\d+:\d+: ./s);
    expect(error.executed).toBe('no');
    return 'invalid';
  }
}

it('is valid before it is damaged', () => {
  expect(check(TEXT)).toBe('valid');
});

it.each([
  ['values and names', replaced],
  ['pieces of the text', cut],
])('with other %s is a document, or CONFIG_INVALID with its line and column', (_what, damage) => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(damage, (text) => {
      seen.add(check(text));
      expect(({} as Record<string, unknown>)['command']).toBeUndefined();
    }),
    { seed: 41, numRuns: 2_000 },
  );
  // Otherwise the damage is too small or too large to show anything.
  expect([...seen].sort()).toEqual(['invalid', 'valid']);
});

it('is written over only where it could be read', async () => {
  const root = await tempDir();
  let runs = 0;
  const bytes = fc.oneof(
    replaced.map((text) => Buffer.from(text)),
    cut.map((text) => Buffer.from(text)),
    fc
      .tuple(fc.nat(TEXT.length), fc.uint8Array({ minLength: 1, maxLength: 6 }))
      .map(([at, some]) => Buffer.concat([Buffer.from(TEXT.slice(0, at)), some, Buffer.from(TEXT.slice(at))])),
  );
  await fc.assert(
    fc.asyncProperty(bytes, async (before) => {
      const folder = join(root, String(runs++));
      const file = join(folder, 'mcp.json');
      await mkdir(folder);
      await writeFile(file, before);
      const edit = new ConfigFile(file).edit((change) => change.setService('added', { command: 'z' }));
      const error: unknown = await edit.then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      const after = await readFile(file);
      if (error === undefined)
        expect(parseConfig(after.toString(), file).services.get('added')).toEqual({ command: 'z' });
      else {
        expect(isStoreError(error, 'CONFIG_INVALID'), String(error)).toBe(true);
        expect(after.equals(before)).toBe(true);
      }
    }),
    { seed: 42, numRuns: 150 },
  );
});
