/** Knows every tuning option: its meaning, unit and default. What each may hold: option-rules.ts. */

import type { AlertRule } from './alert-rules.js';
import type { AuthOptions } from './auth-options.js';

export interface ConnectionPoolOptions {
  /**
   * Connections that idle clean-up leaves standing. Over HTTP: sockets to which `maxIdleTimeMs` does not apply.
   * Default 2; 1 for stdio, where a started process may hold state. A default is clamped to `maxConnections`.
   */
  minConnections?: number;
  /**
   * The most connections of one endpoint. For stdio a connection is a process with a state of its own, so the default
   * there is 1 and only the service's own options raise it; over HTTP it counts keep-alive sockets that share one MCP
   * session. Default 10 (stdio: 1).
   */
  maxConnections?: number;
  /** Requests that one stdio connection carries at a time. Default 128. */
  maxInFlightPerConnection?: number;
  /** A connection unused for so long is closed, down to `minConnections`. Milliseconds; default 300,000. */
  maxIdleTimeMs?: number;
  /** Bounds a connect and its handshake. Milliseconds; default 30,000. */
  connectionTimeoutMs?: number;
  /**
   * Replaces `connectionTimeoutMs` for the first start of a command that may download itself (npx, uvx, pnpm dlx,
   * bunx, docker). Milliseconds; default 120,000.
   */
  startTimeoutMs?: number;
  /** Bounds silence: no answer and no progress for a call that was sent. Milliseconds; default 60,000. */
  readTimeoutMs?: number;
  /** Bounds handing a request over: to the pipe, or to the socket until its body is sent. Milliseconds; default 30,000. */
  writeTimeoutMs?: number;
  /** Attempts after the first within one call, where repeating is safe. Default 3; 0 switches retries off. */
  maxRetries?: number;
  /** First delay between attempts. Milliseconds; default 1,000. Growth and cap: `calls.retry`. */
  retryDelayMs?: number;
  /** An idle connection is asked whether it lives this often; 0 switches it off. Milliseconds; default 60,000. */
  healthCheckIntervalMs?: number;
  /** Bounds one health check. Milliseconds; default 5,000. */
  healthCheckTimeoutMs?: number;
}

export interface RetryOptions {
  /**
   * How the delay grows from `retryDelayMs`; a function is given the attempt (1, 2, …). What it gives counts within 0 and
   * `maxDelayMs`; no number ends the call with `OPTION_INVALID`. Default `'exponential'`.
   */
  strategy?: 'exponential' | 'fixed' | 'linear' | 'fibonacci' | ((attempt: number) => number);
  /** `'full'`: uniform between 0 and the delay, so that retries spread. Default `'full'`. */
  jitter?: 'full' | 'none';
  /** Cap of one delay, jitter included. Milliseconds; default 60,000. */
  maxDelayMs?: number;
}

export interface CallOptionsConfig {
  /** Bounds a whole call: queue, connect, attempts and pauses. Milliseconds; default 300,000. */
  callTimeoutMs?: number;
  /**
   * Calls of one service at a time; the others wait in its queue. Default: what its pools can carry, that is
   * `maxConnections × maxInFlightPerConnection` over stdio and `maxConnections` over HTTP.
   */
  maxConcurrentCalls?: number;
  /** Calls that may wait per service; one more is refused with `LIMIT_EXCEEDED`. Default 10,000. */
  queueLimit?: number;
  /** Calls of one `batchCall` at a time. Default 20. */
  batchConcurrency?: number;
  /** So many calls that wait in a `batch()` start by themselves. Default 10. */
  batchSize?: number;
  /** Calls of one `batch()` at a time. Default 5. */
  maxWorkers?: number;
  /** Check arguments against the tool's schema before anything is sent. Default false. */
  validateArguments?: boolean;
  retry?: RetryOptions;
}

export interface ResultCacheOptions {
  /** Default false: tools are called each time. */
  enabled?: boolean;
  /** Results kept per store, those for `fallback` included. Default 1,000. */
  maxEntries?: number;
  /** Bytes kept per store, counted as JSON. Default 64 MiB. A single result over 1 MiB is never stored. */
  maxBytes?: number;
  /** How long a result may be reused, ± 10 % so that entries do not expire together. Milliseconds; default 300,000. */
  ttlMs?: number;
}

export interface MonitoringOptions {
  /**
   * Count calls, keep their history, watch over services, and tell calls to OpenTelemetry where an SDK is registered. Default true; off, nothing
   * of this is done, and what was counted and kept stays.
   */
  enabled?: boolean;
  /** How often the rules of alerts are asked while services are used. Milliseconds; default 30,000. */
  intervalMs?: number;
  /** Calls that `history` keeps in memory. Default 1,000; 0: none. */
  historySize?: number;
  /**
   * Write each call below `stateDir` as well, as a line of JSON: 10 MiB a file, 100 MiB in all, 30 days. Default false.
   */
  historyFile?: boolean;
  /**
   * What is kept of a call's arguments. `'size'`: their size alone. `'redacted'`: also themselves, without the secrets of
   * the service's configuration and without what stands under the name of a secret. `'full'`: as they are. Both only
   * where their JSON has no more than 16 KiB and 64 levels. Default `'size'`.
   */
  historyArguments?: 'size' | 'redacted' | 'full';
  /** When to tell of a service that does badly, in place of `ALERT_RULES`; `[]`: never. */
  rules?: readonly AlertRule[];
}

/** What `store.memory` watches, and when it gives something up; see docs/memory.md. */
export interface MemoryOptions {
  /** Take samples, and act above the threshold. Default false. */
  enabled?: boolean;
  /**
   * Memory of this process above which the store gives up what it owns: its RSS, without what was freed in it since
   * (`usedMb` of a sample). MiB; default 500.
   */
  thresholdMb?: number;
  /** How often is looked, also at services with a `maxMemoryMb`. Milliseconds, at least 100; default 30,000. */
  intervalMs?: number;
}

/** What `PerformanceBenchmark` and `mcpstore bench` do unless a run says otherwise. */
export interface BenchmarkOptions {
  /** Calls that a run measures. Default 100. */
  iterations?: number;
  /** Calls before these, whose figures are dropped. Default 10. */
  warmup?: number;
  /** Calls under way at a time. Default 1. */
  concurrency?: number;
}

/** Store-wide tuning, as `open({ performance })` and `performance` in `mcp.json` take it. */
export interface PerformanceOptions {
  connectionPool?: ConnectionPoolOptions;
  calls?: CallOptionsConfig;
  resultCache?: ResultCacheOptions;
  monitoring?: MonitoringOptions;
  memory?: MemoryOptions;
  benchmark?: BenchmarkOptions;
}

/** One tool's policies, set by the user; they win over the tool's own hints. */
export interface ToolPolicy {
  /** May results be stored and shared (while the cache is enabled)? Default: the tool's `readOnlyHint`. */
  cache?: boolean;
  /** May a call whose outcome is unknown be sent again? Default: hints, and only on a `trusted` service. */
  repeatable?: boolean;
  /**
   * What answers where a call fails on its way (not reached, refused, timed out, lost); of several the first that can.
   * Default: nothing, the call fails.
   */
  fallback?: ToolFallback | readonly ToolFallback[];
}

/**
 * - `'cached'`: the last good result of an equal call of the same scope, however old; `maxAgeMs` bounds it
 * - `value`: a text, an object (it becomes `structuredContent`), or a whole result with `content`
 * - `service`: another service of the caller's scope; `tool`: its tool there. Default: the same name. Not asked where
 *   the call may have run, unless the tool is repeatable
 */
export type ToolFallback =
  | 'cached'
  | { cached: { maxAgeMs?: number } }
  | { value: string | Record<string, unknown> }
  | { service: string; tool?: string };

/** What stands under `mcpstore` in one service of `mcp.json`. */
export interface ServiceOptions {
  /** Believe the tools' hints (`readOnlyHint`, `idempotentHint`) when deciding what may be repeated. Default false. */
  trusted?: boolean;
  /** How long stopping a process may take before it is killed. Milliseconds; default 2,000. */
  stopTimeoutMs?: number;
  /**
   * Memory of one of its processes, with all that it started, above which the process is replaced between calls. It is
   * watched every `memory.intervalMs`, whether `memory` is enabled or not. Only with a `command`, and not with `sharing:
   * 'call'`; has no effect on Windows, which does not tell. Default: none.
   */
  maxMemoryMb?: number;
  connectionPool?: ConnectionPoolOptions;
  calls?: Omit<CallOptionsConfig, 'batchConcurrency' | 'batchSize' | 'maxWorkers'>;
  resultCache?: Pick<ResultCacheOptions, 'enabled' | 'ttlMs'>;
  tools?: Record<string, ToolPolicy>;
  /** Replicas of the service, beside the `command` or `url` that it may have itself. */
  endpoints?: EndpointOptions[];
  /** How calls are spread over the replicas. Default `'power-of-two'`. */
  balance?: BalanceStrategy;
  /**
   * Who shares connections: `'shared'`: all callers one set; `'agent'`: each agent has its own, and stays with one
   * replica; `'call'`: a fresh one for each call. Default `'shared'`.
   */
  sharing?: 'shared' | 'agent' | 'call';
  /** How an HTTP service signs in with OAuth; `false`: not at all. Default: as a person, once one has signed in. */
  auth?: AuthOptions | false;
}

/**
 * - `'power-of-two'`: the better of two random ones, by calls under way and by how fast they answer
 * - `'least-in-flight'`: the one with the fewest calls under way for its weight
 * - `'round-robin'`: in turn
 * - `'weighted'`: in turn, by weight
 */
export type BalanceStrategy = 'power-of-two' | 'least-in-flight' | 'round-robin' | 'weighted';

/** One replica as written. What it leaves out of `env`, `cwd` and `headers` it takes from the service. */
export interface EndpointOptions {
  command?: string;
  args?: string[];
  env?: Record<string, string>;
  cwd?: string;
  url?: string;
  headers?: Record<string, string>;
  /** Its share of the calls beside the others' weights. Default 1. */
  weight?: number;
}

type Deep<T> = {
  [K in keyof T]-?: NonNullable<T[K]> extends (...a: never[]) => unknown ? NonNullable<T[K]> : Deep1<NonNullable<T[K]>>;
};
type Deep1<T> = T extends string | number | boolean | ((...a: never[]) => unknown) ? T : T extends object ? Deep<T> : T;

/** Store-wide options with nothing missing. `minConnections`, `maxConnections`, `maxConcurrentCalls` may stay open. */
export interface ResolvedPerformance {
  readonly connectionPool: Readonly<Omit<Deep<ConnectionPoolOptions>, 'minConnections' | 'maxConnections'>> & {
    readonly minConnections: number | undefined;
    readonly maxConnections: number | undefined;
  };
  readonly calls: Readonly<Omit<Deep<CallOptionsConfig>, 'maxConcurrentCalls'>> & {
    readonly maxConcurrentCalls: number | undefined;
  };
  readonly resultCache: Readonly<Deep<ResultCacheOptions>>;
  readonly monitoring: Readonly<Required<MonitoringOptions>>;
  readonly memory: Readonly<Deep<MemoryOptions>>;
  readonly benchmark: Readonly<Deep<BenchmarkOptions>>;
}

/** Where the value of an option came from. */
export type OptionSource = 'default' | 'file' | 'code' | 'service';
