/** A scripted MCP server over HTTP, written without any SDK: it answers a few methods and fails on demand. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export interface HttpServerOptions {
  /** How requests are answered; `initialize` too. Default `'json'`. */
  reply?: 'json' | 'sse';
  /** Hands out session ids and insists on them. Default true. */
  sessions?: boolean;
  /** Which handshake it knows. Default `'legacy'`: `server/discover` is an unknown method. */
  era?: 'legacy' | 'modern';
  /** Offers a GET stream. Default false: 405. */
  stream?: boolean;
  /** Numbers the events of its streams and replays them after `Last-Event-ID`. */
  eventIds?: boolean;
  port?: number;
  /** Tools that it lists; it has others too. Default `echo` alone. */
  tools?: readonly string[];
}

export type Fault =
  | { kind: 'status'; status: number; headers?: Record<string, string>; body?: string }
  /** 200 with this body as it is. */
  | { kind: 'body'; contentType?: string; body: string }
  /** The socket is closed before a byte of the answer. */
  | { kind: 'reset' }
  /** The socket is closed in the middle of a JSON body, or of an event. */
  | { kind: 'reset-mid-json' }
  | { kind: 'reset-mid-sse' }
  /** The event stream starts and ends without an answer. */
  | { kind: 'empty-sse' }
  /** No answer at all. */
  | { kind: 'hang' }
  /** One byte of the answer per interval, for ever. */
  | { kind: 'trickle'; everyMs: number }
  /** The answer goes out as an event stream that then stays open. */
  | { kind: 'open-sse' }
  /** An answer of so many bytes. */
  | { kind: 'huge'; bytes: number; sse?: boolean };

export interface SeenRequest {
  readonly verb: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly message: RpcMessage | undefined;
}

interface RpcMessage {
  jsonrpc?: string;
  id?: string | number | null;
  method?: string;
  params?: Record<string, unknown> & { _meta?: Record<string, unknown> };
  result?: unknown;
  error?: unknown;
}

interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly message: RpcMessage;
}

export const MODERN_VERSION = '2026-07-28';

export class HttpTestServer {
  readonly seen: SeenRequest[] = [];
  readonly sockets = new Set<Socket>();
  /** Sockets accepted so far. */
  accepted = 0;
  /** How often a tool really ran. */
  executed = 0;
  options: HttpServerOptions;
  /** Results that ask for input, for the next calls of the tool `rounds`. */
  rounds: Record<string, unknown>[] = [];
  /** The same for each call of it that brings no answers yet. */
  round: Record<string, unknown> | undefined;
  readonly #faults = new Map<string, Fault[]>();
  readonly #sessions = new Set<string>();
  readonly #streams = new Set<ServerResponse>();
  readonly #events: { id: number; data: string }[] = [];
  readonly #answers = new Map<string | number, (answer: RpcMessage) => void>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #server: Server;
  #nextSession = 1;
  #nextEvent = 1;
  #port = 0;

  private constructor(options: HttpServerOptions) {
    this.options = options;
    this.#server = this.#create();
  }

  static async start(options: HttpServerOptions = {}): Promise<HttpTestServer> {
    const server = new HttpTestServer(options);
    await server.#listen(options.port ?? 0);
    return server;
  }

  get url(): URL {
    return new URL(`http://127.0.0.1:${this.#port}/mcp`);
  }

  /** Requests of this JSON-RPC method, or of this HTTP verb. */
  calls(name: string): SeenRequest[] {
    return this.seen.filter((one) => one.message?.method === name || one.verb === name);
  }

  /** The next `times` requests of this method, or of an HTTP verb such as GET, fail this way. */
  fail(name: string, fault: Fault, times = 1): void {
    const list = this.#faults.get(name) ?? [];
    for (let n = 0; n < times; n++) list.push(fault);
    this.#faults.set(name, list);
  }

  /** No more of the faults that were asked for. */
  succeed(name: string): void {
    this.#faults.delete(name);
  }

  expireSessions(): void {
    this.#sessions.clear();
  }

  get openStreams(): number {
    return this.#streams.size;
  }

  /** Says something on every open GET stream. */
  push(message: Record<string, unknown>): void {
    for (const stream of this.#streams) this.#event(stream, message);
  }

  /** Ends every GET stream politely. */
  endStreams(): void {
    for (const stream of this.#streams) stream.end();
    this.#streams.clear();
  }

  /** Closes every socket at once, idle ones and busy ones. */
  resetSockets(): void {
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#streams.clear();
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  /** Ends and comes back on the same port, without its sessions. */
  async restart(): Promise<void> {
    await this.close();
    this.#sessions.clear();
    this.#server = this.#create();
    await this.#listen(this.#port);
  }

  #create(): Server {
    const server = createServer((request, response) => this.#read(request, response));
    server.keepAliveTimeout = 0;
    server.on('connection', (socket) => {
      this.accepted++;
      this.sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.sockets.delete(socket));
    });
    return server;
  }

  async #listen(port: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.listen(port, '127.0.0.1', resolve);
    });
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  #after(ms: number, fn: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      fn();
    }, ms);
    this.#timers.add(timer);
  }

  #read(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    request.on('error', () => {});
    response.on('error', () => {});
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      const message = text === '' ? undefined : (JSON.parse(text) as RpcMessage);
      this.seen.push({ verb: request.method!, url: request.url!, headers: request.headers, message });
      const name = message?.method ?? request.method!;
      const fault = this.#faults.get(name)?.shift();
      if (fault) this.#inject(fault, { request, response, message: message ?? {} });
      else if (request.method === 'POST') this.#post({ request, response, message: message! });
      else if (request.method === 'GET') this.#get(request, response);
      else this.#delete(request, response);
    });
  }

  #inject(fault: Fault, call: Call): void {
    const { response, message } = call;
    const events = { 'content-type': 'text/event-stream' };
    switch (fault.kind) {
      case 'status':
        response.writeHead(fault.status, fault.headers).end(fault.body ?? '');
        return;
      case 'body':
        if (fault.contentType) response.setHeader('content-type', fault.contentType);
        response.end(fault.body);
        return;
      case 'reset':
        response.socket?.resetAndDestroy();
        return;
      case 'reset-mid-json':
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
        response.write('{"jsonrpc":"2.0",');
        this.#after(20, () => response.socket?.resetAndDestroy());
        return;
      case 'reset-mid-sse': {
        response.writeHead(200, events);
        const id = this.options.eventIds ? `id: ${this.#nextEvent++}\n` : '';
        response.write(
          `${id}data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: {} })}\n\ndata: {"js`,
        );
        if (this.options.eventIds)
          this.#events.push({ id: this.#nextEvent++, data: JSON.stringify(this.#result(message)) });
        this.#after(20, () => response.socket?.resetAndDestroy());
        return;
      }
      case 'empty-sse':
        response.writeHead(200, events).end(': nothing\n\n');
        return;
      case 'hang':
        return;
      case 'trickle': {
        response.writeHead(200, { 'content-type': 'application/json' });
        const drop = (): void => {
          if (response.destroyed) return;
          response.write(' ');
          this.#after(fault.everyMs, drop);
        };
        drop();
        return;
      }
      case 'open-sse':
        response.writeHead(200, events);
        this.#event(response, this.#result(message));
        return;
      case 'huge': {
        const text = JSON.stringify({
          jsonrpc: '2.0',
          id: message.id,
          result: { content: [{ type: 'text', text: 'x'.repeat(fault.bytes) }] },
        });
        if (fault.sse) response.writeHead(200, events).end(`data: ${text}\n\n`);
        // Chunked: no length tells of it beforehand.
        else response.writeHead(200, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' }).end(text);
      }
    }
  }

  #post(call: Call): void {
    const { request, response, message } = call;
    const { sessions = true, era = 'legacy' } = this.options;
    const session = request.headers['mcp-session-id'] as string | undefined;
    if (era === 'legacy' && sessions && message.method !== 'initialize' && message.method !== 'server/discover') {
      if (session === undefined || !this.#sessions.has(session)) {
        const error = {
          code: session ? -32001 : -32000,
          message: session ? 'Session not found' : 'No valid session ID',
        };
        response.writeHead(session ? 404 : 400, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ jsonrpc: '2.0', id: null, error }));
        return;
      }
    }
    if (message.id === undefined || message.method === undefined) {
      if (message.id !== undefined && message.id !== null) this.#answers.get(message.id)?.(message);
      response.writeHead(202).end();
      return;
    }
    if (message.method === 'tools/call') this.#tool(call);
    else if (message.method === 'subscriptions/listen' && era === 'modern') this.#subscribe(call);
    else this.#answer(call, this.#result(message));
  }

  #result(message: RpcMessage): RpcMessage {
    const { id } = message;
    const result = (value: unknown): RpcMessage => ({ jsonrpc: '2.0', id: id!, result: value });
    const capabilities = { tools: { listChanged: true } };
    const serverInfo = { name: 'scripted', version: '1' };
    switch (message.method) {
      case 'initialize':
        if (this.options.era === 'modern') break;
        return result({ protocolVersion: message.params?.['protocolVersion'], capabilities, serverInfo });
      case 'server/discover':
        if (this.options.era !== 'modern') break;
        return result({
          resultType: 'complete',
          supportedVersions: [MODERN_VERSION],
          capabilities,
          serverInfo,
          ttlMs: 0,
          cacheScope: 'private',
        });
      case 'ping':
        return result({});
      case 'tools/list': {
        const { tools: names = ['echo'] } = this.options;
        const tools = names.map((name) => ({ name, inputSchema: { type: 'object' } }));
        return result({ ...this.#modernFields(), tools });
      }
      case 'tools/call': {
        this.executed++;
        const text = JSON.stringify((message.params?.['arguments'] as { text?: unknown })?.text ?? null);
        return result({ ...this.#modernFields(), content: [{ type: 'text', text }] });
      }
    }
    return { jsonrpc: '2.0', id: id!, error: { code: -32601, message: 'Method not found' } };
  }

  #modernFields(): Record<string, unknown> {
    return this.options.era === 'modern' ? { resultType: 'complete', ttlMs: 0, cacheScope: 'private' } : {};
  }

  /**
   * Tools: `echo`; `slow` (`ms`); `progress` (`steps`); `ask` asks the client for its roots before it answers; `rounds`
   * gives what `rounds` says before its result.
   */
  #tool(call: Call): void {
    const { response, message } = call;
    const { name, arguments: args = {} } = message.params as { name: string; arguments?: Record<string, unknown> };
    if (name === 'slow') this.#after(Number(args['ms']), () => this.#answer(call, this.#result(message)));
    else if (name === 'progress') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const progressToken = message.params?._meta?.['progressToken'];
      const total = Number(args['steps']);
      for (let progress = 1; progress <= total; progress++)
        this.#event(response, {
          jsonrpc: '2.0',
          method: 'notifications/progress',
          params: { progressToken, progress, total },
        });
      this.#event(response, { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'hi' } });
      this.#event(response, this.#result(message));
      response.end();
    } else if (name === 'ask') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const id = `ask-${String(message.id)}`;
      this.#answers.set(id, (answer) => {
        const text = JSON.stringify(answer.result ?? answer.error);
        this.#event(response, { jsonrpc: '2.0', id: message.id!, result: { content: [{ type: 'text', text }] } });
        response.end();
      });
      this.#event(response, { jsonrpc: '2.0', id, method: 'roots/list' });
    } else if (name === 'rounds' && (this.rounds.length > 0 || (this.round && isFirst(message))))
      this.#answer(call, {
        jsonrpc: '2.0',
        id: message.id!,
        result: { resultType: 'input_required', ...(this.rounds.shift() ?? this.round) },
      });
    else this.#answer(call, this.#result(message));
  }

  #answer(call: Call, answer: RpcMessage): void {
    const { response, message } = call;
    if (response.destroyed) return;
    const { sessions = true, era = 'legacy', reply = 'json' } = this.options;
    if (message.method === 'initialize' && sessions && era === 'legacy' && answer.error === undefined) {
      const id = `session-${this.#nextSession++}`;
      this.#sessions.add(id);
      response.setHeader('mcp-session-id', id);
    }
    const unknown = era === 'modern' && (answer.error as { code?: number } | undefined)?.code === -32601;
    if (reply === 'json' || unknown) {
      response.writeHead(unknown ? 404 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(answer));
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    this.#event(response, answer);
    response.end();
  }

  #event(response: ServerResponse, message: object): void {
    const data = JSON.stringify(message);
    if (this.options.eventIds) {
      const id = this.#nextEvent++;
      this.#events.push({ id, data });
      response.write(`id: ${id}\nevent: message\ndata: ${data}\n\n`);
    } else response.write(`event: message\ndata: ${data}\n\n`);
  }

  #get(request: IncomingMessage, response: ServerResponse): void {
    const session = request.headers['mcp-session-id'] as string | undefined;
    const last = request.headers['last-event-id'];
    if (!this.options.stream && !(this.options.eventIds && last !== undefined)) {
      response.writeHead(405).end();
      return;
    }
    if (this.options.sessions !== false && (session === undefined || !this.#sessions.has(session))) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
    if (last !== undefined)
      for (const event of this.#events)
        if (event.id > Number(last)) response.write(`id: ${event.id}\ndata: ${event.data}\n\n`);
    this.#streams.add(response);
    response.on('close', () => this.#streams.delete(response));
  }

  #subscribe(call: Call): void {
    const { response, message } = call;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    this.#event(response, {
      jsonrpc: '2.0',
      method: 'notifications/subscriptions/acknowledged',
      params: {
        notifications: message.params?.['notifications'],
        _meta: { 'io.modelcontextprotocol/subscriptionId': message.id },
      },
    });
    this.#streams.add(response);
    response.on('close', () => this.#streams.delete(response));
  }

  #delete(request: IncomingMessage, response: ServerResponse): void {
    this.#sessions.delete(request.headers['mcp-session-id'] as string);
    response.writeHead(200).end();
  }
}

function isFirst({ params = {} }: RpcMessage): boolean {
  return params['inputResponses'] === undefined && params['requestState'] === undefined;
}
