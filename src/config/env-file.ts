/** Knows the lines of an env file: `KEY=VALUE`, comments, quotes, `export`. */

/** A line that is none of these. */
export class EnvFileProblem extends Error {
  /** 1-based. */
  readonly line: number;

  constructor(message: string, line: number) {
    super(message);
    this.line = line;
  }
}

const ASSIGNMENT = /^(?:export\s+)?([A-Za-z_][\w.-]*)\s*=\s*(.*)$/;
const SINGLE_QUOTED = /^'([^']*)'\s*(?:#.*)?$/;
const DOUBLE_QUOTED = /^"((?:[^"\\]|\\.)*)"\s*(?:#.*)?$/;
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

/**
 * The variables of an env file; the last of equal names wins. `'…'` is literal, `"…"` knows `\n \r \t \" \\`, a value
 * without quotes ends at ` #`. Variables in values are not expanded.
 * @throws EnvFileProblem
 */
export function parseEnvFile(text: string): Record<string, string> {
  const out: Record<string, string> = Object.create(null);
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/);
  for (const [i, raw] of lines.entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const found = ASSIGNMENT.exec(line);
    if (found === null) throw new EnvFileProblem('expected KEY=VALUE', i + 1);
    out[found[1]!] = readValue(found[2]!, i + 1);
  }
  return out;
}

function readValue(text: string, line: number): string {
  const single = SINGLE_QUOTED.exec(text);
  if (single !== null) return single[1]!;
  const double = DOUBLE_QUOTED.exec(text);
  if (double !== null) return double[1]!.replace(/\\(.)/g, (_, char: string) => ESCAPES[char] ?? char);
  if (text.startsWith('"') || text.startsWith("'"))
    throw new EnvFileProblem('a value without its closing quote, or with text after it', line);
  if (text.startsWith('#')) return '';
  const comment = text.search(/\s#/);
  return (comment < 0 ? text : text.slice(0, comment)).trimEnd();
}
