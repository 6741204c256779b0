/** An event stream gives the same events however its bytes arrive. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type SseEvent, SseParser } from '../../src/connection/sse-parser.js';

function parse(chunks: Buffer[], maxBytes = 1 << 20): SseEvent[] {
  const events: SseEvent[] = [];
  const parser = new SseParser((event) => events.push(event), maxBytes);
  for (const chunk of chunks) parser.push(chunk);
  parser.end();
  return events;
}

const parseText = (text: string): SseEvent[] => parse([Buffer.from(text)]);
const message = (data: string, id?: string): SseEvent => ({ event: 'message', data, id });

describe('event stream parser', () => {
  it.each([
    ['LF', 'data: a\n\ndata: b\n\n'],
    ['CR', 'data: a\r\rdata: b\r\r'],
    ['CRLF', 'data: a\r\n\r\ndata: b\r\n\r\n'],
    ['a mix', 'data: a\r\n\ndata: b\r\n\r'],
  ])('ends lines at %s', (_name, text) => {
    expect(parseText(text)).toEqual([message('a'), message('b')]);
  });

  it('joins data lines, takes one space after the colon, and reads names and ids', () => {
    expect(parseText('event: ping\nid: 7\ndata:  two\ndata:three\ndata\n\n')).toEqual([
      { event: 'ping', data: ' two\nthree\n', id: '7' },
    ]);
  });

  it('passes on an event that only sets an id, and none that sets nothing', () => {
    expect(parseText(': hello\n\nevent: x\n\nid: 1\n\nid: 2\ndata:\n\n')).toEqual([message('', '1'), message('', '2')]);
  });

  it('does not carry an id over to the next event and refuses one with NUL', () => {
    expect(parseText('id: 1\ndata: a\n\ndata: b\n\nid: x\0\ndata: c\n\n')).toEqual([
      message('a', '1'),
      message('b'),
      message('c'),
    ]);
  });

  it('strips a byte order mark at the very start only', () => {
    expect(parseText('\uFEFFdata: a\n\ndata: \uFEFFb\n\n')).toEqual([message('a'), message('\uFEFFb')]);
  });

  it('reads retry where it is a number', () => {
    const parser = new SseParser(() => {}, 1000);
    parser.push(Buffer.from('retry: 1500\n\nretry: soon\n\n'));
    expect(parser.retryMs).toBe(1500);
  });

  it('keeps a last event that lacks its blank line', () => {
    expect(parseText('data: a\n')).toEqual([message('a')]);
    expect(parseText('data: a')).toEqual([message('a')]);
  });

  it('keeps characters that were split over chunks', () => {
    const bytes = Buffer.from('data: päö€😀\n\n');
    expect(parse([...bytes].map((byte) => Buffer.from([byte])))).toEqual([message('päö€😀')]);
  });

  it('refuses an event over the limit, in one chunk or in many', () => {
    const big = Buffer.from(`data: ${'x'.repeat(2000)}\n\n`);
    expect(() => parse([big], 1000)).toThrow(expect.objectContaining({ code: 'MESSAGE_TOO_LARGE' }));
    expect(() =>
      parse(
        Array.from(big, (byte) => Buffer.from([byte])),
        1000,
      ),
    ).toThrow(/1000 bytes/);
    const lines = Buffer.from(`data: ${'x'.repeat(400)}\n`);
    expect(() => parse([lines, lines, lines], 1000)).toThrow(/1000 bytes/);
  });

  it('counts each event for itself, and comments for nothing', () => {
    const event = Buffer.from(`data: ${'x'.repeat(900)}\n\n`);
    expect(parse([event, event, event], 1000)).toHaveLength(3);
    expect(
      parse(
        Array.from({ length: 100 }, () => Buffer.from(`: ${'x'.repeat(90)}\n`)),
        1000,
      ),
    ).toEqual([]);
  });

  it('gives the same events for any chunking', () => {
    const line = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 12, size: 'max' }).map((text) => `data: ${text.replace(/[\r\n]/g, '')}`),
      fc.constantFrom('', '', 'id: 1', 'id:', 'event: x', 'retry: 5', ': c', 'data', 'nonsense', 'data:€😀'),
    );
    const stream = fc.array(fc.tuple(line, fc.constantFrom('\n', '\r', '\r\n')), { maxLength: 20, size: 'max' });
    fc.assert(
      fc.property(stream, fc.array(fc.nat({ max: 200 }), { maxLength: 20, size: 'max' }), (lines, cuts) => {
        const bytes = Buffer.from(lines.map(([text, end]) => text + end).join(''));
        const at = [...new Set(cuts.map((cut) => Math.min(cut, bytes.length)))].sort((a, b) => a - b);
        const chunks = [0, ...at].map((from, index) => bytes.subarray(from, at[index] ?? bytes.length));
        expect(parse(chunks)).toEqual(parse([bytes]));
      }),
      { numRuns: 500 },
    );
  });
});
