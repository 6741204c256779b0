/** Knows that one service which floods, hangs or ends again and again does not slow its neighbour down. */

import { expect, it } from 'vitest';
import { cleanUpAfterEach, openStore, type Script, scripted } from '../support/harness.js';

cleanUpAfterEach(60_000);

const ANSWER_MS = 20;

/** The time of the slowest but one percent of 300 calls, 8 at a time. */
async function p99(call: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  const worker = async (): Promise<void> => {
    while (times.length < 300) {
      const since = performance.now();
      await call();
      times.push(performance.now() - since);
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return times.sort((a, b) => a - b)[Math.ceil(times.length * 0.99) - 1]!;
}

const BAD: [string, Script, string, Record<string, unknown>][] = [
  ['hangs', {}, 'hang', {}],
  ['ends at each start', { exitAtStart: { code: 1, stderr: 'no' } }, 'echo', { text: 'x' }],
  ['never answers initialize', { silent: ['initialize'] }, 'echo', { text: 'x' }],
  ['ends at each call', {}, 'exit', {}],
  ['answers with a megabyte each time', {}, 'big', { chars: 1 << 20 }],
];

it.each(
  BAD,
)('F44: a service that %s leaves its neighbour’s p99 within twice what it was', async (_what, script, tool, args) => {
  const store = await openStore({
    services: { good: scripted({ callDelayMs: ANSWER_MS }), bad: scripted(script) },
  });
  const good = (): Promise<unknown> => store.callTool('good__echo', { text: 'x' });
  await good();
  let over = true;
  const flood = async (): Promise<void> => {
    while (!over) {
      await store.callTool(`bad__${tool}`, args, { timeoutMs: 2_000 }).catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  // Other work on the machine makes every answer late: what counts is that it is as fast beside the other in one of
  // some tries, which a neighbour that really holds it up never lets it be.
  const times: [number, number][] = [];
  for (let i = 0; i < 4; i++) {
    const alone = await p99(good);
    over = false;
    const flooding = Promise.all(Array.from({ length: 16 }, flood));
    const beside = await p99(good);
    over = true;
    await flooding;
    times.push([alone, beside]);
    if (beside <= 2 * Math.max(alone, ANSWER_MS + 10)) return;
  }
  expect.fail(`p99 in ms, alone and beside: ${JSON.stringify(times)}`);
});
