/** Knows which endpoint of a service takes a call, and sends the call over one of its connections. */

import type { Clock } from '../_util/clock.js';
import type { Call, CallResult, Handler } from '../call.js';
import type { Endpoint } from '../endpoint/endpoint.js';
import { StoreError } from '../errors.js';

/** The last hop: one attempt on the endpoint with the fewest calls under way. */
export function balanced(endpoints: readonly Endpoint[], clock: Clock): Handler {
  return async (call) => {
    const endpoint = pick(endpoints);
    let connection = endpoint.take();
    if (connection === undefined) {
      const since = clock.now();
      try {
        connection = await endpoint.wait(call, call.timeoutMs);
      } finally {
        call.record.connectMs += clock.now() - since;
      }
    }
    const { record } = call;
    record.endpoint = endpoint.label;
    record.attempts++;
    const since = clock.now();
    try {
      return complete(call, await connection.request(call.method, call.params, call));
    } finally {
      record.callMs += clock.now() - since;
      endpoint.release(connection);
    }
  };
}

function pick(endpoints: readonly Endpoint[]): Endpoint {
  let best = endpoints[0]!;
  for (let i = 1; i < endpoints.length; i++) if (endpoints[i]!.inFlight < best.inFlight) best = endpoints[i]!;
  return best;
}

/** A modern server may answer that it needs something from the caller first; nobody here can give it. */
function complete(call: Call, result: CallResult): CallResult {
  if (result['resultType'] === undefined || result['resultType'] === 'complete') return result;
  throw new StoreError(
    'PROTOCOL_ERROR',
    `${call.record.tool}: the server asks for input that this client does not offer`,
    {
      executed: 'no',
      figures: { resultType: String(result['resultType']) },
    },
  );
}
