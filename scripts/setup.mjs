/** Installs the packages of the lock file where they are missing or others; what is up to date is left alone. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hashOf, main, root, runNpm, say } from './lib/project.mjs';

const modules = join(root, 'node_modules');
const stamp = join(modules, '.mcpstore-setup');

/** @throws Error where npm fails */
export async function setup() {
  const wanted = hashOf(['package-lock.json']);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  if (!installedByHand()) {
    say('Installing packages (npm ci) …');
    const code = await runNpm(['ci', '--no-audit', '--no-fund'], { stdio: ['ignore', 2, 2] });
    if (code !== 0) throw new Error(`npm ci failed with exit code ${code}`);
  }
  writeFileSync(stamp, wanted);
}

/** Did somebody run `npm install` or `npm ci` themselves? npm notes what it installed in a lock file of its own. */
function installedByHand() {
  const note = join(modules, '.package-lock.json');
  if (!existsSync(note)) return false;
  const packagesOf = (path) => JSON.parse(readFileSync(path, 'utf8')).packages;
  const wanted = packagesOf(join(root, 'package-lock.json'));
  const there = packagesOf(note);
  const same = (path) => wanted[path]?.version === there[path].version && existsSync(join(root, path));
  const needed = (path) => path.startsWith('node_modules/') && !wanted[path].optional && !wanted[path].link;
  return Object.keys(wanted)
    .filter(needed)
    .every((path) => there[path] !== undefined && same(path));
}

await main(import.meta, setup);
