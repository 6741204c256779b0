/** Run in a fresh process: writes the lists of 10,000 services, weighs a store of them, or times its calls. */

import { performance } from 'node:perf_hooks';
import { storeClient } from '../clients/store.mjs';
import { figures } from '../lib/compare.mjs';
import { fakeServer } from '../lib/fake-server.mjs';
import { fitting, inFlight, measured } from '../lib/load.mjs';
import { difference, paired } from '../lib/paired.mjs';
import { seeded } from '../lib/stats.mjs';
import { name, remember, services, TOOLS_EACH } from './ten-thousand.mjs';

const [mode, stateDir, given = '{}'] = process.argv.slice(2);
const { services: count = 10_000, rounds = 15, calls = 10_000 } = JSON.parse(given);

function rssMb() {
  globalThis.gc?.();
  return process.memoryUsage.rss() / 2 ** 20;
}

/** A store of all of them, and one that answers in this process. */
async function openAll() {
  const client = storeClient(
    { server: fakeServer() },
    { services: { bench: { server: fakeServer() }, ...services(count) }, stateDir },
    'many',
  );
  await client.connect();
  return client;
}

async function weigh() {
  const start = performance.now();
  const client = await openAll();
  const { store } = client;
  const answer = { openMs: performance.now() - start, openMb: rssMb() };
  // One after the other every service is looked into, so that the store has met each of the 100,000 tools.
  answer.tools = 0;
  for (let i = 0; i < count; i++)
    answer.tools += (await store.listTools({ service: name(i), refresh: 'never' })).length;
  answer.rssMb = rssMb();
  answer.expected = count * TOOLS_EACH;
  await client.close();
  return answer;
}

async function time() {
  const one = storeClient({ server: fakeServer() }, {}, 'one');
  await one.connect();
  const many = await openAll();
  const subjects = [];
  for (const { name, call } of [one, many]) {
    const echo = () => call('echo', { text: 'hello' });
    await fitting(echo, 1, 50, 500);
    subjects.push({ name, slice: () => measured(() => inFlight(echo, 1, calls)) });
  }
  const all = await paired(subjects, { rounds, random: seeded(1) });
  await Promise.all([one.close(), many.close()]);
  return { figures: figures(all, ['cpuUs']), more: difference(all, 'many', 'one', 'cpuUs') };
}

try {
  const work = { prime: () => remember(stateDir, count), weigh, time }[mode];
  process.send((await work()) ?? {}, () => process.exit());
} catch (error) {
  process.send({ error: error.stack }, () => process.exit(1));
}
