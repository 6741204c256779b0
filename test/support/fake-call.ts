/** Knows a call as the hops of the path see it, for tests of one hop alone. */

import { type Call, type Handler, NewRecord } from '../../src/call.js';
import type { Limit } from '../../src/service/limit.js';
import type { FakeClock } from './fake-clock.js';

export function fakeCall(clock: FakeClock, fields: Partial<Call> & { forMs?: number } = {}): Call {
  const { forMs = 60_000, ...rest } = fields;
  return {
    method: 'tools/call',
    params: { name: 'read', arguments: {} },
    subject: 'files__read',
    deadline: clock.now() + forMs,
    timeoutMs: forMs,
    silenceMs: 0,
    signal: undefined,
    onProgress: undefined,
    headers: undefined,
    cache: undefined,
    repeatable: false,
    cacheable: false,
    readOnly: false,
    cachePrefix: '',
    record: new NewRecord('', 'files', 'read', clock.now()),
    ...rest,
  };
}

/** `next` with a permit of `limit`, as an attempt takes it. */
export function permitted(limit: Limit, next: Handler): Handler {
  return async (call) => {
    const queued = limit.enter(call);
    if (queued) await queued;
    try {
      return await next(call);
    } finally {
      limit.leave();
    }
  };
}
