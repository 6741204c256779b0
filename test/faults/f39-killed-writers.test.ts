/** F39, F40: kill -9 of whoever writes the store's files, 200 times; 500 by hand: `node test/faults/kill-trials.mjs`. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
// @ts-expect-error: a script of the project, plain JavaScript.
import { build } from '../../scripts/build.mjs';

const TRIALS = 200;

beforeAll(() => build(), 120_000);

it(`F39: ${TRIALS} writers killed leave the old file or the new one, and in the way of nobody`, {
  timeout: 600_000,
}, async () => {
  const script = fileURLToPath(new URL('kill-trials.mjs', import.meta.url));
  const child = spawn(process.execPath, [script, '--trials', String(TRIALS)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  await once(child, 'close');
  const figures = JSON.parse(out) as Record<string, unknown>;
  expect(figures).toMatchObject({ trials: TRIALS, damaged: 0, problems: [], afterSweep: 0 });
  // Another process is not kept waiting by the lock of a dead one.
  expect(figures['longestWaitMs']).toBeLessThan(5_000);
});
