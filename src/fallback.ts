/** Knows what answers in place of a tool call that failed on its way, and when nothing may. */

import { type Call, type CallResult, FALLBACK_META, type FallbackMark, type FallbackSource } from './call.js';
import type { CallToolOptions } from './call-options.js';
import type { Instead } from './caller.js';
import { servicesWithPrefix } from './catalog/index-of-tools.js';
import { exposedName, prefixOf } from './catalog/names.js';
import { factsOf } from './catalog/tool.js';
import { isStoreError, StoreError } from './errors.js';
import type { ToolFallback } from './options.js';
import type { ScopeTool } from './scope-catalog.js';
import type { ScopeParts } from './scope-parts.js';

/** Failures of the way to a tool. What the server answered, and what the caller did, is nobody else's to answer. */
const OF_THE_WAY: ReadonlySet<string> = new Set([
  'SPAWN_FAILED',
  'START_FAILED',
  'CONNECT_FAILED',
  'SERVICE_DOWN',
  'TIMEOUT',
  'LIMIT_EXCEEDED',
  'RATE_LIMITED',
  'OUTCOME_UNKNOWN',
]);

/** Asks a tool of another service, as the same caller, within what is left to the call. */
export type AskOther = (service: string, tool: string, call: Call) => Promise<CallResult>;

/** A way that led to no answer, and why; told in the figures of the call's own error. */
interface Missed {
  from: FallbackSource;
  service?: string;
  why: string;
}

/** Tries `fallbacks` in their order for a call that failed. */
export function insteadOf(
  call: Call,
  fallbacks: readonly ToolFallback[],
  { cache, clock }: Pick<ScopeParts, 'cache' | 'clock'>,
  askOther: AskOther,
): Instead {
  return async (failure) => {
    if (!isOfTheWay(failure)) throw failure;
    const missed: Missed[] = [];
    for (const fallback of fallbacks) {
      const mark = { code: failure.code, executed: failure.executed };
      if (fallback === 'cached' || 'cached' in fallback) {
        const last = cache.last(call);
        const { maxAgeMs = Number.POSITIVE_INFINITY } = fallback === 'cached' ? {} : fallback.cached;
        if (last !== undefined && last.ageMs <= maxAgeMs)
          return answer(call, last.result, { from: 'cached', ...mark, ageMs: Math.round(last.ageMs) });
        missed.push({ from: 'cached', why: last === undefined ? 'nothing is kept' : 'too old' });
      } else if ('value' in fallback) return answer(call, resultOf(fallback.value), { from: 'value', ...mark });
      else {
        const { service, tool = call.record.tool } = fallback;
        const why = whyNotElsewhere(call, failure, clock.now());
        if (why !== undefined) {
          missed.push({ from: 'service', service, why });
          continue;
        }
        try {
          const result = await askOther(service, tool, call);
          return answer(call, result, { from: 'service', ...mark, service, tool });
        } catch (error) {
          // The caller wants no answer any more. What the first service did with the call stays in doubt.
          if (isStoreError(error, 'CANCELLED')) throw cancelled(error, failure);
          missed.push({ from: 'service', service, why: isStoreError(error) ? error.code : 'PROTOCOL_ERROR' });
        }
      }
    }
    throw withFigures(failure, { ...failure.figures, fallbacks: missed });
  };
}

/** A second service would run it a second time, or ask its caller again. */
function whyNotElsewhere({ deadline, repeatable, record }: Call, failure: StoreError, now: number): string | undefined {
  if (now >= deadline) return 'no time is left';
  if (record.asked > 0) return 'its caller was asked already';
  return failure.executed !== 'no' && !repeatable ? 'it may have run, and is not repeatable' : undefined;
}

function answer(call: Call, result: CallResult, mark: FallbackMark): CallResult {
  call.record.fallback = mark.from;
  // What is kept is shared and frozen.
  return { ...result, _meta: { ...(result['_meta'] as object | undefined), [FALLBACK_META]: mark } };
}

/** A configured value as the result of a tool, new each time: callers may change what they get. */
function resultOf(value: string | Record<string, unknown>): CallResult {
  if (typeof value === 'string') return { content: [{ type: 'text', text: value }] };
  const text = JSON.stringify(value);
  const copy = JSON.parse(text) as Record<string, unknown>;
  if (Array.isArray(copy['content'])) return copy;
  // Who gives structured content gives it as text too (MCP, "Structured Content").
  return { content: [{ type: 'text', text }], structuredContent: copy };
}

function cancelled(error: StoreError, failure: StoreError): StoreError {
  const executed = failure.executed === 'no' ? error.executed : failure.executed;
  return new StoreError('CANCELLED', 'cancelled by the caller', { executed, cause: error.cause });
}

function withFigures(error: StoreError, figures: Record<string, unknown>): StoreError {
  const { code, message, service, tool, endpoint, attempts, executed, hint, rpcCode, data, cause } = error;
  const fields = { service, tool, endpoint, attempts, executed, hint, rpcCode, data, cause };
  return new StoreError(code, message, { ...fields, figures });
}

/** Does one of them need the last good result? */
export function keepsLast(fallbacks: readonly ToolFallback[]): boolean {
  return fallbacks.some((one) => one === 'cached' || 'cached' in one);
}

export function isOfTheWay(error: unknown): boolean {
  return isStoreError(error) && OF_THE_WAY.has(error.code);
}

/**
 * The tool that a name stands for by the configuration alone, where its service gave no list and it has a fallback. A
 * bare name needs its service.
 */
export function unlistedTool(
  { find, visible }: Pick<ScopeParts, 'find' | 'visible'>,
  name: string,
  given: Pick<CallToolOptions, 'service'> | undefined,
): ScopeTool | undefined {
  const locals = [...visible()].map(([local]) => local);
  const owners = given?.service === undefined ? servicesWithPrefix(prefixOf(name) ?? '', locals) : [given.service];
  const [local] = owners;
  const service = owners.length === 1 ? find(local!) : undefined;
  const options = service?.definition?.options ?? {};
  for (const tool of Object.keys(options.tools ?? {})) {
    const exposed = exposedName(local!, tool);
    if (exposed !== name && (given?.service === undefined || tool !== name)) continue;
    const facts = factsOf({ name: tool, inputSchema: { type: 'object' } }, options);
    if (facts.fallbacks)
      return { exposed, local: local!, service: service!, tool, facts: { ...facts, cachePrefix: '' } };
  }
  return undefined;
}
