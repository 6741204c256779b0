/** Knows one run: a seed's world, a whole store in it, callers, a close, and what has to hold afterwards. */

import { network } from '../../src/connection/http-sockets.js';
import { system } from '../../src/connection/process.js';
import type { PerformanceOptions } from '../../src/options.js';
import { MCPStore } from '../../src/store.js';
import type { Attempt } from './attempt.js';
import { Callers } from './callers.js';
import { kill, spawn } from './child.js';
import { enter } from './globals.js';
import { checkAttempts, checkGone, checkHealthy, checkIdle, isIdle } from './invariants.js';
import { connector } from './net.js';
import { performance, type SimService, services } from './plan.js';
import { World } from './world.js';

export interface Outcome {
  seed: number;
  hash: string;
  broken: string[];
  lines: string[];
  calls: number;
}

/** Longest wait for what is under way when a run is to end in peace. */
const QUIET_MS = 120_000;
/** A process that ignores everything is killed 2 s after its stop began, and a server may take 1 s to hear a farewell. */
const CLOSE_MS = 5_000;
/** undici's timers may tick for so long after the last of them. */
const TICK_MS = 2_000;
const AFTER_MS = 5_000;

let world: World;

system.spawn = ((command: string) => spawn(world, command)) as unknown as typeof system.spawn;
system.kill = (pid, signal) => kill(world, pid, signal);
system.groupLives = (group) => world.children.get(group)?.alive ?? false;
network.connector = (options) => connector(() => world, options as { timeout?: number | null });
for (const event of ['unhandledRejection', 'uncaughtException'] as const)
  process.on(event, (reason: unknown) => world.fail(`${event}: ${(reason as Error)?.stack ?? String(reason)}`));

/** Runs one seed. Two runs of it are the same, step by step. */
export async function run(seed: number, show: boolean): Promise<Outcome> {
  const own = new World(seed, show);
  world = own;
  enter({ loop: own.loop, random: own.random.fork('globals') });
  let over = false;
  let calls = 0;
  const scenario = play(own).then(
    (attempts) => {
      calls = attempts.reduce((sum, attempt) => sum + attempt.calls.length, 0);
    },
    (error: unknown) => own.fail(`the run itself failed: ${(error as Error)?.stack ?? String(error)}`),
  );
  void scenario.then(() => {
    over = true;
  });
  try {
    if (!(await own.loop.run(() => over))) own.fail('nothing is left to run, and the run is not over');
  } catch (error) {
    own.fail((error as Error).message);
  }
  return { seed, hash: own.hash(), broken: own.broken, lines: own.lines, calls };
}

async function play(own: World): Promise<Attempt[]> {
  const random = own.random.fork('run');
  const plan = services(own);
  const options = performance(own.random.fork('options'));
  own.trace(`options ${JSON.stringify(options)}`);
  const store = await MCPStore.open({
    services: Object.fromEntries(plan.map(({ name, config }) => [name, config])),
    performance: options,
    stateDir: null,
    env: {},
    start: random.chance(0.3) ? 'eager' : 'lazy',
    clock: own.loop.clock(own.random.fork('clock')),
  });
  store.on('state', ({ service, status, error }) =>
    own.trace(`state ${service} ${status} ${error ? `${error.code}: ${error.message}` : ''}`),
  );
  const callers = new Callers(own, store, plan, options.calls!.callTimeoutMs!);
  const lengthMs = random.pick([200, 5_000, 30_000]);
  callers.begin(random.int(50, 150), lengthMs);
  const { attempts } = callers;
  const peaceful = random.chance(0.5);
  await own.loop.sleep(peaceful ? lengthMs : random.int(0, lengthMs + 3_000));
  if (peaceful) await quiet(own, store, attempts);
  await close(own, store, attempts, random.pick([0, 100, 2_000, 10_000]));
  checkAttempts(own, attempts);
  checkHealthy(own, attempts, healthyOf(plan, callers, options));
  return attempts;
}

async function quiet(own: World, store: MCPStore, attempts: readonly Attempt[]): Promise<void> {
  const end = own.loop.now + QUIET_MS;
  while (attempts.some((attempt) => !attempt.settled) && own.loop.now < end) await own.loop.sleep(50);
  for (const attempt of attempts) if (!attempt.settled) own.fail(`${attempt.what} is still under way`);
  // Lists may still be fetched behind.
  while (!isIdle(store) && own.loop.now < end) await own.loop.sleep(50);
  checkIdle(own, store, 'at rest');
}

async function close(own: World, store: MCPStore, attempts: readonly Attempt[], drainMs: number): Promise<void> {
  const since = own.loop.now;
  own.trace(`close, draining for ${drainMs} ms`);
  own.closedAt = since;
  await store.close({ drainMs });
  const tookMs = own.loop.now - since;
  own.trace('closed');
  if (tookMs > drainMs + CLOSE_MS) own.fail(`closing took ${tookMs} ms with drainMs ${drainMs}`);
  // A signal that was sent takes a moment.
  await own.loop.sleep(5);
  for (const child of own.children.values()) if (child.alive) own.fail(`process ${child.pid} outlived the close`);
  const left = (): Attempt[] => attempts.filter(({ settled, slow }) => !settled && !slow);
  for (const { what, calls } of left()) if (calls.length > 0) own.fail(`${what} outlived the close`);
  // A stop or restart looks every 20 ms whether its calls have ended.
  await own.loop.sleep(20);
  for (const { what } of left()) own.fail(`${what} outlived the close`);
  await own.loop.sleep(TICK_MS);
  if (own.loop.armed.store > 0) own.fail(`${own.loop.armed.store} timers outlived the close`);
  // Later callers find a closed store.
  await own.loop.sleep(40_000);
  checkIdle(own, store, 'closed');
  await own.loop.sleep(AFTER_MS);
  checkGone(own);
}

/** The services that do nothing wrong and that nobody changed, with the longest time that a call of them may take. */
function healthyOf(
  plan: readonly SimService[],
  callers: Callers,
  options: PerformanceOptions,
): { name: string; coldMs: number; warmMs: number }[] {
  const { maxIdleTimeMs = 0, minConnections = 1 } = options.connectionPool ?? {};
  const stays = maxIdleTimeMs > 100_000 && minConnections > 0;
  return plan
    .filter(({ name, healthy }) => healthy && !callers.disturbed.has(name))
    .map(({ name }) => ({ name, coldMs: 10_000, warmMs: stays ? 1_000 : 10_000 }));
}
