/** Knows a simulated MCP server behind HTTP: sessions, streams, refusals, and the ways in which such a server misbehaves. */

import { type Request, type Response, readRequests } from './http-wire.js';
import type { Accepted, Answer, SimHost, Wire } from './net.js';
import type { Json, Line, SimServer } from './server.js';
import type { World } from './world.js';

/** Ways in which one exchange goes, before the MCP server behind it is asked. */
export type HttpFate =
  | '429'
  | '503_wait'
  | '500'
  | '502'
  | '404'
  | '401'
  | 'reset'
  | 'hang'
  | 'empty'
  | 'garbage'
  | 'wrong_type'
  | 'redirect'
  | 'trickle'
  | 'close_after';

export interface HttpFaults {
  connect: Partial<Record<Exclude<Answer, 'accept'>, number>>;
  exchange: Partial<Record<HttpFate, number>>;
  /** Chance that a tool's answer comes as a stream, that such a stream numbers its events, and that it breaks. */
  streams: number;
  numbered: boolean;
  breaks: number;
  /** Hands out sessions. */
  sessions: boolean;
  /** Offers a GET stream. */
  listens: boolean;
  /** Closes connections that were idle for so long; 0: never. */
  idleMs: number;
}

export const NO_HTTP_FAULTS: HttpFaults = {
  connect: {},
  exchange: {},
  streams: 0.3,
  numbered: false,
  breaks: 0,
  sessions: true,
  listens: false,
  idleMs: 0,
};

const JSON_TYPE = { 'content-type': 'application/json' };
const EVENTS = { 'content-type': 'text/event-stream' };

export class HttpHost implements SimHost {
  partitionedUntil = 0;
  readonly #server: SimServer;
  readonly #faults: HttpFaults;
  readonly #world: World;
  readonly #wires = new Set<Wire>();
  readonly #sessions = new Map<string, object>();
  readonly #streams = new Set<Response>();
  /** Answers by the id of the event that came before them on a stream. */
  readonly #replay = new Map<string, string>();
  #nextSession = 1;
  #nextEvent = 1;
  #downUntil = 0;

  constructor(server: SimServer, faults: HttpFaults) {
    this.#server = server;
    this.#faults = faults;
    this.#world = server.world;
  }

  connects(): Answer {
    if (this.#world.loop.now < this.partitionedUntil) return 'silence';
    if (this.#world.loop.now < this.#downUntil) return 'refuse';
    return this.#server.random.weighted(this.#faults.connect) ?? 'accept';
  }

  accept(wire: Wire): Accepted {
    this.#wires.add(wire);
    return readRequests(
      wire,
      (request, response) => this.#take(request, response),
      () => this.#wires.delete(wire),
    );
  }

  /** Ends and is back after `downMs`, without its sessions. */
  restart(downMs: number): void {
    this.#world.trace(`${this.#server.name} restarts`);
    this.#downUntil = this.#world.loop.now + downMs;
    this.#sessions.clear();
    for (const wire of this.#wires) wire.reset();
    this.#wires.clear();
    this.#streams.clear();
  }

  forgetSessions(): void {
    this.#world.trace(`${this.#server.name} forgets its sessions`);
    this.#sessions.clear();
  }

  #take(request: Request, response: Response): void {
    const { random } = this.#server;
    const fate = random.weighted(this.#faults.exchange);
    if (fate !== undefined) this.#world.trace(`${this.#server.name} ${request.verb}: ${fate}`);
    response.onEnd = () => this.#ended(response, fate);
    if (fate !== undefined && this.#refuse(fate, request, response)) return;
    if (request.verb === 'GET') this.#listen(request, response);
    else if (request.verb === 'DELETE') {
      this.#sessions.delete(request.headers['mcp-session-id'] ?? '');
      response.send(200, {});
    } else this.#post(request, response, fate);
  }

  #ended(response: Response, fate: HttpFate | undefined): void {
    const { loop } = this.#world;
    if (fate === 'close_after') response.wire.end();
    const { idleMs } = this.#faults;
    if (idleMs > 0) loop.after(this.#server.random.int(1, idleMs), () => response.wire.end());
  }

  /** Answers without asking the server; false where it goes on. */
  #refuse(fate: HttpFate, request: Request, response: Response): boolean {
    const { random } = this.#server;
    const { loop } = this.#world;
    switch (fate) {
      case '429':
      case '503_wait': {
        const date = new Date(loop.wall() + random.int(0, 4_000)).toUTCString();
        const wait = random.pick(['0', '1', '2', '86400000', date, ...(fate === '429' ? [undefined] : [])]);
        response.send(Number(fate.slice(0, 3)), wait === undefined ? {} : { 'retry-after': wait });
        return true;
      }
      case '500':
      case '502':
        if (random.chance(0.5)) this.#execute(request);
        response.send(Number(fate), { 'content-type': 'text/html' }, '<h1>oops</h1>');
        return true;
      case '404':
      case '401':
        response.send(Number(fate), {});
        return true;
      case 'reset':
        response.wire.reset();
        return true;
      case 'hang':
        return true;
      case 'empty':
        this.#execute(request);
        response.send(202, {});
        return true;
      case 'garbage':
        this.#execute(request);
        response.send(200, JSON_TYPE, random.pick(['{"jsonrpc":', '[]', 'null', '"text"', '{"jsonrpc":"2.0"}']));
        return true;
      case 'wrong_type':
        this.#execute(request);
        response.send(200, { 'content-type': 'text/html' }, '<p>hello</p>');
        return true;
      case 'redirect':
        if (request.path.endsWith('/')) return false;
        response.send(random.pick([307, 308]), { location: `${request.path}/` });
        return true;
    }
    return false;
  }

  /** The call runs, whatever is said of it. */
  #execute(request: Request): void {
    if (request.verb !== 'POST') return;
    const message = JSON.parse(request.body) as Json;
    if (message['method'] !== 'tools/call') return;
    const { arguments: args } = message['params'] as { arguments: Json };
    this.#world.trace(`${this.#server.name} runs ${args['mark']}, unseen`);
    this.#world.ledger.executed(String(args['mark']));
  }

  #post(request: Request, response: Response, fate: HttpFate | undefined): void {
    const server = this.#server;
    const message = JSON.parse(request.body) as Json;
    const session = request.headers['mcp-session-id'];
    if (session !== undefined && !this.#sessions.has(session)) {
      response.send(404, {}, 'session not found');
      return;
    }
    if (message['id'] === undefined || message['method'] === undefined) {
      server.receive(message, this.#line(message, response, fate), this.#owner(session));
      response.send(202, {});
      return;
    }
    if (message['method'] === 'subscriptions/listen') {
      this.#subscribe(message, response);
      return;
    }
    server.receive(message, this.#line(message, response, fate), this.#owner(session));
  }

  #owner(session: string | undefined): object {
    return (session !== undefined && this.#sessions.get(session)) || this;
  }

  /** How the answer of this request goes back. */
  #line(message: Json, response: Response, fate: HttpFate | undefined): Line {
    const { random } = this.#server;
    const { loop } = this.#world;
    const faults = this.#faults;
    const streams = message['method'] === 'tools/call' && random.chance(faults.streams);
    let lastId: string | undefined;
    const eventOf = (one: Json): string => {
      const id = faults.numbered ? `e${this.#nextEvent++}` : undefined;
      const text = `${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(one)}\n\n`;
      if (id !== undefined && one['method'] !== undefined) lastId = id;
      return text;
    };
    const isAnswer = (one: Json): boolean => one['method'] === undefined && one['id'] === message['id'];
    const send = (one: Json): void => {
      if (!streams && !isAnswer(one)) return;
      if (!streams) {
        const modern404 = this.#server.era === 'modern' && (one['error'] as Json | undefined)?.['code'] === -32601;
        this.#json(modern404 ? 404 : 200, message, one, response, fate);
        return;
      }
      response.stream(200, EVENTS);
      const text = eventOf(one);
      if (isAnswer(one) && lastId !== undefined) this.#replay.set(lastId, text);
      if (isAnswer(one) && random.chance(faults.breaks)) response.break(EVENTS, text, random.int(0, text.length - 3));
      else response.chunk(text);
      if (!isAnswer(one)) return;
      if (random.chance(0.8)) response.end();
      else loop.after(random.int(1, 2_000), () => response.end());
    };
    return {
      send,
      noise: () => {
        if (!streams) return;
        response.stream(200, EVENTS);
        response.chunk(random.pick([': hello\n\n', 'data: x\n\n']));
      },
      crash: (mid) => {
        if (mid) response.break(JSON_TYPE, JSON.stringify(mid), 10);
        else response.wire.reset();
      },
      stall: () => {},
      // A stream that broke does not end the work behind it.
      alive: true,
    };
  }

  #json(status: number, message: Json, one: Json, response: Response, fate: HttpFate | undefined): void {
    const { random } = this.#server;
    const headers: Record<string, string> = { ...JSON_TYPE };
    if (message['method'] === 'initialize' && this.#faults.sessions && one['error'] === undefined) {
      const session = `s${this.#nextSession++}`;
      this.#sessions.set(session, {});
      headers['mcp-session-id'] = session;
    }
    const body = JSON.stringify(one);
    if (random.chance(this.#faults.breaks)) response.break(headers, body, random.int(0, body.length - 1));
    else if (fate === 'trickle') this.#trickle(body, headers, response);
    else response.send(status, headers, body);
  }

  /** Some bytes now and then, for as long as anybody listens. */
  #trickle(body: string, headers: Record<string, string>, response: Response): void {
    response.stream(200, headers);
    const step = this.#server.random.int(1, 12);
    const next = (at: number): void => {
      if (at >= body.length) response.end();
      if (!response.open) return;
      response.chunk(body.slice(at, at + step));
      this.#world.loop.after(500, () => next(at + step));
    };
    next(0);
  }

  #listen(request: Request, response: Response): void {
    const { random } = this.#server;
    const last = request.headers['last-event-id'];
    const session = request.headers['mcp-session-id'];
    if (session !== undefined && !this.#sessions.has(session)) response.send(404, {});
    else if (last !== undefined) {
      response.stream(200, EVENTS);
      response.chunk(this.#replay.get(last) ?? ': nothing yet\n\n');
      response.end();
    } else if (this.#faults.listens) {
      response.stream(200, EVENTS);
      this.#streams.add(response);
      this.#world.loop.after(random.int(100, 20_000), () => {
        const changed = { jsonrpc: '2.0', method: 'notifications/tools/list_changed' };
        if (random.chance(0.5)) response.chunk(`data: ${JSON.stringify(changed)}\n\n`);
        response.end();
        this.#streams.delete(response);
      });
    } else response.send(405, {});
  }

  #subscribe(message: Json, response: Response): void {
    response.stream(200, EVENTS);
    const params = {
      notifications: (message['params'] as Json)['notifications'],
      _meta: { 'io.modelcontextprotocol/subscriptionId': message['id'] },
    };
    const ack = { jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged', params };
    response.chunk(`data: ${JSON.stringify(ack)}\n\n`);
    this.#streams.add(response);
  }
}
