/**
 * `npm run load`: 20 services that work well, 200 calls of 50 ms under way at a time; in turn through the store and, for a
 * quarter of the time, straight to the servers, on raw pipes and sockets. Options: `--seconds N` (600) for the store,
 * `--services N` (20, a quarter of them over HTTP), `--in-flight N` (200), `--window N` seconds (20). Ends with the
 * figures, and with 1 where a call failed, an answer was another's, the store adds more than 10 ms to p99, or something
 * is left.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { floorHttp } from '../../bench/clients/floor-http.mjs';
import { floorStdio } from '../../bench/clients/floor-stdio.mjs';
import { stdioService } from '../../bench/clients/store.mjs';
import { httpServer } from '../../bench/lib/spawn.mjs';
import { percentile, sorted } from '../../bench/lib/stats.mjs';
import { build } from '../../scripts/build.mjs';
import { descendants, median, openFiles } from './sample.mjs';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    services: { type: 'string', default: '20' },
    'in-flight': { type: 'string', default: '200' },
    window: { type: 'string', default: '20' },
  },
});
const [seconds, count, inFlight, windowS] = ['seconds', 'services', 'in-flight', 'window'].map((key) =>
  Number(values[key]),
);
const TOOL_MS = 50;
const MAX_ADDED_MS = 10;

await build();
const { MCPStore } = await import('mcpstore');

// libuv keeps one descriptor from its first stream on.
await once(spawn('true', { stdio: 'pipe' }), 'close');
const before = openFiles().size;

const names = Array.from({ length: count }, (_, i) => `s${i}`);
const servers = [];
const services = {};
const direct = {};
for (const [i, name] of names.entries()) {
  if (i % 4 === 3) {
    const server = await httpServer();
    servers.push(server);
    services[name] = { url: server.url };
    direct[name] = floorHttp({ url: server.url, sockets: 10 });
  } else {
    services[name] = stdioService();
    direct[name] = floorStdio();
  }
}
const store = await MCPStore.open({ services, stateDir: null });
await Promise.all(Object.values(direct).map((client) => client.connect()));

const subjects = {
  store: (name, args) => store.callTool(`${name}__sleep`, args),
  direct: (name, args) => direct[name].call('sleep', args),
};
const windows = { store: [], direct: [] };
const totals = { store: 0, direct: 0 };
const errors = {};
let crossed = 0;
let serial = 0;

/** So many calls at a time for so long, over all services in turn. */
async function run(subject, ms) {
  const call = subjects[subject];
  const times = [];
  const end = performance.now() + ms;
  const worker = async () => {
    while (performance.now() < end) {
      const mark = `${serial++}`;
      const since = performance.now();
      try {
        const result = await call(names[serial % count], { ms: TOOL_MS, text: mark });
        times.push(performance.now() - since);
        if (result.content[0].text !== mark) crossed++;
      } catch (error) {
        const code = `${subject}: ${error.code ?? error.name}`;
        errors[code] = (errors[code] ?? 0) + 1;
      }
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  totals[subject] += times.length;
  return sorted(Float64Array.from(times));
}

for (const subject of ['store', 'direct']) await run(subject, 2_000);
const rounds = Math.max(1, Math.round(seconds / windowS));
for (let round = 0; round < rounds; round++)
  for (const subject of round % 2 ? ['direct', 'store'] : ['store', 'direct'])
    windows[subject].push(await run(subject, windowS * (subject === 'store' ? 1_000 : 250)));

const perService = Object.values(store.connectionStats()).flatMap((endpoints) => Object.values(endpoints));
await store.close();
await Promise.all(Object.values(direct).map((client) => client.close()));
await Promise.all(servers.map((server) => server.close()));
for (let i = 0; i < 50 && (openFiles().size > before || descendants().living.length > 0); i++)
  await new Promise((resolve) => setTimeout(resolve, 100));

const at = (subject, share) => median(windows[subject].map((times) => percentile(times, share)));
const added = median(windows.store.map((times, i) => percentile(times, 0.99) - percentile(windows.direct[i], 0.99)));
const { living, zombies } = descendants();
const left = { files: openFiles().size - before, processes: living.length, zombies: zombies.length };
const timers = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
const problems = [
  ...Object.entries(errors).map(([code, times]) => `${code}: ${times}`),
  ...(crossed > 0 ? [`${crossed} answers were another’s`] : []),
  ...(added > MAX_ADDED_MS ? [`p99 is ${added.toFixed(1)} ms more than straight to the servers`] : []),
  ...Object.entries({ ...left, timers }).flatMap(([what, more]) => (more > 0 ? [`${more} ${what} left`] : [])),
];
const line = (name, text) => console.log(`${name.padEnd(12)} ${text}`);
const figures = (subject) =>
  `${totals[subject]} calls, p50 ${at(subject, 0.5).toFixed(1)} ms, p99 ${at(subject, 0.99).toFixed(1)} ms, p99.9 ${at(subject, 0.999).toFixed(1)} ms`;
line('machine', `${cpus().length} × ${cpus()[0].model}, Linux ${release()}, Node ${process.version}`);
line(
  'run',
  `${new Date().toISOString().slice(0, 10)}, ${count} services, ${inFlight} in flight, ${rounds} × ${windowS} s`,
);
line('store', figures('store'));
line('direct', figures('direct'));
line('added p99', `${added.toFixed(2)} ms (median of ${rounds} pairs)`);
line('errors', Object.keys(errors).length === 0 ? 'none' : JSON.stringify(errors));
line('crossed', `${crossed}`);
const sum = (key) => perService.reduce((all, one) => all + one[key], 0);
line('connections', `${sum('created')} made, ${sum('reused')} uses of one that was there, ${sum('failed')} failed`);
line(
  'at the end',
  `${left.files} more open files, ${left.processes} processes, ${left.zombies} zombies, ${timers} timers`,
);
for (const problem of problems) console.log(`VIOLATION: ${problem}`);
console.log(problems.length === 0 ? 'load: passed' : 'load: FAILED');
process.exitCode = problems.length === 0 ? 0 : 1;
