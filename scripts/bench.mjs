/** `npm run bench`: builds what is out of date, then measures the built package against the floor and the official SDKs. */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const build = fileURLToPath(new URL('build.mjs', import.meta.url));
if (existsSync(build)) {
  const { status } = spawnSync(process.execPath, [build], { stdio: ['ignore', 2, 2] });
  if (status !== 0) process.exit(status ?? 1);
}
const { main } = await import('../bench/main.mjs');
process.exitCode = await main(process.argv.slice(2));
