/** Knows an MCP server inside this process whose tools, delays and faults a test scripts; no transport is under test. */

// What a store loads at its first connect: loaded before, so that a connect takes promises alone and no disk.
import '@modelcontextprotocol/client';
import '../../src/connection/memory.js';
import '../../src/connection/wrapped.js';
import type { ServerObject } from '../../src/connection/memory.js';
import type { OpenOptions } from '../../src/open-options.js';
import { MCPStore } from '../../src/store.js';
import { FakeClock } from './fake-clock.js';

type Transport = Parameters<ServerObject['connect']>[0];
type Json = Record<string, unknown>;

/** What one call of a tool finds. */
export interface Visit {
  args: Json;
  signal: AbortSignal;
  /** Which connection it came over, counted from 1. */
  connection: number;
  progress(progress: number): void;
  /** Its progress token. */
  token: unknown;
  /** Its `_meta`. */
  meta: Json;
  /** Asks the client; resolves to its whole answer, a result or an error. */
  ask(method: string, params?: Json): Promise<Json>;
  /** Takes back the last question. */
  takeBack(): void;
  /** Ends the connection that it came over. */
  hangUp(): void;
}

export interface FakeTool {
  description?: string;
  inputSchema?: Json;
  annotations?: Json;
  /** Milliseconds of the clock before it answers. */
  delayMs?: number;
  /** Default: a text that names the tool and its arguments. */
  run?: (visit: Visit) => Json | Promise<Json>;
}

/** Thrown by `run`: an error answer in place of a result. */
export class RpcFault extends Error {
  constructor(
    readonly code: number,
    message: string,
    readonly data?: unknown,
  ) {
    super(message);
  }
}

interface Session {
  id: number;
  /** Questions to the client, by their ids. */
  asked: Map<unknown, (answer: Json) => void>;
  transport: Transport;
  running: Map<unknown, AbortController>;
}

export class FakeServer implements ServerObject {
  readonly clock: FakeClock;
  tools: Record<string, FakeTool>;
  /** Connections that were asked for, and those of them that are open. */
  connects = 0;
  readonly open = new Set<Session>();
  lists = 0;
  pings = 0;
  /** Names of the tools in the order in which they were called. */
  readonly called: string[] = [];
  running = 0;
  mostRunning = 0;
  cancelled = 0;
  /** Run before the handshake; what it throws fails the connect. */
  onConnect: ((connection: number) => void | Promise<void>) | undefined;
  /** Does it answer `initialize`, `tools/list`, `ping`? */
  answers = { initialize: true, list: true, ping: true, questions: [] as Json[] };
  listDelayMs = 0;
  /** Lists in pages of so many tools. */
  pageSize = Number.POSITIVE_INFINITY;
  capabilities: Json = { tools: { listChanged: true } };
  /** What each client declared in `initialize`, in their order. */
  readonly declared: Json[] = [];
  /** Other methods: resources, prompts and so on. */
  methods: Record<string, (params: Json) => Json> = {};

  constructor(tools: Record<string, FakeTool>, clock: FakeClock = new FakeClock()) {
    this.tools = tools;
    this.clock = clock;
  }

  async connect(transport: Transport): Promise<void> {
    const session: Session = { id: ++this.connects, transport, running: new Map(), asked: new Map() };
    await this.onConnect?.(session.id);
    transport.onmessage = (message: unknown) => void this.#receive(session, message as Json);
    transport.onclose = () => {
      this.open.delete(session);
      for (const controller of session.running.values()) controller.abort();
    };
    this.open.add(session);
    await transport.start();
  }

  /** Tells every client that the tool list changed. */
  listChanged(): void {
    this.notify('notifications/tools/list_changed');
  }

  notify(method: string, params?: Json): void {
    for (const { transport } of this.open) void transport.send({ jsonrpc: '2.0', method, ...(params && { params }) });
  }

  /** What the last client declared. */
  get clientCapabilities(): Json | undefined {
    return this.declared.at(-1);
  }

  /** Asks every client, with no call of theirs for it. */
  ask(method: string, params: Json = {}): void {
    for (const session of this.open) void this.#ask(session, method, params);
  }

  /** Ends every connection, as a server does that dies. */
  drop(): void {
    for (const { transport } of [...this.open]) void transport.close();
  }

  #questions = 0;

  #ask(session: Session, method: string, params: Json): Promise<Json> {
    const id = `q${++this.#questions}`;
    return new Promise((resolve) => {
      session.asked.set(id, resolve);
      void session.transport.send({ jsonrpc: '2.0', id, method, params } as never);
    });
  }

  async #receive(session: Session, message: Json): Promise<void> {
    const { id, method, params } = message;
    if (method === undefined) {
      const { jsonrpc, id: of, ...answer } = message;
      this.answers.questions.push(answer);
      session.asked.get(of)?.(answer);
      return;
    }
    const asked = (params ?? {}) as Json;
    if (method === 'notifications/cancelled') {
      this.cancelled++;
      session.running.get(asked['requestId'])?.abort();
      return;
    }
    if (id === undefined) return;
    const answer = (body: Json): void =>
      void session.transport.send({ jsonrpc: '2.0', id, ...body } as never).catch(() => {});
    try {
      const result = await this.#answer(session, id, String(method), asked);
      if (result !== undefined) answer({ result });
    } catch (error) {
      if (!(error instanceof RpcFault)) throw error;
      answer({
        error: { code: error.code, message: error.message, ...(error.data !== undefined && { data: error.data }) },
      });
    }
  }

  async #answer(session: Session, id: unknown, method: string, params: Json): Promise<Json | undefined> {
    switch (method) {
      case 'initialize':
        if (!this.answers.initialize) return undefined;
        this.declared.push(params['capabilities'] as Json);
        return {
          protocolVersion: params['protocolVersion'],
          capabilities: this.capabilities,
          serverInfo: { name: 'fake', version: '1' },
        };
      case 'ping':
        this.pings++;
        return this.answers.ping ? {} : undefined;
      case 'tools/list': {
        this.lists++;
        if (!this.answers.list) return undefined;
        const all = Object.entries(this.tools).map(([name, { run, delayMs, ...tool }]) => ({
          inputSchema: { type: 'object' },
          ...tool,
          name,
        }));
        if (this.listDelayMs > 0) await this.#pause(this.listDelayMs);
        const from = Number(params['cursor'] ?? 0);
        const to = from + this.pageSize;
        return { tools: all.slice(from, to), ...(to < all.length && { nextCursor: String(to) }) };
      }
      case 'tools/call':
        return this.#call(session, id, params);
    }
    const own = this.methods[method];
    if (own === undefined) throw new RpcFault(-32601, 'method not found');
    return own(params);
  }

  async #call(session: Session, id: unknown, params: Json): Promise<Json | undefined> {
    const name = String(params['name']);
    const tool = Object.hasOwn(this.tools, name) ? this.tools[name] : undefined;
    if (tool === undefined) throw new RpcFault(-32602, `unknown tool ${name}`);
    this.called.push(name);
    this.mostRunning = Math.max(this.mostRunning, ++this.running);
    const controller = new AbortController();
    session.running.set(id, controller);
    try {
      if (tool.delayMs !== undefined && !(await this.#pause(tool.delayMs, controller.signal))) return undefined;
      const args = (params['arguments'] ?? {}) as Json;
      if (tool.run === undefined) return { content: [{ type: 'text', text: `${name} ${JSON.stringify(args)}` }] };
      const token = (params['_meta'] as Json | undefined)?.['progressToken'];
      return await tool.run({
        args,
        signal: controller.signal,
        connection: session.id,
        token,
        meta: (params['_meta'] ?? {}) as Json,
        ask: (method, asked = {}) => this.#ask(session, method, asked),
        takeBack: () => {
          const requestId = `q${this.#questions}`;
          void session.transport.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } });
        },
        progress: (progress) => {
          if (token !== undefined)
            void session.transport.send({
              jsonrpc: '2.0',
              method: 'notifications/progress',
              params: { progressToken: token, progress },
            } as never);
        },
        hangUp: () => void session.transport.close(),
      });
    } finally {
      session.running.delete(id);
      this.running--;
    }
  }

  /** False where it was ended before. */
  #pause(ms: number, signal?: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = this.clock.after(ms, () => resolve(true));
      signal?.addEventListener('abort', () => {
        timer.cancel();
        resolve(false);
      });
    });
  }
}

/** A store on the servers' clock, with nothing on disk unless `options` says so. */
export function openStore(
  servers: Record<string, FakeServer>,
  clock: FakeClock,
  options: Omit<OpenOptions, 'services' | 'clock'> & { own?: Record<string, object> } = {},
): Promise<MCPStore> {
  const { own = {}, ...rest } = options;
  const services = Object.fromEntries(
    Object.entries(servers).map(([name, server]) => [name, { server, ...(own[name] && { mcpstore: own[name] }) }]),
  );
  return MCPStore.open({ stateDir: null, ...rest, services, clock } as OpenOptions);
}

export const text = (value: string): Json => ({ content: [{ type: 'text', text: value }] });
