/** Row: stdio, 100 calls in flight, calls a second. */

import { floorStdio } from '../clients/floor-stdio.mjs';
import { sdkV1 } from '../clients/sdk-v1.mjs';
import { sdkV2 } from '../clients/sdk-v2.mjs';
import { stdioService, storeClient } from '../clients/store.mjs';
import { cells, compare, figures, number, often, perSecond } from '../lib/compare.mjs';
import { check, ratio } from '../lib/paired.mjs';

export const row = {
  id: 'stdio-flight',
  what: 'stdio, 100 in flight, calls/s',
  async run(ctx) {
    const { all, problems } = await compare(often(ctx), [floorStdio(), sdkV1(), sdkV2(), storeClient(stdioService())], {
      width: 100,
      probe: { tool: 'echo', args: { text: 'hello' }, good: (text) => text === 'hello' },
    });
    return {
      figures: figures(all, ['perSecond', 'cpuUs']),
      cells: cells(all, (of) => `${perSecond(of('perSecond'))} (CPU ${number(of('cpuUs'))} µs)`),
      checks: [
        check('calls/s ÷ floor', ratio(all, 'mcpstore', 'floor', 'perSecond'), '≥', 0.7),
        check('calls/s ÷ v2', ratio(all, 'mcpstore', 'v2', 'perSecond'), '≥', 4),
        check('calls/s ÷ v1', ratio(all, 'mcpstore', 'v1', 'perSecond'), '≥', 1.5),
      ],
      problems,
    };
  },
};
