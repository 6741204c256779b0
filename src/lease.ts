/** Knows what a caller can do with one connection of its own. */

import type { CallResult, CallToolResult, Handler } from './call.js';
import type { RequestLimits } from './call-options.js';
import type { Connection } from './connection/connection.js';
import { complete } from './service/balance.js';

/** One connection of its own: what `store.lease` hands over. */
export interface Lease {
  /** @param name - the server's own name of the tool */
  callTool(name: string, args?: Record<string, unknown>, options?: RequestLimits): Promise<CallToolResult>;
  /** Any MCP request. */
  request(method: string, params?: Record<string, unknown>, options?: RequestLimits): Promise<CallResult>;
}

/** The last hop of a call over a lease: always the same connection, never repeated. */
export function overConnection(connection: Connection): Handler {
  return async (call) => {
    call.record.attempts++;
    connection.inFlight++;
    try {
      return complete(call, await connection.request(call.method, call.params, call));
    } finally {
      connection.inFlight--;
    }
  };
}
