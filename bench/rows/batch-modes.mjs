/** Row: 200 calls of a 10 ms tool, half of them equal to another: one after the other, as a batch, as a batch with a cache. */

import { stdioService, storeClient } from '../clients/store.mjs';
import { cells, compare, figures, number } from '../lib/compare.mjs';
import { inFlight, measured } from '../lib/load.mjs';
import { check, ratio } from '../lib/paired.mjs';

const COUNT = 200;
const WORKERS = 20;

/** Arguments of call `i`: each is asked for twice. */
const args = (i) => ({ ms: 10, text: `${i >> 1}` });

function client(name, options, slice) {
  const own = storeClient(stdioService({ tools: { sleep: { cache: true } } }), options, name);
  return { ...own, name, slice: () => slice(own) };
}

async function batched({ store }, keyed) {
  const batch = store.batch({ maxWorkers: WORKERS });
  for (let i = 0; i < COUNT; i++) batch.add('bench__sleep', args(i), keyed ? { cacheKey: 'bench' } : {});
  const { totals } = await batch.execute();
  if (totals.ok !== COUNT) throw new Error(`batch: ${JSON.stringify(totals)}`);
  return COUNT;
}

export const row = {
  id: 'batch-modes',
  what: '200 × 10 ms, half of them equal',
  async run(ctx) {
    const cache = { performance: { resultCache: { enabled: true } } };
    const clients = [
      client('serial', {}, ({ call }) => {
        let i = 0;
        return inFlight(() => call('sleep', args(i++)), 1, COUNT);
      }),
      client('batch', {}, (own) => batched(own, false)),
      client('batch, cached', cache, (own) => {
        own.store.clearCache();
        return batched(own, true);
      }),
    ];
    const { all, problems } = await compare({ ...ctx, rounds: Math.min(ctx.rounds, 5), subjects: undefined }, clients, {
      probe: { tool: 'echo', args: { text: 'hello' }, good: (text) => text === 'hello' },
      slice: (subject) => measured(() => subject.slice()),
    });
    return {
      figures: figures(all, ['ms', 'cpuUs']),
      cells: {
        mcpstore: Object.entries(cells(all, (of) => `${number(of('ms'))} ms`))
          .map(([name, ms]) => `${name} ${ms}`)
          .join(', '),
      },
      checks: [
        check('serial ÷ batch', ratio(all, 'serial', 'batch', 'ms'), '≥', 10),
        check('batch ÷ batch, cached', ratio(all, 'batch', 'batch, cached', 'ms'), '≥', 1.5),
      ],
      problems,
    };
  },
};
