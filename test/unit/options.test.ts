/** Knows every tuning option, its default, what is refused and with which path, and which layer wins. */

import { describe, expect, it } from 'vitest';
import { ALERT_RULES } from '../../src/alert-rules.js';
import { poolSize, resolvePerformance } from '../../src/option-layers.js';
import { checkPerformance, checkServiceOptions } from '../../src/option-rules.js';
import { MCPStore } from '../../src/store.js';
import { FakeClock, failure } from '../support/fake-clock.js';
import { FakeServer, openStore } from '../support/fake-server.js';

/** As the users' guide states them. */
const DEFAULTS = {
  connectionPool: {
    minConnections: undefined,
    maxConnections: undefined,
    maxInFlightPerConnection: 128,
    maxIdleTimeMs: 300_000,
    connectionTimeoutMs: 30_000,
    startTimeoutMs: 120_000,
    readTimeoutMs: 60_000,
    writeTimeoutMs: 30_000,
    maxRetries: 3,
    retryDelayMs: 1_000,
    healthCheckIntervalMs: 60_000,
    healthCheckTimeoutMs: 5_000,
  },
  calls: {
    callTimeoutMs: 300_000,
    maxConcurrentCalls: undefined,
    queueLimit: 10_000,
    batchConcurrency: 20,
    batchSize: 10,
    maxWorkers: 5,
    validateArguments: false,
    retry: { strategy: 'exponential', jitter: 'full', maxDelayMs: 60_000 },
  },
  resultCache: { enabled: false, maxEntries: 1_000, maxBytes: 64 * 1024 * 1024, ttlMs: 300_000 },
  monitoring: {
    enabled: true,
    intervalMs: 30_000,
    historySize: 1_000,
    historyFile: false,
    historyArguments: 'size',
    rules: ALERT_RULES,
  },
  memory: { enabled: false, thresholdMb: 500, intervalMs: 30_000 },
  benchmark: { iterations: 100, warmup: 10, concurrency: 1 },
};

const thrown = (check: () => unknown): Record<string, unknown> => {
  try {
    check();
  } catch (error) {
    return error as Record<string, unknown>;
  }
  throw new Error('it was expected to be refused');
};

describe('defaults', () => {
  it('are those of the guide', () => {
    const { options, sources } = resolvePerformance([]);
    expect(options).toEqual(DEFAULTS);
    expect(new Set(Object.values(sources))).toEqual(new Set(['default']));
    expect(Object.keys(sources)).toHaveLength(38);
  });

  it.each([
    ['stdio', undefined, {}, { min: 1, max: 1 }],
    ['memory', undefined, {}, { min: 1, max: 1 }],
    ['http', undefined, {}, { min: 2, max: 10 }],
    // A store-wide maximum does not multiply processes, each of which has a state of its own; a service's own does.
    ['stdio', undefined, { maxConnections: 8 }, { min: 1, max: 1 }],
    ['stdio', { maxConnections: 4 }, {}, { min: 1, max: 4 }],
    ['stdio', { maxConnections: 4, minConnections: 2 }, {}, { min: 2, max: 4 }],
    ['stdio', { minConnections: 0 }, {}, { min: 0, max: 1 }],
    ['stdio', undefined, { minConnections: 0 }, { min: 0, max: 1 }],
    ['stdio', undefined, { minConnections: 5 }, { min: 1, max: 1 }],
    ['http', undefined, { maxConnections: 3, minConnections: 3 }, { min: 3, max: 3 }],
    ['http', { maxConnections: 20 }, { maxConnections: 3 }, { min: 2, max: 20 }],
    // A minimum that is only a default is clamped.
    ['http', { maxConnections: 1 }, {}, { min: 1, max: 1 }],
  ] as const)('of %s with own %j and store-wide %j: %j', (kind, own, wide, expected) => {
    const { options } = resolvePerformance([{ source: 'code', values: { connectionPool: wide } }]);
    expect(poolSize(kind, own, options.connectionPool)).toEqual(expected);
  });
});

describe('what is refused', () => {
  it.each([
    [
      { conectionPool: {} },
      'performance.conectionPool',
      'unknown option; known here: connectionPool, calls, resultCache, monitoring, memory, benchmark',
    ],
    [{ connectionPool: { maxConnection: 1 } }, 'performance.connectionPool.maxConnection', 'unknown option'],
    [
      { connectionPool: { maxConnections: 0 } },
      'performance.connectionPool.maxConnections',
      'expected a whole number, at least 1, got 0',
    ],
    [{ connectionPool: { maxConnections: 1.5 } }, 'performance.connectionPool.maxConnections', 'got 1.5'],
    [
      { connectionPool: { maxIdleTimeMs: '5s' } },
      'performance.connectionPool.maxIdleTimeMs',
      'expected a whole number of milliseconds, at least 1, got "5s"',
    ],
    [{ connectionPool: { readTimeoutMs: Number.NaN } }, 'performance.connectionPool.readTimeoutMs', 'got NaN'],
    [{ connectionPool: { readTimeoutMs: null } }, 'performance.connectionPool.readTimeoutMs', 'got null'],
    [
      { connectionPool: { minConnections: 5, maxConnections: 4 } },
      'performance.connectionPool.minConnections',
      '5 is above maxConnections 4',
    ],
    [{ connectionPool: [] }, 'performance.connectionPool', 'expected an object, got an array'],
    [{ connectionPool: null }, 'performance.connectionPool', 'expected an object, got null'],
    [{ calls: { queueLimit: -1 } }, 'performance.calls.queueLimit', 'at least 0'],
    [
      { calls: { validateArguments: 'yes' } },
      'performance.calls.validateArguments',
      'expected true or false, got "yes"',
    ],
    [
      { calls: { retry: { strategy: 'cubic' } } },
      'performance.calls.retry.strategy',
      'expected "exponential", "fixed", "linear", "fibonacci" or a function, got "cubic"',
    ],
    [{ calls: { retry: { jitter: () => 1 } } }, 'performance.calls.retry.jitter', 'expected "full", "none"'],
    [{ calls: { retry: { delay: 1 } } }, 'performance.calls.retry.delay', 'unknown option'],
    [{ resultCache: { enabled: 1 } }, 'performance.resultCache.enabled', 'expected true or false, got 1'],
    [
      { resultCache: { ttl: 5 } },
      'performance.resultCache.ttl',
      'unknown option; known here: enabled, maxEntries, maxBytes, ttlMs',
    ],
    [{ benchmark: { warmup: -1 } }, 'performance.benchmark.warmup', 'expected a whole number, at least 0, got -1'],
    [{ benchmark: { rate: 5 } }, 'performance.benchmark.rate', 'known here: iterations, warmup, concurrency'],
    ['fast', 'performance', 'expected an object, got string'],
    [null, 'performance', 'expected an object, got null'],
  ])('%j', (value, path, message) => {
    const error = thrown(() => checkPerformance(value));
    expect(error).toMatchObject({ code: 'OPTION_INVALID', figures: { path }, executed: 'no' });
    expect(String(error['message']).startsWith(`${path}: `)).toBe(true);
    expect(error['message']).toContain(message);
  });

  it.each([
    [{ trusted: 'yes' }, 'm.trusted'],
    [{ trust: true }, 'm.trust'],
    [{ benchmark: {} }, 'm.benchmark'],
    [{ stopTimeoutMs: -1 }, 'm.stopTimeoutMs'],
    [{ connectionPool: { minConnections: 2, maxConnections: 1 } }, 'm.connectionPool.minConnections'],
    [{ resultCache: { maxEntries: 5 } }, 'm.resultCache.maxEntries'],
    [{ tools: { read: { cached: true } } }, 'm.tools.read.cached'],
    [{ tools: { read: { repeatable: 1 } } }, 'm.tools.read.repeatable'],
    [{ tools: [] }, 'm.tools'],
  ])('under mcpstore: %j', (value, path) => {
    expect(thrown(() => checkServiceOptions(value, 'm'))).toMatchObject({ code: 'OPTION_INVALID', figures: { path } });
  });

  it('nothing that is right', () => {
    expect(checkPerformance({})).toEqual({});
    const all = {
      connectionPool: { ...DEFAULTS.connectionPool, minConnections: 0, maxConnections: 3 },
      calls: { ...DEFAULTS.calls, maxConcurrentCalls: 5, retry: { strategy: () => 5, jitter: 'none', maxDelayMs: 0 } },
      resultCache: DEFAULTS.resultCache,
      benchmark: DEFAULTS.benchmark,
    };
    expect(checkPerformance(all)).toBe(all);
    const own = {
      trusted: true,
      stopTimeoutMs: 0,
      resultCache: { enabled: true, ttlMs: 5 },
      tools: { x: { cache: true } },
    };
    expect(checkServiceOptions(own, 'm')).toBe(own);
  });

  it('as the caller of the check wants it told', () => {
    const refuse = (path: string, message: string): Error => new TypeError(`line 5: ${path}: ${message}`);
    expect(thrown(() => checkPerformance({ x: 1 }, 'performance', refuse))).toBeInstanceOf(TypeError);
  });

  it.each([
    [{ performance: { calls: { queueLimit: 'x' } } }, 'performance.calls.queueLimit'],
    [{ performances: {} }, 'performances'],
    [{ start: 'now' }, 'start'],
    [{ stateDir: 5 }, 'stateDir'],
    [{ watch: 'no' }, 'watch'],
    [{ logger: { info: () => {} } }, 'logger.debug'],
    [{ config: 5 }, 'config'],
    [{ services: [] }, 'services'],
    [{ workspaceFolder: 1 }, 'workspaceFolder'],
  ])('by open: %j', async (options, path) => {
    const error = await failure(MCPStore.open({ services: {}, ...options } as never));
    expect(error).toMatchObject({ code: 'OPTION_INVALID', figures: { path } });
  });

  it.each([
    [{ timeout: 5 }, 'timeout'],
    [{ timeoutMs: 0 }, 'timeoutMs'],
    [{ timeoutMs: '5' }, 'timeoutMs'],
    [{ signal: {} }, 'signal'],
    [{ onProgress: 'x' }, 'onProgress'],
    [{ cache: 'no' }, 'cache'],
    [{ cache: { ttl: 5 } }, 'cache.ttl'],
    [{ cache: { ttlMs: 0 } }, 'cache.ttlMs'],
    [{ cache: { key: 5 } }, 'cache.key'],
    [{ service: 5 }, 'service'],
    [{ throwOnToolError: 'yes' }, 'throwOnToolError'],
    [{ validateArguments: 1 }, 'validateArguments'],
    [{ meta: 'x' }, 'meta'],
  ])('by callTool: %j', async (options, path) => {
    const clock = new FakeClock();
    const server = new FakeServer({ x: {} }, clock);
    const store = await openStore({ s: server }, clock);
    const error = await failure(store.callTool('s__x', {}, options as never));
    expect(error).toMatchObject({ code: 'OPTION_INVALID', executed: 'no', figures: { path } });
    expect(error.message.startsWith(`${path}: `)).toBe(true);
    expect(server.connects).toBe(0);
    await store.close();
  });
});

describe('layers', () => {
  it('win key by key, the later over the earlier, and each value knows where it came from', () => {
    const { options, sources } = resolvePerformance([
      {
        source: 'file',
        values: { connectionPool: { maxRetries: 1, retryDelayMs: 10 }, calls: { retry: { jitter: 'none' } } },
      },
      { source: 'code', values: { connectionPool: { maxRetries: 2 }, calls: { retry: { maxDelayMs: 5 } } } },
      { source: 'service', values: undefined },
      { source: 'service', values: { connectionPool: { readTimeoutMs: 7 } } },
    ]);
    expect(options.connectionPool).toMatchObject({
      maxRetries: 2,
      retryDelayMs: 10,
      readTimeoutMs: 7,
      writeTimeoutMs: 30_000,
    });
    expect(options.calls.retry).toEqual({ strategy: 'exponential', jitter: 'none', maxDelayMs: 5 });
    expect(sources).toMatchObject({
      'connectionPool.maxRetries': 'code',
      'connectionPool.retryDelayMs': 'file',
      'connectionPool.readTimeoutMs': 'service',
      'connectionPool.writeTimeoutMs': 'default',
      'calls.retry.jitter': 'file',
      'calls.retry.maxDelayMs': 'code',
      'calls.retry.strategy': 'default',
    });
  });

  it('that say undefined say nothing, and false says off', () => {
    const { options } = resolvePerformance([
      { source: 'file', values: { resultCache: { enabled: true, ttlMs: 5 } } },
      { source: 'code', values: { resultCache: { enabled: false, ttlMs: undefined as never } } },
    ]);
    expect(options.resultCache).toMatchObject({ enabled: false, ttlMs: 5 });
  });

  it('give options that nobody can change', () => {
    const { options, sources } = resolvePerformance([]);
    for (const part of [
      options,
      options.connectionPool,
      options.calls,
      options.calls.retry,
      options.resultCache,
      options.benchmark,
      sources,
    ])
      expect(Object.isFrozen(part)).toBe(true);
  });

  it('A1: take nothing from the prototype of what is given', () => {
    const values = JSON.parse('{"connectionPool":{"__proto__":{"maxRetries":9}}}') as object;
    expect(thrown(() => checkPerformance(values))).toMatchObject({ code: 'OPTION_INVALID' });
    expect(({} as Record<string, unknown>)['maxRetries']).toBeUndefined();
  });

  it('are in force: a service’s own time-out and queue over the store’s', async () => {
    const clock = new FakeClock();
    const slow = (): FakeServer => new FakeServer({ x: { delayMs: 10_000 } }, clock);
    const store = await openStore({ a: slow(), b: slow() }, clock, {
      performance: { calls: { callTimeoutMs: 2_000 } },
      own: { b: { calls: { callTimeoutMs: 3_000 } } },
    });
    const [a, b] = [failure(store.callTool('a__x')), failure(store.callTool('b__x'))];
    await clock.advance(5_000);
    expect((await a)['figures']).toEqual({ timeoutMs: 2_000 });
    expect((await b)['figures']).toEqual({ timeoutMs: 3_000 });
    expect(store.effectiveOptions.calls.callTimeoutMs).toBe(2_000);
    expect(store.optionSources['calls.callTimeoutMs']).toBe('code');
    await store.close();
  });
});
