/** Row: a call that the result cache answers, in a tight loop. */

import { storeClient } from '../clients/store.mjs';
import { cells, compare, figures, number, perSecond } from '../lib/compare.mjs';
import { fakeServer } from '../lib/fake-server.mjs';
import { measured, oneAtATime } from '../lib/load.mjs';
import { check, figure } from '../lib/paired.mjs';

export const row = {
  id: 'cached',
  what: 'cached call, tight loop',
  async run(ctx) {
    const calls = ctx.quick ? 5_000 : 50_000;
    const args = { text: 'hello' };
    const slice = async ({ call }) => {
      const loop = await measured(async () => {
        for (let i = 0; i < calls; i++) await call('echo', args);
        return calls;
      });
      return { ...loop, p99Us: (await oneAtATime(() => call('echo', args), calls)).p99Us };
    };
    const cached = storeClient(
      { server: fakeServer({ annotations: { readOnlyHint: true } }) },
      { performance: { resultCache: { enabled: true } } },
    );
    const { all, problems } = await compare(ctx, [cached], {
      probe: { tool: 'echo', args, good: (text) => text === 'ok' },
      slice,
    });
    return {
      figures: figures(all, ['perSecond', 'p99Us', 'cpuUs']),
      cells: cells(all, (of) => `${perSecond(of('perSecond'))}, p99 ${number(of('p99Us'))} µs`),
      checks: [
        check('calls/s', figure(all, 'mcpstore', 'perSecond'), '≥', 400_000, '/s'),
        check('p99', figure(all, 'mcpstore', 'p99Us'), '≤', 10, ' µs'),
      ],
      problems,
    };
  },
};
