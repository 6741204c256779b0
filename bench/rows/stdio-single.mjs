/** Row: stdio, one call at a time, p50. */

import { floorStdio } from '../clients/floor-stdio.mjs';
import { sdkV1 } from '../clients/sdk-v1.mjs';
import { sdkV2 } from '../clients/sdk-v2.mjs';
import { stdioService, storeClient } from '../clients/store.mjs';
import { cells, compare, figures, number, often } from '../lib/compare.mjs';
import { check, ratio } from '../lib/paired.mjs';

export const row = {
  id: 'stdio-single',
  what: 'stdio, one at a time, p50',
  async run(ctx) {
    const { all, problems } = await compare(often(ctx), [floorStdio(), sdkV1(), sdkV2(), storeClient(stdioService())], {
      probe: { tool: 'echo', args: { text: 'hello' }, good: (text) => text === 'hello' },
    });
    return {
      figures: figures(all, ['p50Us', 'p99Us', 'cpuUs']),
      cells: cells(all, (of) => `${number(of('p50Us'))} µs (CPU ${number(of('cpuUs'))})`),
      checks: [
        check('p50 ÷ floor', ratio(all, 'mcpstore', 'floor', 'p50Us'), '≤', 1.25),
        check('p50 ÷ v1', ratio(all, 'mcpstore', 'v1', 'p50Us'), '<', 1),
      ],
      problems,
    };
  },
};
