/** Knows the keys of the result cache: when two calls are equal, and when that cannot be told. */

import { configure } from 'safe-stable-stringify';

const canonicalJson = configure({ bigint: false, circularValue: Error, strict: true });

/** Field with its length before it: no two lists of fields give one text. */
export function field(text: string): string {
  return `${text.length}:${text}`;
}

/** The part of a key that does not depend on the call. */
export function cachePrefix(...fields: readonly string[]): string {
  return fields.map(field).join('');
}

/**
 * Arguments as text that is equal exactly where they are equal as JSON; undefined where they are not safe as a key:
 * integers beyond 2^53 may be equal as numbers and different on the wire, and NaN is refused there.
 */
export function canonicalArguments(args: unknown): string | undefined {
  try {
    if (!safe(args)) return undefined;
    return isFlatSingle(args) ? JSON.stringify(args) : canonicalJson(args);
  } catch {
    // A loop, or too deep.
    return undefined;
  }
}

function isFlatSingle(args: unknown): boolean {
  if (typeof args !== 'object' || args === null || Array.isArray(args)) return false;
  let keys = 0;
  for (const key in args) {
    const value = (args as Record<string, unknown>)[key];
    if (++keys > 1 || (typeof value === 'object' && value !== null)) return false;
  }
  return true;
}

function safe(value: unknown): boolean {
  if (typeof value === 'number')
    return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value));
  if (typeof value !== 'object' || value === null) return typeof value !== 'bigint';
  for (const key in value) if (!safe((value as Record<string, unknown>)[key])) return false;
  return true;
}
