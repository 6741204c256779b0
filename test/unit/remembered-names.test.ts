/** A list of an earlier run answers at once, and is asked for anew before a name counts as unknown. */

import { expect, it } from 'vitest';
import { MCPStore, textOf } from '../../src/index.js';
import { tempDir } from '../support/tmp.js';

/** A server whose tools are these; the smallest that speaks enough. */
function serverWith(...names: string[]): { connect(transport: unknown): Promise<void> } {
  return {
    async connect(given) {
      const transport = given as {
        onmessage?: (message: { id?: unknown; method: string; params: { name: string } }) => void;
        send(message: unknown): Promise<void>;
        start(): Promise<void>;
      };
      transport.onmessage = ({ id, method, params }) => {
        const results: Record<string, () => unknown> = {
          initialize: () => ({
            protocolVersion: '2025-11-25',
            capabilities: { tools: {} },
            serverInfo: { name: 's', version: '1' },
          }),
          'tools/list': () => ({ tools: names.map((name) => ({ name, inputSchema: { type: 'object' } })) }),
          'tools/call': () => ({ content: [{ type: 'text', text: params.name }] }),
        };
        const result = results[method]?.();
        if (result !== undefined) void transport.send({ jsonrpc: '2.0', id, result });
      };
      await transport.start();
    },
  };
}

it.each(['s__fresh', 'fresh'])('finds %s, which the remembered list lacks', async (name) => {
  const stateDir = await tempDir();
  const current = serverWith('old');
  // One object for both runs, so that its revision is the same; its tools change in between.
  const server = { connect: (transport: unknown) => current.connect(transport) };
  const first = await MCPStore.open({ services: { s: { server } }, stateDir });
  await first.listTools();
  await first.close();
  current.connect = serverWith('old', 'fresh').connect;
  const second = await MCPStore.open({ services: { s: { server } }, stateDir });
  expect((await second.listTools()).map((tool) => tool.tool)).toEqual(['old']);
  expect(textOf(await second.callTool(name))).toBe('fresh');
  await expect(second.callTool('s__never')).rejects.toMatchObject({ code: 'TOOL_UNKNOWN', executed: 'no' });
  await second.close();
});

it('is news only where it differs: what was cached before it was asked for anew stays', async () => {
  const stateDir = await tempDir();
  const current = serverWith('old');
  const server = { connect: (transport: unknown) => current.connect(transport) };
  const definition = { server, mcpstore: { tools: { old: { cache: true } } } };
  const open = () =>
    MCPStore.open({ services: { s: definition }, stateDir, performance: { resultCache: { enabled: true } } });
  const first = await open();
  await first.listTools();
  await first.close();
  for (const [tools, changes] of [[['old'], 0] as const, [['old', 'fresh'], 1] as const]) {
    current.connect = serverWith(...tools).connect;
    const store = await open();
    let told = 0;
    store.on('toolsChanged', () => told++);
    await store.callTool('s__old');
    // Asked for behind the first call.
    expect((await store.listTools({ refresh: 'always' })).length).toBe(tools.length);
    await store.callTool('s__old');
    expect([told, store.stats().cache.misses]).toEqual([changes, 1 + changes]);
    await store.close();
  }
});

it('says that a disabled service is down, not that its tool is unknown', async () => {
  const store = await MCPStore.open({ services: { s: { command: 'none', disabled: true } }, stateDir: null });
  await expect(store.callTool('s__x')).rejects.toMatchObject({ code: 'SERVICE_DOWN', executed: 'no' });
  await store.close();
});
