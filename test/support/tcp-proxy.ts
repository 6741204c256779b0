/** A TCP proxy between a client and a server that makes networks bad on demand, in the words of Toxiproxy. */

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** What happens to the bytes of the server's answers, on connections that are open and on later ones. */
export type Toxic =
  /** Every piece comes so much later. */
  | { kind: 'latency'; ms: number }
  | { kind: 'bandwidth'; bytesPerSecond: number }
  /** The server's end of the connection is passed on so much later. */
  | { kind: 'slow_close'; ms: number }
  /** Nothing comes through any more, and the connection is closed after `ms`; 0: never. */
  | { kind: 'timeout'; ms: number }
  /** Every piece is cut into pieces of so many bytes. */
  | { kind: 'slicer'; bytes: number }
  /** The connection is closed in good order after so many bytes from now on. */
  | { kind: 'limit_data'; bytes: number }
  /** The same with a reset. */
  | { kind: 'reset_peer'; bytes: number };

export class TcpProxy {
  /** Connections accepted so far. */
  accepted = 0;
  readonly #target: number;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;
  #toxics: Toxic[] = [];
  /** Bytes of answers that came through since the toxics were set. */
  #passed = 0;

  private constructor(target: number) {
    this.#target = target;
  }

  /** @param target - a port of the loopback interface */
  static async start(target: number | string): Promise<TcpProxy> {
    const proxy = new TcpProxy(Number(target));
    await proxy.up();
    return proxy;
  }

  get port(): number {
    return this.#port;
  }

  get open(): number {
    return this.#sockets.size / 2;
  }

  /** The same URL, through the proxy. */
  url(of: URL): string {
    const url = new URL(of);
    url.port = String(this.#port);
    return url.href;
  }

  /** Takes the place of the toxics before; none: a good network. */
  set(...toxics: Toxic[]): void {
    this.#toxics = toxics;
    this.#passed = 0;
  }

  /** `down`: connections are cut, and refused from now on. */
  async down(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Listens again, on the same port. */
  async up(): Promise<void> {
    if (this.#server !== undefined) return;
    this.#server = createServer({ allowHalfOpen: true }, (client) => this.#accept(client));
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as { port: number }).port;
  }

  #accept(client: Socket): void {
    this.accepted++;
    const server = connect({ port: this.#target, host: '127.0.0.1', allowHalfOpen: true });
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        // What the server said last may still be on its way.
        if (socket === client) server.destroy();
      });
    }
    client.pipe(server);
    // Ends by an error where either side is cut, which both have been told of.
    this.#carry(server, client).catch(() => client.destroy());
  }

  async #carry(server: Socket, client: Socket): Promise<void> {
    for await (const chunk of server as AsyncIterable<Buffer>)
      for (const piece of this.#pieces(chunk)) {
        if (!(await this.#pass(piece, client))) return;
      }
    const close = this.#toxic('slow_close');
    if (close) await sleep(close.ms);
    client.end();
  }

  *#pieces(chunk: Buffer): Generator<Buffer> {
    const bandwidth = this.#toxic('bandwidth');
    const slow = bandwidth && Math.max(1, Math.floor(bandwidth.bytesPerSecond / 100));
    const size = slow ?? this.#toxic('slicer')?.bytes ?? chunk.length;
    for (let at = 0; at < chunk.length; at += size) yield chunk.subarray(at, at + size);
  }

  /** @returns whether the connection goes on */
  async #pass(piece: Buffer, client: Socket): Promise<boolean> {
    const latency = this.#toxic('latency');
    if (latency) await sleep(latency.ms);
    const bandwidth = this.#toxic('bandwidth');
    if (bandwidth) await sleep((1_000 * piece.length) / bandwidth.bytesPerSecond);
    const timeout = this.#toxic('timeout');
    if (timeout) {
      if (timeout.ms > 0) await sleep(timeout.ms).then(() => client.destroy());
      else await once(client, 'close');
      return false;
    }
    const limit = this.#toxic('limit_data') ?? this.#toxic('reset_peer');
    const left = limit ? limit.bytes - this.#passed : Number.POSITIVE_INFINITY;
    this.#passed += piece.length;
    if (left > 0 && !client.write(piece.subarray(0, left))) await once(client, 'drain');
    if (left >= piece.length) return true;
    if (limit?.kind === 'limit_data') client.destroySoon();
    // What was written before has to be on its way, or the reset takes it back.
    else await sleep(10).then(() => client.resetAndDestroy());
    return false;
  }

  #toxic<K extends Toxic['kind']>(kind: K): Extract<Toxic, { kind: K }> | undefined {
    return this.#toxics.find((toxic): toxic is Extract<Toxic, { kind: K }> => toxic.kind === kind);
  }
}
