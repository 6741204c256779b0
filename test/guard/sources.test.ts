/** What holds for every file: short, opened by what it is for, and free of the machine on which it was written. */

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

const MAX_LINES = 300;
/** Files that are longer, and why they stay in one piece. */
const LONG: Record<string, string> = {
  'src/scope-catalog.ts': 'names, lists and their waits read and write one index',
  'src/store.ts': 'the public class of the package, with its documentation',
  'src/service/service.ts': 'all verbs of a service, which join its paths, its lists and the cache',
  'src/endpoint/pool.ts': 'who is lent which connection, and which ones close, is decided over one list',
  'src/endpoint/machine.ts': 'all events and states of one machine',
};

const tracked = execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' })
  .trim()
  .split('\n')
  .filter((file) => existsSync(join(root, file)));
const textOf = (file: string): string => readFileSync(join(root, file), 'utf8');
const sources = tracked.filter((file) => file.startsWith('src/') && file.endsWith('.ts'));

it(`has no source over ${MAX_LINES} lines without a reason`, () => {
  const long = sources.filter((file) => textOf(file).split('\n').length - 1 > MAX_LINES);
  expect(long.filter((file) => LONG[file] === undefined)).toEqual([]);
  expect(Object.keys(LONG).filter((file) => !existsSync(join(root, file)))).toEqual([]);
});

it('opens every file with what it knows', () => {
  const code = tracked.filter((file) => /^(src|test|scripts|demo|examples|bench)\/.*\.m?ts$|\.mjs$/.test(file));
  expect(code.length).toBeGreaterThan(100);
  expect(code.filter((file) => !/^(#!.*\n)?\/\*\*\s/.test(textOf(file)))).toEqual([]);
});

it('means the sizes of drawn lists: without a `size`, fast-check draws ten entries more than the fewest at most', () => {
  const found = tracked
    .filter((file) => file.startsWith('test/') && file.endsWith('.ts'))
    .flatMap((file) =>
      [...textOf(file).matchAll(/\{[^{}]*\bmaxLength: ([\d_]+)[^{}]*\}/g)].map((hit) => ({ file, hit })),
    )
    .filter(({ hit: [text, most] }) => Number(most!.replaceAll('_', '')) > 10 && !text.includes('size:'));
  expect(found.map(({ file, hit: [text] }) => `${file}: ${text}`)).toEqual([]);
});

it('names no path of a machine', () => {
  // `/home/me` is the example of the tests.
  const path = /\/(?:root|work|home\/(?!me\b)[a-z]\w*|Users\/(?!me\b)\w+)\/\w/;
  const found = tracked.flatMap((file) =>
    textOf(file)
      .split('\n')
      .flatMap((line, i) => (path.test(line) ? [`${file}:${i + 1}: ${line.trim().slice(0, 100)}`] : [])),
  );
  expect(found).toEqual([]);
});

it('takes packages from whatever registry npm is set to', () => {
  const locks = tracked.filter((file) => /(^|\/)(package-lock\.json|\.npmrc)$/.test(file));
  expect(locks).toContain('package-lock.json');
  const named = locks.filter((file) => /"resolved": "https?:|https?:.*\.tgz|^registry|:registry=/m.test(textOf(file)));
  expect(named).toEqual([]);
});
