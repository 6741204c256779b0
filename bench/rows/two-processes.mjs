/** Row: a CPU-bound stdio tool on two processes against one; what a raw pipe gains from the second is the machine's own. */

import { floorStdio } from '../clients/floor-stdio.mjs';
import { stdioService, storeClient } from '../clients/store.mjs';
import { cells, compare, figures, number } from '../lib/compare.mjs';
import { inFlight, measured } from '../lib/load.mjs';
import { check, ratio } from '../lib/paired.mjs';

const ITERATIONS = 4_000_000;
const CONCURRENCY = 4;

/** Raw pipes to so many processes, used in turn. */
function floorPipes(count) {
  const pipes = Array.from({ length: count }, () => floorStdio());
  let next = 0;
  return {
    name: count === 1 ? 'floor' : 'floor 2',
    connect: () => Promise.all(pipes.map((pipe) => pipe.connect())),
    call: (tool, args) => pipes[next++ % count].call(tool, args),
    close: () => Promise.all(pipes.map((pipe) => pipe.close())),
  };
}

const processes = (count, name) =>
  storeClient(stdioService({ connectionPool: { minConnections: count, maxConnections: count } }), {}, name);

export const row = {
  id: 'two-processes',
  what: 'CPU-bound stdio tool, 2 processes ÷ 1',
  async run(ctx) {
    const args = { iterations: ITERATIONS };
    const calls = ctx.quick ? 12 : 32;
    const clients = [floorPipes(1), floorPipes(2), processes(1, 'mcpstore 1'), processes(2, 'mcpstore')];
    const { all, problems } = await compare(ctx, clients, {
      probe: { tool: 'burn', args, good: (text) => /^-?\d+$/.test(text) },
      slice: ({ call }) => measured(() => inFlight(() => call('burn', args), CONCURRENCY, calls)),
    });
    const machine = ratio(all, 'floor 2', 'floor', 'perSecond');
    const shown = cells(all, (of) => `${number(of('perSecond'))}/s`);
    return {
      figures: figures(all, ['perSecond', 'cpuUs']),
      cells: {
        floor: `${shown.floor} → ${shown['floor 2']} (${number(machine?.median)} ×)`,
        mcpstore: shown.mcpstore && `${shown['mcpstore 1']} → ${shown.mcpstore}`,
      },
      checks: [check('2 processes ÷ 1', ratio(all, 'mcpstore', 'mcpstore 1', 'perSecond'), '≥', 1.7)],
      problems,
    };
  },
};
