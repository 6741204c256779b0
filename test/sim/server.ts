/** Knows what a simulated MCP server says and does, in both eras, and how it goes wrong; not how its messages travel. */

import type { Random } from './random.js';
import type { World } from './world.js';

export type Json = Record<string, unknown>;

/** Ways in which one tool call goes; what is left to 1 goes well. */
export type Fate =
  | 'slow'
  | 'late'
  | 'lost'
  | 'hang'
  | 'doubled'
  | 'unknown_id'
  | 'both'
  | 'neither'
  | 'rpc_error'
  | 'is_error'
  | 'progress'
  | 'asks'
  | 'noise'
  | 'list_changed'
  | 'crash_before'
  | 'crash_after'
  | 'crash_mid'
  | 'crash_answered'
  | 'stall';

/** Ways in which a handshake goes. */
export type Greeting = 'silent' | 'slow' | 'refuses' | 'crash' | 'noise';

export interface Faults {
  call: Partial<Record<Fate, number>>;
  greeting: Partial<Record<Greeting, number>>;
  /** Chance that a list is answered late or never. */
  list: number;
}

export type Era = 'legacy' | 'modern' | 'both';

/** The way back to whoever sent a message. */
export interface Line {
  send(message: Json): void;
  /** Something that is no message. */
  noise(): void;
  /** Ends with what carries it; `mid`: in the middle of this message. */
  crash(mid?: Json): void;
  stall(ms: number): void;
  readonly alive: boolean;
}

const MODERN = '2026-07-28';

export class SimServer {
  readonly name: string;
  readonly era: Era;
  readonly faults: Faults;
  readonly world: World;
  readonly random: Random;
  /** Grows when its list changes. */
  version = 1;
  /** Requests that were given up, by what identifies them on their line. */
  readonly #cancelled = new WeakMap<object, Set<unknown>>();

  /** @param replica - tells servers of one service apart */
  constructor(world: World, name: string, replica: number, era: Era, faults: Faults) {
    this.world = world;
    this.name = name;
    this.era = era;
    this.faults = faults;
    this.random = world.random.fork(`server ${name} ${replica}`);
  }

  /** Takes one message. `owner` stands for the connection that it came over. */
  receive(message: Json, line: Line, owner: object): void {
    const { id, method } = message;
    const params = (message['params'] ?? {}) as Json;
    if (method === 'notifications/cancelled') {
      const gone = this.#cancelled.get(owner) ?? new Set();
      this.#cancelled.set(owner, gone.add(params['requestId']));
    }
    if (id === undefined || method === undefined) return;
    const answer = (body: Json): void => line.send({ jsonrpc: '2.0', id, ...body });
    const result = (value: Json): void => answer({ result: this.#complete(value) });
    switch (method) {
      case 'initialize':
        if (this.era === 'modern') answer({ error: { code: -32022, message: 'only 2026-07-28 is spoken here' } });
        else
          this.#greet(line, answer, {
            protocolVersion: params['protocolVersion'],
            capabilities: { tools: { listChanged: true }, resources: {} },
            serverInfo: { name: this.name, version: '1' },
          });
        return;
      case 'server/discover':
        if (this.era === 'legacy') answer({ error: { code: -32601, message: 'method not found' } });
        else
          this.#greet(line, answer, {
            resultType: 'complete',
            supportedVersions: [MODERN],
            capabilities: { tools: { listChanged: true }, resources: {} },
            serverInfo: { name: this.name, version: '1' },
            ttlMs: 0,
            cacheScope: 'private',
          });
        return;
      case 'ping':
        result({});
        return;
      case 'resources/read':
        this.#after(this.random.int(1, 10), line, () =>
          result({ contents: [{ uri: params['uri'], text: `${this.name} ${params['uri']}` }] }),
        );
        return;
      case 'tools/list':
        if (this.random.chance(this.faults.list)) {
          if (this.random.chance(0.5)) return;
          this.#after(this.random.int(500, 5_000), line, () => result({ tools: this.#tools() }));
        } else this.#after(this.random.int(1, 10), line, () => result({ tools: this.#tools() }));
        return;
      case 'tools/call':
        this.#call(id, params, line, owner);
        return;
    }
    answer({ error: { code: -32601, message: 'method not found' } });
  }

  #tools(): Json[] {
    const inputSchema = { type: 'object' };
    return [
      { name: 'read', inputSchema, annotations: { readOnlyHint: true }, description: `version ${this.version}` },
      { name: 'put', inputSchema, annotations: { idempotentHint: true } },
      { name: 'post', inputSchema },
    ];
  }

  #complete(result: Json): Json {
    return this.era === 'legacy' ? result : { resultType: 'complete', ttlMs: 0, cacheScope: 'private', ...result };
  }

  #greet(line: Line, answer: (body: Json) => void, hello: Json): void {
    const { random } = this;
    const say = (): void => answer({ result: hello });
    switch (random.weighted(this.faults.greeting)) {
      case 'silent':
        return;
      case 'slow':
        this.#after(random.int(200, 8_000), line, say);
        return;
      case 'refuses':
        answer({ error: { code: -32000, message: 'not today' } });
        return;
      case 'crash':
        this.#after(random.int(0, 50), line, () => line.crash());
        return;
      case 'noise':
        line.noise();
    }
    this.#after(random.int(0, 20), line, say);
  }

  #call(id: unknown, params: Json, line: Line, owner: object): void {
    const { random, world } = this;
    const args = (params['arguments'] ?? {}) as Json;
    const mark = String(args['mark']);
    const tool = String(params['name']);
    const fate = random.weighted(this.faults.call);
    const workMs = fate === 'slow' ? random.int(100, 6_000) : random.int(1, 20);
    world.trace(`${this.name} gets ${mark} ${String(id)} ${fate ?? ''}`);
    if (fate === 'crash_before') this.#after(random.int(0, 10), line, () => line.crash());
    if (fate === 'crash_before' || fate === 'hang') return;
    if (fate === 'stall') line.stall(random.int(500, 8_000));
    if (fate === 'noise') line.noise();
    if (fate === 'asks') line.send({ jsonrpc: '2.0', id: `ask-${mark}`, method: 'roots/list' });
    if (fate === 'progress') {
      const token = (params['_meta'] as Json | undefined)?.['progressToken'];
      const send = (progress: number): void =>
        line.send({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: token, progress } });
      if (token !== undefined) for (let i = 1; i <= 3; i++) this.#after(i * 4, line, () => send(i));
    }
    this.#after(workMs, line, () => {
      // A server may take notice of a cancellation, or not.
      if (this.#cancelled.get(owner)?.has(id) && random.chance(0.7)) return;
      const run = world.ledger.executed(mark);
      world.trace(`${this.name} runs ${mark} (${run})`);
      const text = JSON.stringify({ mark, tool, service: this.name, run });
      const result = this.#complete({
        content: [{ type: 'text', text }],
        ...(fate === 'is_error' && { isError: true }),
      });
      const error = { code: -32050, message: `no ${mark}` };
      const answer: Json = { jsonrpc: '2.0', id };
      if (fate !== 'rpc_error' && fate !== 'neither') answer['result'] = result;
      if (fate === 'rpc_error' || fate === 'both') answer['error'] = error;
      this.#reply(fate, answer, line);
    });
  }

  #reply(fate: Fate | undefined, answer: Json, line: Line): void {
    const { random } = this;
    switch (fate) {
      case 'lost':
        return;
      case 'crash_after':
        line.crash();
        return;
      case 'crash_mid':
        line.crash(answer);
        return;
      case 'late':
        this.#after(random.int(1_000, 12_000), line, () => line.send(answer));
        return;
      case 'unknown_id':
        line.send({
          ...answer,
          id: random.chance(0.5) ? `c${random.int(100_000, 200_000)}` : random.int(1_000, 9_999),
        });
        break;
      case 'list_changed':
        this.version++;
        line.send({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    }
    line.send(answer);
    if (fate === 'doubled') line.send(answer);
    if (fate === 'crash_answered') line.crash();
  }

  #after(ms: number, line: Line, fn: () => void): void {
    this.world.loop.after(ms, () => {
      if (line.alive) fn();
    });
  }
}
