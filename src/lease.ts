/** Knows what a caller can do with one connection of its own. */

import type { CallResult, CallToolResult } from './call.js';
import type { RequestLimits } from './call-options.js';

/** One connection of its own: what `store.lease` hands over. */
export interface Lease {
  /** @param name - the server's own name of the tool */
  callTool(name: string, args?: Record<string, unknown>, options?: RequestLimits): Promise<CallToolResult>;
  /** Any MCP request. */
  request(method: string, params?: Record<string, unknown>, options?: RequestLimits): Promise<CallResult>;
}
