/** Knows how a wrong command line is told: before the library is loaded, in the words that its errors have. */

/** Told and mapped to an exit code like the library's `OPTION_INVALID`. */
export class UsageError extends Error {
  readonly code = 'OPTION_INVALID';
  readonly exitCode = 2;
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

/** Why a text is no JSON, without the piece of it that Node shows: arguments and configurations may hold secrets. */
export function notJson(error: unknown): string {
  return `this is not JSON: ${(error as Error).message.replace(/, (?:\.{3})?".*$/s, '')}`;
}

/** `name=value`, for options that may be repeated. */
export function pairOf(text: string, flag: string, separator = '='): [string, string] {
  const at = text.indexOf(separator);
  if (at <= 0) throw new UsageError(`${flag}: expected NAME${separator}VALUE`);
  return [text.slice(0, at).trim(), text.slice(at + separator.length).trim()];
}

/** Collects the values of an option that may be repeated. */
export function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

/** A parser of whole numbers for one option. */
export function wholeNumber(flag: string, min = 1): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < min || text.trim() === '')
      throw new UsageError(`${flag}: expected a whole number from ${min} on, got "${text}"`);
    return value;
  };
}
