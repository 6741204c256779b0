/** Who may import whom: the layers of ARCHITECTURE.md, the one place of the MCP SDK, and no cycles. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const src = fileURLToPath(new URL('../../src', import.meta.url));

const VOCABULARY = new Set([
  'errors.ts',
  'options.ts',
  'option-rules.ts',
  'option-layers.ts',
  'auth-options.ts',
  'alert-rules.ts',
  'call.ts',
  'events.ts',
  'config/definition.ts',
]);

/** What each layer may import at run time, beside itself. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  _util: [],
  vocabulary: ['_util'],
  connection: ['vocabulary', '_util'],
  endpoint: ['connection', 'vocabulary', '_util'],
  catalog: ['vocabulary', '_util'],
  config: ['vocabulary', '_util'],
  observe: ['vocabulary', '_util'],
  flow: ['vocabulary', '_util'],
  service: ['endpoint', 'connection', 'catalog', 'vocabulary', '_util'],
  benchmark: ['store', 'vocabulary', '_util'],
  store: ['flow', 'service', 'endpoint', 'connection', 'catalog', 'config', 'observe', 'vocabulary', '_util'],
  index: [
    'benchmark',
    'store',
    'flow',
    'service',
    'endpoint',
    'connection',
    'catalog',
    'config',
    'observe',
    'vocabulary',
    '_util',
  ],
  cli: ['index', '_util'],
};

interface Import {
  from: string;
  to: string;
  /** Types alone: nothing is left of it at run time. */
  type: boolean;
  /** `import()`: loaded when it is needed. */
  lazy: boolean;
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(src, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const found: Import[] = [];
  const resolved = (to: string): string =>
    to.startsWith('.') ? posix.join(posix.dirname(file), to).replace(/\.js$/, '.ts') : to;
  for (const [, type, to] of text.matchAll(/^(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm))
    found.push({ from: file, to: resolved(to!), type: type !== undefined, lazy: false });
  for (const [, type, to] of text.matchAll(/\b(typeof\s+)?import\(\s*'([^']+)'/g))
    found.push({ from: file, to: resolved(to!), type: type !== undefined, lazy: true });
  return found;
}

function layerOf(file: string): string {
  if (VOCABULARY.has(file)) return 'vocabulary';
  if (file === 'index.ts') return 'index';
  return file.includes('/') ? file.split('/')[0]! : 'store';
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.ts'));
const imports = files.flatMap(importsOf);
const own = imports.filter(({ to }) => to.endsWith('.ts'));
const show = ({ from, to }: Import): string => `${from} imports ${to}`;

it('reads the imports', () => {
  expect(files.length).toBeGreaterThan(50);
  expect(own.length).toBeGreaterThan(files.length);
  expect(own.filter(({ to }) => !existsSync(join(src, to))).map(show)).toEqual([]);
});

it('keeps the layers: each imports only those below it', () => {
  const wrong = own.filter(({ from, to, type }) => {
    const [above, below] = [layerOf(from), layerOf(to)];
    if (above === below) return false;
    // What the vocabulary says has to be known to all; the command line has to do with what everybody gets.
    if (type && above !== 'cli' && above !== '_util') return below === 'cli' || below === 'index';
    return !MAY_IMPORT[above]?.includes(below);
  });
  expect(wrong.map(show)).toEqual([]);
});

it('lets only connection/ import the MCP SDK at run time', () => {
  const sdk = imports.filter(({ to, type }) => to.startsWith('@modelcontextprotocol/') && !type);
  expect(sdk.length).toBeGreaterThan(0);
  expect(sdk.filter(({ from }) => dirname(from) !== 'connection').map(show)).toEqual([]);
});

it('has no cycles at run time', () => {
  const next = new Map<string, string[]>();
  for (const { from, to, type, lazy } of own) if (!type && !lazy) next.set(from, [...(next.get(from) ?? []), to]);
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(' → '));
    if (done.has(file) || path.includes(file)) return;
    for (const to of next.get(file) ?? []) visit(to, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  expect(cycles).toEqual([]);
});
