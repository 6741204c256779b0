/**
 * Kills writers of the store's files at any moment and looks at what is left: `node kill-trials.mjs --trials 500`, on the
 * built package. Each trial is a process that saves the configuration, a remembered list, an approval and an era as fast
 * as it can, and gets SIGKILL. Prints the figures as JSON; exits with 1 where one file was not whole.
 */

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { RememberedLists } from '../../dist/catalog/remembered.js';
import { ConfigFile } from '../../dist/config/save.js';
import { approve } from '../../dist/config/trust.js';
import { rememberEra } from '../../dist/connection/known-era.js';

const PARALLEL = 4;
/** The longest that a trial writes before it is killed. Milliseconds. */
const LONGEST_MS = 40;
const ENDPOINT = { kind: 'http', url: 'http://127.0.0.1:1/mcp', headers: {} };

/** Every file of one generation; long enough that half of one is seen. */
const definition = (n) => ({ command: 'x'.repeat(20_000 + (n % 7)), args: [String(n)] });
const tools = (n) =>
  Array.from({ length: 40 }, (_, i) => ({ name: `t${i}`, description: 'd'.repeat(400 + (n % 7)), n }));

async function write(folder, from) {
  const file = new ConfigFile(join(folder, 'mcp.json'));
  const state = join(folder, 'state');
  const lists = new RememberedLists(state);
  for (let n = from; ; n++) {
    await file.edit((edit) => edit.setService('s', definition(n)));
    await Promise.all([
      lists.save('s', 'r', tools(n)),
      approve(state, file.path, String(n)),
      rememberEra(state, ENDPOINT, 'legacy', n),
    ]);
    process.stdout.write(`${n}\n`);
  }
}

/** One writer that is killed; then what it left. @returns what is wrong, if anything */
async function trial(folder, from, figures) {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), 'write', folder, String(from)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((done) => child.once('close', done));
  let saved = from - 1;
  let begun;
  const first = new Promise((done) => {
    begun = done;
  });
  createInterface(child.stdout).on('line', (line) => {
    saved = Number(line);
    begun();
  });
  await Promise.race([first, ended]);
  await new Promise((done) => setTimeout(done, Math.random() * LONGEST_MS));
  child.kill('SIGKILL');
  await ended;
  const since = performance.now();
  const wrong = [];
  const look = (what, read) => {
    try {
      const n = read();
      // What was told as saved is there, and of what was not, one generation at most has begun.
      if (n !== saved && n !== saved + 1) wrong.push(`${what}: generation ${n} after ${saved}`);
    } catch (error) {
      wrong.push(`${what}: ${error.message}`);
    }
  };
  const json = (...path) => JSON.parse(readFileSync(join(folder, ...path), 'utf8'));
  const only = (name) => readdirSync(join(folder, 'state', name)).find((file) => file.endsWith('.json'));
  look('mcp.json', () => {
    const { command, args } = json('mcp.json').mcpServers.s;
    if (command.length !== definition(Number(args[0])).command.length) throw new Error('parts of two generations');
    return Number(args[0]);
  });
  look('a list', () => {
    const list = json('state', 'lists', only('lists')).tools;
    if (JSON.stringify(list) !== JSON.stringify(tools(list[0].n))) throw new Error('parts of two generations');
    return list[0].n;
  });
  look('an era', () => json('state', 'eras', only('eras')).at);
  look('approvals', () => {
    if (Object.keys(json('state', 'approved.json').files).length !== 1) throw new Error('not one file');
    return saved;
  });
  // A dead process keeps nobody waiting.
  await new ConfigFile(join(folder, 'mcp.json'))
    .edit((edit) => edit.set(['trial'], from))
    .catch((error) => wrong.push(error.message));
  figures.longestWaitMs = Math.max(figures.longestWaitMs, Math.round(performance.now() - since));
  return { wrong, next: saved + 2 };
}

const isLeft = (name) => name.endsWith('.tmp') || name.includes('.lock');

async function run(trials) {
  const root = mkdtempSync(join(tmpdir(), 'mcpstore-kills-'));
  const figures = { trials: 0, damaged: 0, leftBehind: 0, longestWaitMs: 0, afterSweep: 0, problems: [] };
  const worker = async (_, w) => {
    const folder = join(root, String(w));
    mkdirSync(folder);
    let from = 1;
    while (figures.trials < trials) {
      figures.trials++;
      const { wrong, next } = await trial(folder, from, figures);
      from = next;
      if (wrong.length === 0) continue;
      figures.damaged++;
      figures.problems.push(...wrong.slice(0, 5 - figures.problems.length));
      // Nobody could go on from there.
      rmSync(folder, { recursive: true });
      mkdirSync(folder);
      from = 1;
    }
    const left = readdirSync(folder, { recursive: true }).filter(isLeft);
    figures.leftBehind += left.length;
    // As if a minute had passed: the next save of each file takes away what the dead left.
    const long = new Date(Date.now() - 120_000);
    for (const name of left) utimesSync(join(folder, name), long, long);
    const file = new ConfigFile(join(folder, 'mcp.json'));
    const state = join(folder, 'state');
    await file.edit((edit) => edit.set(['end'], true));
    await new RememberedLists(state).save('s', 'r', tools(0));
    await approve(state, file.path, '');
    await rememberEra(state, ENDPOINT, 'legacy', 0);
    figures.afterSweep += readdirSync(folder, { recursive: true }).filter(isLeft).length;
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  rmSync(root, { recursive: true });
  return figures;
}

if (process.argv[2] === 'write') await write(process.argv[3], Number(process.argv[4]));
else {
  const { values } = parseArgs({ options: { trials: { type: 'string', default: '500' } } });
  const figures = await run(Number(values.trials));
  console.log(JSON.stringify({ ...figures, node: process.version }));
  process.exitCode = figures.damaged > 0 || figures.afterSweep > 0 ? 1 : 0;
}
