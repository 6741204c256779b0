/** Knows the event stream format: bytes in any chunking go in, events come out; what the events carry is not its business. */

import { StoreError } from '../errors.js';

export interface SseEvent {
  /** Event name; `'message'` where the stream gives none. */
  readonly event: string;
  /** The data lines joined by `\n`; empty for an event that only sets an id. */
  readonly data: string;
  /** The id that this event itself carried. */
  readonly id: string | undefined;
}

const LF = 10;
const CR = 13;
const COLON = 58;
const SPACE = 32;

/**
 * Searches each byte once: what was searched and holds no line end is kept as it is and joined only when its line ends.
 * Decoding a whole line at a time keeps characters that were split over chunks intact.
 */
export class SseParser {
  readonly #onEvent: (event: SseEvent) => void;
  readonly #maxBytes: number;
  #partial: Buffer[] = [];
  /** Bytes of the event under way, lines that are not complete yet included. */
  #size = 0;
  #data: string | undefined;
  #event = '';
  #id: string | undefined;
  #afterCr = false;
  #begun = false;
  /** The server's wish for the pause before a reconnection, in milliseconds. */
  retryMs: number | undefined;

  constructor(onEvent: (event: SseEvent) => void, maxBytes: number) {
    this.#onEvent = onEvent;
    this.#maxBytes = maxBytes;
  }

  /** Throws `MESSAGE_TOO_LARGE` once one event passes the limit; the parser is of no use after that. */
  push(chunk: Buffer): void {
    let start = 0;
    if (this.#afterCr && chunk.length > 0) {
      this.#afterCr = false;
      if (chunk[0] === LF) start = 1;
    }
    let lf = -2;
    let cr = -2;
    for (;;) {
      if (lf !== -1 && lf < start) lf = chunk.indexOf(LF, start);
      if (cr !== -1 && cr < start) cr = chunk.indexOf(CR, start);
      const end = lf === -1 ? cr : cr === -1 ? lf : Math.min(lf, cr);
      if (end === -1) break;
      this.#take(end - start);
      this.#line(chunk, start, end);
      start = end + 1;
      if (end !== cr) continue;
      if (start === chunk.length) this.#afterCr = true;
      else if (chunk[start] === LF) start++;
    }
    if (start >= chunk.length) return;
    this.#take(chunk.length - start);
    this.#partial.push(start === 0 ? chunk : chunk.subarray(start));
  }

  /** The stream ended in good order: an event that only lacks its closing blank line still counts. */
  end(): void {
    if (this.#partial.length > 0) this.#line(Buffer.alloc(0), 0, 0);
    this.#dispatch();
  }

  #take(bytes: number): void {
    this.#size += bytes;
    if (this.#size <= this.#maxBytes) return;
    this.#partial = [];
    this.#data = undefined;
    throw new StoreError('MESSAGE_TOO_LARGE', `the server sent an event of more than ${this.#maxBytes} bytes`, {
      executed: 'yes',
      figures: { maxMessageBytes: this.#maxBytes },
    });
  }

  #line(chunk: Buffer, from: number, to: number): void {
    let bytes = chunk;
    let start = from;
    let end = to;
    if (this.#partial.length > 0) {
      this.#partial.push(chunk.subarray(from, to));
      bytes = Buffer.concat(this.#partial);
      this.#partial = [];
      start = 0;
      end = bytes.length;
    }
    if (!this.#begun) {
      this.#begun = true;
      if (end - start >= 3 && bytes[start] === 0xef && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf)
        start += 3;
    }
    if (start === end) {
      this.#dispatch();
      return;
    }
    if (bytes[start] === COLON) {
      // A comment is no part of an event: a server's keep-alives must not add up to the limit.
      this.#size -= end - start;
      return;
    }
    let colon = bytes.indexOf(COLON, start);
    if (colon === -1 || colon > end) colon = end;
    let value = colon + 1;
    if (value < end && bytes[value] === SPACE) value++;
    this.#field(bytes.toString('latin1', start, colon), value < end ? bytes.toString('utf8', value, end) : '');
  }

  #field(name: string, value: string): void {
    if (name === 'data') this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`;
    else if (name === 'event') this.#event = value;
    else if (name === 'id') {
      if (!value.includes('\0')) this.#id = value;
    } else if (name === 'retry' && /^\d{1,9}$/.test(value)) this.retryMs = Number(value);
  }

  #dispatch(): void {
    const data = this.#data;
    const id = this.#id;
    const event = this.#event;
    this.#data = undefined;
    this.#id = undefined;
    this.#event = '';
    this.#size = 0;
    if (data !== undefined || id !== undefined) this.#onEvent({ event: event || 'message', data: data ?? '', id });
  }
}
