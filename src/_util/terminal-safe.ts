/** Knows how text of somebody else is shown so that it can neither drive a terminal nor pretend to be ours. */

/**
 * What is never printed as it is: control characters (ANSI escapes begin with one), line and paragraph separators,
 * marks that reorder or hide text, and halves of surrogate pairs.
 */
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]|[\ud800-\udfff]/gu;

/** One line: every unsafe character, line breaks included, becomes visible, such as `\x1b`, `\n` or `\u202e`. */
export function safeLine(text: string): string {
  return text.replace(UNSAFE, escaped);
}

/** Several lines: line breaks and tabs stay, everything else is as in `safeLine`. A CR LF is one line break. */
export function safeText(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replace(UNSAFE, (char) => (char === '\n' || char === '\t' ? char : escaped(char)));
}

/** The same value as JSON text, with whatever could reorder or drive a terminal written as JSON's own escapes. */
export function safeJson(json: string): string {
  return json.replace(UNSAFE, (char) =>
    char === '\n' || char === '\t'
      ? char
      : [...char.split('')].map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`).join(''),
  );
}

const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escaped(char: string): string {
  const code = char.codePointAt(0)!;
  if (NAMED[char] !== undefined) return NAMED[char];
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, '0')}`;
  return code <= 0xffff ? `\\u${code.toString(16).padStart(4, '0')}` : `\\u{${code.toString(16)}}`;
}
