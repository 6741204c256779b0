/** Knows HTTP/1.1 as a simulated server reads and writes it: whole requests, and answers in the pieces that it chooses. */

import type { Accepted, Wire } from './net.js';

export interface Request {
  verb: string;
  path: string;
  headers: Record<string, string>;
  body: string;
}

/** One answer. What is said after its end, or on a closed connection, is lost. */
export class Response {
  readonly wire: Wire;
  #started = false;
  #chunked = false;
  ended = false;

  constructor(wire: Wire) {
    this.wire = wire;
  }

  get open(): boolean {
    return this.wire.open && !this.ended;
  }

  get started(): boolean {
    return this.#started;
  }

  /** The whole answer at once. */
  send(status: number, headers: Record<string, string>, body = ''): void {
    if (!this.open || this.#started) return;
    this.#head(status, { ...headers, 'content-length': String(Buffer.byteLength(body)) });
    this.wire.write(body);
    this.#over();
  }

  /** Begins an answer of unknown length. */
  stream(status: number, headers: Record<string, string>): void {
    if (!this.open || this.#started) return;
    this.#chunked = true;
    this.#head(status, { ...headers, 'transfer-encoding': 'chunked' });
  }

  chunk(text: string): void {
    if (this.open && this.#chunked) this.wire.write(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`);
  }

  end(): void {
    if (!this.open) return;
    this.wire.write('0\r\n\r\n');
    this.#over();
  }

  /** Promises a body, gives a part of it, and is gone. */
  break(headers: Record<string, string>, body: string, part: number): void {
    if (!this.open) return;
    if (this.#chunked) this.chunk(body.slice(0, part));
    else {
      this.#head(200, { ...headers, 'content-length': String(Buffer.byteLength(body)) });
      this.wire.write(body.slice(0, part));
    }
    this.ended = true;
    this.wire.reset();
  }

  #head(status: number, headers: Record<string, string>): void {
    this.#started = true;
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    this.wire.write(`HTTP/1.1 ${status} Whatever\r\n${lines.join('')}\r\n`);
  }

  #over(): void {
    this.ended = true;
    this.onEnd?.();
  }

  onEnd: (() => void) | undefined;
}

/** Reads requests off one connection, one after the other. */
export function readRequests(
  wire: Wire,
  handle: (request: Request, response: Response) => void,
  gone: () => void,
): Accepted {
  let held: Buffer = Buffer.alloc(0);
  return {
    data(bytes) {
      held = held.length === 0 ? bytes : Buffer.concat([held, bytes]);
      for (;;) {
        const end = held.indexOf('\r\n\r\n');
        if (end === -1) return;
        const [first, ...rest] = held.subarray(0, end).toString('latin1').split('\r\n');
        const headers: Record<string, string> = {};
        for (const line of rest) {
          const at = line.indexOf(':');
          headers[line.slice(0, at).toLowerCase()] = line.slice(at + 1).trim();
        }
        const length = Number(headers['content-length'] ?? 0);
        if (held.length < end + 4 + length) return;
        const body = held.subarray(end + 4, end + 4 + length).toString();
        held = held.subarray(end + 4 + length);
        const [verb, path] = first!.split(' ');
        handle({ verb: verb!, path: path!, headers, body }, new Response(wire));
      }
    },
    gone,
  };
}
