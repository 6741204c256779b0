/** Knows what OpenTelemetry's own SDK hears of calls, once it is registered: spans, durations, and the server's context. */

import { context, metrics, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  AggregationTemporality,
  type HistogramMetricData,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { afterEach, describe, expect, it } from 'vitest';
import type { MCPStore } from '../../src/store.js';
import { FakeClock, failure } from '../support/fake-clock.js';
import { FakeServer, type FakeTool, openStore, RpcFault, text } from '../support/fake-server.js';

const spans = new InMemorySpanExporter();
let durations: InMemoryMetricExporter;
let reader: PeriodicExportingMetricReader;

function register(): void {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }));
  durations = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  reader = new PeriodicExportingMetricReader({ exporter: durations, exportIntervalMillis: 3_600_000 });
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));
}

afterEach(async () => {
  for (const api of [context, propagation, trace, metrics]) api.disable();
  await reader.shutdown();
  spans.reset();
});

async function open(
  tools: Record<string, FakeTool>,
  options: Parameters<typeof openStore>[2] = {},
): Promise<{ clock: FakeClock; store: MCPStore }> {
  const clock = new FakeClock();
  const store = await openStore({ s: new FakeServer(tools, clock) }, clock, options);
  return { clock, store };
}

/** What the duration of MCP requests was recorded with. */
async function recorded(): Promise<{ attributes: object; count: number; sum: number; bounds: number[] }[]> {
  await reader.forceFlush();
  const all = durations.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
  const duration = all.filter(({ descriptor }) => descriptor.name === 'mcp.client.operation.duration');
  const points = (duration as HistogramMetricData[]).flatMap(({ dataPoints }) => dataPoints);
  return points.map(({ attributes, value }) => ({
    attributes,
    count: value.count,
    sum: value.sum ?? 0,
    bounds: value.buckets.boundaries,
  }));
}

describe('with an SDK of OpenTelemetry', () => {
  it('a call is a client span below the caller’s own, and the server is told its context', async () => {
    register();
    const seen: object[] = [];
    const { store } = await open({
      echo: {
        run: ({ meta }) => {
          seen.push({ ...meta, active: trace.getActiveSpan()?.spanContext().spanId });
          return text('ok');
        },
      },
    });
    const tracer = trace.getTracer('test');
    await tracer.startActiveSpan('agent', async (parent) => {
      await store.callTool('s__echo', { a: 1 });
      parent.end();
    });
    const [call, agent] = spans.getFinishedSpans();
    expect(call).toMatchObject({
      name: 'tools/call echo',
      kind: SpanKind.CLIENT,
      status: { code: SpanStatusCode.UNSET },
      attributes: {
        'mcp.method.name': 'tools/call',
        'gen_ai.tool.name': 'echo',
        'gen_ai.operation.name': 'execute_tool',
        'mcpstore.service': 's',
        'mcpstore.attempts': 1,
        'mcpstore.cache': 'off',
      },
    });
    const { traceId, spanId } = call!.spanContext();
    expect(call!.parentSpanContext?.spanId).toBe(agent!.spanContext().spanId);
    expect(seen).toMatchObject([{ traceparent: `00-${traceId}-${spanId}-01`, active: spanId }]);
    await store.close();
  });

  it('says what failed: results with isError, error answers, time-outs', async () => {
    register();
    const { clock, store } = await open({
      bad: { run: () => ({ ...text('no'), isError: true }) },
      fault: {
        run: () => {
          throw new RpcFault(-32602, 'no such thing');
        },
      },
      slow: { delayMs: 1_000 },
    });
    await store.callTool('s__bad');
    await failure(store.callTool('s__fault'));
    const late = failure(store.callTool('s__slow', {}, { timeoutMs: 20 }));
    await clock.advance(20);
    await late;
    const [bad, fault, slow] = spans.getFinishedSpans();
    expect(bad).toMatchObject({ status: { code: SpanStatusCode.ERROR }, attributes: { 'error.type': 'tool_error' } });
    expect(fault!.attributes).toMatchObject({ 'error.type': '-32602', 'rpc.response.status_code': '-32602' });
    expect(fault!.status.message).toContain('no such thing');
    expect(slow!.attributes).toMatchObject({ 'error.type': 'TIMEOUT' });
    await store.close();
  });

  it('durations are recorded in seconds with the bounds of the convention, those of the cache’s answers are not', async () => {
    register();
    const { clock, store } = await open(
      { read: { annotations: { readOnlyHint: true }, delayMs: 250 } },
      { performance: { resultCache: { enabled: true } } },
    );
    const first = store.callTool('s__read');
    await clock.advance(250);
    await first;
    await store.callTool('s__read');
    const [duration, ...others] = await recorded();
    expect(others).toEqual([]);
    expect(duration).toMatchObject({
      count: 1,
      attributes: { 'mcp.method.name': 'tools/call', 'gen_ai.tool.name': 'read', 'mcpstore.service': 's' },
    });
    expect(duration!.sum).toBeCloseTo(0.25);
    expect(duration!.bounds.slice(0, 3)).toEqual([0.01, 0.02, 0.05]);
    expect(spans.getFinishedSpans().map(({ attributes }) => attributes['mcpstore.cache'])).toEqual(['miss', 'hit']);
    await store.close();
  });

  it('one that is registered later is heard from then on, and one that is gone no more', async () => {
    const { store } = await open({ echo: {} });
    await store.callTool('s__echo');
    register();
    // The first call has the API loaded, which may take longer than it.
    await store.callTool('s__echo');
    await new Promise((resolve) => setImmediate(resolve));
    spans.reset();
    await store.callTool('s__echo');
    expect(spans.getFinishedSpans()).toHaveLength(1);
    for (const api of [context, propagation, trace, metrics]) api.disable();
    await store.callTool('s__echo');
    expect(spans.getFinishedSpans()).toHaveLength(1);
    await store.close();
  });

  it('none is told where monitoring is off, nor the server', async () => {
    register();
    const seen: object[] = [];
    const { store } = await open(
      {
        echo: {
          run: ({ meta }) => {
            seen.push(meta);
            return text('ok');
          },
        },
      },
      { performance: { monitoring: { enabled: false } } },
    );
    await store.callTool('s__echo');
    expect([spans.getFinishedSpans().length, store.stats().calls.calls]).toEqual([0, 0]);
    store.enablePerformanceMonitoring();
    await store.callTool('s__echo');
    await new Promise((resolve) => setImmediate(resolve));
    await store.callTool('s__echo');
    store.disablePerformanceMonitoring();
    await store.callTool('s__echo');
    expect(store.stats().calls.calls).toBe(2);
    expect(seen.map((meta) => 'traceparent' in meta)).toEqual([false, false, true, false]);
    await store.close();
  });

  it('an exporter that throws costs no call', async () => {
    register();
    trace.disable();
    trace.setGlobalTracerProvider({
      getTracer: () => {
        throw new Error('exporter');
      },
    });
    const { store } = await open({ echo: {} });
    expect(await store.callTool('s__echo')).toMatchObject(text('echo {}'));
    await store.close();
  });
});
