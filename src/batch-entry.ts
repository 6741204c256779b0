/** Knows how one call of a batch is made, and what its entry says: whatever happens to it becomes its entry. */

import type { BatchEntry, BatchOptions, BatchRunner } from './batch.js';
import { type CallRecord, type CallToolResult, NewRecord } from './call.js';
import { type CallToolOptions, checkBatchCall, withKey } from './call-options.js';
import { outcomeOf } from './caller.js';
import { asError, isStoreError, StoreError } from './errors.js';
import type { ScopeCalls } from './scope-calls.js';
import type { ScopeParts } from './scope-parts.js';

/** How the calls of `batch` are made. */
export function batchRunner(
  calls: Pick<ScopeCalls, 'callTool'>,
  { id, clock }: Pick<ScopeParts, 'id' | 'clock'>,
  batch: BatchOptions,
): BatchRunner {
  return async (call, { deadline, signal }) => {
    const since = clock.now();
    const options: CallToolOptions = { signal };
    let record: CallRecord | undefined;
    try {
      checkBatchCall(call);
      const cache = withKey(batch.cache, call.cacheKey);
      if (cache !== undefined) options.cache = cache;
      if (batch.callTimeoutMs !== undefined) options.timeoutMs = batch.callTimeoutMs;
      if (call.service !== undefined) options.service = call.service;
      const result = await calls.callTool(call.tool, call.arguments, options, deadline, (begun) => {
        record = begun;
      });
      return answered(record!, result);
    } catch (thrown) {
      const error = isStoreError(thrown)
        ? thrown
        : new StoreError('PROTOCOL_ERROR', asError(thrown).message, { cause: thrown });
      if (record === undefined) {
        // It never became a call.
        record = new NewRecord(id, '', String(call?.tool), since);
        record.totalMs = clock.now() - since;
        record.outcome = outcomeOf(error);
      }
      return { ...entryOf(record), error };
    }
  };
}

function answered(record: CallRecord, result: CallToolResult): BatchEntry {
  const entry = { ...entryOf(record), result };
  if (record.fallback === undefined) return entry;
  // The record tells of the call itself, which failed; whoever asked has an answer.
  return { ...entry, status: result.isError ? 'tool_error' : 'ok', fallback: record.fallback };
}

function entryOf(record: CallRecord): BatchEntry {
  return {
    status: record.outcome,
    durationMs: record.totalMs,
    fromCache: record.cache === 'hit' || record.cache === 'joined',
    attempts: record.attempts,
  };
}
