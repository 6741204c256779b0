/** The 10,000 services of the row `many-services`, and their lists as an earlier run of the store would have left them. */

import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadInternal } from '../clients/store.mjs';

export const TOOLS_EACH = 10;

const TOOL_BYTES = 1_024;

export const name = (i) => `service${i}`;

export const services = (count) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [name(i), { url: `http://127.0.0.1:9/${i}` }]));

/** Ten tools, each of about 1 KB as JSON. */
function tools(i) {
  return Array.from({ length: TOOLS_EACH }, (_, j) => {
    const tool = {
      name: `tool${j}`,
      description: '',
      inputSchema: { type: 'object', properties: { path: { type: 'string' }, count: { type: 'integer' } } },
    };
    const text = `Tool ${j} of service ${i}. `.repeat(40);
    tool.description = text.slice(0, TOOL_BYTES - JSON.stringify(tool).length);
    return tool;
  });
}

/**
 * Writes the lists as the store does, but without its care for a lost power supply, which would cost minutes; that the
 * store can read them is seen to.
 */
export async function remember(stateDir, count) {
  const { RememberedLists } = await loadInternal('catalog/remembered.js');
  const { expandService } = await loadInternal('config/expand.js');
  const context = { env: {}, workspaceFolder: '/', baseDir: '/' };
  const folder = join(stateDir, 'lists');
  mkdirSync(folder, { recursive: true });
  const known = new RememberedLists(stateDir);
  for (const [i, [service, config]] of Object.entries(services(count)).entries()) {
    const { revision } = await expandService(service, config, context);
    const key = `${service.length}:${service}${revision}`;
    const file = `${createHash('sha256').update(key).digest('hex').slice(0, 32)}.json`;
    writeFileSync(join(folder, file), JSON.stringify({ version: 1, service, revision, tools: tools(i) }));
    if (i === 0 && (await known.load(service, revision))?.length !== TOOLS_EACH)
      throw new Error('the store remembers lists in another way than this file writes them');
  }
}
