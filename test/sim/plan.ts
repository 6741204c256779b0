/** Knows which services a seed gives a run, how each of them misbehaves, and the options of the store. */

import type { PerformanceOptions } from '../../src/options.js';
import { type HttpFate, type HttpFaults, HttpHost, NO_HTTP_FAULTS } from './http-host.js';
import type { Random } from './random.js';
import { type Era, type Fate, type Faults, type Greeting, SimServer } from './server.js';
import { NO_PROCESS_FAULTS, type ProcessFaults, StdioProgram } from './stdio-program.js';
import type { World } from './world.js';

/** One service of a run. */
export interface SimService {
  readonly name: string;
  readonly kind: 'stdio' | 'http';
  /** Does nothing wrong: its calls have to go well, whatever the others do. */
  readonly healthy: boolean;
  /** The store believes its hints, so `read` and `put` may be repeated. */
  readonly trusted: boolean;
  readonly config: Record<string, unknown>;
  readonly hosts: readonly HttpHost[];
}

const FATES: readonly Fate[] = [
  'slow',
  'late',
  'lost',
  'hang',
  'doubled',
  'unknown_id',
  'both',
  'neither',
  'rpc_error',
  'is_error',
  'progress',
  'asks',
  'noise',
  'list_changed',
  'crash_before',
  'crash_after',
  'crash_mid',
  'crash_answered',
  'stall',
];
const GREETINGS: readonly Greeting[] = ['silent', 'slow', 'refuses', 'crash', 'noise'];
const EXCHANGES: readonly HttpFate[] = [
  '429',
  '503_wait',
  '500',
  '502',
  '404',
  '401',
  'reset',
  'hang',
  'empty',
  'garbage',
  'wrong_type',
  'redirect',
  'trickle',
  'close_after',
];
const NO_FAULTS: Faults = { call: {}, greeting: {}, list: 0 };

export function services(world: World): SimService[] {
  const random = world.random.fork('plan');
  const count = random.int(3, 6);
  return Array.from({ length: count }, (_, i) => service(world, random, `s${i}`, i === 0));
}

/** Some of the faults, none of them so often that nothing else happens. */
function some<K extends string>(random: Random, keys: readonly K[], most: number): Partial<Record<K, number>> {
  const chosen: Partial<Record<K, number>> = {};
  for (const key of keys) if (random.chance(0.3)) chosen[key] = random.next() * most;
  return chosen;
}

function service(world: World, random: Random, name: string, healthy: boolean): SimService {
  const kind = random.pick(['stdio', 'http'] as const);
  const trusted = random.chance(0.5);
  const own: Record<string, unknown> = { trusted };
  if (!healthy && random.chance(0.3))
    own['calls'] = {
      maxConcurrentCalls: random.int(1, 6),
      ...(random.chance(0.3) && { queueLimit: random.int(0, 5) }),
    };
  if (!healthy && random.chance(0.3)) own['connectionPool'] = { maxConnections: random.int(1, 3) };
  if (!healthy && random.chance(0.25)) own['sharing'] = random.pick(['agent', 'call'] as const);
  const hosts: HttpHost[] = [];
  const endpoint = (replica: number): Record<string, unknown> => {
    const { config, host } = place(world, random, { name, replica, kind, healthy });
    if (host) hosts.push(host);
    return config;
  };
  const config = endpoint(0);
  if (random.chance(0.25)) {
    own['endpoints'] = Array.from({ length: random.int(1, 2) }, (_, i) => endpoint(i + 1));
    own['balance'] = random.pick(['power-of-two', 'least-in-flight', 'round-robin', 'weighted'] as const);
  }
  const made = { name, kind, healthy, trusted, hosts, config: { ...config, mcpstore: own } };
  world.trace(`service ${name}: ${JSON.stringify({ kind, healthy, config: made.config })}`);
  return made;
}

/** One endpoint: a program or a host, with faults of its own. */
function place(
  world: World,
  random: Random,
  { name, replica, kind, healthy }: { name: string; replica: number; kind: 'stdio' | 'http'; healthy: boolean },
): { config: Record<string, unknown>; host?: HttpHost } {
  const era = random.pick<Era>(['legacy', 'legacy', 'modern', 'both']);
  const faults: Faults = healthy
    ? NO_FAULTS
    : {
        call: some(random, FATES, 0.25),
        greeting: random.chance(0.5) ? some(random, GREETINGS, 0.5) : {},
        list: random.chance(0.2) ? random.next() * 0.5 : 0,
      };
  const server = new SimServer(world, name, replica, era, faults);
  const at = replica === 0 ? name : `${name}-${replica}`;
  world.trace(`server ${at}: ${JSON.stringify({ era, ...faults })}`);
  if (kind === 'stdio') {
    const own = healthy ? NO_PROCESS_FAULTS : processFaults(random);
    world.programs.set(`run-${at}`, new StdioProgram(server, own));
    world.trace(`program ${at}: ${JSON.stringify(own)}`);
    return { config: { command: `run-${at}` } };
  }
  const own = healthy ? NO_HTTP_FAULTS : httpFaults(random);
  const host = new HttpHost(server, own);
  world.hosts.set(`${at}.sim:8080`, host);
  world.trace(`host ${at}: ${JSON.stringify(own)}`);
  return { config: { url: `http://${at}.sim:8080/mcp` }, host };
}

function processFaults(random: Random): ProcessFaults {
  return {
    refuses: random.chance(0.2) ? random.pick([0.2, 0.5, 1]) : 0,
    errno: random.pick(['ENOENT', 'EACCES', 'EAGAIN', 'EMFILE']),
    startMs: random.pick([1, 50, 500, 4_000]),
    dies: random.chance(0.4) ? random.next() : 0,
    lifeMs: random.pick([100, 2_000, 20_000]),
    stubborn: random.chance(0.2),
    immortal: random.chance(0.2),
    forks: random.chance(0.2),
  };
}

function httpFaults(random: Random): HttpFaults {
  return {
    connect: random.chance(0.3) ? some(random, ['refuse', 'silence', 'unknown_name'] as const, 0.5) : {},
    exchange: some(random, EXCHANGES, 0.15),
    streams: random.pick([0, 0.5, 1]),
    numbered: random.chance(0.4),
    breaks: random.chance(0.3) ? random.next() * 0.4 : 0,
    sessions: random.chance(0.7),
    listens: random.chance(0.4),
    idleMs: random.chance(0.3) ? random.pick([5, 100, 2_000]) : 0,
  };
}

export function performance(random: Random): PerformanceOptions {
  const options: PerformanceOptions = {
    connectionPool: {
      connectionTimeoutMs: random.int(1_000, 5_000),
      startTimeoutMs: random.int(2_000, 10_000),
      readTimeoutMs: random.pick([1_000, 5_000, 20_000]),
      writeTimeoutMs: random.pick([500, 2_000, 30_000]),
      maxIdleTimeMs: random.pick([500, 5_000, 300_000]),
      healthCheckIntervalMs: random.pick([0, 1_000, 10_000]),
      healthCheckTimeoutMs: random.int(100, 2_000),
      maxRetries: random.int(0, 3),
      retryDelayMs: random.pick([0, 100, 1_000]),
    },
    calls: {
      callTimeoutMs: random.pick([2_000, 10_000, 30_000]),
      batchConcurrency: random.int(1, 20),
      retry: {
        strategy: random.pick(['exponential', 'fixed', 'linear', 'fibonacci'] as const),
        jitter: random.pick(['full', 'none'] as const),
      },
    },
  };
  if (random.chance(0.3)) options.connectionPool!.minConnections = 0;
  if (random.chance(0.3)) options.connectionPool!.maxInFlightPerConnection = random.int(1, 8);
  if (random.chance(0.6)) options.resultCache = { enabled: true, ttlMs: random.pick([50, 1_000, 60_000]) };
  return options;
}
