/**
 * Knows the command `npm run sim`: `--seeds N` runs that many seeds (default 1,000), `--from S` begins at another than
 * 1, `--seed N` runs one and shows its trace, `--hashes` prints the hash of each run's trace. Ends with
 * `N seeds, F failed`, and with exit code 1 where F is not 0.
 */

import { install } from './globals.js';

const realNow = performance.now.bind(performance);

function numberOf(args: readonly string[], name: string): number | undefined {
  const at = args.indexOf(name);
  if (at === -1) return undefined;
  const value = Number(args[at + 1]);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${name}: expected a whole number`);
  return value;
}

async function main(args: readonly string[]): Promise<void> {
  const one = numberOf(args, '--seed');
  const from = one ?? numberOf(args, '--from') ?? 1;
  const count = one === undefined ? (numberOf(args, '--seeds') ?? 1_000) : 1;
  const since = realNow();
  // The globals first: what is loaded after this takes its time from the simulation.
  install();
  // Stacks cost more than all the rest of an error; one run that is looked at has them.
  if (one === undefined) Error.stackTraceLimit = 0;
  const { run } = await import('./run.js');
  const { warm } = await import('./warm.js');
  await warm();
  const cpu = process.cpuUsage();
  let failed = 0;
  let calls = 0;
  for (let seed = from; seed < from + count; seed++) {
    const outcome = await run(seed, one !== undefined);
    calls += outcome.calls;
    if (args.includes('--hashes')) console.log(`seed ${seed}: ${outcome.hash}`);
    if (outcome.broken.length === 0) continue;
    failed++;
    console.log(`seed ${seed} FAILED; again, with its trace: npm run sim -- --seed ${seed}`);
    for (const text of outcome.broken.slice(0, 10)) console.log(`  ${text}`);
  }
  const seconds = (realNow() - since) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const cpuSeconds = (user + system) / 1e6;
  const figures = [
    `${calls} calls in ${seconds.toFixed(1)} s`,
    `${(count / cpuSeconds).toFixed(1)} seeds per CPU second`,
  ];
  console.log(figures.join(', '));
  console.log(`${count} seeds, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

await main(process.argv.slice(2));
