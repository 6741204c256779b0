/** The bench's command line: runs rows one after the other, each in a fresh process, and shows what they measured. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { machine, markdown, terminal } from './lib/report.mjs';
import { fresh } from './lib/spawn.mjs';
import { ROWS } from './rows/index.mjs';

const USAGE = `npm run bench -- [options]
  --quick        a smoke test: a few short rounds, figures worth little
  --only a,b     these rows alone: ${Object.keys(ROWS).join(', ')}
  --rounds N     rounds of each row (15; 3 with --quick)
  --seed N       of the order within the rounds (1)
  --json FILE    where the figures go (.cache/bench.json)
  --markdown     print the table as Markdown`;

/** @returns the exit code: 1 where a row could not run, 2 for a wrong option; a target that is missed is no failure */
export async function main(argv) {
  let options;
  try {
    options = parseArgs({
      args: argv,
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string' },
        rounds: { type: 'string' },
        seed: { type: 'string', default: '1' },
        json: { type: 'string', default: '.cache/bench.json' },
        markdown: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
    if (options.help) return console.log(USAGE) ?? 0;
    for (const id of options.only?.split(',') ?? []) if (!Object.hasOwn(ROWS, id)) throw new Error(`no row ${id}`);
  } catch (error) {
    console.error(`${error.message}\n${USAGE}`);
    return 2;
  }
  const { quick, only, rounds, seed } = options;
  const given = JSON.stringify({ quick, seed: Number(seed), ...(rounds && { rounds: Number(rounds) }) });
  // What else runs now is measured too: above a small load even ratios are worth little.
  const load = +loadavg()[0].toFixed(2);
  if (load > 0.7) process.stderr.write(`the machine is busy (load ${load}): figures will be worse than they are\n`);
  const results = [];
  for (const id of only?.split(',') ?? Object.keys(ROWS)) {
    process.stderr.write(`${id} … `);
    const result = await fresh('row.mjs', [id, given], { flags: ['--expose-gc'] }).catch((error) => ({
      ...{ id, what: id, cells: {}, checks: [], problems: [error.message], seconds: 0 },
    }));
    process.stderr.write(`${result.seconds} s${result.problems.length > 0 ? `; ${result.problems.join('; ')}` : ''}\n`);
    results.push(result);
  }
  const of = machine();
  console.log(options.markdown ? markdown(results, of) : `\n${terminal(results)}`);
  mkdirSync(dirname(options.json), { recursive: true });
  writeFileSync(
    options.json,
    `${JSON.stringify({ machine: of, load, quick, seed: Number(seed), rows: results }, null, 2)}\n`,
  );
  console.error(`\nfigures: ${options.json}`);
  return results.some(({ problems }) => problems.length > 0) ? 1 : 0;
}
