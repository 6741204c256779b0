/**
 * `npm run conformance`: the official suite's scenarios for clients, with the requirements of each revision, against
 * `client.mjs`. Ends with passed/scored of each; fails for what fails without being listed in `exceptions.mjs`.
 * Arguments that are no revision pick scenarios whose failures are told in full: `-- 2026-07-28 sse-retry`.
 */

import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from '../../scripts/build.mjs';
import { endRun, markRun } from '../../scripts/lib/leftovers.mjs';
import { main, root, runNpm, say } from '../../scripts/lib/project.mjs';
import { EXCEPTIONS } from './exceptions.mjs';
import { countOf, judge, PROGRAM, resultsIn, verdict } from './results.mjs';

/** For everything; also what the suite allows each scenario, whose turn may come late. On a free machine 15 s do. */
const LIMIT_MS = 160_000;
/** How long the client may take to end, once nobody needs it. */
const END_MS = 10_000;
/** The suite needs a newer Node than the product. Not a devDependency: npm would put it in the PATH of every script. */
const NODE = { major: 22, package: `node-${process.platform}-${process.arch}`, version: '24.21.0' };

const here = (file) => fileURLToPath(new URL(file, import.meta.url));

async function newNode() {
  if (Number(process.versions.node.split('.')[0]) >= NODE.major) return process.execPath;
  const folder = join(root, '.cache', 'node24');
  const binary = join(folder, 'node_modules', NODE.package, 'bin', 'node');
  if (!existsSync(binary)) {
    say(`Installing ${NODE.package}@${NODE.version} …`);
    const args = ['install', '--silent', '--no-save', '--prefix', folder, `${NODE.package}@${NODE.version}`];
    if ((await runNpm(args)) !== 0) throw new Error(`${NODE.package} could not be installed`);
  }
  return binary;
}

/** Runs the suite to its end; its own verdict is read from what it writes, with more care than it takes itself. */
function runSuite(node, revision, folder, env, until) {
  const command = `"${process.execPath}" "${here('ask.mjs')}"`;
  const own = ['client', '--command', command, '--requirements', revision];
  const limits = ['--timeout', String(LIMIT_MS), '--output-dir', folder];
  const child = spawn(node, ['--import', here('loopback.mjs'), PROGRAM, ...own, ...limits], {
    env: { ...process.env, ...env },
    stdio: 'ignore',
  });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), until - Date.now());
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** The program under test. It has to end by itself: a store that is closed keeps no process alive. */
async function startClient(env) {
  const child = fork(here('client.mjs'), { env: { ...process.env, ...env }, stdio: ['ignore', 2, 2, 'ipc'] });
  const ended = once(child, 'exit');
  const [port] = await Promise.race([
    once(child, 'message'),
    ended.then(([code]) => Promise.reject(new Error(`the client ended with ${code}`))),
  ]);
  const end = async () => {
    if (child.connected) child.disconnect();
    const timer = setTimeout(() => child.kill('SIGKILL'), END_MS);
    const [code, signal] = await ended;
    clearTimeout(timer);
    return code === 0 ? [] : [`the client did not end by itself, but with ${signal ?? code}`];
  };
  const expect = (count) => child.connected && child.send(count);
  return { env: { MCPSTORE_CONFORMANCE_PORT: String(port) }, expect, end };
}

async function conformance(args) {
  const revisions = args.filter((arg) => arg in EXCEPTIONS);
  const shown = args.filter((arg) => !(arg in EXCEPTIONS));
  await build();
  const node = await newNode();
  const { folder, env } = markRun();
  const client = await startClient(env);
  const until = Date.now() + LIMIT_MS;
  const summary = [];
  let good = true;
  try {
    for (const revision of revisions.length > 0 ? revisions : Object.keys(EXCEPTIONS)) {
      const results = join(folder, `conformance-${revision}`);
      client.expect(countOf(revision));
      await runSuite(node, revision, results, { ...env, ...client.env }, until);
      const found = resultsIn(results);
      rmSync(results, { recursive: true, force: true });
      const { scored, passed, faults, others } = judge(revision, found, EXCEPTIONS[revision]);
      for (const scenario of shown) say([scenario, ...verdict(found.get(scenario)).why].join('\n    '));
      for (const fault of faults) say(`FAILED ${revision} ${fault}`);
      if (faults.length > 0) good = false;
      const extra = others.filter(([, result]) => verdict(result).passed).length;
      const listed = Object.keys(EXCEPTIONS[revision]).length;
      summary.push(
        `${revision}: ${passed}/${scored} passed, ${listed} listed exceptions, ${extra}/${others.length} not scored`,
      );
    }
  } finally {
    for (const left of [...(await client.end()), ...(await endRun(folder))]) {
      say(left);
      good = false;
    }
  }
  for (const line of summary) process.stdout.write(`${line}\n`);
  process.exitCode = good ? 0 : 1;
}

await main(import.meta, () => conformance(process.argv.slice(2)));
