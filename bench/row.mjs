/**
 * Runs one row in this process, so that no row meets what another left in the compiler or the heap. For a profile:
 * `node --expose-gc --cpu-prof bench/row.mjs stdio-flight '{"subjects":["mcpstore"]}'`.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seeded } from './lib/stats.mjs';
import { loadRow } from './rows/index.mjs';

const [id, given = '{}'] = process.argv.slice(2);
const { quick = false, seed = 1, subjects, rounds = quick ? 3 : 15, sliceMs = quick ? 40 : 150 } = JSON.parse(given);
const dir = mkdtempSync(join(tmpdir(), 'mcpstore-bench-'));

/** What a row is given: how long and how often, whom, its random numbers, and a folder that goes with it. */
const ctx = { quick, rounds, sliceMs, warmUpMs: quick ? 150 : 800, subjects, random: seeded(seed), dir };

let answer;
try {
  const row = await loadRow(id);
  const start = performance.now();
  answer = { id, what: row.what, ...(await row.run(ctx)), rounds, seconds: 0 };
  answer.seconds = +((performance.now() - start) / 1000).toFixed(1);
} catch (error) {
  answer = { error: error.stack ?? String(error) };
} finally {
  rmSync(dir, { recursive: true, force: true });
}
if (process.send) process.send(answer, () => process.disconnect());
else console.log(JSON.stringify(answer, null, 2));
