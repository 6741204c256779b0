/** Knows how a store's figures are written for Prometheus (text exposition format, version 0.0.4). */

import type { StoreStats } from '../store-stats.js';
import { BUCKETS_MS, type CallStats, type Counter } from './counter.js';

type Labels = Record<string, string>;

const OUTCOMES = ['ok', 'toolErrors', 'failed', 'unknown', 'notSent'] as const;
const OUTCOME_LABELS = {
  ok: 'ok',
  toolErrors: 'tool_error',
  failed: 'failed',
  unknown: 'unknown',
  notSent: 'not_sent',
} as const;

/** One kind of figures, with all its values. */
class Family {
  readonly #name: string;
  readonly #lines: string[];

  constructor(name: string, type: 'counter' | 'gauge' | 'histogram', help: string) {
    this.#name = name;
    this.#lines = [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
  }

  add(labels: Labels, value: number, suffix = ''): void {
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text)}"`);
    this.#lines.push(`${this.#name}${suffix}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}`);
  }

  get text(): string {
    return `${this.#lines.join('\n')}\n`;
  }
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

/** @param counters - service, tool and what is counted of it */
export function prometheusText(stats: StoreStats, counters: Iterable<[string, string, Counter]>): string {
  const families = [...ofCalls(stats, counters), ...ofServices(stats), ...ofTheStore(stats), ...ofMemory(stats)];
  return families.map(({ text }) => text).join('');
}

function ofCalls(stats: StoreStats, counters: Iterable<[string, string, Counter]>): Family[] {
  const calls = new Family('mcpstore_calls_total', 'counter', 'Calls that have settled, by outcome.');
  const errors = new Family('mcpstore_call_errors_total', 'counter', 'Calls that ended with an error, by its code.');
  const attempts = new Family('mcpstore_call_attempts_total', 'counter', 'Attempts, retries included.');
  const retries = new Family('mcpstore_call_retries_total', 'counter', 'Attempts after the first of a call.');
  const fallbacks = new Family('mcpstore_call_fallbacks_total', 'counter', 'Failed calls that a fallback answered.');
  const duration = new Family(
    'mcpstore_call_duration_seconds',
    'histogram',
    'Whole calls, queue and retries included.',
  );
  for (const [service, tool, counter] of counters) {
    const labels = { service, tool };
    const own = stats.services[service]!.tools[tool]!;
    for (const outcome of OUTCOMES) calls.add({ ...labels, outcome: OUTCOME_LABELS[outcome] }, own[outcome]);
    for (const [code, count] of Object.entries(own.errorCodes)) errors.add({ ...labels, code }, count);
    attempts.add(labels, own.attempts);
    retries.add(labels, own.retries);
    fallbacks.add(labels, own.fallbacks);
    addBuckets(duration, labels, counter, own);
  }
  return [calls, errors, attempts, retries, fallbacks, duration];
}

function addBuckets(family: Family, labels: Labels, counter: Counter, own: CallStats): void {
  let upTo = 0;
  for (const [i, bound] of BUCKETS_MS.entries()) {
    upTo += counter.buckets[i]!;
    family.add({ ...labels, le: String(bound / 1000) }, upTo, '_bucket');
  }
  family.add({ ...labels, le: '+Inf' }, own.calls, '_bucket');
  family.add(labels, counter.sumMs / 1000, '_sum');
  family.add(labels, own.calls, '_count');
}

function ofServices({ queues, connections, endpoints }: StoreStats): Family[] {
  const running = new Family('mcpstore_calls_running', 'gauge', 'Calls that hold a permit of their service.');
  const waiting = new Family('mcpstore_calls_waiting', 'gauge', 'Calls that wait for a permit of their service.');
  for (const [service, queue] of Object.entries(queues)) {
    running.add({ service }, queue.running);
    waiting.add({ service }, queue.waiting);
  }
  const state = new Family('mcpstore_connections', 'gauge', 'Connections (over HTTP: sockets), by state.');
  const made = new Family('mcpstore_connections_created_total', 'counter', 'Connections that were opened.');
  const reused = new Family(
    'mcpstore_connections_reused_total',
    'counter',
    'Requests over a connection that was open.',
  );
  const failed = new Family('mcpstore_connections_failed_total', 'counter', 'Connections that could not be opened.');
  const late = new Family('mcpstore_connection_timeouts_total', 'counter', 'Calls that waited for one in vain.');
  for (const [service, pools] of Object.entries(connections))
    for (const [endpoint, pool] of Object.entries(pools)) {
      const labels = { service, endpoint };
      for (const name of ['open', 'idle', 'opening'] as const) state.add({ ...labels, state: name }, pool[name]);
      made.add(labels, pool.created);
      reused.add(labels, pool.reused);
      failed.add(labels, pool.failed);
      late.add(labels, pool.timeouts);
    }
  const status = new Family('mcpstore_endpoint_status', 'gauge', '1 for the state that an endpoint is in.');
  for (const [service, all] of Object.entries(endpoints))
    for (const [i, { label, status: name }] of all.entries())
      status.add({ service, endpoint: `${i}:${label}`, status: name }, 1);
  return [running, waiting, state, made, reused, failed, late, status];
}

function ofTheStore({ cache, batches }: StoreStats): Family[] {
  const one = (name: string, type: 'counter' | 'gauge', help: string, value: number): Family => {
    const family = new Family(`mcpstore_${name}`, type, help);
    family.add({}, value);
    return family;
  };
  return [
    one('cache_hits_total', 'counter', 'Calls that the result cache answered.', cache.hits),
    one('cache_misses_total', 'counter', 'Calls that the result cache could not answer.', cache.misses),
    one('cache_joined_total', 'counter', 'Calls that waited for an equal one under way.', cache.joined),
    one('cache_evictions_total', 'counter', 'Results that were dropped for room.', cache.evictions),
    one('cache_entries', 'gauge', 'Results that are kept.', cache.entries),
    one('cache_bytes', 'gauge', 'Their size as JSON.', cache.bytes),
    one('batches_total', 'counter', 'Batches that are over.', batches.batches),
    one('batch_calls_total', 'counter', 'Their calls.', batches.calls),
  ];
}

/** Gauges only while samples are taken: an old one would look like a level that does not change. */
function ofMemory({ memory: { current, steps, restarts } }: StoreStats): Family[] {
  const own = new Family('mcpstore_memory_bytes', 'gauge', 'Memory of this process at the last sample, by kind.');
  const child = new Family('mcpstore_child_memory_bytes', 'gauge', 'Resident memory of the processes of a service.');
  const lag = new Family('mcpstore_event_loop_lag_seconds', 'gauge', 'How late the event loop ran, on the average.');
  const taken = new Family('mcpstore_memory_steps_total', 'counter', 'Times that the store gave something up.');
  const renewed = new Family('mcpstore_memory_restarts_total', 'counter', 'Processes replaced for their maxMemoryMb.');
  const bytes = (mb: number): number => Math.round(mb * 1024 * 1024);
  if (current) {
    own.add({ kind: 'rss' }, bytes(current.rssMb));
    own.add({ kind: 'used' }, bytes(current.usedMb));
    own.add({ kind: 'heap_used' }, bytes(current.heapUsedMb));
    own.add({ kind: 'external' }, bytes(current.externalMb));
    const sums = new Map<string, number>();
    for (const { service, rssMb } of current.children ?? []) sums.set(service, (sums.get(service) ?? 0) + rssMb);
    for (const [service, mb] of sums) child.add({ service }, bytes(mb));
    if (current.loopLagMs !== undefined) lag.add({}, current.loopLagMs / 1000);
  }
  for (const [step, count] of Object.entries(steps)) taken.add({ step }, count);
  renewed.add({}, restarts);
  return [own, child, lag, taken, renewed];
}
