/** MCPStore as its users use it: the built package, opened on one service `bench`, with every default of its policies. */

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { STDIO_SERVER } from '../lib/spawn.mjs';

/** Why there is nothing to measure yet, or undefined. */
export class NoBuild extends Error {}

/** The package `mcpstore` through its own `exports`, as a program that installed it would get it. */
export async function loadStore() {
  const root = createRequire(new URL('../../package.json', import.meta.url));
  try {
    return await import(pathToFileURL(root.resolve('mcpstore')).href);
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND' && error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new NoBuild(`mcpstore is not built (npm run build): ${error.message.split('\n')[0]}`);
  }
}

/** A module of the build that is not public; for preparing state, never for what is measured. */
export async function loadInternal(path) {
  const root = createRequire(new URL('../../package.json', import.meta.url));
  return import(new URL(path, pathToFileURL(root.resolve('mcpstore'))).href);
}

export const stdioService = ({ args = [], ...mcpstore } = {}) => ({
  command: process.execPath,
  args: [STDIO_SERVER, ...args],
  ...(Object.keys(mcpstore).length > 0 && { mcpstore }),
});

/** @param service - a definition as `mcp.json` has it; @param options - more for `MCPStore.open` */
export function storeClient(service, options = {}, name = 'mcpstore') {
  let store;
  return {
    name,
    async connect(probe = ['echo', { text: 'first' }]) {
      const { MCPStore } = await loadStore();
      store = await MCPStore.open({ services: { bench: service }, stateDir: null, ...options });
      await store.callTool(`bench__${probe[0]}`, probe[1]);
    },
    call: (tool, args) => store.callTool(`bench__${tool}`, args),
    batch: (tool, list, batchOptions) =>
      store.batchCall(
        list.map((args) => ({ tool: `bench__${tool}`, arguments: args })),
        batchOptions,
      ),
    get store() {
      return store;
    },
    close: () => store?.close(),
  };
}
