/** Knows what has to hold after every run, whatever the servers, the network and the callers did. */

import { getEventListeners } from 'node:events';
import type { BatchEntry } from '../../src/batch.js';
import type { StoreError } from '../../src/errors.js';
import type { MCPStore } from '../../src/store.js';
import type { Attempt, CallPlan } from './attempt.js';
import type { World } from './world.js';

/** Time-outs of requests that were sent are looked for at most every 2 ms (`SWEEP_MS` of src/connection/pending.ts). */
const SLACK_MS = 2;

/** Every attempt: settled, in time, with an answer of its own, and with `executed` as the servers' ledger has it. */
export function checkAttempts(world: World, attempts: readonly Attempt[]): void {
  for (const attempt of attempts) {
    const { what, settledAt, cancelledAt, signal, deadline } = attempt;
    if (settledAt === undefined) {
      world.fail(`${what} never settled`);
      continue;
    }
    if (settledAt > deadline + SLACK_MS) world.fail(`${what} settled ${settledAt - deadline} ms after its deadline`);
    if (cancelledAt !== undefined && settledAt > cancelledAt)
      world.fail(`${what} settled ${settledAt - cancelledAt} ms after it was cancelled`);
    if (signal && getEventListeners(signal, 'abort').length > 0) world.fail(`${what} left a listener on its signal`);
    if (attempt.calls.length === 1 && !Array.isArray(attempt.value))
      checkOutcome(world, attempt.calls[0]!, attempt.value, attempt.error);
    else if (Array.isArray(attempt.value)) checkEntries(world, attempt);
  }
}

function checkEntries(world: World, attempt: Attempt): void {
  const entries = attempt.value as (BatchEntry | undefined)[];
  for (const [i, plan] of attempt.calls.entries()) {
    const entry = entries[i];
    // Whoever left a stream early has no entry of the rest.
    if (entry) checkOutcome(world, plan, entry.result, entry.error);
    else if (attempt.what.startsWith('batch')) world.fail(`${attempt.what}: entry ${i} is missing`);
  }
}

function checkOutcome(world: World, plan: CallPlan, value: unknown, error: StoreError | undefined): void {
  const { mark, tool, service } = plan;
  const runs = world.ledger.of(mark);
  const shared = mark.startsWith('r');
  if (!plan.repeatable && !shared && runs > 1) world.fail(`${mark} (${tool}) was executed ${runs} times`);
  if (value !== undefined) {
    const text = (value as { content?: { text?: string }[] }).content?.[0]?.text ?? '';
    const said = JSON.parse(text) as { mark: string; tool: string; service: string };
    if (said.mark !== mark || said.tool !== tool || said.service !== service)
      world.fail(`${mark} of ${service}.${tool} got the answer of another: ${text}`);
    if (runs === 0) world.fail(`${mark} was answered and never executed`);
  } else if (error?.executed === 'no' && runs > 0 && !shared)
    world.fail(`${mark} was executed, and its error ${error.code} says that it was not: ${error.message}`);
  else if (error?.executed === 'yes' && runs === 0 && error.code !== 'RPC_ERROR' && !shared)
    world.fail(`${mark} was not executed, and its error ${error.code} says that it was: ${error.message}`);
}

/** What is under way: permits, places in a line, requests; and once the store is closed, connects. */
function underWay(store: MCPStore, closed: boolean): string[] {
  const found: string[] = [];
  for (const [name, endpoints] of Object.entries(store.connectionStats()))
    for (const [endpoint, { inFlight, waiting, opening }] of Object.entries(endpoints))
      if (inFlight + waiting + (closed ? opening : 0) > 0)
        found.push(`${name} ${endpoint} has ${inFlight} in flight, ${waiting} waiting, ${opening} opening`);
  for (const { name, calls } of store.listServices())
    if (calls.running + calls.waiting > 0)
      found.push(`${name} has ${calls.running} permits taken, ${calls.waiting} waiting`);
  return found;
}

export function isIdle(store: MCPStore): boolean {
  return underWay(store, false).length === 0;
}

export function checkIdle(world: World, store: MCPStore, when: 'at rest' | 'closed'): void {
  for (const text of underWay(store, when === 'closed')) world.fail(`${when}: ${text}`);
}

/** The store is closed, and some seconds have passed. */
export function checkGone(world: World): void {
  if (world.loop.armed.store > 0) world.fail(`${world.loop.armed.store} timers are left`);
  for (const child of world.children.values()) if (child.alive) world.fail(`process ${child.pid} is left`);
  if (world.sockets.size > 0) world.fail(`${world.sockets.size} sockets are left`);
}

/** Nobody starves a healthy service: once it was used, its calls go well and take their usual time. */
export function checkHealthy(
  world: World,
  attempts: readonly Attempt[],
  healthy: readonly { name: string; coldMs: number; warmMs: number }[],
): void {
  for (const { name, coldMs, warmMs } of healthy) {
    const own = attempts.filter(({ what, calls }) => what.startsWith(`${name}.`) && calls.length === 1);
    const firstAnswer = Math.min(...own.filter(({ value }) => value !== undefined).map(({ settledAt }) => settledAt!));
    for (const attempt of own) {
      const usualMs = attempt.since >= firstAnswer ? warmMs : coldMs;
      const end = attempt.since + usualMs;
      if (attempt.cancelledAt !== undefined || attempt.deadline < end || world.closedAt < end) continue;
      const tookMs = (attempt.settledAt ?? Number.POSITIVE_INFINITY) - attempt.since;
      if (attempt.error) world.fail(`${attempt.what} of a healthy service failed: ${attempt.error.message}`);
      else if (tookMs > usualMs) world.fail(`${attempt.what} of a healthy service took ${tookMs} ms`);
    }
  }
}
