/** Rows: big results over stdio, 64 KB with eight in flight and 1 MB with four. */

import { floorStdio } from '../clients/floor-stdio.mjs';
import { sdkV1 } from '../clients/sdk-v1.mjs';
import { sdkV2 } from '../clients/sdk-v2.mjs';
import { stdioService, storeClient } from '../clients/store.mjs';
import { cells, compare, figures, number } from '../lib/compare.mjs';
import { check, ratio } from '../lib/paired.mjs';

function results(id, what, bytes, width) {
  return {
    id,
    what,
    async run(ctx) {
      const { all, problems } = await compare(ctx, [floorStdio(), sdkV1(), sdkV2(), storeClient(stdioService())], {
        width,
        probe: { tool: 'payload', args: { bytes }, good: (text) => text.length === bytes },
      });
      const mb = (of) => (of('perSecond') * bytes) / 1e6;
      return {
        figures: figures(all, ['perSecond', 'cpuUs']),
        cells: cells(all, (of) => `${number(mb(of))} MB/s`),
        checks: [check('calls/s ÷ floor', ratio(all, 'mcpstore', 'floor', 'perSecond'), '≥', 0.8)],
        problems,
      };
    },
  };
}

export const rows = [
  results('results-64k', '64 KB results, stdio', 65_536, 8),
  results('results-1m', '1 MB results, stdio', 1_048_576, 4),
];
