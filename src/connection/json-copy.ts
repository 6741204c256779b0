/** Knows how to copy a message as a wire would, at a tenth of what JSON text costs where it holds nothing but JSON. */

import { stringify } from './messages.js';

/** Deeper than any message of sense; a loop ends here as well. */
const MAX_DEPTH = 64;

/**
 * What the other end of a wire would read: nothing of it is shared with `message`, and what JSON drops or changes
 * (`undefined`, dates, `NaN`) is dropped or changed.
 * @throws StoreError `ARGUMENTS_INVALID` for what JSON cannot carry
 */
export function jsonCopy<T extends object>(message: T): T {
  try {
    for (const _ in BARE) throw NOT_PLAIN;
    return plainCopy(message, 0) as T;
  } catch {
    // Not plain: text knows all the rules, and says what is wrong.
    return JSON.parse(stringify(message)) as T;
  }
}

function plainCopy(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      return Number.isFinite(value) ? value + 0 : null;
    case 'object':
      if (value === null) return null;
      if (depth === MAX_DEPTH) throw NOT_PLAIN;
      return Array.isArray(value) ? arrayCopy(value, depth + 1) : objectCopy(value, depth + 1);
    default:
      throw NOT_PLAIN;
  }
}

function arrayCopy(array: readonly unknown[], depth: number): unknown[] {
  if ((array as { toJSON?: unknown }).toJSON !== undefined) throw NOT_PLAIN;
  const copy: unknown[] = [];
  for (let i = 0; i < array.length; i++) copy.push(array[i] === undefined ? null : plainCopy(array[i], depth));
  return copy;
}

function objectCopy(object: object, depth: number): object {
  const kind = Object.getPrototypeOf(object) as unknown;
  if (kind !== Object.prototype && kind !== null) throw NOT_PLAIN;
  const copy: Record<string, unknown> = {};
  // All of its keys are its own; a `toJSON` of its own is a function, so not plain.
  for (const key in object) {
    // Assigned, it would be the prototype and no field.
    if (key === '__proto__') throw NOT_PLAIN;
    const item = (object as Record<string, unknown>)[key];
    if (item !== undefined) copy[key] = typeof item === 'string' ? item : plainCopy(item, depth);
  }
  return copy;
}

const NOT_PLAIN = new Error('not plain');
/** Has keys only where somebody gave all objects some. */
const BARE = {};
