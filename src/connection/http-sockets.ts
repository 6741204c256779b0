/** Knows the keep-alive sockets of one kind of traffic to one origin, and the exchanges that wait in line for one. */

import type { Socket } from 'node:net';
import { buildConnector, Client, type Dispatcher } from 'undici';

/** What connects sockets. The simulation (test/sim) puts its own in place; nobody else does. */
export const network = { connector: buildConnector };

export interface SocketPoolOptions {
  /** The most sockets. */
  readonly max: number;
  /** The first so many are not closed by us for being idle; the server may still do so. */
  readonly min: number;
  /** How long the others may idle. */
  readonly idleMs: number;
  readonly connectTimeoutMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Sockets that wait for news only must not keep the process alive. */
  readonly background?: boolean;
}

/** An exchange as a pool sees it. */
export interface SocketUser extends Dispatcher.DispatchHandler {
  readonly options: Dispatcher.DispatchOptions;
  /** Set by the pool that runs it. */
  pool: SocketPool | undefined;
  /** It is in line for a socket. */
  waiting: boolean;
  /** When the answer came on a stream that is still open. */
  readonly answeredAt: number | undefined;
  stop(): void;
  onResponseError(controller: Dispatcher.DispatchController | null, error: Error): void;
}

/** One socket's place: undici's client connects it when it is needed, again if it was closed. */
interface Slot {
  readonly client: Client;
  exchange: SocketUser | undefined;
  open: boolean;
  /** When its last exchange was over. */
  idleSince: number;
  /** It closes after its exchange: other bounds hold for those that follow. */
  leaving: boolean;
}

/** The longest delay that a Node timer takes. */
const FOREVER_MS = 2 ** 31 - 1;

/**
 * Not undici's own Pool, for three reasons: it opens a second socket for sequential calls (a client counts as busy
 * until the next turn of the event loop), a request in its queue cannot be taken out, and the slots that are kept open
 * should be the ones that are used first. A slot takes one exchange at a time; the lowest free one is taken, so the
 * higher ones idle and close.
 */
export class SocketPool {
  readonly #origin: string;
  #options: SocketPoolOptions;
  readonly #connect: buildConnector.connector;
  /** Sockets that are not connected yet: undici's client does not end them when it is destroyed. */
  readonly #connecting = new Set<Socket>();
  readonly #slots: Slot[] = [];
  /** Of slots that were removed and are not closed yet: one that still connects goes on until it is. */
  readonly #leaving = new Set<Client>();
  readonly #line = new Line();
  #busy = 0;
  #destroyed = false;
  /** Connections made. */
  opened = 0;
  /** Connections that could not be made. */
  failedConnects = 0;

  constructor(origin: string, options: SocketPoolOptions) {
    this.#origin = origin;
    this.#options = options;
    // It returns the socket, which its types do not tell.
    const connect = network.connector({ timeout: options.connectTimeoutMs }) as (
      ...args: Parameters<buildConnector.connector>
    ) => Socket;
    this.#connect = (target, callback) => {
      const socket = connect(target, (...result) => {
        this.#connecting.delete(socket);
        // undici takes back only its own unref, so this one holds for the life of the socket.
        if (options.background) result[1]?.unref();
        callback(...result);
      });
      this.#connecting.add(socket);
    };
  }

  /**
   * Other bounds, from now on. A socket's idle time is set when it is made, so those that are open finish what is on them
   * and close; who waits goes on as far as there is room.
   */
  configure({ max, min, idleMs }: Pick<SocketPoolOptions, 'max' | 'min' | 'idleMs'>): void {
    const old = this.#options;
    if (max === old.max && min === old.min && idleMs === old.idleMs) return;
    this.#options = { ...old, max, min, idleMs };
    for (const slot of [...this.#slots]) {
      slot.leaving = true;
      if (slot.exchange === undefined) this.#remove(slot);
    }
    while (this.#line.size > 0 && (this.#slots.length < max || this.#busy < this.#slots.length))
      this.run(this.#line.shift()!);
  }

  figures(): { open: number; idle: number; inFlight: number; waiting: number } {
    let open = 0;
    let idle = 0;
    for (const slot of this.#slots) {
      if (!slot.open) continue;
      open++;
      if (slot.exchange === undefined) idle++;
    }
    return { open, idle, inFlight: this.#busy, waiting: this.#line.size };
  }

  /** The exchanges that have a socket now. */
  running(): SocketUser[] {
    return this.#slots.flatMap((slot) => slot.exchange ?? []);
  }

  /** Starts an exchange on the first free socket, or puts it in line. */
  run(exchange: SocketUser): void {
    exchange.pool = this;
    const slot = this.#free();
    if (this.#destroyed) exchange.onResponseError(null, new Error('closed'));
    else if (slot !== undefined) this.#start(slot, exchange);
    else this.#line.push(exchange);
  }

  #free(): Slot | undefined {
    if (this.#busy < this.#slots.length) return this.#slots.find((slot) => slot.exchange === undefined);
    return this.#slots.length < this.#options.max ? this.#grow() : undefined;
  }

  /** Takes an exchange that still waits out of the line; it hears nothing more. */
  withdraw(exchange: SocketUser): boolean {
    return this.#line.remove(exchange);
  }

  /** The exchange is over: its socket goes to the next in line. */
  release(exchange: SocketUser): void {
    const slot = this.#slots.find((one) => one.exchange === exchange);
    if (slot === undefined) return;
    slot.exchange = undefined;
    slot.idleSince = this.#options.now();
    this.#busy--;
    if (slot.leaving) this.#remove(slot);
    const next = this.#destroyed ? undefined : this.#line.shift();
    if (next === undefined) return;
    if (slot.leaving) {
      this.run(next);
      return;
    }
    // Handed over at once, while undici still completes the last response: it then writes the request in the next
    // turn, where a socket without anything to do is first checked for having been closed.
    if (slot.open) this.#start(slot, next);
    else {
      // Its connect failed, and undici still counts what it fails for that: a request more would break its count.
      slot.exchange = next;
      this.#busy++;
      queueMicrotask(() => this.#dispatch(slot, next));
    }
  }

  /** Closes sockets that have been idle for so long, down to the minimum. Returns how many. */
  closeIdle(maxIdleMs: number): number {
    const { min, now } = this.#options;
    const idle = this.#slots.filter(
      (slot, i) => i >= min && slot.open && slot.exchange === undefined && now() - slot.idleSince >= maxIdleMs,
    );
    for (const slot of idle) this.#remove(slot);
    return idle.length;
  }

  #remove(slot: Slot): void {
    this.#slots.splice(this.#slots.indexOf(slot), 1);
    const { client } = slot;
    this.#leaving.add(client);
    // It rejects where the socket is destroyed meanwhile, which closes it as well.
    client
      .close()
      .catch(() => {})
      .finally(() => this.#leaving.delete(client));
  }

  /** Ends what waits for a socket. While no socket is open, one failed connection speaks for all that wait. */
  failWaiting(error: Error, always = false): void {
    if (!always && this.#slots.some((slot) => slot.open)) return;
    for (let next = this.#line.shift(); next !== undefined; next = this.#line.shift())
      next.onResponseError(null, error);
  }

  async destroy(): Promise<void> {
    this.#destroyed = true;
    this.failWaiting(new Error('closed'), true);
    const gone = [...this.#slots.map(({ client }) => client), ...this.#leaving].map((client) => client.destroy());
    for (const socket of this.#connecting) socket.destroy(new Error('closed'));
    await Promise.all(gone);
  }

  #start(slot: Slot, exchange: SocketUser): void {
    slot.exchange = exchange;
    this.#busy++;
    this.#dispatch(slot, exchange);
  }

  #dispatch(slot: Slot, exchange: SocketUser): void {
    slot.client.dispatch(exchange.options, exchange);
  }

  #grow(): Slot {
    const { min, idleMs } = this.#options;
    const idle = this.#slots.length < min ? FOREVER_MS : Math.min(Math.max(idleMs, 1), FOREVER_MS);
    const client = new Client(this.#origin, {
      connect: this.#connect,
      pipelining: 1,
      // A shorter time in the server's Keep-Alive header wins over ours; a longer one does not.
      keepAliveTimeout: idle,
      keepAliveMaxTimeout: idle,
      // Requests have their own deadlines, and a stream may be silent for hours.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    const slot: Slot = { client, exchange: undefined, open: false, idleSince: 0, leaving: false };
    client.on('connect', () => {
      slot.open = true;
      this.opened++;
    });
    client.on('disconnect', () => {
      slot.open = false;
    });
    client.on('connectionError', () => {
      this.failedConnects++;
    });
    this.#slots.push(slot);
    return slot;
  }
}

/** First in, first out, and anyone may leave. Who left is skipped, and cleared away before such gaps prevail. */
class Line {
  #items: (SocketUser | undefined)[] = [];
  #head = 0;
  readonly #left = new Set<SocketUser>();

  get size(): number {
    return this.#items.length - this.#head - this.#left.size;
  }

  push(exchange: SocketUser): void {
    exchange.waiting = true;
    this.#items.push(exchange);
  }

  remove(exchange: SocketUser): boolean {
    if (!exchange.waiting) return false;
    exchange.waiting = false;
    this.#left.add(exchange);
    if (this.#left.size * 2 > this.#items.length - this.#head) {
      this.#items = this.#items.slice(this.#head).filter((item) => !this.#left.has(item!));
      this.#head = 0;
      this.#left.clear();
    }
    return true;
  }

  shift(): SocketUser | undefined {
    while (this.#head < this.#items.length) {
      const item = this.#items[this.#head]!;
      // Kept here, it and its answer would outlive the collections that end short lives cheaply.
      this.#items[this.#head++] = undefined;
      if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
        this.#items = this.#items.slice(this.#head);
        this.#head = 0;
      }
      if (this.#left.delete(item)) continue;
      item.waiting = false;
      return item;
    }
    if (this.#head > 0) {
      this.#items = [];
      this.#head = 0;
    }
    return undefined;
  }
}
