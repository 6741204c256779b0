/** Text of somebody else cannot drive a terminal (A2). */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { safeJson, safeLine, safeText } from '../../src/_util/terminal-safe.js';

const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const HIDDEN = /[\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/;

describe('a line', () => {
  it.each([
    ['\x1b[31mred\x1b[0m', String.raw`\x1b[31mred\x1b[0m`],
    ['a\r\nerror X: forged', String.raw`a\r\nerror X: forged`],
    ['\u202etxt.exe', String.raw`\u202etxt.exe`],
    ['\x9b2J\x07', String.raw`\x9b2J\x07`],
    ['\u{e0041}', String.raw`\u{e0041}`],
    ['\ud800x', String.raw`\ud800x`],
    ['naïve 日本語 👩‍👩‍👧', 'naïve 日本語 👩‍👩‍👧'],
  ])('%j', (text, safe) => {
    expect(safeLine(text)).toBe(safe);
  });
});

it('keeps the line breaks and tabs of a text, and no others', () => {
  expect(safeText('a\r\n\tb\rc\x1b]0;title\x07')).toBe(`a\n\tb${String.raw`\rc\x1b]0;title\x07`}`);
});

it('leaves nothing unsafe, whatever comes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(safeLine(text)).not.toMatch(CONTROL);
      expect(safeLine(text)).not.toMatch(HIDDEN);
      expect(safeText(text).replace(/[\n\t]/g, '')).not.toMatch(CONTROL);
    }),
  );
});

it('keeps JSON the same value', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string({ unit: 'binary' }), (value, text) => {
      const safe = safeJson(JSON.stringify({ value, text, [text]: '\u202e\u{e0041}' }, undefined, 2));
      expect(JSON.parse(safe)).toEqual(JSON.parse(JSON.stringify({ value, text, [text]: '\u202e\u{e0041}' })));
      expect(safe).not.toMatch(HIDDEN);
    }),
  );
});
