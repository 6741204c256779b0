/** Knows what the suite requires of a revision, what it wrote of a run, and what that says against our exceptions. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';

const suite = createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json');
const { parse } = createRequire(suite)('yaml');

/** The suite's program. */
export const PROGRAM = join(dirname(suite), 'dist', 'index.js');

const requirementsOf = (revision) =>
  parse(readFileSync(join(dirname(suite), 'requirements', `${revision}.yaml`), 'utf8'));

/** Scenarios for clients that a revision scores. */
export function scoredBy(revision) {
  return requirementsOf(revision).client;
}

/** How many scenarios for clients the suite runs for a revision, scored or not. */
export function countOf(revision) {
  const { client, not_scored: others } = requirementsOf(revision);
  return client.length + others.filter((one) => one.leg === 'client').length;
}

/** What became of each scenario that ran: its failed checks, how many passed, and the last line of our client. */
export function resultsIn(folder) {
  const found = new Map();
  for (const file of existsSync(folder) ? readdirSync(folder, { recursive: true }) : []) {
    if (basename(file) !== 'checks.json') continue;
    const run = join(folder, dirname(file));
    // `auth/metadata-default-2026-07-28T10-11-12-131Z`
    const scenario = relative(folder, run)
      .replaceAll('\\', '/')
      .replace(/-[\d-]+T[\d-]+Z$/, '');
    const checks = JSON.parse(readFileSync(join(folder, file), 'utf8'));
    const failed = checks.filter((check) => check.status === 'FAILURE').map((check) => told(check));
    const passed = checks.filter((check) => check.status === 'SUCCESS').length;
    found.set(scenario, { failed, passed, client: lastLine(join(run, 'stdout.txt')) });
  }
  return found;
}

function told({ id, errorMessage, description, details }) {
  return `${id}: ${errorMessage ?? details?.message ?? description}`;
}

function lastLine(file) {
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').at(-1) : '';
}

/** A scenario counts where something was checked and nothing failed; the suite itself also passes what never ran. */
export function verdict(result) {
  if (result === undefined) return { passed: false, why: ['it left no result'] };
  const why = result.passed > 0 ? result.failed : [...result.failed, 'nothing was checked'];
  return { passed: why.length === 0, why: why.length > 0 ? [...why, `client: ${result.client}`] : [] };
}

/** @returns figures of a revision, and a line for each thing that must not be */
export function judge(revision, results, exceptions) {
  const scored = scoredBy(revision);
  const faults = [];
  let passed = 0;
  for (const scenario of scored) {
    const { passed: good, why } = verdict(results.get(scenario));
    if (good) passed++;
    const reason = exceptions[scenario];
    if (good && reason !== undefined) faults.push(`${scenario} passes and is still listed as an exception`);
    if (!good && reason === undefined) faults.push([scenario, ...why].join('\n    '));
  }
  for (const scenario of Object.keys(exceptions))
    if (!scored.includes(scenario)) faults.push(`${scenario} is listed as an exception and is not scored`);
  const others = [...results].filter(([scenario]) => !scored.includes(scenario));
  return { scored: scored.length, passed, faults, others };
}
