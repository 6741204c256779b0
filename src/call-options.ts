/** Knows what a caller may say about one call, and refuses what it does not know. */

import { type CallHandlers, checkHandlers } from './asking.js';
import type { BatchCall, BatchOptions } from './batch.js';
import type { CacheMode, Progress } from './call.js';
import type { CallBatchOptions } from './call-batch.js';
import { StoreError } from './errors.js';
import type { FlowRunOptions } from './flow/steps.js';
import { asObject, refuseUnknown } from './option-rules.js';
import type { ListOptions } from './scope-catalog.js';

export interface RequestLimits extends CallHandlers {
  /** Bounds the whole call, queue and retries included. Milliseconds; default: the service's `callTimeoutMs`. */
  timeoutMs?: number;
  /** Ends the call as `CANCELLED` and tells the server. */
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
}

export interface CallToolOptions extends RequestLimits {
  /** The service of a bare tool name. */
  service?: string;
  /** How this call meets the result cache. Default `'use'`, which does nothing while the cache is off. */
  cache?: CacheMode;
  /** Turn a result with `isError` into a `TOOL_ERROR`. Default false: it is a result. */
  throwOnToolError?: boolean;
  /** Check the arguments against the tool's schema before anything is sent. Default: `calls.validateArguments`. */
  validateArguments?: boolean;
  /** False: fail as if the tool had no `fallback`. Default true. */
  fallback?: boolean;
  /** MCP `_meta` of the request, handed to the server. A call with it is never cached. */
  meta?: Record<string, unknown>;
}

const KNOWN = [
  'service',
  'timeoutMs',
  'signal',
  'onProgress',
  'cache',
  'throwOnToolError',
  'validateArguments',
  'fallback',
  'meta',
  'onSampling',
  'onElicitation',
] as const;
const LIMITS_KNOWN = ['timeoutMs', 'signal', 'onProgress', 'onSampling', 'onElicitation'] as const;
const CACHE_MODES: readonly unknown[] = ['use', 'refresh', 'bypass'];

/** The error of an option that is wrong: where it stands, and what was expected. */
export function badOption(path: string, expected: string): StoreError {
  return new StoreError('OPTION_INVALID', `${path}: expected ${expected}`, { figures: { path } });
}

function checkFlag(value: unknown, path: string): void {
  if (value !== undefined && typeof value !== 'boolean') throw badOption(path, 'true or false');
}

export function checkTimeout(value: unknown, path = 'timeoutMs'): void {
  if (value !== undefined && !(typeof value === 'number' && value > 0))
    throw badOption(path, 'a number of milliseconds above 0');
}

/** Throws `OPTION_INVALID` with the name of the first bad option. */
export function checkCallOptions(options: CallToolOptions): void {
  refuseUnknown(options as Record<string, unknown>, KNOWN, '');
  checkBounds(options);
  if (options.cache !== undefined) checkCache(options.cache);
  if (options.service !== undefined && typeof options.service !== 'string') throw badOption('service', 'a string');
  checkFlag(options.throwOnToolError, 'throwOnToolError');
  checkFlag(options.validateArguments, 'validateArguments');
  checkFlag(options.fallback, 'fallback');
  if (options.meta !== undefined) asObject(options.meta, 'meta');
  if (options.onSampling !== undefined || options.onElicitation !== undefined) checkHandlers(options);
}

/** What every request takes. */
function checkBounds({ timeoutMs, signal, onProgress }: RequestLimits): void {
  checkTimeout(timeoutMs);
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw badOption('signal', 'an AbortSignal');
  if (onProgress !== undefined && typeof onProgress !== 'function') throw badOption('onProgress', 'a function');
}

/** The same as `checkCallOptions` for requests that are no tool calls. */
export function checkLimits(limits: RequestLimits): void {
  refuseUnknown(limits as Record<string, unknown>, LIMITS_KNOWN, '');
  checkBounds(limits);
  if (limits.onSampling !== undefined || limits.onElicitation !== undefined) checkHandlers(limits);
}

function checkCache(mode: unknown): void {
  if (CACHE_MODES.includes(mode)) return;
  if (typeof mode !== 'object' || mode === null)
    throw badOption('cache', '"use", "refresh", "bypass" or { ttlMs, key }');
  refuseUnknown(mode as Record<string, unknown>, ['ttlMs', 'key'], 'cache');
  const { ttlMs, key } = mode as { ttlMs?: unknown; key?: unknown };
  checkTimeout(ttlMs, 'cache.ttlMs');
  if (key !== undefined && typeof key !== 'string') throw badOption('cache.key', 'a string');
}

/** Arguments of a tool are an object, or left out. */
export function checkArguments(args: unknown, tool: string): Record<string, unknown> | undefined {
  if (args === undefined) return undefined;
  if (typeof args === 'object' && args !== null && !Array.isArray(args)) return args as Record<string, unknown>;
  throw new StoreError(
    'ARGUMENTS_INVALID',
    `${tool}: arguments: expected an object, got ${args === null ? 'null' : Array.isArray(args) ? 'an array' : typeof args}`,
    { tool },
  );
}

const BATCH_KNOWN = ['timeoutMs', 'callTimeoutMs', 'stopOnError', 'signal', 'onResult', 'cache'] as const;

/** Throws for a bad option, or where `calls` is no array; a bad call only fails its own entry. */
export function checkBatch(calls: readonly BatchCall[], options: BatchOptions): void {
  if (!Array.isArray(calls)) throw badOption('calls', 'an array of { tool, arguments }');
  refuseUnknown(asObject(options, 'options'), ['concurrency', ...BATCH_KNOWN], '');
  checkCount(options.concurrency, 'concurrency');
  checkShared(options);
}

/** The same for `batch()`. */
export function checkCallBatch(options: CallBatchOptions): CallBatchOptions {
  refuseUnknown(asObject(options, 'options'), ['batchSize', 'maxWorkers', ...BATCH_KNOWN], '');
  checkCount(options.batchSize, 'batchSize');
  checkCount(options.maxWorkers, 'maxWorkers');
  checkShared(options);
  return options;
}

function checkCount(value: unknown, name: string): void {
  if (value !== undefined && !(Number.isSafeInteger(value) && (value as number) >= 1))
    throw badOption(name, 'a whole number from 1 on');
}

/** Throws for a bad option of a run of a chain or workflow. */
export function checkFlowRun(options: FlowRunOptions): void {
  refuseUnknown(asObject(options, 'options'), ['signal', 'concurrency', 'timeoutMs', 'onResult'], '');
  checkCount(options.concurrency, 'concurrency');
  checkMany(options);
}

/** What everything takes that makes many calls. */
function checkMany({
  timeoutMs,
  signal,
  onResult,
}: {
  timeoutMs?: number;
  signal?: unknown;
  onResult?: unknown;
}): void {
  checkTimeout(timeoutMs);
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw badOption('signal', 'an AbortSignal');
  if (onResult !== undefined && typeof onResult !== 'function') throw badOption('onResult', 'a function');
}

function checkShared(options: Omit<BatchOptions, 'concurrency'>): void {
  checkMany(options);
  checkTimeout(options.callTimeoutMs, 'callTimeoutMs');
  const { cache } = options;
  checkFlag(options.stopOnError, 'stopOnError');
  if (cache !== undefined) checkCache(cache);
}

export function checkBatchCall(call: BatchCall): void {
  const object = asObject(call, 'call');
  refuseUnknown(object, ['tool', 'arguments', 'cacheKey', 'service'], 'call');
  if (typeof call.tool !== 'string') throw badOption('call.tool', 'a string');
  for (const key of ['cacheKey', 'service'] as const)
    if (call[key] !== undefined && typeof call[key] !== 'string') throw badOption(`call.${key}`, 'a string');
}

/** The batch's cache mode with one call's own key on top. */
export function withKey(mode: CacheMode | undefined, key: string | undefined): CacheMode | undefined {
  if (key === undefined || mode === 'bypass' || mode === 'refresh') return mode;
  return typeof mode === 'object'
    ? { ...mode, key: mode.key === undefined ? key : `${mode.key.length}:${mode.key}${key}` }
    : { key };
}

const REFRESH: readonly unknown[] = [undefined, 'never', 'stale', 'always'];

export function checkListOptions(options: ListOptions): void {
  refuseUnknown(options as Record<string, unknown>, ['service', 'refresh', 'timeoutMs', 'signal'], '');
  checkTimeout(options.timeoutMs);
  const { service, refresh, signal } = options;
  if (service !== undefined && typeof service !== 'string') throw badOption('service', 'the name of a service');
  if (!REFRESH.includes(refresh)) throw badOption('refresh', '"never", "stale" or "always"');
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw badOption('signal', 'an AbortSignal');
}
