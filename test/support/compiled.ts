/** Knows how a test runs code of src/ in a Node process of its own: compiled into a temporary folder. */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Compiles src/ into `folder`. For code that needs Node alone: packages are not found from there.
 * @returns the folder, with the tree of src/
 */
export async function compileSources(folder: string): Promise<string> {
  const out = join(folder, 'compiled');
  await mkdir(out, { recursive: true });
  await writeFile(join(out, 'package.json'), '{ "type": "module" }');
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
  const args = [
    tsc,
    '-p',
    join(root, 'tsconfig.build.json'),
    '--outDir',
    out,
    '--declaration',
    'false',
    '--sourceMap',
    'false',
  ];
  // Types are the business of another check: what has an error elsewhere is compiled all the same.
  await new Promise<void>((done) => execFile(process.execPath, args, () => done()));
  if (!existsSync(join(out, 'errors.js'))) throw new Error('src/ did not compile');
  return out;
}
