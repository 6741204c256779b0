/** The 10,000 services of the row `many-services`, and their lists as an earlier run of the store would have left them. */

import { loadInternal } from '../clients/store.mjs';

export const SERVICES = 10_000;
export const TOOLS_EACH = 10;

const TOOL_BYTES = 1_024;

export const name = (i) => `service${i}`;

export const services = () =>
  Object.fromEntries(Array.from({ length: SERVICES }, (_, i) => [name(i), { url: `http://127.0.0.1:9/${i}` }]));

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

/** Writes the lists with the store's own code: connecting 10,000 times to have them written would take minutes. */
export async function remember(stateDir) {
  const { RememberedLists } = await loadInternal('catalog/remembered.js');
  const { expandService } = await loadInternal('config/expand.js');
  const lists = new RememberedLists(stateDir);
  const all = Object.entries(services());
  const worker = async () => {
    for (let next = all.pop(); next !== undefined; next = all.pop()) {
      const { revision } = await expandService(...next, { env: {}, workspaceFolder: '/', baseDir: '/' });
      await lists.save(next[0], revision, tools(next[0].slice('service'.length)));
    }
  };
  await Promise.all(Array.from({ length: 64 }, worker));
}
