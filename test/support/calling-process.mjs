/** A program of its own with a store: makes so many calls at once as each line that it reads says, and tells how they ended. */

import { createInterface } from 'node:readline';
import { MCPStore } from '../../dist/index.js';

const store = await MCPStore.open(JSON.parse(process.argv[2]));
for await (const line of createInterface({ input: process.stdin })) {
  const calls = Array.from({ length: Number(line) }, () => store.callTool('peer__echo', {}));
  const ends = (await Promise.allSettled(calls)).map(({ reason }) =>
    reason ? `${reason.code}: ${reason.message}` : 'ok',
  );
  process.stdout.write(`${JSON.stringify(ends)}\n`);
}
await store.close({ drainMs: 0 });
