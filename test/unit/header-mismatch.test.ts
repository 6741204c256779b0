/** A request whose headers do not fit its body (-32020) is repaired once, from a fresh list, within its deadline. */

import { expect, it } from 'vitest';
import { MCPStore, textOf } from '../../src/index.js';

type Message = { id?: unknown; method: string };
type Transport = {
  onmessage?: (message: Message) => void;
  send(message: object): Promise<void>;
  start(): Promise<void>;
};

/** Refuses so many calls; after the first refusal it gives its list only if it is told to. */
async function open(refusals: number, listsAgain: boolean): Promise<{ store: MCPStore; seen: string[] }> {
  const seen: string[] = [];
  const server = {
    async connect(given: unknown) {
      const transport = given as Transport;
      transport.onmessage = ({ id, method }) => {
        if (id === undefined) return;
        seen.push(method);
        const calls = seen.filter((name) => name === 'tools/call').length;
        const answer = (body: object): void => void transport.send({ jsonrpc: '2.0', id, ...body });
        if (method === 'initialize')
          answer({
            result: {
              protocolVersion: '2025-11-25',
              capabilities: { tools: {} },
              serverInfo: { name: 's', version: '1' },
            },
          });
        else if (method === 'tools/list') {
          if (calls === 0 || listsAgain)
            answer({ result: { tools: [{ name: 't', inputSchema: { type: 'object' } }] } });
        } else if (calls <= refusals) answer({ error: { code: -32020, message: 'header mismatch' } });
        else answer({ result: { content: [{ type: 'text', text: 'done' }] } });
      };
      await transport.start();
    },
  };
  return { seen, store: await MCPStore.open({ services: { s: { server } }, stateDir: null }) };
}

it('lists again and calls again', async () => {
  const { store, seen } = await open(1, true);
  expect(textOf(await store.callTool('s__t'))).toBe('done');
  expect(seen).toEqual(['initialize', 'tools/list', 'tools/call', 'tools/list', 'tools/call']);
  await store.close();
});

it('is told after the second time', async () => {
  const { store, seen } = await open(2, true);
  await expect(store.callTool('s__t')).rejects.toMatchObject({ code: 'RPC_ERROR', rpcCode: -32020 });
  expect(seen.filter((name) => name === 'tools/call')).toHaveLength(2);
  await store.close();
});

it('ends at the deadline where the list does not come', async () => {
  const { store } = await open(9, false);
  await expect(store.callTool('s__t', {}, { timeoutMs: 100 })).rejects.toMatchObject({ code: 'TIMEOUT' });
  await store.close({ drainMs: 0 });
});
