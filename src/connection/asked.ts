/** Knows what a legacy server asks of its callers: whom a question is for, until when, and how it is answered. */

import type { JSONRPCMessage } from '@modelcontextprotocol/client';
import type { Asker } from '../call.js';
import { isStoreError, StoreError } from '../errors.js';
import type { Pending, PendingRequest, Watcher } from './pending.js';

/** What a connection knows of the scopes that may use it. */
export interface Asking {
  service: string;
  /** Declared in the handshake: what any of them has a handler for. */
  capabilities(): Asker['capabilities'];
  /** The only one of them, if there is just one: it is asked also while no call is under way. */
  sole(): Asker | undefined;
}

/** Requests of a server that its callers answer; the SDK's client answers all others. */
const METHODS: ReadonlySet<unknown> = new Set(['sampling/createMessage', 'elicitation/create', 'roots/list']);
/** Questions of one connection under way at a time; one more is refused. */
const MAX_QUESTIONS = 64;

/** JSON-RPC codes: internal error, and one of those that are left to implementations. */
const INTERNAL_ERROR = -32603;
const REFUSED = -32000;

const OVER = 'the call is over';

interface Message {
  id?: unknown;
  method?: unknown;
  params?: unknown;
}

export class Asked {
  readonly #asking: Asking;
  readonly #send: (message: JSONRPCMessage) => Promise<void>;
  readonly #running = new Map<unknown, Running>();

  constructor(asking: Asking, send: (message: JSONRPCMessage) => Promise<void>) {
    this.#asking = asking;
    this.#send = send;
  }

  /**
   * Answers a question of the server, some time later; false where the message is none.
   * @param stream - the request on whose response stream it came: the question is its caller's
   */
  take(message: Message, pending: Pending, stream: PendingRequest | undefined): boolean {
    const { id, method } = message;
    const params = objectOf(message.params);
    // The SDK hears of it as well: the request may be one that it answers.
    if (method === 'notifications/cancelled') this.#running.get(params['requestId'])?.cancelled();
    if (!METHODS.has(method) || (typeof id !== 'string' && typeof id !== 'number')) return false;
    if (this.#running.has(id)) return true;
    const owners = stream?.options.ask ? [stream] : ownersOf(params, pending);
    const asker = this.#askerOf(owners, pending, stream);
    if (stream?.options.ask && !pending.has(stream.id)) this.#refuse(id, OVER);
    else if (asker === undefined)
      this.#refuse(id, 'it cannot be told which caller is asked: several use this connection');
    else if (this.#running.size >= MAX_QUESTIONS) this.#refuse(id, `more than ${MAX_QUESTIONS} questions at a time`);
    else void this.#ask(id, String(method), params, asker, owners, pending);
    return true;
  }

  /** The connection has ended. */
  end(): void {
    for (const question of this.#running.values()) question.cancelled();
  }

  /**
   * The one caller that the question can be for; undefined where there may be others. Without a stream of its own that
   * is whoever has calls under way, and whoever gave one up that the server may still be working on.
   */
  #askerOf(owners: readonly PendingRequest[], pending: Pending, stream: PendingRequest | undefined): Asker | undefined {
    const asker = owners[0]?.options.ask ?? this.#asking.sole();
    if (asker === undefined || stream?.options.ask) return asker;
    if (owners.some(({ options }) => options.ask !== asker)) return undefined;
    return pending.givenUp.otherThan(asker) ? undefined : asker;
  }

  async #ask(
    id: string | number,
    method: string,
    params: Record<string, unknown>,
    asker: Asker,
    owners: readonly PendingRequest[],
    pending: Pending,
  ): Promise<void> {
    const question = new Running(owners, pending, () => this.#answer(question, id, refusal(OVER)));
    this.#running.set(id, question);
    try {
      const records = owners.map(({ options }) => options.record).filter((record) => record !== undefined);
      for (const record of records) record.asked++;
      const tool = records.length === 1 ? records[0]!.tool : undefined;
      const { signal } = question;
      const result = await asker.answer({ method, params, service: this.#asking.service, tool, signal });
      this.#answer(question, id, { result });
    } catch (error) {
      this.#answer(question, id, { error: rpcErrorOf(error) });
    }
  }

  /** Once, and never what the server does not want any more. */
  #answer(question: Running, id: string | number, body: object): void {
    if (this.#running.get(id) !== question) return;
    this.#running.delete(id);
    if (question.end()) this.#reply(id, body);
  }

  #refuse(id: string | number, why: string): void {
    this.#reply(id, refusal(why));
  }

  #reply(id: string | number, body: object): void {
    const send = (what: object): Promise<void> => this.#send({ jsonrpc: '2.0', id, ...what } as JSONRPCMessage);
    try {
      // Where the connection is lost, so is the question.
      send(body).catch(() => {});
    } catch {
      const error = { code: INTERNAL_ERROR, message: 'the answer is nothing that JSON can carry' };
      send({ error }).catch(() => {});
    }
  }
}

/** One question under way, and the requests for which it may be. */
class Running implements Watcher {
  readonly #abort = new AbortController();
  readonly #owners: Set<PendingRequest>;
  readonly #pending: Pending;
  readonly #onOver: () => void;
  #wanted = true;

  /** @param onOver - called when the last of `owners` has ended */
  constructor(owners: readonly PendingRequest[], pending: Pending, onOver: () => void) {
    this.#owners = new Set(owners);
    this.#pending = pending;
    this.#onOver = onOver;
    for (const owner of owners) pending.asking(owner, this);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  over(request: PendingRequest): void {
    if (!this.#owners.delete(request) || this.#owners.size > 0) return;
    this.#abort.abort(new StoreError('CANCELLED', 'the call that this is asked for is over'));
    this.#onOver();
  }

  /** The server takes it back, or is gone. */
  cancelled(): void {
    this.#wanted = false;
    this.#abort.abort(new StoreError('CANCELLED', 'the server takes its question back'));
    this.#onOver();
  }

  /** Silence counts again. Does the server still want the answer? */
  end(): boolean {
    for (const owner of this.#owners) this.#pending.answered(owner, this);
    return this.#wanted;
  }
}

/** Requests for which the server may ask, if it does not say for which by a progress token of ours. */
function ownersOf(params: Record<string, unknown>, pending: Pending): PendingRequest[] {
  const token = objectOf(params['_meta'])['progressToken'];
  const named = pending.get(token);
  if (named?.options.ask && named.sent) return [named];
  return pending.all().filter(({ options, sent }) => sent && options.ask !== undefined);
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function refusal(message: string): object {
  return { error: { code: REFUSED, message } };
}

/** What a handler throws is its program's own affair, and not for the server. */
function rpcErrorOf(error: unknown): object {
  if (isStoreError(error) && error.rpcCode !== undefined) return { code: error.rpcCode, message: error.message };
  return { code: INTERNAL_ERROR, message: 'the client failed to answer' };
}
