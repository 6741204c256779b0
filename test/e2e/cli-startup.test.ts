/** What a command costs before it does anything. */

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { MAIN, run, useCommandLine } from '../support/command-line.js';
import { temporaryPath } from '../support/harness.js';

useCommandLine();

describe('the start', () => {
  /** CPU time of a process in milliseconds, user and system. */
  function cpuOf(args: readonly string[]): number {
    const shell = 'TIMEFORMAT="%U %S"; time "$0" "$@" >/dev/null 2>&1';
    const text = execFileSync('bash', ['-c', `{ ${shell}; } 2>&1`, process.execPath, ...args], { encoding: 'utf8' });
    const [user = 0, system = 0] = text.trim().split(' ').map(Number);
    return 1_000 * (user + system);
  }

  it.skipIf(process.platform === 'win32')('of --help costs at most 60 ms of CPU over an empty Node', () => {
    // The least of many is what it costs without the noise of other processes; pairs share what noise is left.
    const costs = Array.from({ length: 9 }, () => cpuOf([MAIN, '--help']) - cpuOf(['-e', '0'])).sort((a, b) => a - b);
    expect(costs[4]).toBeLessThanOrEqual(60 + 15);
    expect(costs[0]).toBeLessThanOrEqual(60);
  });

  it.each([
    ['--help'],
    ['version'],
    ['help', 'resource'],
    ['config', 'path'],
    ['call', '--help'],
    ['list'],
  ])('of %s %s loads no SDK', async (...args) => {
    const hook = temporaryPath('hook.mjs');
    writeFileSync(
      hook,
      `import { register } from 'node:module';
         register('data:text/javascript,' + encodeURIComponent(\`
           export async function load(url, context, next) {
             if (/node_modules.(@modelcontextprotocol|zod|undici|ajv)./.test(url)) throw new Error('loaded ' + url);
             return next(url, context);
           }\`));`,
    );
    const words = args.filter((word) => word !== undefined);
    const { code, stderr } = await run(words, { env: { NODE_OPTIONS: `--import=${hook}` } });
    expect({ code, stderr: stderr.includes('loaded') }).toEqual({ code: 0, stderr: false });
  });
});
