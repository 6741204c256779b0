/** Knows how to wait for a service's status: told of each change, never polling. */

import { onAbort } from './_util/abort.js';
import type { Clock } from './_util/clock.js';
import { WaitQueue } from './_util/wait-queue.js';
import { errorAt } from './caller.js';
import { StoreError } from './errors.js';
import { type Events, SERVICE_STATUSES, type ServiceStatus } from './events.js';
import type { Service } from './service/service.js';
import { statusOf } from './service-info.js';

/** States that `ready` will not follow by itself soon. */
const GIVEN_UP: ReadonlySet<ServiceStatus> = new Set(['failed', 'auth_required', 'stopped']);

export interface WaitServiceLimits {
  status: ServiceStatus;
  timeoutMs: number;
  signal: AbortSignal | undefined;
}

/**
 * Resolves when `service` has the status; begins to start it where that is `ready`. Rejects with `TIMEOUT` or
 * `CANCELLED`, with what made the service fail where waiting for `ready` has become vain, or with `OPTION_INVALID` for
 * what is no status.
 */
export async function untilStatus(
  local: string,
  service: Service,
  limits: WaitServiceLimits,
  { clock, events }: { clock: Clock; events: Events },
): Promise<void> {
  const { status, timeoutMs, signal } = limits;
  if (!SERVICE_STATUSES.includes(status)) throw bad('status', `one of ${SERVICE_STATUSES.join(', ')}`);
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw bad('signal', 'an AbortSignal');
  if (status === 'ready') service.start();
  const queue = new WaitQueue<StoreError | undefined>(clock);
  const look = (): void => {
    const now = statusOf(service);
    if (now === status || (status === 'ready' && now === 'degraded')) queue.give(undefined);
    else if (status === 'ready' && GIVEN_UP.has(now)) queue.give(whyNot(service, local));
    else if (service.ended.aborted) queue.give(errorAt(service.ended.reason as StoreError, local, { service: local }));
  };
  const off = events.on('state', (event) => {
    if (event.service === service.name) look();
  });
  // A moment later, when its endpoints have stopped: that may be what is waited for.
  const offEnd = onAbort(service.ended, () => queueMicrotask(look));
  try {
    const waiting = queue.wait({ deadline: clock.now() + timeoutMs, signal }, (why) =>
      why === 'cancelled'
        ? new StoreError('CANCELLED', `${local}: cancelled by the caller`, { service: local, cause: signal?.reason })
        : new StoreError('TIMEOUT', `${local}: not ${status} within ${timeoutMs} ms (it is ${statusOf(service)})`, {
            service: local,
            figures: { timeoutMs, status: statusOf(service) },
            cause: 'reason' in service.state ? service.state.reason : undefined,
          }),
    );
    look();
    const problem = await waiting;
    if (problem) throw problem;
  } finally {
    off();
    offEnd();
  }
}

function bad(path: string, expected: string): StoreError {
  return new StoreError('OPTION_INVALID', `${path}: expected ${expected}`, { figures: { path } });
}

function whyNot(service: Service, local: string): StoreError {
  const { state, problem } = service;
  const reason = problem ?? ('reason' in state ? state.reason : undefined);
  if (reason) return errorAt(reason, local, { service: local });
  const what = service.definition?.disabled ? 'disabled' : statusOf(service);
  return new StoreError('SERVICE_DOWN', `${local}: the service is ${what}`, { service: local });
}
