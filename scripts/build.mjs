/** Builds src/ into dist/ where something changed since the last build, and removes what no source stands for any more. */

import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { filesBelow, hashOf, main, root, runNode, say } from './lib/project.mjs';
import { setup } from './setup.mjs';

const STAMP = 'dist/.build';
const COMPILER = 'node_modules/typescript/bin/tsc';

/** @throws Error where the compiler finds one */
export async function build() {
  const sources = filesBelow('src').filter((file) => file.endsWith('.ts'));
  const wanted = hashOf([...sources, 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json']);
  const stamp = join(root, STAMP);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && outputs(sources).every(isThere)) return;
  say('Building dist/ …');
  rmSync(stamp, { force: true });
  const code = await runNode([join(root, COMPILER), '-p', 'tsconfig.build.json'], { stdio: ['ignore', 2, 2] });
  if (code !== 0) throw new Error(`the build failed with exit code ${code}`);
  const made = new Set(outputs(sources).flatMap((file) => [file, `${file}.map`]));
  for (const file of filesBelow('dist')) if (!made.has(file)) rmSync(join(root, file));
  // npm sets the mode of `bin` files at installation; a checkout wants it now.
  if (isThere('dist/cli/main.js')) chmodSync(join(root, 'dist/cli/main.js'), 0o755);
  writeFileSync(stamp, wanted);
}

function outputs(sources) {
  return sources
    .filter((file) => !file.endsWith('.d.ts'))
    .flatMap((file) => ['.js', '.d.ts'].map((end) => file.replace(/^src\//, 'dist/').replace(/\.ts$/, end)));
}

function isThere(file) {
  return existsSync(join(root, file));
}

await main(import.meta, async () => {
  await setup();
  await build();
});
