/** Knows which endpoint takes an attempt of a call, and runs the attempt with a permit over one of its connections. */

import { onAbort } from '../_util/abort.js';
import type { Clock } from '../_util/clock.js';
import { type Call, type CallResult, type Handler, InputRequired } from '../call.js';
import type { Connection } from '../connection/connection.js';
import type { Endpoint } from '../endpoint/endpoint.js';
import { StoreError } from '../errors.js';
import type { Limit } from './limit.js';
import type { Pick } from './pick.js';

export interface BalanceOptions {
  endpoints: readonly Endpoint[];
  pick: Pick;
  clock: Clock;
  limit: Limit;
  /** State lives in the connection: stay with one endpoint as long as it can be used. */
  sticky: boolean;
  /** A fresh connection for each attempt, which ends with it. */
  fresh: boolean;
}

type Use = (connection: Connection, call: Call) => Promise<CallResult>;

export interface Taken {
  endpoint: Endpoint;
  connection: Connection;
}

export class Balance {
  readonly #options: BalanceOptions;
  /** Where a call has failed before; its next attempt goes elsewhere. */
  readonly #failed = new WeakMap<Call, Set<Endpoint>>();
  /** Where the last lease could not be opened: the next one is opened elsewhere, if it can be. */
  readonly #unleased = new WeakSet<Endpoint>();
  #current: Endpoint | undefined;

  constructor(options: BalanceOptions) {
    this.#options = options;
  }

  /** Is there an endpoint that can take this call now, and at which it has not failed? */
  elsewhere(call: Call): boolean {
    const failed = this.#failed.get(call);
    return this.#options.endpoints.some((endpoint) => !failed?.has(endpoint) && endpoint.refusal() === undefined);
  }

  /**
   * One attempt: a permit, an endpoint, one of its connections, the request. `use` asks something else of the
   * connection, without a permit: the store's own lists are no calls.
   */
  async run(call: Call, use?: Use): Promise<CallResult> {
    const { endpoints, clock, fresh, limit } = this.#options;
    if (use === undefined) {
      const queued = limit.enter(call);
      if (queued) {
        const since = clock.now();
        try {
          await queued;
        } finally {
          call.record.queueMs += clock.now() - since;
        }
      }
    }
    if (fresh)
      return this.#fresh(call, use, () => {
        if (use === undefined) limit.leave();
      });
    try {
      let endpoint = endpoints.length === 1 ? endpoints[0]! : this.#choose(call);
      let connection = endpoint?.take();
      if (connection === undefined) {
        const since = clock.now();
        try {
          ({ endpoint, connection } = await this.#wait(endpoint, call));
        } finally {
          call.record.connectMs += clock.now() - since;
        }
      }
      const { record } = call;
      record.endpoint = endpoint!.label;
      record.attempts++;
      const since = clock.now();
      try {
        const result = use
          ? await use(connection, call)
          : complete(call, await connection.request(call.method, call.params, call));
        this.#over(call, use, endpoint!, connection, since, undefined);
        return result;
      } catch (error) {
        this.#over(call, use, endpoint!, connection, since, error);
        throw error;
      }
    } finally {
      if (use === undefined) limit.leave();
    }
  }

  #over(
    call: Call,
    use: Use | undefined,
    endpoint: Endpoint,
    connection: Connection,
    since: number,
    error: unknown,
  ): void {
    const now = this.#options.clock.now();
    call.record.callMs += now - since;
    if (error !== undefined) this.#blame(call, endpoint);
    endpoint.done(connection, call, use === undefined ? 'call' : 'list', since, now, error);
  }

  #blame(call: Call, endpoint: Endpoint): void {
    if (this.#options.endpoints.length === 1) return;
    const failed = this.#failed.get(call) ?? new Set();
    this.#failed.set(call, failed.add(endpoint));
  }

  /** An endpoint through which calls flow, or the one that waits to be probed; undefined where the call has to wait. */
  #choose(call: Call): Endpoint | undefined {
    const { endpoints, pick, sticky } = this.#options;
    const failed = this.#failed.get(call);
    if (sticky && this.#current?.flowing && !failed?.has(this.#current)) return this.#current;
    let usable = endpoints.filter((endpoint) => endpoint.flowing && endpoint.hasRoom && !failed?.has(endpoint));
    if (usable.length === 0) usable = endpoints.filter((endpoint) => endpoint.flowing && endpoint.hasRoom);
    const returning = endpoints.find((endpoint) => endpoint.state.name === 'probing' && !endpoint.refusal());
    if (returning && !failed?.has(returning)) return returning;
    if (usable.length === 0) return undefined;
    const chosen = pick(usable);
    this.#current = chosen;
    // One that was stopped for idleness comes back behind as soon as its siblings have more to do than one call.
    if (!sticky && chosen.inFlight > 0) endpoints.find(({ state }) => state.name === 'registered')?.use();
    return chosen;
  }

  async #wait(chosen: Endpoint | undefined, call: Call): Promise<Taken> {
    if (chosen) {
      try {
        return { endpoint: chosen, connection: await chosen.wait(call, call.timeoutMs) };
      } catch (error) {
        call.record.endpoint = chosen.label;
        this.#blame(call, chosen);
        throw error;
      }
    }
    const { endpoints, sticky } = this.#options;
    const failed = this.#failed.get(call);
    let open = endpoints.filter((endpoint) => endpoint.refusal() === undefined);
    if (open.some((endpoint) => !failed?.has(endpoint))) open = open.filter((endpoint) => !failed?.has(endpoint));
    // One that keeps state needs one connection, not one of each.
    if (sticky && open.length > 0) {
      if (this.#current === undefined || !open.includes(this.#current)) this.#current = open[0]!;
      return this.#wait(this.#current, call);
    }
    if (open.length > 0) return firstOf(open, call);
    const least = leastBad(endpoints);
    least.hasten();
    return this.#wait(least, call);
  }

  /** `sharing: 'call'`. The permit is kept until nothing of the connection is left: its place is free only then. */
  async #fresh(call: Call, use: Use | undefined, leave: () => void): Promise<CallResult> {
    const { clock } = this.#options;
    const endpoint = this.#leastLeased(call);
    const { record } = call;
    record.endpoint = endpoint.label;
    let since = clock.now();
    let connection: Connection;
    try {
      connection = await endpoint.leases.own(call, call.timeoutMs).finally(() => {
        record.connectMs += clock.now() - since;
      });
    } catch (error) {
      this.#blame(call, endpoint);
      leave();
      throw error;
    }
    record.attempts++;
    since = clock.now();
    let failed: unknown;
    try {
      return use
        ? await use(connection, call)
        : complete(call, await connection.request(call.method, call.params, call));
    } catch (error) {
      failed = error;
      this.#blame(call, endpoint);
      throw error;
    } finally {
      record.callMs += clock.now() - since;
      void endpoint.leases.ownDone(connection, call, use ? 'list' : 'call', since, failed).finally(leave);
    }
  }

  /** One attempt to open a connection for one owner, beside those of the calls; `call` says how long it may take. */
  async lease(call: Call): Promise<Taken> {
    const endpoint = this.#leastLeased(call, (one) => (one.flowing ? 0 : this.#unleased.has(one) ? 2 : 1));
    try {
      const connection = await endpoint.leases.open(call, call.timeoutMs);
      this.#unleased.delete(endpoint);
      return { endpoint, connection };
    } catch (error) {
      this.#unleased.add(endpoint);
      this.#blame(call, endpoint);
      throw error;
    }
  }

  /** The last hop of a call over a lease: always the same connection, never repeated. */
  over({ endpoint, connection }: Taken): Handler {
    const { clock } = this.#options;
    return async (call) => {
      const { record } = call;
      record.endpoint = endpoint.label;
      record.attempts++;
      const since = clock.now();
      try {
        return await endpoint.leases.use(connection, call, async () =>
          complete(call, await connection.request(call.method, call.params, call)),
        );
      } finally {
        record.callMs += clock.now() - since;
      }
    };
  }

  /** @param doubt - how little is hoped of one; the same of all where it is left out */
  #leastLeased(call: Call, doubt: (endpoint: Endpoint) => number = () => 0): Endpoint {
    const { endpoints } = this.#options;
    const failed = this.#failed.get(call);
    let open = endpoints.filter((endpoint) => endpoint.refusal() === undefined);
    if (open.some((endpoint) => !failed?.has(endpoint))) open = open.filter((endpoint) => !failed?.has(endpoint));
    if (open.length > 0)
      return open.sort((a, b) => doubt(a) - doubt(b) || a.leases.connections.size - b.leases.connections.size)[0]!;
    const least = leastBad(endpoints);
    least.hasten();
    return least;
  }
}

/** Waits at each of them, and takes the first connection that is to be had. */
function firstOf(endpoints: readonly Endpoint[], call: Call): Promise<Taken> {
  const over = new AbortController();
  const offAbort = call.signal && onAbort(call.signal, () => over.abort(call.signal!.reason));
  if (call.signal?.aborted) over.abort(call.signal.reason);
  return new Promise<Taken>((resolve, reject) => {
    let left = endpoints.length;
    let first: unknown;
    let won = false;
    for (const endpoint of endpoints)
      endpoint.wait({ deadline: call.deadline, signal: over.signal }, call.timeoutMs).then(
        (connection) => {
          if (won) return endpoint.release(connection);
          won = true;
          over.abort();
          resolve({ endpoint, connection });
        },
        (error: unknown) => {
          first ??= error;
          if (--left === 0) reject(first);
        },
      );
  }).finally(() => offAbort?.());
}

/** The panic of Envoy's load balancer: where none can be used, the one that comes back soonest is tried at once. */
function leastBad(endpoints: readonly Endpoint[]): Endpoint {
  const nextTryAt = ({ state }: Endpoint): number =>
    state.name === 'ejected' ? state.nextTryAt : Number.POSITIVE_INFINITY;
  return [...endpoints].sort((a, b) => nextTryAt(a) - nextTryAt(b))[0]!;
}

/**
 * The result, unless a modern server needs something from the caller first: then `InputRequired`, which the call's own
 * hop answers (`rounds.ts`), or `PROTOCOL_ERROR` for a caller who has nothing to give.
 */
export function complete(call: Call, result: CallResult): CallResult {
  const kind = result['resultType'];
  if (kind === undefined || kind === 'complete') return result;
  if (kind === 'input_required' && call.ask?.offers) throw new InputRequired(result);
  throw new StoreError(
    'PROTOCOL_ERROR',
    `${call.record.tool}: the server asks for input that this client does not offer`,
    {
      executed: 'no',
      figures: { resultType: String(kind) },
    },
  );
}
