/** Knows the calls of the soak and what each has to come to: its own answer, or a typed error that fits. */

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

/** What a call may fail with because its server was killed or its time was up. */
const BY_CHAOS = new Set([
  'OUTCOME_UNKNOWN',
  'TIMEOUT',
  'START_FAILED',
  'CONNECT_FAILED',
  'SERVICE_DOWN',
  'RATE_LIMITED',
  'LIMIT_EXCEEDED',
]);
const TIMEOUT_MS = 10_000;
/** A call may settle so much after its deadline, on a machine that is busy. */
const LATE_MS = 5_000;

/** Not `cached`: whatever is called there that may change something drops what it has. */
const SCRIPTED = ['alpha', 'pooled', 'replicas', 'web'];
const EVERYTHING = ['everything', 'everything_web'];

const pick = (list) => list[Math.floor(Math.random() * list.length)];
const upTo = (n) => Math.floor(Math.random() * n);
const textIn = (result) => result.content.map((block) => block.text ?? '').join('');
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Kinds of work with how often each comes; `tally.call(fn, expected codes)` counts one call of it. */
function kinds({ store, agents, tally }) {
  const scopes = [store, store, ...agents];
  const call = (name, args, options, codes, onError) =>
    tally.call(() => pick(scopes).callTool(name, args, { timeoutMs: TIMEOUT_MS, ...options }), codes, onError);
  const own = async (name, args, expected, options) => {
    const result = await call(name, args, options);
    if (result) assert.equal(textIn(result), expected, 'another call’s answer');
  };
  return [
    [20, () => own(`${pick(SCRIPTED)}__echo`, ...twice(randomUUID()))],
    [20, () => own(`${pick(SCRIPTED)}__sleep`, { ms: 1 + upTo(60), text: 'x' }, 'x')],
    [5, () => cached(call)],
    [5, () => own('cached__echo', ...twice(`equal ${upTo(20)}`))],
    [5, () => echoEverything(own)],
    [4, () => mirrored(call)],
    [4, () => effect(tally, call)],
    [2, () => own(`${pick(SCRIPTED)}__big`, { chars: 100_000 }, '0123456789abcdef'.repeat(6_250))],
    [2, () => own(`${pick(SCRIPTED)}__progress`, { steps: 5 }, 'done', { onProgress: () => tally.progress++ })],
    [2, () => call(`${pick(SCRIPTED)}__rpc_error`, {}, {}, ['RPC_ERROR'])],
    [2, () => call(`${pick(SCRIPTED)}__tool_error`, {}, { throwOnToolError: true }, ['TOOL_ERROR'])],
    [1, () => call(`${pick(SCRIPTED)}__no_such_tool`, {}, {}, ['TOOL_UNKNOWN'])],
    [1, () => call('alpha__echo', { text: 5 }, { validateArguments: true }, ['ARGUMENTS_INVALID'])],
    [2, () => call(`${pick(SCRIPTED)}__hang`, {}, { timeoutMs: 20 + upTo(80) }, ['TIMEOUT'])],
    [3, () => cancelled(call)],
    [1, () => tally.call(() => store.readResource(pick(['alpha', 'web']), 'test://one', { timeoutMs: TIMEOUT_MS }))],
    [0.2, () => leased(store, tally)],
    [0.05, () => store.listTools({ refresh: 'always' })],
    [2, () => batch(pick(scopes), tally)],
  ];
}

const twice = (text) => [{ text }, text];

/** Cached or not, it is what that process counts. */
async function cached(call) {
  const result = await call('cached__peek', { n: upTo(20) });
  if (result) assert.match(textIn(result), /^\d+$/);
}

function echoEverything(own) {
  const message = randomUUID();
  return own(`${pick(EVERYTHING)}__echo`, { message }, `Echo: ${message}`);
}

async function mirrored(call) {
  const args = { id: randomUUID(), deep: { list: [1, null, 'ü', { __proto__: null, x: Math.random() }] } };
  const result = await call(`${pick(SCRIPTED)}__mirror`, args);
  if (result) assert.deepEqual(result.structuredContent, JSON.parse(JSON.stringify(args)));
}

/** Its side effect shall have happened once where it is said to have, never where it is said not to. */
async function effect(tally, call) {
  const id = randomUUID();
  const tool = `${pick(SCRIPTED)}__effect`;
  const effect = { id, tool, said: 'yes' };
  const result = await call(tool, { id }, {}, [], (error) => {
    effect.said = error.executed;
  });
  tally.effects.push(effect);
  if (result) assert.equal(textIn(result), id, 'another call’s answer');
}

async function cancelled(call) {
  const abort = new AbortController();
  const ending = sleep(upTo(30)).then(() => abort.abort());
  await call(`${pick(SCRIPTED)}__sleep`, { ms: upTo(60) }, { signal: abort.signal }, ['CANCELLED']);
  await ending;
}

async function leased(store, tally) {
  await tally.guarded(() =>
    store.lease('alpha', async (lease) => {
      for (let n = 1; n <= 3; n++) {
        const result = await tally.call(() => lease.callTool('counter', {}, { timeoutMs: TIMEOUT_MS }));
        if (result) assert.equal(textIn(result), String(n), 'a lease is its own process');
      }
    }),
  );
}

async function batch(scope, tally) {
  const calls = Array.from({ length: 10 }, (_, i) => ({
    tool: `${pick(SCRIPTED)}__echo`,
    arguments: { text: `batch ${i}` },
  }));
  const { results } = await scope.batchCall(calls, { concurrency: 4, callTimeoutMs: TIMEOUT_MS });
  assert.equal(results.length, calls.length);
  for (const [i, entry] of results.entries()) {
    tally.entry(entry);
    if (entry.status === 'ok') assert.equal(textIn(entry.result), `batch ${i}`, 'an entry out of its place');
  }
}

/** Counts what calls come to, in memory of a fixed size but for the ids of side effects. */
export class Tally {
  calls = 0;
  answered = 0;
  progress = 0;
  /** Began and have not settled. */
  underWay = 0;
  /** Failures with `executed: 'no'`: they may have ended before they became a call. */
  early = 0;
  errors = {};
  /** Failures of services that were given up for a time, by service. */
  down = {};
  /** `{ id, tool, said }` of each side effect, `said` being `executed`. */
  effects = [];
  /** What must not happen, the first hundred. */
  violations = [];
  /** Calls by the tenth of a millisecond, on a scale that doubles every 8 steps. */
  #latencies = new Uint32Array(256);

  constructor(isStoreError) {
    this.isStoreError = isStoreError;
  }

  violation(text) {
    if (this.violations.length < 100) this.violations.push(text);
  }

  /** One call, which has to settle in time: its result, or undefined where it failed as it may. */
  async call(fn, codes = [], onError = undefined) {
    this.calls++;
    this.underWay++;
    const since = performance.now();
    try {
      const result = await fn();
      this.answered++;
      this.#latency(performance.now() - since);
      return result;
    } catch (error) {
      this.failed(error, codes);
      onError?.(error);
      return undefined;
    } finally {
      this.underWay--;
      const ms = performance.now() - since;
      if (ms > TIMEOUT_MS + LATE_MS) this.violation(`a call took ${Math.round(ms)} ms`);
    }
  }

  failed(error, codes) {
    if (!this.isStoreError(error)) return this.violation(`untyped: ${error?.stack ?? error}`);
    this.errors[error.code] = (this.errors[error.code] ?? 0) + 1;
    if (!['no', 'yes', 'unknown'].includes(error.executed)) this.violation(`executed ${error.executed}`);
    if (error.executed === 'no') this.early++;
    if (error.code === 'SERVICE_DOWN') this.down[error.service] = (this.down[error.service] ?? 0) + 1;
    if (!codes.includes(error.code) && !BY_CHAOS.has(error.code))
      this.violation(`unexpected: ${error.code}: ${error.message}`);
  }

  entry({ error, durationMs }) {
    this.calls++;
    if (error) this.failed(error, []);
    else {
      this.answered++;
      this.#latency(durationMs);
    }
  }

  /** Work around calls: it may fail as they may. */
  async guarded(fn) {
    await fn().catch((error) => {
      if (!this.isStoreError(error) || !BY_CHAOS.has(error.code)) throw error;
    });
  }

  #latency(ms) {
    const step = Math.round(8 * Math.log2(1 + ms * 10));
    this.#latencies[Math.min(step, 255)]++;
  }

  /** Milliseconds that this share of the answered calls stayed below. */
  quantile(share) {
    let left = share * this.answered;
    const step = this.#latencies.findIndex((count) => {
      left -= count;
      return left <= 0;
    });
    return (2 ** (Math.max(step, 0) / 8) - 1) / 10;
  }
}

/** Keeps `inFlight` pieces of work under way until `until()`; resolves when the last has settled. */
export async function load({ store, agents, tally, inFlight, until }) {
  const work = kinds({ store, agents, tally });
  const total = work.reduce((sum, [weight]) => sum + weight, 0);
  const next = () => {
    let at = Math.random() * total;
    return work.find(([weight]) => {
      at -= weight;
      return at < 0;
    })[1];
  };
  const worker = async () => {
    while (!until())
      await next()().catch((error) => {
        if (!tally.isStoreError(error) || !BY_CHAOS.has(error.code)) tally.violation(String(error?.stack ?? error));
      });
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
}
