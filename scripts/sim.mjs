/** `npm run sim`: compiles the simulation (test/sim) with the sources as they are, and runs it; its options: test/sim/main.ts. */

import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { filesBelow, hashOf, main, root, runNode } from './lib/project.mjs';
import { setup } from './setup.mjs';

const FOLDER = '.cache/sim';
const OLD_MS = 3_600_000;

/** @returns the compiled simulation; each state of the sources has a folder of its own */
async function compile() {
  const sources = [...filesBelow('src'), ...filesBelow('test/sim'), 'tsconfig.json'];
  const out = join(root, FOLDER, hashOf(sources).slice(0, 16));
  const entry = join(out, 'test/sim/main.js');
  if (existsSync(entry)) return entry;
  mkdirSync(join(root, FOLDER), { recursive: true });
  for (const name of readdirSync(join(root, FOLDER))) {
    const folder = join(root, FOLDER, name);
    if (Date.now() - statSync(folder).mtimeMs > OLD_MS) rmSync(folder, { recursive: true });
  }
  // Types are the business of another check.
  await runNode(['node_modules/typescript/bin/tsc', '-p', 'test/sim/tsconfig.json', '--outDir', out]);
  return entry;
}

await main(import.meta, async () => {
  await setup();
  process.exitCode = await runNode(['--max-semi-space-size=64', await compile(), ...process.argv.slice(2)]);
});
