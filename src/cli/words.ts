/** Knows how a command line becomes words and back, without any shell: quotes and backslashes, nothing else. */

import { UsageError } from './usage.js';

/**
 * Splits at spaces outside quotes. Within '…' everything is as it stands; within "…" and outside of quotes a backslash
 * takes the next character as it is. Variables, `~`, `*`, `|` and `;` mean nothing here.
 */
export function splitWords(text: string, platform: NodeJS.Platform = process.platform): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (quote === undefined && /\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (char === quote) quote = undefined;
    else if (quote === undefined && (char === '"' || char === "'")) {
      quote = char;
      word ??= '';
    } else if (char === '\\' && quote !== "'" && escapes(text[i + 1], platform)) word = (word ?? '') + text[++i]!;
    else word = (word ?? '') + char;
  }
  if (quote !== undefined) throw new UsageError(`--stdio: a ${quote} without its end`);
  if (word !== undefined) words.push(word);
  return words;
}

/** On Windows a backslash separates folders, so there it only escapes quotes. */
function escapes(next: string | undefined, platform: NodeJS.Platform): boolean {
  return next !== undefined && (platform !== 'win32' || next === '"');
}

/** Words as a person would type them. */
export function quoteWords(words: readonly string[]): string {
  return words
    .map((word) => (/^[\w@%+=:,./~${}*-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(' ');
}
