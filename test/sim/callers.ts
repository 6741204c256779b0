/** Knows what the callers of a run do, and when: calls with limits and cancellations, batches, changes, agents, leases. */

import type { BatchCall } from '../../src/batch.js';
import type { CallToolOptions } from '../../src/call-options.js';
import type { Scope } from '../../src/scope.js';
import type { MCPStore } from '../../src/store.js';
import { Attempt, type CallPlan } from './attempt.js';
import type { SimService } from './plan.js';
import type { Random } from './random.js';
import type { World } from './world.js';

type Deed = 'call' | 'agent' | 'batch' | 'stream' | 'lease' | 'read' | 'list' | 'check' | 'change' | 'trouble' | 'tidy';

const DEEDS: Record<Deed, number> = {
  call: 0.79,
  agent: 0.01,
  batch: 0.03,
  stream: 0.02,
  lease: 0.02,
  read: 0.02,
  list: 0.02,
  check: 0.01,
  change: 0.03,
  trouble: 0.03,
  tidy: 0.02,
};

export class Callers {
  readonly attempts: Attempt[] = [];
  readonly #world: World;
  readonly #store: MCPStore;
  readonly #services: readonly SimService[];
  readonly #random: Random;
  readonly #callTimeoutMs: number;
  #next = 1;
  /** Services that a change touched: what their calls meet is no longer only their own doing. */
  readonly disturbed = new Set<string>();
  /** Services that were not there for a moment. */

  constructor(world: World, store: MCPStore, services: readonly SimService[], callTimeoutMs: number) {
    this.#world = world;
    this.#store = store;
    this.#services = services;
    this.#random = world.random.fork('callers');
    this.#callTimeoutMs = callTimeoutMs;
  }

  /** Plans everything; the last of it begins `lengthMs` from now at the latest. */
  begin(deeds: number, lengthMs: number): void {
    const random = this.#random;
    const { loop } = this.#world;
    let at = 0;
    for (let i = 0; i < deeds; i++) {
      // Bursts, and pauses between them.
      if (random.chance(0.15)) at = random.int(0, lengthMs);
      else if (random.chance(0.5)) at = Math.min(lengthMs, at + random.int(0, 40));
      const deed = random.weighted(DEEDS) ?? 'call';
      loop.after(at, () => this.#do(deed));
    }
  }

  #do(deed: Deed): void {
    const service = this.#random.pick(this.#services);
    const scope: Scope = this.#random.chance(0.15)
      ? this.#store.forAgent('ann', { services: this.#store.listServices().map(({ name }) => name) })
      : this.#store;
    this[deed](service, scope);
  }

  protected call(service: SimService, scope: Scope): void {
    const random = this.#random;
    const plan = this.#plan(service);
    const { options, deadline, signal, cancelAt } = this.#limits();
    const mode = random.weighted({ refresh: 0.05, bypass: 0.05, key: 0.1 });
    if (mode === 'refresh' || mode === 'bypass') options.cache = mode;
    else if (mode === 'key') options.cache = { key: `k${random.int(1, 3)}` };
    const attempt = this.#attempt(`${plan.service}.${plan.tool} ${plan.mark}`, { calls: [plan], deadline, signal });
    attempt.watch(() => scope.callTool(`${plan.service}__${plan.tool}`, this.#args(plan), options));
    cancelAt?.(attempt);
  }

  protected batch(_service: SimService, scope: Scope): void {
    const { plans, calls } = this.#batchOf();
    const { options, deadline, signal, cancelAt } = this.#limits();
    const { timeoutMs, ...rest } = options;
    const seen = new Map<number, number>();
    const attempt = this.#attempt(`batch of ${plans.map(({ mark }) => mark)}`, {
      calls: plans,
      deadline: timeoutMs === undefined ? Number.POSITIVE_INFINITY : deadline,
      signal,
    });
    const stopOnError = this.#random.chance(0.2);
    attempt.watch(async () => {
      const result = await scope.batchCall(calls, {
        ...rest,
        ...(timeoutMs !== undefined && { timeoutMs }),
        stopOnError,
        concurrency: this.#random.int(1, 8),
        onResult: ({ index }) => void seen.set(index, (seen.get(index) ?? 0) + 1),
      });
      for (let i = 0; i < calls.length; i++)
        if (seen.get(i) !== 1) this.#world.fail(`batch entry ${i} was told ${seen.get(i)} times`);
      return result.results;
    });
    cancelAt?.(attempt);
  }

  protected stream(_service: SimService, scope: Scope): void {
    const { plans, calls } = this.#batchOf();
    const attempt = this.#attempt(`stream of ${plans.map(({ mark }) => mark)}`, { calls: plans });
    const leavesAfter = this.#random.chance(0.3) ? this.#random.int(1, calls.length) : Number.POSITIVE_INFINITY;
    attempt.watch(async () => {
      const entries: unknown[] = new Array(calls.length);
      let read = 0;
      for await (const entry of scope.batchStream(calls, { concurrency: this.#random.int(1, 8) })) {
        if (entries[entry.index] !== undefined) this.#world.fail(`stream entry ${entry.index} came twice`);
        entries[entry.index] = entry;
        if (++read >= leavesAfter) break;
      }
      return entries;
    });
  }

  protected lease(service: SimService, scope: Scope): void {
    const plans = [this.#plan(service, false), this.#plan(service, false)];
    const attempt = this.#attempt(`lease of ${service.name}: ${plans.map(({ mark }) => mark)}`);
    attempt.watch(() =>
      scope.lease(service.name, async (lease) => {
        for (const plan of plans) {
          const timeoutMs = this.#random.int(100, 4_000);
          const own = this.#attempt(`leased ${plan.service}.${plan.tool} ${plan.mark}`, {
            calls: [plan],
            deadline: this.#world.loop.now + timeoutMs,
          });
          own.watch(() => lease.callTool(plan.tool, this.#args(plan), { timeoutMs }));
          while (!own.settled) await this.#world.loop.sleep(1);
        }
      }),
    );
  }

  protected read(service: SimService, scope: Scope): void {
    const { options, deadline, signal, cancelAt } = this.#limits();
    const uri = `sim://${this.#next++}`;
    const attempt = this.#attempt(`${service.name} reads ${uri}`, { deadline, signal });
    attempt.watch(async () => {
      const { timeoutMs } = options;
      const found = await scope.readResource(service.name, uri, {
        ...(timeoutMs !== undefined && { timeoutMs }),
        ...(signal && { signal }),
      });
      const text = (found['contents'] as { text: string }[])[0]!.text;
      if (text !== `${service.name} ${uri}`) this.#world.fail(`${uri} got the answer of another: ${text}`);
    });
    cancelAt?.(attempt);
  }

  protected list(service: SimService, scope: Scope): void {
    const timeoutMs = this.#random.int(1, 5_000);
    const deadline = this.#world.loop.now + timeoutMs;
    const refresh = this.#random.pick(['never', 'stale', 'always'] as const);
    const one = this.#random.chance(0.5) ? { service: service.name } : {};
    this.#attempt(`list ${refresh}`, { deadline }).watch(() => scope.listTools({ refresh, timeoutMs, ...one }));
  }

  protected check(service: SimService, scope: Scope): void {
    const timeoutMs = this.#random.int(1, 5_000);
    if (this.#random.chance(0.5)) {
      const deadline = this.#world.loop.now + timeoutMs;
      this.#attempt(`wait for ${service.name}`, { deadline }).watch(() =>
        scope.waitService(service.name, { timeoutMs }),
      );
    } else this.#attempt('check services').watch(() => scope.checkServices({ timeoutMs }));
  }

  protected change(service: SimService): void {
    const random = this.#random;
    const store = this.#store;
    const { name, config } = service;
    const deed = random.pick(['restart', 'stop', 'update', 'patch', 'replace', 'tune'] as const);
    this.disturbed.add(name);
    const drainMs = random.pick([0, 100, 5_000]);
    if (deed === 'tune') {
      this.#tune();
      return;
    }
    const attempt = this.#attempt(`${deed} ${name}`);
    attempt.slow = deed === 'stop' || deed === 'replace';
    attempt.watch(async () => {
      if (deed === 'restart') await store.restartService(name, { drainMs });
      else if (deed === 'stop') {
        await store.disconnectService(name, { drainMs });
        await this.#world.loop.sleep(random.int(0, 3_000));
        await store.restartService(name, { drainMs });
      } else if (deed === 'update') await store.updateService(name, { ...config, env: { TURN: String(this.#next++) } });
      else if (deed === 'patch') await store.patchService(name, { timeout: random.int(1_000, this.#callTimeoutMs) });
      else {
        const gone = store.deleteService(name);
        const back = this.#world.loop.sleep(random.int(0, 100)).then(() => store.addService(name, config));
        await Promise.all([gone, back]);
      }
    });
  }

  /** Other options for all services, while calls are under way. */
  #tune(): void {
    const random = this.#random;
    for (const { name } of this.#services) this.disturbed.add(name);
    const options = {
      connectionPool: {
        maxConnections: random.int(2, 8),
        maxInFlightPerConnection: random.int(1, 20),
        maxIdleTimeMs: random.pick([200, 2_000, 60_000]),
        healthCheckIntervalMs: random.pick([0, 500, 10_000]),
        maxRetries: random.int(0, 3),
      },
      calls: { maxConcurrentCalls: random.int(1, 20), queueLimit: random.pick([5, 10_000]) },
      resultCache: { enabled: random.chance(0.5), maxEntries: random.int(1, 20) },
    };
    this.#attempt(`tune ${JSON.stringify(options)}`).watch(() => Promise.resolve(this.#store.configure(options)));
  }

  /** An agent adds a service of its own, calls it, and removes it. */
  protected agent(service: SimService): void {
    const scope = this.#store.forAgent('bob');
    const local = `own${this.#next++}`;
    const plans = [this.#plan(service, false), this.#plan(service, false)];
    const attempt = this.#attempt(`bob has ${local}, which is ${service.name}`);
    attempt.slow = true;
    attempt.watch(async () => {
      await scope.addService(local, service.config);
      for (const plan of plans) {
        const timeoutMs = this.#random.int(100, 4_000);
        const options = { calls: [plan], deadline: this.#world.loop.now + timeoutMs };
        const own = this.#attempt(`bob's ${plan.service}.${plan.tool} ${plan.mark}`, options);
        own.watch(() => scope.callTool(`${local}__${plan.tool}`, this.#args(plan), { timeoutMs }));
        while (!own.settled) await this.#world.loop.sleep(1);
      }
      await scope.deleteService(local);
    });
  }

  /** Something happens to a server. */
  protected trouble(service: SimService): void {
    const random = this.#random;
    if (service.healthy || service.hosts.length === 0) return;
    const host = random.pick(service.hosts);
    const kind = random.pick(['restart', 'forget', 'partition'] as const);
    if (kind === 'restart') host.restart(random.int(0, 3_000));
    else if (kind === 'forget') host.forgetSessions();
    else {
      host.partitionedUntil = this.#world.loop.now + random.int(100, 10_000);
      this.#world.trace(`${service.name} is cut off`);
    }
  }

  protected tidy(service: SimService, scope: Scope): void {
    const deed = this.#random.pick(['idle', 'cache', 'service'] as const);
    if (deed === 'idle') this.#store.closeIdle(this.#random.int(0, 200));
    else if (deed === 'cache') scope.clearCache();
    else this.#attempt(`clear ${service.name}`).watch(async () => scope.clearCache({ service: service.name }));
  }

  #attempt(what: string, options: ConstructorParameters<typeof Attempt>[2] = {}): Attempt {
    const attempt = new Attempt(this.#world, what, options);
    this.attempts.push(attempt);
    return attempt;
  }

  #plan(service: SimService, shared = true): CallPlan {
    const random = this.#random;
    const tool = random.pick(['read', 'put', 'post'] as const);
    // Equal reads may share one answer; all others are told apart.
    const mark = tool === 'read' && shared ? `r${random.int(1, 6)}-${service.name}` : `m${this.#next++}`;
    return { mark, service: service.name, tool, repeatable: tool !== 'post' && service.trusted };
  }

  #args(plan: CallPlan): Record<string, unknown> {
    return this.#random.chance(0.03)
      ? { mark: plan.mark, pad: 'x'.repeat(this.#random.int(1_000, 90_000)) }
      : { mark: plan.mark };
  }

  #batchOf(): { plans: CallPlan[]; calls: BatchCall[] } {
    const plans = Array.from({ length: this.#random.int(1, 10) }, () => this.#plan(this.#random.pick(this.#services)));
    return {
      plans,
      calls: plans.map((plan) => ({ tool: `${plan.service}__${plan.tool}`, arguments: { mark: plan.mark } })),
    };
  }

  /** A deadline, a cancellation at any instant, both or none. */
  #limits(): {
    options: CallToolOptions;
    deadline: number;
    signal: AbortSignal | undefined;
    cancelAt: ((attempt: Attempt) => void) | undefined;
  } {
    const random = this.#random;
    const { loop } = this.#world;
    const options: CallToolOptions = {};
    if (random.chance(0.5)) options.timeoutMs = random.pick([1, random.int(1, 30), random.int(10, 2_000), 8_000]);
    const deadline = loop.now + (options.timeoutMs ?? this.#callTimeoutMs);
    if (!random.chance(0.25)) return { options, deadline, signal: undefined, cancelAt: undefined };
    const controller = new AbortController();
    options.signal = controller.signal;
    const abort = (attempt?: Attempt): void => {
      if (attempt && !attempt.settled) {
        attempt.cancelledAt = loop.now;
        this.#world.trace(`cancel ${attempt.what}`);
      }
      controller.abort();
    };
    const when = random.weighted({ before: 0.1, now: 0.1, tick: 0.1, never: 0.3 });
    if (when === 'before') abort();
    const cancelAt = (attempt: Attempt): void => {
      if (when === 'before') attempt.cancelledAt = attempt.since;
      else if (when === 'now') abort(attempt);
      else if (when === 'tick') queueMicrotask(() => abort(attempt));
      else if (when === undefined)
        loop.after(random.pick([0, random.int(0, 30), random.int(0, 3_000)]), () => abort(attempt));
    };
    return { options, deadline, signal: controller.signal, cancelAt };
  }
}
