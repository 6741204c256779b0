/** Knows how newline-delimited JSON comes out of a byte stream; leaves what the messages mean to others. */

import { isAscii } from 'node:buffer';

/** What the framer reports; each is called synchronously, in stream order. */
export interface FrameSink {
  /** One parsed JSON value that is an object or an array. */
  message(value: unknown): void;
  /** A line that is no JSON message; servers print such noise. Cut to `NOISE_CHARS`, more than is shown of it. */
  noise(line: string): void;
  /** A line has begun that does not end in its chunk. */
  begun?(): void;
  /** A line over the limit was thrown away. `edges` has its first and last KiB, for finding the id in it. */
  tooLarge(edges: string): void;
}

const NEWLINE = 0x0a;
const NOISE_CHARS = 2_048;
const EDGE_BYTES = 1024;

/**
 * Splits at newlines. A byte is searched once: only a new chunk is looked at, and what came before it is joined to it
 * once, when its newline arrives. A line over `maxBytes` is discarded as it comes, so memory stays bounded.
 */
export class Framer {
  readonly #sink: FrameSink;
  readonly #maxBytes: number;
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** Set while the rest of a line is thrown away: the first KiB of an oversized one and the last bytes seen. */
  #discarding: { head: Buffer; tail: Buffer } | 'unwanted' | undefined;

  constructor(sink: FrameSink, maxBytes: number) {
    this.#sink = sink;
    this.#maxBytes = maxBytes;
  }

  /** Bytes of an unfinished line. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * Nobody waits any more for an answer that has begun: frees what is held of one, and skips the rest of its line. What
   * the server says unasked is kept.
   */
  dropAnswer(): void {
    if (this.#heldBytes === 0) return;
    if (!ANSWERS.test(Buffer.concat(this.#held, EDGE_BYTES).toString('latin1'))) return;
    this.#held = [];
    this.#heldBytes = 0;
    this.#discarding = 'unwanted';
  }

  push(chunk: Buffer): void {
    let from = 0;
    if (this.#discarding || this.#heldBytes > 0) {
      const end = chunk.indexOf(NEWLINE);
      if (end === -1) {
        this.#hold(chunk);
        return;
      }
      this.#finishHeld(chunk.subarray(0, end));
      from = end + 1;
    }
    const last = chunk.lastIndexOf(NEWLINE);
    if (last >= from) this.#lines(chunk, from, last);
    if (last + 1 < chunk.length) this.#hold(chunk.subarray(Math.max(last + 1, from)));
  }

  /** Whole lines of one chunk, decoded together: one decode of 64 KiB costs less than one for each line. */
  #lines(chunk: Buffer, from: number, last: number): void {
    const text = decode(chunk.subarray(from, last));
    let start = 0;
    for (;;) {
      const end = text.indexOf('\n', start);
      this.#line(end === -1 ? (start === 0 ? text : text.slice(start)) : text.slice(start, end));
      if (end === -1) return;
      start = end + 1;
    }
  }

  #hold(rest: Buffer): void {
    if (rest.length === 0) return;
    const discarding = this.#discarding;
    if (discarding) {
      if (discarding !== 'unwanted') discarding.tail = lastBytes(discarding.tail, rest);
      return;
    }
    if (this.#heldBytes === 0) this.#sink.begun?.();
    this.#held.push(rest);
    this.#heldBytes += rest.length;
    if (this.#heldBytes <= this.#maxBytes) return;
    const head = Buffer.from(Buffer.concat(this.#held, EDGE_BYTES));
    this.#discarding = { head, tail: lastOf(this.#held) };
    this.#held = [];
    this.#heldBytes = 0;
  }

  #finishHeld(end: Buffer): void {
    const discarding = this.#discarding;
    if (discarding === 'unwanted') {
      this.#discarding = undefined;
      return;
    }
    if (discarding || this.#heldBytes + end.length > this.#maxBytes) {
      const head = discarding?.head ?? Buffer.concat([...this.#held, end], EDGE_BYTES);
      const tail = lastBytes(discarding?.tail ?? lastOf(this.#held), end);
      this.#discarding = undefined;
      this.#held = [];
      this.#heldBytes = 0;
      this.#sink.tooLarge(`${head.toString('latin1')}\n${tail.toString('latin1')}`);
      return;
    }
    const line = this.#held.length === 0 ? end : Buffer.concat([...this.#held, end]);
    this.#held = [];
    this.#heldBytes = 0;
    this.#line(decode(line));
  }

  #line(raw: string): void {
    const first = raw.charCodeAt(0);
    // `{` or `[`: the common case is decided by one character.
    // A byte order mark counts as white space for trim().
    const text = first === 0x7b || first === 0x5b ? raw : raw.trim();
    if (text === '') return;
    const start = text.charCodeAt(0);
    if (start === 0x7b || start === 0x5b) this.#parse(text);
    else this.#sink.noise(text.slice(0, NOISE_CHARS));
  }

  #parse(text: string): void {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      this.#sink.noise(text.slice(0, NOISE_CHARS));
      return;
    }
    this.#sink.message(value);
  }
}

/** The last KiB of a line in pieces; only the pieces that it needs are joined. */
function lastOf(pieces: readonly Buffer[]): Buffer {
  let from = pieces.length;
  for (let bytes = 0; from > 0 && bytes < EDGE_BYTES; bytes += pieces[from]!.length) from--;
  return lastBytes(Buffer.alloc(0), Buffer.concat(pieces.slice(from)));
}

/** Most messages are ASCII, and Latin-1 decodes that without looking at each byte for a sequence. */
function decode(bytes: Buffer): string {
  return bytes.toString(isAscii(bytes) ? 'latin1' : 'utf8');
}

function lastBytes(before: Buffer, more: Buffer): Buffer {
  const joined = more.length >= EDGE_BYTES ? more : Buffer.concat([before, more]);
  return Buffer.from(joined.subarray(Math.max(0, joined.length - EDGE_BYTES)));
}

const VERSION = String.raw`"jsonrpc"\s*:\s*"2\.0"\s*`;
const ID = String.raw`"id"\s*:\s*("[^"]*"|-?\d+|null)\s*`;
/** The envelope as serialisers write it: what is asked or answered stands first or last, not in a result. */
const ID_FIRST = new RegExp(String.raw`^[^{]{0,8}\{\s*(?:${VERSION},\s*)?${ID},`);
const ID_LAST = new RegExp(String.raw`,\s*${ID}(?:,\s*${VERSION})?\}\s*$`);
const BEGINS = /^\W{0,8}\{/;
const ASKS = new RegExp(String.raw`^[^{]{0,8}\{\s*(?:${VERSION},\s*)?(?:${ID},\s*)?"method"\s*:`);
/** One answer, not a batch: what else is in that may be wanted. */
const ANSWERS = new RegExp(String.raw`^[^{[]{0,8}\{\s*(?:(?:${VERSION}|${ID}),\s*)*"(?:result|error)"\s*:`);

/**
 * Whose answer was too large to keep? The one of `waiting` whose id the envelope has at the first or last KiB; where
 * nothing is seen of it, the one whose id stands in there at all, or the only one that waits. Noise, requests,
 * notifications and late answers to calls that were given up are nobody's.
 */
export function ownerIn(edges: string, waiting: readonly string[]): string | undefined {
  const [head = '', tail = ''] = edges.split('\n');
  if (ASKS.test(head) || !BEGINS.test(head)) return undefined;
  const named = (ID_FIRST.exec(head) ?? ID_LAST.exec(tail))?.[1];
  if (named !== undefined) return waiting.find((id) => named === `"${id}"`);
  const seen = waiting.filter((id) => edges.includes(`"id":"${id}"`) || edges.includes(`"id": "${id}"`));
  const possible = seen.length > 0 ? seen : waiting;
  return possible.length === 1 ? possible[0] : undefined;
}
