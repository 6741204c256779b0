/** Each example runs as a user's program, on the built package, and finds its own result right. */

import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tempDir } from '../support/tmp.js';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const examples = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.ts'));
/** Inside the checkout, where the package finds itself by its name. */
const out = join(root, '.cache', `examples-${process.pid}`);

beforeAll(async () => {
  mkdirSync(out, { recursive: true });
  const compilerOptions = { noEmit: false, outDir: '.', rootDir: '../../examples', types: ['node'] };
  writeFileSync(
    join(out, 'tsconfig.json'),
    JSON.stringify({ extends: '../../tsconfig.json', compilerOptions, include: ['../../examples'] }),
  );
  await run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', out], { cwd: root });
}, 60_000);
afterAll(() => rmSync(out, { recursive: true, force: true }));

it.each(examples)('%s', { timeout: 60_000 }, async (name) => {
  const home = await tempDir();
  // `npx` takes the servers that are installed here, and nothing else.
  const env = { ...process.env, HOME: home, XDG_STATE_HOME: home, npm_config_offline: 'true' };
  const { stdout } = await run(process.execPath, [join(out, name.replace(/ts$/, 'js'))], { cwd: root, env });
  expect(stdout).not.toBe('');
});
