/** Row: a batch of 1,000 calls of a 10 ms tool, 50 at a time, against the raw pipe driven just as wide. */

import { floorStdio } from '../clients/floor-stdio.mjs';
import { stdioService, storeClient } from '../clients/store.mjs';
import { cells, compare, figures, number } from '../lib/compare.mjs';
import { inFlight, measured } from '../lib/load.mjs';
import { check, ratio } from '../lib/paired.mjs';

const CONCURRENCY = 50;

export const row = {
  id: 'batch',
  what: 'batch of 1,000 × 10 ms, concurrency 50',
  async run(ctx) {
    const count = ctx.quick ? 200 : 1_000;
    const list = Array.from({ length: count }, (_, i) => ({ ms: 10, i }));
    const slice = (client) =>
      measured(async () => {
        if (!client.batch) return inFlight(() => client.call('sleep', list[0]), CONCURRENCY, count);
        const { results } = await client.batch('sleep', list, { concurrency: CONCURRENCY });
        const bad = results.find(({ status }) => status !== 'ok');
        if (bad || results.length !== count) throw new Error(`batch: ${JSON.stringify(bad ?? results.length)}`);
        return count;
      });
    const { all, problems } = await compare(ctx, [floorStdio(), storeClient(stdioService())], {
      probe: { tool: 'echo', args: { text: 'hello' }, good: (text) => text === 'hello' },
      slice,
    });
    return {
      figures: figures(all, ['ms', 'cpuUs']),
      cells: cells(all, (of) => `${number(of('ms'))} ms`),
      checks: [check('time ÷ floor', ratio(all, 'mcpstore', 'floor', 'ms'), '≤', 1.05)],
      problems,
    };
  },
};
