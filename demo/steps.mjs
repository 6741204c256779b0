/** Knows the steps of the tour: each does one thing with the store, shows it, and fails where it did not work. */

import { textOf } from 'mcpstore';
import { bar, colors, count, figures, line, ms, Rows } from './screen.mjs';

const START_TIMEOUT_MS = 30_000;
const MARKS = { ready: colors.green('✓'), failed: colors.red('✗') };

export async function comeUp(store) {
  const rows = new Rows();
  const since = performance.now();
  const show = (name) => {
    const { status, kind, server, problem } = store.serviceInfo(name);
    const settled = status === 'ready' || status === 'failed';
    const what = server ? `${server.name} ${server.version}` : (problem?.message ?? '');
    const text = `  ${MARKS[status] ?? '·'} ${name.padEnd(16)} ${kind.padEnd(6)} ${status.padEnd(12)} ${elapsed(since)}  ${what}`;
    rows.set(name, text, settled);
  };
  const names = store.listServices().map(({ name }) => name);
  const off = store.on('state', ({ service }) => show(service));
  const ticker = setInterval(() => names.forEach(show), 100);
  try {
    names.forEach(show);
    const tools = await store.listTools({ timeoutMs: START_TIMEOUT_MS });
    const [problem] = store.problems();
    if (problem) throw problem.error;
    line(`  ${tools.length} tools of ${names.length} services in ${elapsed(since)}`);
  } finally {
    clearInterval(ticker);
    off();
  }
}

export async function firstCall(store, path) {
  const since = performance.now();
  const result = await store.callTool('files__read_text_file', { path }, { throwOnToolError: true });
  line(`  files__read_text_file → ${JSON.stringify(textOf(result).trim())} in ${elapsed(since)}`);
}

/** @returns calls/s by service, and of all under '' */
export async function wideBatch(store, calls) {
  const spans = new Map();
  const off = store.on('call', ({ service, startedAt, totalMs }) => {
    const span = spans.get(service) ?? { from: startedAt, to: 0, calls: 0 };
    spans.set(service, { from: span.from, to: Math.max(span.to, startedAt + totalMs), calls: span.calls + 1 });
  });
  const batch = await shown(store, calls);
  off();
  const perSecond = new Map([['', rate(batch)]]);
  for (const [name, { from, to, calls: done }] of spans) perSecond.set(name, done / ((to - from) / 1000));
  return perSecond;
}

export async function cachedBatch(store, calls) {
  const batch = await shown(store, calls);
  if (batch.totals.fromCache !== calls.length)
    throw new Error(`${calls.length - batch.totals.fromCache} of ${calls.length} calls were not answered by the cache`);
}

async function shown(store, calls) {
  const rows = new Rows();
  let done = 0;
  const batch = await store.batchCall(calls, {
    timeoutMs: 60_000,
    onResult: () => {
      if (++done % 10 === 0) rows.set('bar', `  ${bar(done, calls.length)}`);
    },
  });
  const bad = batch.results.find((entry) => entry.status !== 'ok');
  if (bad) throw bad.error ?? new Error(`an entry of the batch is ${bad.status}: ${textOf(bad.result)}`);
  const { totals, durationMs } = batch;
  rows.set('bar', `  ${bar(done, calls.length)}`, true);
  line(`  ${totals.ok} ok, ${totals.fromCache} from the cache, in ${ms(durationMs)}: ${count(rate(batch))} calls/s`);
  return batch;
}

function rate({ totals, durationMs }) {
  return totals.calls / (durationMs / 1000);
}

export async function slowTool(store) {
  const rows = new Rows();
  const since = performance.now();
  const steps = 8;
  const show = (done) => rows.set('bar', `  ${bar(done, steps)}  ${elapsed(since)}`, done === steps);
  show(0);
  let reports = 0;
  const result = await store.callTool(
    'everything__trigger-long-running-operation',
    { duration: 2, steps },
    {
      throwOnToolError: true,
      onProgress: ({ progress }) => {
        reports++;
        show(progress);
      },
    },
  );
  show(steps);
  line(`  ${reports} reports of progress. ${textOf(result)}`);
}

export async function killed(store, name, path) {
  const [pid] = store.serviceInfo(name).pids;
  const rows = new Rows();
  const since = performance.now();
  const gone = new Promise((resolve) => {
    const off = store.on('state', ({ service, status, attempt }) => {
      if (service !== name) return;
      const good = status === 'ready' ? colors.green(status) : colors.yellow(status);
      rows.set(`${status}${attempt ?? ''}`, `  ${name}: ${good} after ${elapsed(since)}`, true);
      if (status === 'ready') off();
      else resolve();
    });
  });
  line(`  kill -9 ${pid}`);
  process.kill(pid, 'SIGKILL');
  await gone;
  const result = await store.callTool('files__read_text_file', { path }, { cache: 'bypass', throwOnToolError: true });
  line(`  the next call waited for the new process: ${JSON.stringify(textOf(result).trim())} after ${elapsed(since)}`);
}

export function table(store, perSecond) {
  line(figures(store.stats(), perSecond));
  line('calls/s: of the batch of 200, before anything was cached. created, reused, failed: connections.');
}

function elapsed(since) {
  return ms(performance.now() - since);
}
