/** Knows how the steps of a flow reach their scope: each is a call as any other. */

import { checkFlowRun } from './call-options.js';
import type { FlowParts } from './flow/run-step.js';
import type { ScopeCalls } from './scope-calls.js';
import type { ScopeParts } from './scope-parts.js';
import { delayMs } from './service/retry.js';

export function flowParts(parts: ScopeParts, calls: ScopeCalls): FlowParts {
  const { clock, assertOpen, callDefaults } = parts;
  return {
    clock,
    assertOpen,
    check: checkFlowRun,
    concurrency: () => callDefaults().batchConcurrency,
    pauseMs: (retry, retryDelayMs) => delayMs(retry, { retryDelayMs, retry: callDefaults().retry, clock }),
    call: (tool, args, { service, timeoutMs, signal }) =>
      calls.callTool(
        tool,
        args,
        {
          signal,
          throwOnToolError: true,
          ...(service !== undefined && { service }),
          ...(timeoutMs !== undefined && { timeoutMs }),
        },
        Number.POSITIVE_INFINITY,
      ),
  };
}
