/** Row: what all policies together cost a call in CPU, over a transport in memory; the server answers before `send` returns. */

import { floorMemory } from '../clients/floor-memory.mjs';
import { storeClient } from '../clients/store.mjs';
import { cells, compare, figures, number } from '../lib/compare.mjs';
import { fakeServer } from '../lib/fake-server.mjs';
import { inFlight, measured } from '../lib/load.mjs';
import { check, difference } from '../lib/paired.mjs';

const CALLS = 5_000;

export const row = {
  id: 'policies',
  what: 'all policies, in memory, CPU a call',
  async run(ctx) {
    const calls = ctx.quick ? 1_000 : CALLS;
    const probe = { tool: 'echo', args: { text: 'hello' }, good: (text) => text === 'ok' };
    const slice = async ({ call }) => {
      const single = await measured(() => inFlight(() => call('echo', { text: 'hello' }), 1, calls));
      const many = await measured(() => inFlight(() => call('echo', { text: 'hello' }), 100, calls));
      return { calls: 2 * calls, cpuUs: single.cpuUs, cpuUs100: many.cpuUs };
    };
    const { all, problems } = await compare(
      // 21 rounds of 5,000 calls each way: more than 100,000 calls a side.
      { ...ctx, rounds: Math.max(ctx.rounds, ctx.quick ? 0 : 21) },
      [floorMemory(fakeServer()), storeClient({ server: fakeServer() })],
      { probe, slice },
    );
    return {
      figures: figures(all, ['cpuUs', 'cpuUs100']),
      cells: cells(all, (of) => `${number(of('cpuUs'))} µs, 100 in flight ${number(of('cpuUs100'))} µs`),
      checks: [
        check('one at a time, more than floor', difference(all, 'mcpstore', 'floor', 'cpuUs'), '≤', 5, ' µs'),
        check('100 in flight, more than floor', difference(all, 'mcpstore', 'floor', 'cpuUs100'), '≤', 5, ' µs'),
      ],
      problems,
    };
  },
};
