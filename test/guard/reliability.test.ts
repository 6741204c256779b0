/** Knows that every promise of docs/reliability.md names tests that are there, and that these test it. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const rows = readFileSync(join(root, 'docs/reliability.md'), 'utf8')
  .split('\n')
  .map((line) => /^\| ([FA]\d+) \|.*\| (`[^|]*`) \|$/.exec(line))
  .filter((row) => row !== null)
  .map(([, number, files]) => ({
    number: number!,
    files: [...files!.matchAll(/`([^`]+)`/g)].map(([, file]) => file!),
  }));

it.each(rows)('$number is tested where docs/reliability.md says so', ({ number, files }) => {
  for (const file of files) {
    const path = join(root, 'test', `${file}.test.ts`);
    expect(existsSync(path), path).toBe(true);
    // A range such as F26–F28 names all of its numbers.
    const text = readFileSync(path, 'utf8').replace(/\b([FA])(\d+)[–-]\1(\d+)\b/g, (_, letter, from, to) =>
      Array.from({ length: Number(to) - Number(from) + 1 }, (_n, i) => `${letter}${Number(from) + i}`).join(' '),
    );
    expect(new RegExp(`\\b${number}\\b`).test(text), `${file} names ${number}`).toBe(true);
  }
});

it('lists every number once', () => {
  expect(rows.length).toBeGreaterThan(40);
  expect(new Set(rows.map(({ number }) => number)).size).toBe(rows.length);
});
