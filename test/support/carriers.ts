/** Puts the behaviour of the tests behind each transport: SDK v1 and v2 servers in memory, over HTTP, over legacy SSE. */

import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server as NodeServer, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import {
  createMcpHandler,
  McpServer,
  type ServerContext,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server';
import type { ServerObject } from '../../src/index.js';
import { type Behaviour, CAPABILITIES } from './behaviour.mjs';

const METHODS = [
  'tools/list',
  'tools/call',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'prompts/list',
  'prompts/get',
  'completion/complete',
] as const;

type Params = Record<string, unknown> & { _meta?: Record<string, unknown> };
type Notify = (notification: { method: string; params?: Record<string, unknown> }) => Promise<void>;
type Ask = (request: { method: string; params: Record<string, unknown> }) => Promise<Record<string, unknown>>;

const INFO = { name: 'carried', version: '1.0.0' };

function carry(
  behaviour: Behaviour,
  method: string,
  params: Params,
  signal: AbortSignal,
  notify: Notify,
  ask: Ask,
  toolsChanged: () => Promise<void> | void,
): Promise<Record<string, unknown>> {
  const progressToken = params._meta?.['progressToken'];
  return behaviour.handle(method, params, {
    signal,
    progress: (progress) => notify({ method: 'notifications/progress', params: { progressToken, ...progress } }),
    log: (log) => notify({ method: 'notifications/message', params: log }),
    toolsChanged,
    ask: (what, about) => ask({ method: what, params: about }).then((result) => ({ result })),
  });
}

/** An McpServer of the SDK's version 2. `changed` replaces how it tells of a new list. */
export function serverV2(behaviour: Behaviour, changed?: () => void): McpServer {
  const mcp = new McpServer(INFO, { capabilities: CAPABILITIES, instructions: 'Be kind.' });
  const { server } = mcp;
  for (const method of METHODS)
    server.setRequestHandler(method, (async (request: { params?: Params }, context: ServerContext) => {
      const { signal, _meta, notify, send } = context.mcpReq;
      const params = { ...request.params, ...(_meta && { _meta }) } as Params;
      const answerOf = { parse: (value: unknown) => value } as never;
      return carry(
        behaviour,
        method,
        params,
        signal,
        (notification) => notify(notification as never),
        (asked) => send(asked as never, answerOf) as Promise<Record<string, unknown>>,
        changed ?? (() => server.sendToolListChanged()),
      );
    }) as never);
  return mcp;
}

interface V1Extra {
  signal: AbortSignal;
  sendNotification: Notify;
  sendRequest: (request: object, schema: unknown) => Promise<Record<string, unknown>>;
}
interface V1Server extends ServerObject {
  setRequestHandler(
    schema: unknown,
    handler: (request: { method: string; params?: Params }, extra: V1Extra) => unknown,
  ): void;
  sendToolListChanged(): Promise<void>;
}
interface V1Sse {
  sessionId: string;
  start(): Promise<void>;
  handlePostMessage(request: IncomingMessage, response: ServerResponse): Promise<void>;
}

/** Version 1 comes with server-everything, which is built on it. */
const v1 = createRequire(
  createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/dist/index.js'),
);

export function serverV1(behaviour: Behaviour): ServerObject {
  const { Server } = v1('@modelcontextprotocol/sdk/server/index.js') as {
    Server: new (info: object, options: object) => V1Server;
  };
  const types = v1('@modelcontextprotocol/sdk/types.js') as Record<string, unknown>;
  const server = new Server(INFO, { capabilities: CAPABILITIES, instructions: 'Be kind.' });
  const schemas = [
    'ListTools',
    'CallTool',
    'ListResources',
    'ListResourceTemplates',
    'ReadResource',
    'ListPrompts',
    'GetPrompt',
    'Complete',
  ];
  for (const name of schemas)
    server.setRequestHandler(types[`${name}RequestSchema`], ({ method, params = {} }, extra) =>
      carry(
        behaviour,
        method,
        params,
        extra.signal,
        extra.sendNotification,
        (asked) => extra.sendRequest(asked, types['ResultSchema']),
        () => server.sendToolListChanged(),
      ),
    );
  return server;
}

export interface HttpCarrier {
  readonly url: string;
  close(): Promise<void>;
}

/** Streamable HTTP with sessions, one SDK server (version 2) for each. */
export function httpCarrier(behaviour: Behaviour, enableJsonResponse: boolean): Promise<HttpCarrier> {
  const sessions = new Map<string, WebStandardStreamableHTTPServerTransport>();
  return listen(async (request, response) => {
    const id = request.headers['mcp-session-id'] as string | undefined;
    let transport = id === undefined ? undefined : sessions.get(id);
    if (transport === undefined && id !== undefined) return void response.writeHead(404).end();
    if (transport === undefined) {
      const fresh = new WebStandardStreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        enableJsonResponse,
        onsessioninitialized: (session) => void sessions.set(session, fresh),
      });
      transport = fresh;
      await serverV2(behaviour).connect(transport);
    }
    await bridge(request, response, (asked) => transport.handleRequest(asked));
  });
}

/** The modern era (2026-07-28) alone, without sessions. */
export function modernCarrier(behaviour: Behaviour): Promise<HttpCarrier> {
  const handler = createMcpHandler(() => serverV2(behaviour, () => handler.notify.toolsChanged()), {
    legacy: 'reject',
    maxRequestBodySize: 16 * 1024 * 1024,
  });
  return listen((request, response) => bridge(request, response, (asked) => handler.fetch(asked)));
}

/** Legacy HTTP with an event stream (2024-11-05), on the SDK's version 1. */
export function sseCarrier(behaviour: Behaviour): Promise<HttpCarrier> {
  const { SSEServerTransport } = v1('@modelcontextprotocol/sdk/server/sse.js') as {
    SSEServerTransport: new (path: string, response: ServerResponse) => V1Sse;
  };
  const sessions = new Map<string, V1Sse>();
  return listen(async (request, response) => {
    const url = new URL(request.url!, 'http://localhost');
    if (request.method === 'GET') {
      const transport = new SSEServerTransport('/message', response);
      sessions.set(transport.sessionId, transport);
      await serverV1(behaviour).connect(transport as never);
    } else await sessions.get(url.searchParams.get('sessionId')!)?.handlePostMessage(request, response);
  });
}

async function listen(
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<unknown>,
): Promise<HttpCarrier> {
  const server: NodeServer = createServer((request, response) => {
    response.on('error', () => {});
    handle(request, response).catch((error: Error) => {
      if (!response.headersSent) response.writeHead(500);
      response.end(error.message);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Node's request and response, for a handler that speaks fetch. */
async function bridge(
  request: IncomingMessage,
  response: ServerResponse,
  handle: (request: Request) => Promise<Response>,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) headers.set(name, String(value));
  const { method } = request;
  const body = method === 'POST' ? Buffer.concat(chunks).toString() : null;
  const asked = new Request(`http://127.0.0.1${request.url}`, { method: method!, headers, body, signal: gone.signal });
  const answer = await handle(asked);
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  response.flushHeaders();
  const reader = answer.body?.getReader();
  gone.signal.addEventListener('abort', () => void reader?.cancel().catch(() => {}));
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) response.write(part.value);
  response.end();
}
