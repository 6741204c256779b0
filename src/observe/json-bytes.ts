/** Knows how large a value is as JSON, at a tenth of what its text costs. */

/** No call of sense has more; a value that holds itself many times over would never end. */
const MAX_VALUES = 1_000_000;
const MAX_DEPTH = 64;
/** Up to here a loop over the characters costs less than the call that counts them. */
const SHORT_CHARS = 24;

/**
 * Bytes of the value as JSON in UTF-8; escapes within texts (`\n`, `\"`) count as the one character that they stand for.
 * Undefined for what JSON cannot carry, and for what is deeper than 64 levels or has more than a million values.
 */
export function jsonBytes(value: unknown): number | undefined {
  try {
    left = MAX_VALUES;
    return bytesOf(value, 0);
  } catch {
    // A getter of the caller's own threw, or there is no JSON for it: whoever sends it says so.
    return undefined;
  }
}

let left = 0;

function bytesOf(value: unknown, depth: number): number {
  switch (typeof value) {
    case 'string':
      return textBytes(value) + 2;
    case 'number':
      return numberBytes(value);
    case 'boolean':
      return value ? 4 : 5;
    case 'object':
      return value === null ? 4 : objectBytes(value, depth);
    default:
      throw NO_JSON;
  }
}

function objectBytes(value: object, depth: number): number {
  if (depth === MAX_DEPTH || --left < 0) throw NO_JSON;
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function')
    return Buffer.byteLength(JSON.stringify(value) ?? 'null');
  // The brackets, and a comma before each but the first.
  let bytes = 1;
  if (Array.isArray(value)) {
    left -= value.length;
    if (left < 0) throw NO_JSON;
    for (const item of value) bytes += (isJson(item) ? bytesOf(item, depth + 1) : 4) + 1;
  } else
    for (const key in value) {
      const item = (value as Record<string, unknown>)[key];
      if (!isJson(item) || !Object.hasOwn(value, key)) continue;
      left--;
      bytes += textBytes(key) + 4 + bytesOf(item, depth + 1);
    }
  return Math.max(2, bytes);
}

function numberBytes(value: number): number {
  if (!Number.isSafeInteger(value)) return Number.isFinite(value) ? String(value).length : 4;
  let digits = value < 0 ? 2 : 1;
  for (let rest = Math.abs(value); rest >= 10; rest = Math.floor(rest / 10)) digits++;
  return digits;
}

function isJson(value: unknown): boolean {
  return value !== undefined && typeof value !== 'function' && typeof value !== 'symbol';
}

function textBytes(text: string): number {
  const { length } = text;
  if (length > SHORT_CHARS) return Buffer.byteLength(text);
  for (let i = 0; i < length; i++) if (text.charCodeAt(i) > 0x7f) return Buffer.byteLength(text);
  return length;
}

const NO_JSON = new Error('no JSON');
