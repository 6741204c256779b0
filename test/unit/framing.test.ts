/** Knows what comes out of a byte stream whatever its chunks: the same messages, noise counted, large lines discarded. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Framer, ownerIn } from '../../src/connection/framing.js';

interface Seen {
  messages: unknown[];
  noise: string[];
  tooLarge: string[];
}

function frame(chunks: Iterable<Buffer>, maxBytes = 1 << 20): Seen & { framer: Framer } {
  const seen: Seen = { messages: [], noise: [], tooLarge: [] };
  const framer = new Framer(
    {
      message: (value) => seen.messages.push(value),
      noise: (line) => seen.noise.push(line),
      tooLarge: (edges) => seen.tooLarge.push(edges),
    },
    maxBytes,
  );
  for (const chunk of chunks) framer.push(chunk);
  return { ...seen, framer };
}

/** Cuts at the given places, taken modulo what is left, so that every cut is possible, also empty ones. */
function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    chunks.push(bytes.subarray(at, at + size));
    at = Math.min(at + size, bytes.length);
  }
  chunks.push(bytes.subarray(at));
  return chunks;
}

const bytesOf = (text: string): Buffer => Buffer.from(text);
const oneByOne = (bytes: Buffer): Buffer[] => cut(bytes, new Array<number>(bytes.length).fill(1));
/** Any JSON message, with characters of one to four bytes. */
const message = fc.dictionary(fc.string({ unit: 'binary', maxLength: 8 }), fc.jsonValue(), { maxKeys: 4 });
const sizes = fc.array(fc.nat(40), { maxLength: 200, size: 'max' });

describe('messages in a byte stream', () => {
  it('F9: any chunks of any lines give the same messages', () => {
    const line = fc.record({
      value: fc.oneof(message, fc.array(fc.jsonValue(), { maxLength: 3 })),
      before: fc.constantFrom(
        '',
        ' ',
        '\uFEFF',
        '\t',
        '\n',
        '\r\n',
        'starting server\n',
        '{ not json\n',
        '"text"\n',
        '42\n',
      ),
      end: fc.constantFrom('\n', '\r\n', ' \n', '\n\n'),
    });
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12, size: 'max' }), sizes, (lines, where) => {
        const bytes = bytesOf(lines.map(({ value, before, end }) => before + JSON.stringify(value) + end).join(''));
        const whole = frame([bytes]);
        expect(whole.messages).toEqual(lines.map(({ value }) => JSON.parse(JSON.stringify(value))));
        const pieces = frame(cut(bytes, where));
        expect({ messages: pieces.messages, noise: pieces.noise }).toEqual({
          messages: whole.messages,
          noise: whole.noise,
        });
        expect(pieces.framer.heldBytes).toBe(0);
      }),
      { seed: 21, numRuns: 400 },
    );
  });

  it('finds a line end exactly at the edges of chunks', () => {
    const lines = ['{"a":1}', '{"b":2}', '{"c":3}'];
    const expected = [{ a: 1 }, { b: 2 }, { c: 3 }];
    const shapes = [
      lines.map((line) => `${line}\n`),
      lines.flatMap((line) => [line, '\n']),
      ['{"a":1}', '\n{"b":2}', '\n{"c":3}', '\n'],
      ['{"a":1}\n{"b":2}', '\n', '{"c":3}\n'],
      ['', '{"a":1}\n', '', '{"b":2}\n{"c"', ':3}\n', ''],
      ['\n', '\n', '{"a":1}\n\n', '\n{"b":2}\n{"c":3}\n'],
    ];
    for (const shape of shapes) expect(frame(shape.map(bytesOf)).messages).toEqual(expected);
  });

  it('F9: joins characters whose bytes came apart', () => {
    const value = { text: 'äöü € 日本 😀 \u0000 \u2028' };
    const bytes = bytesOf(`${JSON.stringify(value)}\n`);
    expect(frame(oneByOne(bytes)).messages).toEqual([value]);
  });

  it('F9: a byte order mark, CR LF and an escaped NUL are none of its business; a bare NUL is noise', () => {
    const seen = frame([bytesOf('\uFEFF{"a":1}\r\n{"b":"\\u0000"}\r\n{"c":"\0"}\n\0{"d":1}\n{"e":1}\n')]);
    expect(seen.messages).toEqual([{ a: 1 }, { b: '\0' }, { e: 1 }]);
    expect(seen.noise).toEqual(['{"c":"\0"}', '\0{"d":1}']);
  });

  it('F7: reports noise cut to 2,048 characters and goes on', () => {
    const seen = frame(oneByOne(bytesOf(`${'x'.repeat(5_000)}\n{broken\nnull\n{"a":1}\n`)));
    expect(seen.noise).toEqual(['x'.repeat(2_048), '{broken', 'null']);
    expect(seen.messages).toEqual([{ a: 1 }]);
  });

  it('F8: keeps half a line until the rest comes, and nothing after', () => {
    const { framer, messages } = frame([bytesOf('{"half"')]);
    expect(framer.heldBytes).toBe(7);
    framer.push(bytesOf(':1}'));
    framer.push(bytesOf('\n'));
    expect(messages).toEqual([{ half: 1 }]);
    expect(framer.heldBytes).toBe(0);
  });

  it.each([
    '{"result":{"id":"c1"},"jsonrpc":"2.0","id":"c1"}',
    '{"jsonrpc":"2.0","id":"c1","error":{"code":1,"message":"x"}}',
    '{"id":7,"jsonrpc":"2.0","result":{"a":"\\"}{\\"method\\":1"}}',
  ])('F8: frees an answer that nobody waits for, wherever it stops, and hears nothing of its rest: %s', (answer) => {
    const bytes = bytesOf(answer);
    for (let at = 1; at < bytes.length; at++)
      for (const size of [1, 1_000]) {
        const { framer, ...seen } = frame([bytes.subarray(0, at)]);
        framer.dropAnswer();
        const dropped = framer.heldBytes === 0;
        // Until it is known as an answer it is kept, which costs nothing.
        expect(dropped).toBe(/"(result|error)":/.test(answer.slice(0, at)));
        const rest = Buffer.concat([bytes.subarray(at), bytesOf('\n{"b":1}\n')]);
        for (const chunk of cut(rest, new Array<number>(Math.ceil(rest.length / size)).fill(size))) framer.push(chunk);
        expect(seen).toEqual({
          messages: [...(dropped ? [] : [JSON.parse(answer)]), { b: 1 }],
          noise: [],
          tooLarge: [],
        });
      }
  });

  it('F8: skips the rest of such a line also where it looks like a message, or is over the limit', () => {
    const { framer, messages, noise, tooLarge } = frame([bytesOf('{"result":{"text":"')], 1_000);
    framer.dropAnswer();
    framer.push(bytesOf('{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'));
    for (let i = 0; i < 3; i++) framer.push(Buffer.alloc(600, 'x'));
    expect(framer.heldBytes).toBe(0);
    framer.push(bytesOf('{"a":1}\n{"b"'));
    framer.push(bytesOf(':1}\n'));
    expect({ messages, noise, tooLarge }).toEqual({ messages: [{ b: 1 }], noise: [], tooLarge: [] });
  });

  it.each([
    '{"jsonrpc":"2.0","method":"notifications/message","params":{"result":1}}',
    '{"jsonrpc":"2.0","id":4,"method":"sampling/createMessage","params":{"result":1}}',
    '[{"jsonrpc":"2.0","id":"c1","result":{}}]',
  ])('F8: keeps what the server says unasked: %s', (message) => {
    const { framer, messages } = frame([bytesOf(message.slice(0, -4))]);
    framer.dropAnswer();
    framer.push(bytesOf(`${message.slice(-4)}\n`));
    expect(messages).toEqual([JSON.parse(message)]);
  });

  it('F10: discards a line over the limit as it comes and holds no more than the limit', () => {
    const maxBytes = 64 * 1024;
    const chunk = Buffer.alloc(16 * 1024, 'x');
    const { framer, messages, tooLarge } = frame([bytesOf('{"jsonrpc":"2.0","id":"c7","result":"')], maxBytes);
    let most = 0;
    for (let i = 0; i < 1_000; i++) {
      framer.push(chunk);
      most = Math.max(most, framer.heldBytes);
    }
    expect(most).toBeLessThanOrEqual(maxBytes);
    expect(tooLarge).toEqual([]);
    framer.push(bytesOf('"}\n{"a":1}\n'));
    expect(tooLarge).toHaveLength(1);
    expect(tooLarge[0]!.length).toBeLessThanOrEqual(2 * 1024 + 1);
    expect(ownerIn(tooLarge[0]!, ['c1', 'c7'])).toBe('c7');
    expect(messages).toEqual([{ a: 1 }]);
    expect(framer.heldBytes).toBe(0);
  });

  it('F10: a line of exactly the limit passes, one byte more does not, whatever the chunks', () => {
    const line = (bytes: number): Buffer => bytesOf(`{"a":"${'x'.repeat(bytes - 8)}"}\n`);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 30, maxLength: 60, size: 'max' }), (where) => {
        expect(frame(cut(line(2_000), where), 2_000)).toMatchObject({ tooLarge: [], messages: [expect.anything()] });
        const over = frame([...cut(line(2_001), where), bytesOf('{"b":1}\n')], 2_000);
        expect(over.messages).toEqual([{ b: 1 }]);
        expect(over.tooLarge).toHaveLength(1);
      }),
      { seed: 22, numRuns: 200 },
    );
  });

  it('F10: finds the id at the beginning or the end of a discarded line, whatever the chunks', () => {
    const front = (pad: number): string => `{"jsonrpc":"2.0","id":"c42","result":{"text":"${'x'.repeat(pad)}"}}`;
    const back = (pad: number): string => `{"jsonrpc":"2.0","result":{"text":"${'x'.repeat(pad)}"},"id":"c42"}`;
    // The line goes over the limit of 4,000 bytes somewhere in its last bytes, or long before them.
    for (const make of [front, back])
      for (const pad of [...Array.from({ length: 60 }, (_, i) => 3_930 + i), 4_500, 5_500, 9_000])
        for (const size of [1, 2, 3, 5, 7, 12, 100, 1_000, 3_999]) {
          const bytes = bytesOf(`${make(pad)}\n`);
          const seen = frame(cut(bytes, new Array<number>(Math.ceil(bytes.length / size)).fill(size)), 4_000);
          if (bytes.length - 1 <= 4_000) expect(seen.messages).toHaveLength(1);
          else expect([pad, size, ownerIn(seen.tooLarge[0]!, ['c1', 'c4', 'c42'])]).toEqual([pad, size, 'c42']);
        }
  });

  it.each<[string, string, string[], string | undefined]>([
    ['the id that stands first', '{"jsonrpc":"2.0","id":"c1","result":{"id":"c2"', ['c1', 'c2'], 'c1'],
    ['the id that stands first, with spaces', ' { "id" : "c1" , "result": {', ['c1', 'c2'], 'c1'],
    ['the id that stands last', '{"result":{"id":"c2"\nx"},"jsonrpc":"2.0","id":"c1"}', ['c1', 'c2'], 'c1'],
    ['the id that stands last but for the version', '{"result":{\nx"},"id":"c1","jsonrpc":"2.0"}', ['c1', 'c2'], 'c1'],
    ['another id than part of one', '{"jsonrpc":"2.0","id":"c12","result":{', ['c1'], undefined],
    ['no id in a text', '{"result":{"text":"c1"\n', ['c1', 'c2'], undefined],
    ['the only id that is seen', '{"x":1,"id": "c1","result":{\n', ['c1', 'c2'], 'c1'],
    ['neither of two ids that are seen', '{"x":[{"id":"c1"},{"id":"c2"}]\n', ['c1', 'c2'], undefined],
    ['the only one that waits', '{"result":{\nx"}}', ['c1'], 'c1'],
    ['nobody, for a late answer', '{"jsonrpc":"2.0","id":"c0","result":{\nx"}}', ['c1'], undefined],
    ['nobody, for an answer to another', '{"jsonrpc":"2.0","id":7,"result":{"id":"c1"\nx"}}', ['c1'], undefined],
    [
      'nobody, for a notification',
      '{"jsonrpc":"2.0","method":"notifications/message","params":{"id":"c1"',
      ['c1'],
      undefined,
    ],
    ['nobody, for noise', 'reading "id":"c1" from the table', ['c1'], undefined],
    ['its call, behind a byte order mark', '\u00ef\u00bb\u00bf{"id":"c1","result":', ['c1', 'c2'], 'c1'],
    ['nobody, for a request', '{"jsonrpc":"2.0","id":"c1","method":"sampling/createMessage"', ['c1'], undefined],
  ])('F10: gives a message that was too large to %s', (_, edges, waiting, owner) => {
    expect(ownerIn(edges, waiting)).toBe(owner);
  });
});
