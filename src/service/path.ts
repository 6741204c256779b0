/** Knows the path of a call below the cache for one set of connections: retry → limit → balance → endpoints. */

import type { Clock } from '../_util/clock.js';
import type { Gate } from '../_util/gate.js';
import { type Call, type CallResult, type Handler, NewRecord } from '../call.js';
import type { EndpointDefinition, ServiceDefinition } from '../config/definition.js';
import type { Asking } from '../connection/asked.js';
import type { Keyring } from '../connection/auth.js';
import type { Connection, ServerNotice } from '../connection/connection.js';
import { Endpoint } from '../endpoint/endpoint.js';
import type { EndpointState } from '../endpoint/machine.js';
import type { StoreError } from '../errors.js';
import type { ResolvedPerformance } from '../options.js';
import { Balance, type Taken } from './balance.js';
import { Limit } from './limit.js';
import { picker } from './pick.js';
import { Retry, type RetryPolicy } from './retry.js';

export interface PathOptions {
  definition: ServiceDefinition;
  performance: ResolvedPerformance;
  clock: Clock;
  gate: Gate;
  /** Who signs in over HTTP. */
  keyring?: Keyring | undefined;
  /** Where processes are noted, so that a later run can end what this one could not; undefined: nowhere. */
  stateDir?: string | undefined;
  onState: (state: EndpointState, endpoint: string) => void;
  onOpened: () => void;
  onNotice: (notice: ServerNotice) => void;
  onLine: (stream: 'stdout' | 'stderr', text: string) => void;
  /** The callers whom the server may ask; undefined: nobody. */
  asking?: Asking | undefined;
}

/** What bounds one list, or the opening of a lease. */
export interface ListLimits {
  deadline: number;
  timeoutMs: number;
  signal: AbortSignal | undefined;
}

export interface Listed {
  items: Record<string, unknown>[];
  /** The shortest that a page gave (modern era). */
  ttlMs: number | undefined;
}

/** States by how much may be hoped of an endpoint in them, best first: a service's status is that of its best one. */
const BEST_FIRST: readonly EndpointState['name'][] = [
  'ready',
  'degraded',
  'probing',
  'starting',
  'reconnecting',
  'registered',
  'ejected',
  'breaker_open',
  'auth_required',
  'failed',
  'stopped',
];

export class Path {
  readonly endpoints: readonly Endpoint[];
  readonly handle: Handler;
  #options: PathOptions;
  readonly #balance: Balance;
  readonly #limit: Limit;
  readonly #retries: Retry;

  constructor(options: PathOptions) {
    this.#options = options;
    const { definition, performance, clock } = options;
    const { sharing = 'shared', balance = 'power-of-two' } = definition.options;
    const fresh = sharing === 'call';
    this.endpoints = definition.endpoints.map((endpoint) => this.#endpoint(endpoint));
    this.#limit = new Limit({ ...this.#bounds(performance), clock });
    this.#balance = new Balance({
      endpoints: this.endpoints,
      limit: this.#limit,
      pick: picker(balance, clock),
      clock,
      sticky: sharing === 'agent',
      fresh,
    });
    const elsewhere = (call: Call): boolean => this.endpoints.length > 1 && this.#balance.elsewhere(call);
    this.#retries = new Retry({ ...retryRules(performance), clock, elsewhere });
    // Retry stands outside the limit, so a pause holds no permit.
    this.handle = this.#retries.around((call) => this.#balance.run(call));
  }

  /** Other options, from now on; what is under way goes on. */
  configure(performance: ResolvedPerformance): void {
    this.#options = { ...this.#options, performance };
    for (const endpoint of this.endpoints) endpoint.configure(performance);
    this.#limit.configure(this.#bounds(performance));
    this.#retries.configure(retryRules(performance));
  }

  get running(): number {
    return this.#limit.running;
  }

  get waiting(): number {
    return this.#limit.waiting;
  }

  /** The endpoint of which most may be hoped. */
  get best(): Endpoint {
    return [...this.endpoints].sort((a, b) => rank(a.state) - rank(b.state))[0]!;
  }

  /**
   * One list of the server, every page, repeated where a start fails and repeating helps. A server without the
   * capability has none, and asking it may be an error (MCP, "Capability Negotiation").
   */
  async list(
    method: string,
    key: string,
    capability: 'tools' | 'resources' | 'prompts',
    limits: ListLimits,
  ): Promise<Listed> {
    let found: Listed = { items: [], ttlMs: undefined };
    const use = async (connection: Connection, call: Call): Promise<CallResult> => {
      if (connection.capabilities[capability]) found = await connection.listAll(method, key, call);
      return {};
    };
    await this.#retries.around((call) => this.#balance.run(call, use))(this.#ours(method, limits));
    return found;
  }

  /** Runs `fn` with a connection of its own, which ends with it. That it opens is tried as often, and where, a call is. */
  async lease<T>(fn: (handle: Handler) => Promise<T>, timeoutMs: number): Promise<T> {
    const deadline = this.#options.clock.now() + timeoutMs;
    let taken: Taken | undefined;
    await this.#retries.around(async (call) => {
      taken = await this.#balance.lease(call);
      return {};
    })(this.#ours('lease', { deadline, timeoutMs, signal: undefined }));
    const { endpoint, connection } = taken!;
    try {
      return await fn(this.#balance.over(taken!));
    } finally {
      await endpoint.leases.end(connection);
    }
  }

  /** What the store does on its own behalf, as a call: nobody hears of its record. */
  #ours(method: string, limits: ListLimits): Call {
    const { definition, performance, clock } = this.#options;
    return {
      ...limits,
      method,
      params: {},
      subject: `${definition.name}: ${method}`,
      silenceMs: performance.connectionPool.readTimeoutMs,
      onProgress: undefined,
      headers: undefined,
      cache: undefined,
      repeatable: true,
      cacheable: false,
      readOnly: true,
      cachePrefix: '',
      record: new NewRecord('', definition.name, method, clock.now()),
    };
  }

  /**
   * Begins to start; does not wait. One that keeps state needs one connection, not one of each, and where each call has
   * its own none is kept: then a start is tried as a call would, which asks nothing.
   */
  start(timeoutMs: number): void {
    const { definition, clock } = this.#options;
    const { sharing = 'shared' } = definition.options;
    if (sharing === 'shared') for (const endpoint of this.endpoints) endpoint.use();
    else if (!this.best.flowing)
      this.#retries
        .around((call) => this.#balance.run(call, () => Promise.resolve({})))(
          this.#ours('start', { deadline: clock.now() + timeoutMs, timeoutMs, signal: undefined }),
        )
        .catch(() => {});
  }

  setLogLevel(level: string): void {
    for (const endpoint of this.endpoints) endpoint.setLogLevel(level);
  }

  closeIdle(maxIdleMs: number): number {
    return this.endpoints.reduce((closed, endpoint) => closed + endpoint.closeIdle(maxIdleMs), 0);
  }

  async stop(drainMs: number): Promise<void> {
    await Promise.all(this.endpoints.map((endpoint) => endpoint.stop(drainMs)));
  }

  /** Is there anything of it that a restart replaces? */
  get used(): boolean {
    return this.endpoints.some(({ state }) => state.name !== 'registered' && state.name !== 'stopped');
  }

  /** @param timeoutMs - for the new start, which begins as with `start`; undefined: the next call begins it */
  async restart(drainMs: number, timeoutMs: number | undefined): Promise<void> {
    const { sharing = 'shared' } = this.#options.definition.options;
    const all = sharing === 'shared' && timeoutMs !== undefined;
    await Promise.all(this.endpoints.map((endpoint) => endpoint.restart(drainMs, all)));
    if (!all && timeoutMs !== undefined) this.start(timeoutMs);
  }

  /** Ends for good; calls in flight have `drainMs`. */
  async close(drainMs: number, gone: () => StoreError): Promise<void> {
    this.#limit.refuse(gone);
    this.#retries.refuse(gone);
    await Promise.all(this.endpoints.map((endpoint) => endpoint.close(drainMs)));
  }

  #endpoint(definition: EndpointDefinition): Endpoint {
    const { performance, clock, gate, keyring, stateDir, onState, onOpened, onNotice, onLine, asking } = this.#options;
    const replicas = this.#options.definition.endpoints.length > 1;
    const endpoint: Endpoint = new Endpoint({
      definition,
      performance,
      own: this.#options.definition.options,
      clock,
      gate,
      credentials: keyring && (() => keyring.of(this.#options.definition.name, definition)),
      stateDir,
      onState: (state) => onState(state, endpoint.label),
      onOpened,
      onNotice,
      onLine,
      asking,
      ...(replicas && { mayEject: () => this.#mayEject() }),
    });
    return endpoint;
  }

  /** Calls at a time, by default what the endpoints can carry, and calls that may wait. */
  #bounds({ calls }: ResolvedPerformance): { maxConcurrentCalls: number; queueLimit: number } {
    // A fresh connection for each call carries one call at a time.
    const fresh = this.#options.definition.options.sharing === 'call';
    const capacity = this.endpoints.reduce((sum, of) => sum + (fresh ? of.maxConnections : of.capacity), 0);
    return { maxConcurrentCalls: calls.maxConcurrentCalls ?? capacity, queueLimit: calls.queueLimit };
  }

  /** At most half of them: where most fail, the fault is likely not theirs, and fewer would carry all the load. */
  #mayEject(): boolean {
    const out = this.endpoints.filter(({ state }) => state.name === 'ejected' || state.name === 'probing').length;
    return out < Math.floor(this.endpoints.length / 2);
  }
}

export function rank(state: EndpointState): number {
  return BEST_FIRST.indexOf(state.name);
}

function retryRules({
  connectionPool,
  calls,
}: ResolvedPerformance): Pick<RetryPolicy, 'maxRetries' | 'retryDelayMs' | 'retry'> {
  const { maxRetries, retryDelayMs } = connectionPool;
  return { maxRetries, retryDelayMs, retry: calls.retry };
}
