/** Knows how calls are told to OpenTelemetry where the program has registered an SDK; without one it costs one look-up. */

import type { Attributes, Context, Histogram, Span } from '@opentelemetry/api';
import type { Call, CallRecord } from '../call.js';
import type { StoreError } from '../errors.js';

type Api = typeof import('@opentelemetry/api');

/** The span of one call that is under way. */
export interface CallSpan {
  /** Runs `fn` as a part of the span. */
  run<T>(fn: () => T): T;
  /** Never throws: an exporter's failure is not the call's. */
  end(record: CallRecord, error: StoreError | undefined): void;
}

/** Where version 1 of the API keeps what SDKs register. It is looked at first: loading the API takes longer than a call. */
const REGISTRY = Symbol.for('opentelemetry.js.api.1');

interface Registered {
  trace?: object;
  metrics?: object;
}

const SCOPE = 'mcpstore';

/**
 * OpenTelemetry semantic conventions for MCP (open-telemetry/semantic-conventions-genai, "mcp"): client spans, and this
 * metric with these bounds, in seconds.
 */
const DURATION = 'mcp.client.operation.duration';
const BOUNDS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300];

export class Telemetry {
  readonly #about: (service: string) => Attributes;
  #api: Api | undefined;
  #loading: Promise<void> | undefined;
  /** Of the meter provider that is registered now. */
  #meters: object | undefined;
  #duration: Histogram | undefined;

  /** @param about - what is known of a service's transport, as attributes */
  constructor(about: (service: string) => Attributes) {
    this.#about = about;
  }

  /** Loads the API where an SDK is registered, so that the first call is told too. */
  async ready(): Promise<void> {
    if (registered() !== undefined) await this.#load();
  }

  /** Begins the span of a call; undefined where no SDK is registered. */
  start(call: Call): CallSpan | undefined {
    const providers = registered();
    if (providers === undefined) return undefined;
    const api = this.#api;
    if (api === undefined) {
      void this.#load();
      return undefined;
    }
    try {
      return new TracedCall(api, call, this.#histogram(api, providers), this.#about);
    } catch {
      return undefined;
    }
  }

  #load(): Promise<void> {
    this.#loading ??= import('@opentelemetry/api').then(
      (api) => {
        this.#api = api;
      },
      // What an SDK brought along and we cannot load is no reason to fail a call.
      () => {},
    );
    return this.#loading;
  }

  /** The metrics API has no instruments that come to life later, so they are made anew for another provider. */
  #histogram(api: Api, { metrics }: Registered): Histogram | undefined {
    if (metrics !== this.#meters) {
      this.#meters = metrics;
      this.#duration =
        metrics &&
        api.metrics.getMeter(SCOPE).createHistogram(DURATION, {
          unit: 's',
          description: 'The duration of an MCP request as observed by the one who sends it.',
          advice: { explicitBucketBoundaries: BOUNDS },
        });
    }
    return this.#duration;
  }
}

function registered(): Registered | undefined {
  return (globalThis as Record<symbol, unknown>)[REGISTRY] as Registered | undefined;
}

class TracedCall implements CallSpan {
  readonly #api: Api;
  readonly #duration: Histogram | undefined;
  readonly #about: (service: string) => Attributes;
  readonly #common: Attributes;
  readonly #span: Span;
  readonly #context: Context;

  constructor(api: Api, call: Call, duration: Histogram | undefined, about: (service: string) => Attributes) {
    this.#api = api;
    this.#duration = duration;
    this.#about = about;
    const { target, attributes } = described(call);
    this.#common = attributes;
    const resource = call.method === 'resources/read' ? { 'mcp.resource.uri': String(call.params['uri']) } : undefined;
    const parent = api.context.active();
    this.#span = api.trace
      .getTracer(SCOPE)
      .startSpan(
        target === undefined ? call.method : `${call.method} ${target}`,
        { kind: api.SpanKind.CLIENT, attributes: { ...attributes, ...resource } },
        parent,
      );
    this.#context = api.trace.setSpan(parent, this.#span);
    const carrier: Record<string, string> = {};
    api.propagation.inject(this.#context, carrier);
    // The protocol's own place for it: `traceparent`, `tracestate` and `baggage` in `_meta` (MCP SEP-414).
    if (Object.keys(carrier).length > 0) call.trace = carrier;
  }

  run<T>(fn: () => T): T {
    return this.#api.context.with(this.#context, fn);
  }

  end(record: CallRecord, error: StoreError | undefined): void {
    try {
      this.#end(record, error);
    } catch {
      // It is the exporter's.
    }
  }

  #end(record: CallRecord, error: StoreError | undefined): void {
    const rpc = error?.rpcCode === undefined ? undefined : String(error.rpcCode);
    const type = record.outcome === 'tool_error' ? 'tool_error' : (rpc ?? record.code);
    const ended: Attributes = {
      ...this.#about(record.service),
      ...(type !== undefined && { 'error.type': type }),
      ...(rpc !== undefined && { 'rpc.response.status_code': rpc }),
    };
    const span = this.#span;
    span.setAttributes({
      ...ended,
      'mcpstore.attempts': record.attempts,
      'mcpstore.cache': record.cache,
      ...(record.fallback !== undefined && { 'mcpstore.fallback': record.fallback }),
      ...(record.endpoint !== undefined && { 'mcpstore.endpoint': record.endpoint }),
    });
    if (type !== undefined)
      span.setStatus({ code: this.#api.SpanStatusCode.ERROR, ...(error && { message: error.message }) });
    span.end();
    // What the cache answered was no MCP request.
    if (record.cache !== 'hit' && record.cache !== 'joined')
      this.#duration?.record(record.totalMs / 1000, { ...this.#common, ...ended }, this.#context);
  }
}

/** What the conventions want to be known of a request, few values each. */
function described({ method, params, record }: Call): { target: string | undefined; attributes: Attributes } {
  const attributes: Attributes = { 'mcp.method.name': method, 'mcpstore.service': record.service };
  let target: string | undefined;
  if (method === 'tools/call') {
    target = record.tool;
    attributes['gen_ai.tool.name'] = target;
    attributes['gen_ai.operation.name'] = 'execute_tool';
  } else if (method === 'prompts/get') {
    target = String(params['name']);
    attributes['gen_ai.prompt.name'] = target;
  }
  return { target, attributes };
}
