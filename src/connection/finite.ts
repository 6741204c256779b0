/** Knows the numbers that JSON has no word for: NaN and the infinities would arrive as null, which nobody has said. */

import { StoreError } from '../errors.js';

/** Deeper than any arguments of sense. */
const MAX_DEPTH = 64;
/** How `null` stands in JSON text outside of a string, and seldom inside of one. */
const NULL = /[:,[]null/;

/**
 * @param text - `params` as JSON, where there is one: without a null in it there is nothing to look for
 * @throws StoreError `ARGUMENTS_INVALID` with the path of the first such number
 */
export function refuseNonFinite(params: object, text?: string): void {
  if (text !== undefined && !(text.includes('null') && NULL.test(text))) return;
  const found = find(params, 0);
  if (found === undefined) return;
  const path = found.path.replace(/^\./, '');
  throw new StoreError('ARGUMENTS_INVALID', `${path}: JSON cannot carry ${found.number}`, { figures: { path } });
}

function find(value: unknown, depth: number): { path: string; number: number } | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : { path: '', number: value };
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return undefined;
  // It says itself what it is.
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return undefined;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const found = find(value[i], depth + 1);
      if (found) return { ...found, path: `[${i}]${found.path}` };
    }
    return undefined;
  }
  for (const key of Object.keys(value)) {
    const found = find((value as Record<string, unknown>)[key], depth + 1);
    if (found) return { ...found, path: `.${key}${found.path}` };
  }
  return undefined;
}
