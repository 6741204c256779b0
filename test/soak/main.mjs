/**
 * `npm run soak`: mixed load on real servers, 64 calls under way, while a server process is killed every few seconds.
 * Options: `--seconds N` (default 1,800), `--in-flight N` (64), `--kill-every N` seconds (3). Ends with the figures, and
 * with 1 where a call was lost or answered wrongly, failed without a typed error, or memory, open files or processes
 * grew.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from '../../scripts/build.mjs';
import { load, Tally } from './load.mjs';
import { descendants, median, openFiles, sample, trend } from './sample.mjs';
import { servicesOf } from './services.mjs';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '1800' },
    'in-flight': { type: 'string', default: '64' },
    'kill-every': { type: 'string', default: '3' },
  },
});
const seconds = Number(values.seconds);
const inFlight = Number(values['in-flight']);
const killEveryMs = Number(values['kill-every']) * 1_000;
/** RSS may rise so much an hour, MiB; a rise that cannot be told from none is none. */
const RSS_SLOPE = 1;
/** What a young process still takes for its code and heap: memory counts after so much of the run. */
const WARM_UP = 1 / 3;
/** In a run of minutes the heap has not settled: below this rise in all, MiB, no slope is held against it. */
const SETTLING = 16;

await build();
const { MCPStore, isStoreError } = await import('mcpstore');

const folder = mkdtempSync(join(tmpdir(), 'mcpstore-soak-'));
const ledger = join(folder, 'ledger');
const tally = new Tally(isStoreError);
let kills = 0;
let records = 0;
const samples = [];
process.on('uncaughtException', (error) => tally.violation(`uncaught: ${error.stack}`));

// libuv keeps one descriptor from its first stream on.
await once(spawn('true', { stdio: 'pipe' }), 'close');
const before = { files: openFiles(), processes: descendants().living.length };
const { services, victims, stop } = await servicesOf(ledger);
const aside = {
  files: openFiles().size - before.files.size,
  processes: descendants().living.length - before.processes,
};
const since = performance.now();
const end = since + seconds * 1_000;
const over = () => performance.now() >= end;

const store = await MCPStore.open({ services, stateDir: join(folder, 'state') });
store.on('call', () => {
  records++;
});
const agents = ['one', 'two'].map((id) => store.forAgent(id, { services: Object.keys(services) }));
await store.listTools({ timeoutMs: 60_000 });

const chaos = every(killEveryMs, async (n) => {
  const victim = victims[n % victims.length];
  if (victim.kill) await victim.kill();
  else {
    const pids = store.serviceInfo(victim.name).pids;
    if (pids.length === 0) return;
    process.kill(pids[n % pids.length], 'SIGKILL');
  }
  kills++;
});
const watch = every(Math.max(500, Math.min(5_000, seconds * 10)), async () => {
  samples.push(sample(since));
});
await load({ store, agents, tally, inFlight, until: over });
await Promise.all([chaos, watch]);
const stats = store.stats();
await store.close();
await stop();
await settled();
report();
rmSync(folder, { recursive: true, force: true });

/** Runs `fn` at an interval until the soak is over; what it throws is a violation. */
async function every(ms, fn) {
  for (let n = 0; ; n++) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(ms, Math.max(0, end - performance.now()))));
    if (over()) return;
    await fn(n).catch((error) => tally.violation(`${error.stack}`));
  }
}

/** Whatever ends now has a moment to do so. */
async function settled() {
  for (
    let i = 0;
    i < 50 && (openFiles().size > before.files.size || descendants().living.length > before.processes);
    i++
  )
    await new Promise((resolve) => setTimeout(resolve, 100));
}

/** Each side effect happened once where it was said to, never where it was said not to. */
function checkLedger() {
  const done = new Map();
  for (const id of readFileSync(ledger, 'utf8').split('\n')) done.set(id, (done.get(id) ?? 0) + 1);
  const wrong = { twice: 0, missing: 0, denied: 0 };
  for (const { id, tool, said } of tally.effects) {
    const times = done.get(id) ?? 0;
    const what =
      times > 1 ? 'twice' : said === 'yes' && times === 0 ? 'missing' : said === 'no' && times > 0 ? 'denied' : '';
    if (what === '') continue;
    wrong[what]++;
    tally.violation(`${tool} ${id}: run ${times} times, executed: ${said}`);
  }
  return `${tally.effects.length} unsafe calls: ${wrong.twice} run twice, ${wrong.missing} "ok" without effect, ${wrong.denied} "not run" that ran`;
}

function report() {
  const warm = samples.filter((one) => one.hours * 3_600 >= seconds * WARM_UP);
  const lines = [];
  const line = (name, text) => lines.push(`${name.padEnd(12)} ${text}`);
  const one = (value) => value.toFixed(1);

  if (tally.underWay > 0) tally.violation(`${tally.underWay} calls never settled`);
  if (records > tally.calls) tally.violation(`${records} records of ${tally.calls} calls: one was counted twice`);
  if (records < tally.calls - tally.early)
    tally.violation(`${records} records of ${tally.calls} calls: some are missing`);
  const failures = Object.values(tally.errors).reduce((sum, count) => sum + count, 0);
  if (tally.answered + failures !== tally.calls) tally.violation('answers and failures do not add up to the calls');

  const rss = trend(warm, 'rss');
  const rise = rss.slope * (warm.at(-1).hours - warm[0].hours);
  if (rss.low > RSS_SLOPE && rise > SETTLING) tally.violation(`memory grows: ${one(rss.slope)} MiB/h`);
  for (const [key, slack] of [
    ['files', 10],
    ['processes', 2],
  ]) {
    const third = Math.floor(warm.length / 3);
    const rose = median(warm.slice(-third).map((o) => o[key])) - median(warm.slice(0, third).map((o) => o[key]));
    if (rose > slack) tally.violation(`${key} rose by ${rose}`);
  }
  const { living, zombies } = descendants();
  const open = openFiles();
  const left = [...open].filter(([fd]) => !before.files.has(fd)).map(([, what]) => what);
  if (open.size > before.files.size) tally.violation(`open files at the end: ${left.join(', ')}`);
  if (living.length > before.processes) tally.violation(`processes left: ${living.join(', ')}`);
  if (zombies.length > 0) tally.violation(`zombies left: ${zombies.join(', ')}`);

  const ledgerLine = checkLedger();
  line('machine', `${cpus().length} × ${cpus()[0].model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}`);
  line('run', `${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${seconds} s, ${inFlight} in flight`);
  line('calls', `${tally.calls}, answered ${tally.answered}, ${records} records, ${tally.progress} progress`);
  line(
    'errors',
    Object.entries(tally.errors)
      .map(([code, count]) => `${code} ${count}`)
      .join(', ') || 'none',
  );
  const down = Object.entries(tally.down).map(([name, count]) => `${name} ${count}`);
  if (down.length > 0) line('SERVICE_DOWN', down.join(', '));
  line('kills', `${kills}`);
  line('cache', `${stats.cache.hits} hits, ${stats.cache.misses} misses`);
  line('ledger', ledgerLine);
  line('latency', `p50 ${one(tally.quantile(0.5))} ms, p99 ${one(tally.quantile(0.99))} ms`);
  line(
    'RSS',
    `${one(warm[0].rss)} → ${one(warm.at(-1).rss)} MiB; slope ${one(rss.slope)} MiB/h, 95 %: ${one(rss.low)} to ${one(rss.high)}`,
  );
  line('heap', `${one(warm[0].heap)} → ${one(warm.at(-1).heap)} MiB`);
  line('open files', `${span(warm, 'files')}, of them ${aside.files + before.files.size} of the program itself`);
  line('processes', `${span(warm, 'processes')}, of them ${aside.processes} HTTP servers of the program itself`);
  line(
    'at the end',
    `${open.size - before.files.size} more open files, ${living.length} processes, ${zombies.length} zombies`,
  );
  console.log(lines.join('\n'));
  for (const violation of tally.violations) console.log(`VIOLATION: ${violation}`);
  console.log(tally.violations.length === 0 ? 'soak: passed' : 'soak: FAILED');
  process.exitCode = tally.violations.length === 0 ? 0 : 1;
}

function span(warm, key) {
  const all = warm.map((one) => one[key]);
  return `${Math.min(...all)} to ${Math.max(...all)}`;
}
