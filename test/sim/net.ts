/**
 * Knows simulated TCP: connects, bytes that take their time, resets and partitions. Its sockets stand in for those of
 * `buildConnector` (`network` of src/connection/http-sockets.ts), because when real packets arrive cannot be repeated;
 * undici's own client, parser included, runs on them as it is.
 */

import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { buildConnector } from 'undici';
import type { World } from './world.js';

/** How a host answers a connect. */
export type Answer = 'accept' | 'refuse' | 'silence' | 'unknown_name';

/** The server's end of a socket. */
export interface Accepted {
  data(bytes: Buffer): void;
  gone(): void;
}

/** One origin of the simulated network. */
export interface SimHost {
  connects(): Answer;
  accept(wire: Wire): Accepted;
  /** Nothing passes before this time. */
  partitionedUntil: number;
}

const CODES = { refuse: 'ECONNREFUSED', unknown_name: 'ENOTFOUND' } as const;

/** One connection as the server sees it. */
export class Wire {
  readonly #socket: SimSocket;
  #lastOut = 0;
  #over = false;

  constructor(socket: SimSocket) {
    this.#socket = socket;
  }

  get open(): boolean {
    return !this.#over && !this.#socket.destroyed;
  }

  write(text: string): void {
    if (!this.open) return;
    const bytes = Buffer.from(text);
    this.#lastOut = this.#socket.travel(this.#lastOut, () => this.#socket.destroyed || this.#socket.push(bytes));
  }

  /** Ends it politely: what was written arrives. */
  end(): void {
    if (!this.open) return;
    this.#over = true;
    this.#lastOut = this.#socket.travel(this.#lastOut, () => this.#socket.destroyed || this.#socket.push(null));
  }

  /** Ends it at once; what is on its way may still arrive. */
  reset(): void {
    if (!this.open) return;
    this.#over = true;
    this.#lastOut = this.#socket.travel(this.#lastOut, () => this.#socket.destroy(failure('read', 'ECONNRESET')));
  }
}

export class SimSocket extends Duplex {
  readonly #world: World;
  readonly #host: SimHost | undefined;
  #peer: Accepted | undefined;
  #lastIn = 0;
  connecting = true;

  constructor(world: World, host: SimHost | undefined) {
    super({ allowHalfOpen: false });
    this.#world = world;
    this.#host = host;
    world.sockets.add(this);
  }

  connected(): void {
    this.connecting = false;
    this.#peer = this.#host!.accept(new Wire(this));
  }

  /** After the latency of the network and any partition, and never before what was sent earlier. */
  travel(last: number, fn: () => unknown): number {
    const { loop, random } = this.#world;
    const at = Math.max(last, loop.now + 0.5 + random.next() * 3, this.#host?.partitionedUntil ?? 0);
    loop.after(at - loop.now, fn);
    return at;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const peer = this.#peer;
    this.#lastIn = this.travel(this.#lastIn, () => peer?.data(chunk));
    done();
  }

  override _final(done: () => void): void {
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#world.sockets.delete(this);
    const peer = this.#peer;
    if (peer) this.travel(this.#lastIn, () => peer.gone());
    done(error);
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

function failure(call: string, code: string): Error {
  return Object.assign(new Error(`${call} ${code}`), { code, syscall: call });
}

/** `buildConnector` of this world. */
export function connector(world: () => World, options: { timeout?: number | null }): buildConnector.connector {
  return ((target: buildConnector.Options, callback: buildConnector.Callback): Socket => {
    const now = world();
    const host = now.hosts.get(`${target.hostname}:${target.port}`);
    const socket = new SimSocket(now, host);
    let told = false;
    const tell = (error: Error | null): void => {
      if (told) return;
      told = true;
      timer.cancel();
      if (error) callback(error, null);
      else callback(null, socket as unknown as Socket);
    };
    const timer = now.loop.after(
      options.timeout ?? 10_000,
      () => socket.destroy(failure('connect', 'UND_ERR_CONNECT_TIMEOUT')),
      'store',
    );
    socket.on('error', tell);
    socket.on('close', () => timer.cancel());
    const answer = host === undefined ? 'unknown_name' : host.connects();
    if (answer !== 'accept') now.trace(`connect ${target.hostname}: ${answer}`);
    if (answer === 'silence') return socket as unknown as Socket;
    socket.travel(0, () => {
      if (socket.destroyed) return;
      if (answer !== 'accept') {
        socket.destroy(failure('connect', CODES[answer]));
        return;
      }
      socket.connected();
      tell(null);
    });
    return socket as unknown as Socket;
  }) as unknown as buildConnector.connector;
}
