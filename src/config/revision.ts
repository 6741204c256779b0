/** Knows how to tell whether two definitions are the same by one short text. */

import { createHash } from 'node:crypto';

/** Functions and objects of code have no content to compare: each is equal to itself alone. */
const numbers = new WeakMap<object, number>();
let last = 0;

function numberOf(value: object): number {
  let number = numbers.get(value);
  if (number === undefined) {
    number = ++last;
    numbers.set(value, number);
  }
  return number;
}

/** A stand-in for a live object within a value given to `revisionOf`. */
export function identityOf(value: object): { readonly identity: number } {
  return { identity: numberOf(value) };
}

/** Equal for values of equal content, whatever the order of their keys. 16 hexadecimal digits. */
export function revisionOf(value: unknown): string {
  return createHash('sha256').update(canonical(value)).digest('hex').slice(0, 16);
}

function canonical(value: unknown): string {
  if (typeof value === 'function') return `function ${numberOf(value)}`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'undefined';
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  const fields = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join()}}`;
}
