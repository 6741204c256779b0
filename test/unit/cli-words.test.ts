/** A command line is split without a shell, and quoted so that it would be split back. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { quoteWords, splitWords } from '../../src/cli/words.js';

describe('splitting', () => {
  it.each([
    ['npx -y  server ./notes', ['npx', '-y', 'server', './notes']],
    [`a "b c" 'd e'`, ['a', 'b c', 'd e']],
    [`a b" "c ''`, ['a', 'b c', '']],
    [String.raw`a\ b "c\"d" 'e\f'`, ['a b', 'c"d', String.raw`e\f`]],
    ['$(touch x) `y` | ; & > *', ['$(touch', 'x)', '`y`', '|', ';', '&', '>', '*']],
    ['  ', []],
  ])('%s', (text, words) => {
    expect(splitWords(text, 'linux')).toEqual(words);
  });

  it('leaves the folders of Windows alone', () => {
    expect(splitWords(String.raw`C:\bin\node.exe "C:\my files\s.js" \"q\"`, 'win32')).toEqual([
      String.raw`C:\bin\node.exe`,
      String.raw`C:\my files\s.js`,
      '"q"',
    ]);
  });

  it('refuses a quote without its end', () => {
    expect(() => splitWords('a "b', 'linux')).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
  });
});

it('comes back from its quotes', () => {
  fc.assert(
    fc.property(fc.array(fc.string()), (words) => {
      expect(splitWords(quoteWords(words), 'linux')).toEqual(words);
    }),
  );
});
