/** An outage of 10 s, with and without a fallback: how many calls are answered, and by what. The figures of docs/errors.md. */

import { expect, it } from 'vitest';
import { fallbackOf } from '../../src/call.js';
import type { ToolPolicy } from '../../src/options.js';
import { FakeClock } from '../support/fake-clock.js';
import { FakeServer, openStore, type Visit } from '../support/fake-server.js';

const lost = ({ hangUp }: Visit): Promise<never> => {
  hangUp();
  return new Promise(() => {});
};

const SECONDS = 60;
const PER_SECOND = 20;
const [DOWN_AT, UP_AT] = [20, 30];

/** What the server does from second 20 to 30: end every call with its connection, or be gone and refuse every connect. */
type Outage = 'loses calls' | 'is gone';

/** A minute of calls, 20 a second, of 10 different ones in turn. */
async function minute(
  outage: Outage,
  policy: ToolPolicy,
): Promise<{ calls: number; answered: number; fallbacks: number; oldestMs: number }> {
  const clock = new FakeClock(7);
  const works = { delayMs: 20 };
  const server = new FakeServer({ get: works }, clock);
  const backup = new FakeServer({ get: works }, clock);
  const store = await openStore({ prices: server, backup }, clock, {
    performance: { calls: { callTimeoutMs: 2_000 } },
    own: { prices: { tools: { get: policy } } },
  });
  const seen = { calls: 0, answered: 0, fallbacks: 0, oldestMs: 0 };
  const ended: Promise<void>[] = [];
  for (let i = 0; i < SECONDS * PER_SECOND; i++) {
    if (i === DOWN_AT * PER_SECOND && outage === 'is gone') {
      server.onConnect = () => {
        throw new Error('connection refused');
      };
      server.drop();
    } else if (i === DOWN_AT * PER_SECOND) server.tools['get'] = { run: lost };
    if (i === UP_AT * PER_SECOND) {
      server.onConnect = undefined;
      server.tools['get'] = works;
    }
    seen.calls++;
    ended.push(
      store.callTool('prices__get', { id: i % 10 }).then(
        (result) => {
          seen.answered++;
          const mark = fallbackOf(result);
          if (mark === undefined) return;
          seen.fallbacks++;
          seen.oldestMs = Math.max(seen.oldestMs, mark.ageMs ?? 0);
        },
        () => {},
      ),
    );
    await clock.advance(1_000 / PER_SECOND);
  }
  await clock.advance(10_000);
  await Promise.all(ended);
  const { errors } = store.stats();
  expect(errors.fallbacks).toBe(seen.fallbacks);
  expect(errors.services['prices']).toMatchObject({ total: seen.calls - seen.answered + seen.fallbacks });
  await store.close();
  return seen;
}

const elsewhere: ToolPolicy = { fallback: { service: 'backup' } };

it.each<[Outage, ToolPolicy, number, number]>([
  ['loses calls', {}, 981, 0],
  ['loses calls', elsewhere, 1_195, 0],
  ['loses calls', { ...elsewhere, repeatable: true }, 1_200, 0],
  ['loses calls', { fallback: 'cached' }, 1_200, 10_980],
  ['is gone', {}, 400, 0],
  ['is gone', elsewhere, 1_135, 0],
  ['is gone', { fallback: 'cached' }, 1_200, 39_980],
])('a server that %s for 10 s of a minute: %j', { timeout: 60_000 }, async (outage, policy, answered, oldestMs) => {
  expect(await minute(outage, policy)).toMatchObject({ calls: 1_200, answered, oldestMs });
});
