/** Knows the text that Prometheus reads: every family once, every label escaped, buckets that add up. */

import { describe, expect, it } from 'vitest';
import { FakeClock } from '../support/fake-clock.js';
import { FakeServer, openStore, text } from '../support/fake-server.js';

interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** The text format, version 0.0.4, and nothing else: what does not fit throws. */
function parsed(exposition: string): { types: Map<string, string>; samples: Sample[] } {
  const types = new Map<string, string>();
  const samples: Sample[] = [];
  expect(exposition.endsWith('\n')).toBe(true);
  for (const line of exposition.slice(0, -1).split('\n')) {
    const type = /^# TYPE ([a-z_]+) (counter|gauge|histogram)$/.exec(line);
    if (type) {
      expect(types.has(type[1]!)).toBe(false);
      types.set(type[1]!, type[2]!);
      continue;
    }
    if (/^# HELP [a-z_]+ \S.*$/.test(line)) continue;
    const sample = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!sample) throw new Error(`no line of the format: ${line}`);
    const labels: Record<string, string> = {};
    const rest = (sample[2] ?? '').replace(
      /([a-z_]+)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/g,
      (_, key: string, raw: string) => {
        labels[key] = raw.replace(/\\(.)/g, (__, c: string) => (c === 'n' ? '\n' : c));
        return '';
      },
    );
    expect(rest).toBe('');
    expect(Number.isNaN(Number(sample[3]))).toBe(false);
    const family = [...types.keys()].find(
      (name) => sample[1]!.replace(/_(bucket|sum|count)$/, '') === name || name === sample[1],
    );
    expect(family).toBeDefined();
    samples.push({ name: sample[1]!, labels, value: Number(sample[3]) });
  }
  return { types, samples };
}

describe('the text for Prometheus', () => {
  it('has calls by outcome, codes, histograms, queues, connections, states, cache and batches', async () => {
    const clock = new FakeClock();
    const server = new FakeServer(
      {
        fast: { annotations: { readOnlyHint: true }, delayMs: 2 },
        slow: { delayMs: 700 },
        bad: { run: () => ({ ...text('no'), isError: true }) },
      },
      clock,
    );
    const store = await openStore({ s: server }, clock, { performance: { resultCache: { enabled: true } } });
    await store.listTools();
    const calls = store.batchCall([
      { tool: 's__fast', arguments: { a: 1 } },
      { tool: 's__fast', arguments: { a: 1 } },
      { tool: 's__slow' },
      { tool: 's__bad' },
    ]);
    await clock.advance(1_000);
    await calls;
    const late = store.callTool('s__slow', {}, { timeoutMs: 10 }).catch(() => {});
    await clock.advance(10);
    await late;
    const { types, samples } = parsed(store.metrics.prometheus());
    const value = (name: string, labels: Record<string, string> = {}): number | undefined =>
      samples.find(
        (sample) => sample.name === name && Object.entries(labels).every(([key, text]) => sample.labels[key] === text),
      )?.value;
    expect(value('mcpstore_calls_total', { service: 's', tool: 'fast', outcome: 'ok' })).toBe(2);
    expect(value('mcpstore_calls_total', { tool: 'bad', outcome: 'tool_error' })).toBe(1);
    expect(value('mcpstore_call_errors_total', { tool: 'slow', code: 'TIMEOUT' })).toBe(1);
    expect(value('mcpstore_call_duration_seconds_bucket', { tool: 'slow', le: '0.5' })).toBe(1);
    expect(value('mcpstore_call_duration_seconds_bucket', { tool: 'slow', le: '1' })).toBe(2);
    expect(value('mcpstore_call_duration_seconds_bucket', { tool: 'slow', le: '+Inf' })).toBe(2);
    expect(value('mcpstore_call_duration_seconds_count', { tool: 'slow' })).toBe(2);
    expect(value('mcpstore_call_duration_seconds_sum', { tool: 'slow' })).toBeCloseTo(0.71);
    expect(value('mcpstore_calls_running', { service: 's' })).toBe(0);
    expect(value('mcpstore_connections', { service: 's', state: 'open' })).toBe(1);
    expect(value('mcpstore_endpoint_status', { service: 's', status: 'ready' })).toBe(1);
    expect([value('mcpstore_cache_joined_total'), value('mcpstore_cache_misses_total')]).toEqual([1, 1]);
    expect([value('mcpstore_batches_total'), value('mcpstore_batch_calls_total')]).toEqual([1, 4]);
    expect(types.get('mcpstore_call_duration_seconds')).toBe('histogram');
    await store.close();
  });

  it('A1: escapes names that would end a label or a line', async () => {
    const clock = new FakeClock();
    const name = 'a"b\\c\nd';
    const store = await openStore({ s: new FakeServer({ [name]: {} }, clock) }, clock);
    await store.lease('s', (lease) => lease.callTool(name)).catch(() => {});
    const { samples } = parsed(store.metrics.prometheus());
    expect(samples.some(({ labels }) => labels['tool'] === name)).toBe(true);
    await store.close();
  });

  it('is there for a store that was never used', async () => {
    const clock = new FakeClock();
    const store = await openStore({}, clock);
    expect(parsed(store.metrics.prometheus()).samples.length).toBeGreaterThan(5);
    await store.close();
  });

  it('has memory while samples are taken: in bytes, and no gauge once they are not', async () => {
    const store = await openStore({ s: new FakeServer({ fast: {} }, new FakeClock()) }, new FakeClock());
    const gauges = (): Sample[] =>
      parsed(store.metrics.prometheus()).samples.filter(({ name }) => name === 'mcpstore_memory_bytes');
    expect(gauges()).toEqual([]);
    const { rssMb } = await store.memory.start({ thresholdMb: 100_000 });
    expect(gauges().map(({ labels }) => labels['kind'])).toEqual(['rss', 'used', 'heap_used', 'external']);
    expect(gauges()[0]!.value).toBe(Math.round(rssMb * 1024 * 1024));
    store.memory.stop();
    expect(gauges()).toEqual([]);
    const { types, samples } = parsed(store.metrics.prometheus());
    expect(types.get('mcpstore_memory_steps_total')).toBe('counter');
    expect(samples.filter(({ name }) => name === 'mcpstore_memory_steps_total').length).toBe(3);
    await store.close();
  });
});
