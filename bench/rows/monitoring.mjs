/** Row: what monitoring costs a call in CPU: the same store with it on and off, over a transport in memory. */

import { storeClient } from '../clients/store.mjs';
import { compare, figures, number } from '../lib/compare.mjs';
import { fakeServer } from '../lib/fake-server.mjs';
import { inFlight, measured } from '../lib/load.mjs';
import { check, difference, figure } from '../lib/paired.mjs';

const CALLS = 5_000;
const cpu = (all, name) => `${number(figure(all, name, 'cpuUs')?.median)} µs`;

export const row = {
  id: 'monitoring',
  what: 'monitoring on and off, in memory, CPU a call',
  async run(ctx) {
    const calls = ctx.quick ? 1_000 : CALLS;
    const probe = { tool: 'echo', args: { text: 'hello' }, good: (text) => text === 'ok' };
    const off = { performance: { monitoring: { enabled: false } } };
    const { all, problems } = await compare(
      // 41 rounds of 5,000 calls: more than 100,000 calls a side.
      { ...ctx, rounds: Math.max(ctx.rounds, ctx.quick ? 0 : 41) },
      [storeClient({ server: fakeServer() }, off, 'off'), storeClient({ server: fakeServer() })],
      {
        probe,
        slice: ({ call }) => measured(() => inFlight(() => call('echo', { text: 'hello' }), 1, calls)),
      },
    );
    return {
      figures: figures(all, ['cpuUs']),
      cells: { mcpstore: `on ${cpu(all, 'mcpstore')}, off ${cpu(all, 'off')}` },
      checks: [check('more than off', difference(all, 'mcpstore', 'off', 'cpuUs'), '≤', 0.5, ' µs')],
      problems,
    };
  },
};
