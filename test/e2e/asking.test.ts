/** Real servers ask their callers: server-everything over stdio and HTTP, and a server of the SDK's version 2 in the modern era. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  createMcpHandler,
  fromJsonSchema,
  inputRequired,
  inputResponse,
  McpServer,
} from '@modelcontextprotocol/server';
import { describe, expect, it } from 'vitest';
import { type AskHandlers, textOf } from '../../src/index.js';
import { startEverything } from '../support/everything.js';
import { afterwards, cleanUpAfterEach, npmServer, openStore } from '../support/harness.js';
import { until } from '../support/waiting.js';

cleanUpAfterEach(60_000);

const content = { type: 'text', text: 'a poem' } as const;
const handlers = (name: string): AskHandlers => ({
  onSampling: ({ messages }) => ({ role: 'assistant', model: `model of ${name}, ${messages.length}`, content }),
  onElicitation: (request) =>
    request.mode === 'url' ? { action: 'decline' } : { action: 'accept', content: { name, integer: 7 } },
  roots: [`/tmp/${name}`],
});

describe.each(['stdio', 'http'] as const)('server-everything over %s', (kind) => {
  async function open(mine: AskHandlers) {
    const config =
      kind === 'stdio'
        ? { command: process.execPath, args: [npmServer('everything')] }
        : { url: (await startEverything('streamableHttp')).url };
    return openStore({ services: { e: config }, ...mine });
  }

  it('gets samples, forms with their defaults, pages and folders', async () => {
    const store = await open(handlers('ada'));
    // It shows some tools only once it was told what its client can do.
    const names = async () => (await store.listTools({ refresh: 'always' })).map(({ tool }) => tool);
    await until(async () => (await names()).includes('trigger-sampling-request'), 'it offers to ask');
    expect(textOf(await store.callTool('e__trigger-sampling-request', { prompt: 'x' }))).toContain('model of ada, 1');
    const form = textOf(await store.callTool('e__trigger-elicitation-request'));
    expect(JSON.parse(form.slice(form.indexOf('{')))).toMatchObject({
      action: 'accept',
      content: { name: 'ada', integer: 7, number: 3.14, titledSingleSelectEnum: 'hero-1', legacyTitledEnum: 'pet-1' },
    });
    const page = await store.callTool('e__trigger-url-elicitation', { url: 'https://a.example/' });
    expect(textOf(page)).toContain('declined');
    expect(textOf(await store.callTool('e__get-roots-list'))).toContain('file:///tmp/ada');
  });

  it('asks each agent for its own calls, on the one connection that they share', async () => {
    const store = await open({});
    const agents = ['ada', 'grace'].map((id) => store.forAgent(id, { services: ['e'], ...handlers(id) }));
    const names = async () => (await agents[0]!.listTools({ refresh: 'always' })).map(({ tool }) => tool);
    await until(async () => (await names()).includes('trigger-elicitation-request'), 'it offers to ask');
    const formOf = async (agent: (typeof agents)[0]) => textOf(await agent.callTool('e__trigger-elicitation-request'));
    const texts: string[] = [];
    if (kind === 'http') texts.push(...(await Promise.all(agents.map(formOf))));
    else for (const agent of agents) texts.push(await formOf(agent));
    expect(texts.map((text) => /"name": "(\w+)"/.exec(text)?.[1])).toEqual(['ada', 'grace']);
    expect(store.serviceInfo('e').pids.length).toBe(kind === 'stdio' ? 1 : 0);
    // Over stdio nothing says whose call asks while both have some: then nobody is asked.
    if (kind === 'http') return;
    const slow = agents[1]!.callTool('e__trigger-long-running-operation', { duration: 2, steps: 2 });
    const refused = await agents[0]!.callTool('e__trigger-elicitation-request').catch((error: Error) => error.message);
    expect(JSON.stringify(refused)).toContain('cannot be told which caller is asked');
    await slow;
  });
});

describe('a modern server of the SDK', () => {
  it('asks in rounds, with a state of its own', async () => {
    const handler = createMcpHandler(
      () => {
        const mcp = new McpServer({ name: 'trip', version: '1.0.0' });
        const inputSchema = fromJsonSchema<object>({ type: 'object' });
        mcp.registerTool('book', { description: 'Books', inputSchema }, (_args, context) => {
          const { inputResponses, requestState } = context.mcpReq;
          const where = inputResponse(inputResponses, 'where') as unknown as { content?: { city?: string } };
          if (requestState() === undefined)
            return inputRequired({
              inputRequests: {
                where: inputRequired.elicit({
                  message: 'Where to?',
                  requestedSchema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
                }),
              },
              requestState: 'asked for the city',
            });
          return { content: [{ type: 'text', text: `${requestState()}: ${where.content?.city}` }] };
        });
        return mcp;
      },
      { legacy: 'reject' },
    );
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const headers = new Headers(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
      const body = request.method === 'POST' ? Buffer.concat(chunks) : null;
      const answer = await handler.fetch(
        new Request(`http://127.0.0.1${request.url}`, { method: request.method!, headers, body }),
      );
      response.writeHead(answer.status, Object.fromEntries(answer.headers));
      response.end(Buffer.from(await answer.arrayBuffer()));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    afterwards(() => server.closeAllConnections());
    afterwards(() => server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
    const store = await openStore({
      services: { trip: { url } },
      onElicitation: { form: () => ({ action: 'accept', content: { city: 'Oslo' } }) },
    });
    expect(textOf(await store.callTool('trip__book'))).toBe('asked for the city: Oslo');
    expect(store.serviceInfo('trip').era).toBe('modern');
  });
});
