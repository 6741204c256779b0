/** What would be published: the built package and its papers, nothing else, and everything that it points to. */

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const MAX_UNPACKED_BYTES = 4 << 20;

let packed: { files: { path: string }[]; unpackedSize: number };
let paths: string[];

beforeAll(() => {
  // Its own lifecycle scripts would build, and write between the JSON.
  const { stdout, stderr } = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    ...{ cwd: root, encoding: 'utf8', shell: process.platform === 'win32' },
  });
  expect(stdout, stderr).toMatch(/^\[/);
  packed = JSON.parse(stdout)[0];
  paths = packed.files.map(({ path }) => path);
});

it('holds dist and the papers alone', () => {
  const allowed = /^(dist\/[\w/-]+\.(js|d\.ts|js\.map)|README(\.[\w-]+)?\.md|CHANGELOG\.md|LICENSE|package\.json)$/;
  expect(paths.filter((path) => !allowed.test(path))).toEqual([]);
  expect(packed.unpackedSize).toBeLessThan(MAX_UNPACKED_BYTES);
});

it('holds everything that it points to', () => {
  const { exports, bin, types } = manifest;
  const targets = [
    types,
    ...Object.values(bin),
    ...Object.values(exports).flatMap((own) => Object.values(Object(own))),
  ];
  const wanted = (targets as string[])
    .filter((target) => target.length > 1)
    .map((target) => target.replace(/^\.\//, ''));
  expect(wanted.filter((path) => !paths.includes(path))).toEqual([]);
  const papers = (manifest.files as string[]).filter((name) => /^[A-Z]/.test(name) && existsSync(join(root, name)));
  expect(papers).toContain('LICENSE');
  expect(paths).toEqual(expect.arrayContaining(papers));
});

it('can be started by its name', () => {
  for (const path of Object.values<string>(manifest.bin)) {
    expect(readFileSync(join(root, path), 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
    if (process.platform !== 'win32') expect(statSync(join(root, path)).mode & 0o111).not.toBe(0);
  }
});

it('pins what it depends on', () => {
  const loose = Object.entries<string>({ ...manifest.dependencies, ...manifest.devDependencies });
  expect(loose.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
});
