/**
 * `npm test`: installs and builds what is missing, lints, checks types and runs the suites; ends with `N passed, N failed`.
 * `--system` runs the suites that need Debian packages instead; `--only=unit,contract` those suites alone; `--node=PATH`
 * runs them on another Node. Anything else is handed to the test runner.
 */

import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from './build.mjs';
import { main, root, run, runNode, say } from './lib/project.mjs';
import { setup } from './setup.mjs';

const SUITES = ['unit', 'contract', 'fuzz', 'sim', 'faults', 'e2e', 'guard'];
/** What measures times cannot share the machine with other tests: one file after the other, after all else. */
const ALONE = ['timing'];

const totals = { passed: 0, failed: 0 };

async function test(args) {
  const own = { system: false, only: undefined, node: process.execPath };
  const rest = args.filter((arg) => {
    const [, key, value] = /^--(system|only|node)(?:=(.+))?$/.exec(arg) ?? [];
    if (key === undefined) return true;
    own[key] = key === 'system' ? true : key === 'only' ? value.split(',') : value;
    return false;
  });
  await setup();
  const complete = !own.system && own.only === undefined && rest.length === 0;
  if (complete) await check('lint', () => runNode(['node_modules/@biomejs/biome/bin/biome', 'check', '.']));
  // Examples and snippets import the built package by its name: types come after the build.
  if (!(await check('build', build))) return;
  if (complete)
    await check('types', () => runNode(['node_modules/typescript/bin/tsc', '--noEmit', '-p', 'tsconfig.json']));
  const named = rest.some((arg) => !arg.startsWith('-'));
  const suites = own.system ? ['system'] : (own.only ?? (named ? [] : [...SUITES, ...ALONE]));
  const together = suites.filter((name) => !ALONE.includes(name));
  const alone = suites.filter((name) => ALONE.includes(name));
  if (together.length > 0 || named) await suitesPass(own.node, [...folders(together), ...rest]);
  if (alone.length > 0) await suitesPass(own.node, ['--no-file-parallelism', ...folders(alone), ...rest]);
}

const folders = (suites) => suites.map((name) => `test/${name}/`);

/** @param work - fails by a throw or an exit code other than 0 */
async function check(name, work) {
  try {
    const code = await work();
    if (code) throw new Error(`exit code ${code}`);
    totals.passed++;
    return true;
  } catch (error) {
    say(`${name}: FAILED (${error.message})`);
    totals.failed++;
    return false;
  }
}

async function suitesPass(node, args) {
  mkdirSync(join(root, '.cache'), { recursive: true });
  const file = join(root, '.cache', `test-${process.pid}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  const code = await run(node, ['node_modules/vitest/vitest.mjs', 'run', ...reporters, ...args]);
  let failed = 0;
  if (existsSync(file)) {
    const report = JSON.parse(readFileSync(file, 'utf8'));
    rmSync(file);
    // A file that could not be loaded has no tests, and failed all the same.
    const broken = report.testResults.filter((own) => own.status === 'failed' && own.assertionResults.length === 0);
    failed = report.numFailedTests + broken.length;
    totals.passed += report.numPassedTests;
  }
  // A leak, or an error outside of any test.
  if (code !== 0 && failed === 0) failed = 1;
  totals.failed += failed;
}

await main(import.meta, async () => {
  try {
    await test(process.argv.slice(2));
  } catch (error) {
    say(error.message);
    totals.failed++;
  }
  process.stdout.write(`${totals.passed} passed, ${totals.failed} failed\n`);
  process.exitCode = totals.failed === 0 ? 0 : 1;
});
