/** Row: calls one after the other, over a connection that is kept and over one that is made for each (`sharing: 'call'`). */

import { stdioService, storeClient } from '../clients/store.mjs';
import { cells, compare, figures, number } from '../lib/compare.mjs';
import { inFlight, measured } from '../lib/load.mjs';
import { check, ratio } from '../lib/paired.mjs';

/** A fresh connection is a fresh process: few calls are enough to see it. */
const CALLS = { pooled: 500, 'one for each call': 10 };

const client = (name, options) => storeClient(stdioService(options), {}, name);

export const row = {
  id: 'reuse',
  what: 'stdio, a connection for each call or one for all',
  async run(ctx) {
    const clients = [client('pooled'), client('one for each call', { sharing: 'call' })];
    const { all, problems } = await compare({ ...ctx, rounds: Math.min(ctx.rounds, 9), subjects: undefined }, clients, {
      probe: { tool: 'echo', args: { text: 'hello' }, good: (text) => text === 'hello' },
      slice: async ({ name, call }) => {
        const { ms, calls } = await measured(() => inFlight(() => call('echo', { text: 'x' }), 1, CALLS[name]));
        return { msPerCall: ms / calls };
      },
    });
    const shown = cells(all, (of) => `${number(of('msPerCall'))} ms a call`);
    return {
      figures: figures(all, ['msPerCall']),
      cells: {
        mcpstore: Object.entries(shown)
          .map(([name, ms]) => `${name} ${ms}`)
          .join(', '),
      },
      checks: [check('one for each ÷ pooled', ratio(all, 'one for each call', 'pooled', 'msPerCall'), '≥', 10)],
      problems,
    };
  },
};
