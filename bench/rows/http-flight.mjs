/** Row: streamable HTTP, 100 calls in flight; the floor has as many sockets as the store opens by default. */

import { floorHttp } from '../clients/floor-http.mjs';
import { sdkV1 } from '../clients/sdk-v1.mjs';
import { sdkV2 } from '../clients/sdk-v2.mjs';
import { storeClient } from '../clients/store.mjs';
import { cells, compare, figures, number, perSecond } from '../lib/compare.mjs';
import { check, ratio } from '../lib/paired.mjs';
import { httpServer } from '../lib/spawn.mjs';

const SOCKETS = 10;

export const row = {
  id: 'http-flight',
  what: 'HTTP, 100 in flight, calls/s',
  async run(ctx) {
    const { url, close } = await httpServer();
    try {
      const clients = [floorHttp({ url, sockets: SOCKETS }), sdkV1({ url }), sdkV2({ url }), storeClient({ url })];
      const { all, problems } = await compare(ctx, clients, {
        width: 100,
        sliceMs: ctx.sliceMs * 2,
        probe: { tool: 'echo', args: { text: 'hello' }, good: (text) => text === 'hello' },
      });
      return {
        figures: figures(all, ['perSecond', 'cpuUs']),
        cells: cells(all, (of) => `${perSecond(of('perSecond'))} (CPU ${number(of('cpuUs'))} µs)`),
        checks: [
          check('calls/s ÷ floor', ratio(all, 'mcpstore', 'floor', 'perSecond'), '≥', 0.9),
          check('calls/s ÷ v2', ratio(all, 'mcpstore', 'v2', 'perSecond'), '≥', 6),
          check('CPU ÷ floor', ratio(all, 'mcpstore', 'floor', 'cpuUs'), '≤', 1.25),
        ],
        problems,
      };
    } finally {
      await close();
    }
  },
};
