/** Knows how `key=value` and `key:=json` become a tool's arguments, by what its schema says of each. */

import { readFile } from 'node:fs/promises';
import { notJson, UsageError } from './usage.js';

/** A JSON schema, as far as it is looked at. */
type Schema = Record<string, unknown>;

/** Is it an argument, rather than the name of a tool or service? */
export function isPair(word: string): boolean {
  return /^[^=]+=/.test(word);
}

/** The object that the words stand for. A key that stands twice becomes an array. */
export function argumentsOf(pairs: readonly string[], root: Schema | undefined): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  const times = new Map<string, number>();
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    if (at <= 0) throw new UsageError(`"${pair}": expected key=value or key:=json`);
    const isJson = pair[at - 1] === ':' && at > 1;
    const key = pair.slice(0, isJson ? at - 1 : at);
    const text = pair.slice(at + 1);
    const { path, schema } = place(key, root);
    const seen = times.get(key) ?? 0;
    times.set(key, seen + 1);
    put(out, path, key, seen, isJson ? parseJson(key, text) : textAs(key, text, schema, root, pairs));
  }
  return out;
}

/** `--args`: JSON, `@file`, or `-` for stdin. */
export async function argumentsJson(text: string): Promise<Record<string, unknown>> {
  const value: unknown = JSON.parse(await readJsonText(text, '--args'));
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UsageError('--args: expected a JSON object');
  return value as Record<string, unknown>;
}

/** The text itself, checked to be JSON, or that of `@file` or stdin (`-`). */
export async function readJsonText(text: string, what: string): Promise<string> {
  const found = text === '-' ? await readStdin() : text.startsWith('@') ? await readText(text.slice(1), what) : text;
  try {
    JSON.parse(found);
  } catch (error) {
    throw new UsageError(`${what}: ${notJson(error)}`);
  }
  return found;
}

export async function readText(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new UsageError(`${what}: cannot read ${file}: ${(error as Error).message}`, 'Check the path.');
  }
}

export async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

/** `a.b` is a key of its own where the schema has it, else the key `b` of the object `a`. */
function place(key: string, root: Schema | undefined): { path: string[]; schema: Schema | undefined } {
  const direct = property(root, key, root);
  if (direct !== undefined || !key.includes('.')) return { path: [key], schema: direct };
  const path = key.split('.');
  let schema = root;
  for (const [i, part] of path.entries()) {
    const next: Schema | undefined = property(schema, part, root);
    // A key that the schema does not have may really have dots.
    if (next === undefined && i === 0) return { path: [key], schema: undefined };
    schema = next;
  }
  return path.some((part) => part === '' || part === '__proto__')
    ? { path: [key], schema: undefined }
    : { path, schema };
}

function parseJson(key: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`"${key}": ${notJson(error)}`, `${key}=… takes text as it is.`);
  }
}

function put(out: Record<string, unknown>, path: readonly string[], key: string, seen: number, value: unknown): void {
  let at = out;
  for (const part of path.slice(0, -1)) {
    const next = Object.hasOwn(at, part) ? at[part] : undefined;
    if (next !== undefined && (typeof next !== 'object' || next === null || Array.isArray(next)))
      throw new UsageError(`"${key}": ${part} has a value already`);
    const child = (next ?? {}) as Record<string, unknown>;
    define(at, part, child);
    at = child;
  }
  const last = path.at(-1)!;
  const before = Object.hasOwn(at, last) ? at[last] : undefined;
  if (seen === 0) define(at, last, value);
  else {
    const list = seen === 1 && !Array.isArray(before) ? [before] : (before as unknown[]);
    define(at, last, [...list, ...(Array.isArray(value) ? value : [value])]);
  }
}

/** Also a key such as `__proto__` becomes a plain property. */
function define(target: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}

function textAs(
  key: string,
  text: string,
  schema: Schema | undefined,
  root: Schema | undefined,
  all: readonly string[],
): unknown {
  const types = typesOf(schema, root);
  if (types.size === 0 || types.has('string')) return enumValue(text, schema) ?? text;
  if (types.has('array') && !text.trimStart().startsWith('[')) {
    const items = (schema?.['items'] ?? undefined) as Schema | undefined;
    return [textAs(key, text, items, root, all)];
  }
  for (const type of ['null', 'boolean', 'integer', 'number', 'array', 'object'] as const) {
    if (!types.has(type)) continue;
    const value = typed(text, type);
    if (value !== undefined) return value;
  }
  const expected = [...types]
    .map((type) => (type === 'object' || type === 'array' ? `${type} as JSON` : type))
    .join(' or ');
  throw new UsageError(`"${key}" must be ${expected}, got "${text}"`, `Give JSON with ${key}:=…`);
}

function typed(text: string, type: 'null' | 'boolean' | 'integer' | 'number' | 'array' | 'object'): unknown {
  const trimmed = text.trim();
  if (type === 'null') return trimmed === 'null' ? null : undefined;
  if (type === 'boolean') return trimmed === 'true' ? true : trimmed === 'false' ? false : undefined;
  if (type === 'integer' || type === 'number') {
    if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed)) return undefined;
    const value = Number(trimmed);
    // A number that would be another one after it was read is worse than a refusal.
    if (type === 'integer' ? !Number.isSafeInteger(value) : !Number.isFinite(value)) return undefined;
    return value;
  }
  try {
    const value: unknown = JSON.parse(trimmed);
    return (
      type === 'array'
        ? Array.isArray(value)
        : typeof value === 'object' && value !== null && !Array.isArray(value)
    )
      ? value
      : undefined;
  } catch {
    return undefined;
  }
}

/** An enum without a type may name numbers. */
function enumValue(text: string, schema: Schema | undefined): unknown {
  const values = schema?.['enum'];
  if (!Array.isArray(values) || values.includes(text)) return undefined;
  return values.find((value) => typeof value !== 'string' && JSON.stringify(value) === text);
}

const MAX_DEPTH = 16;

/** Every type that the schema lets a value have; none where it does not say. */
function typesOf(schema: Schema | undefined, root: Schema | undefined, depth = 0): Set<string> {
  const own = resolved(schema, root);
  const types = new Set<string>();
  if (own === undefined || depth > MAX_DEPTH) return types;
  for (const type of [own['type']].flat()) if (typeof type === 'string') types.add(type);
  if (types.size === 0 && Array.isArray(own['enum']))
    for (const value of own['enum']) if (typeof value === 'string') types.add('string');
  for (const key of ['anyOf', 'oneOf', 'allOf'] as const)
    if (Array.isArray(own[key]))
      for (const part of own[key] as Schema[]) for (const type of typesOf(part, root, depth + 1)) types.add(type);
  return types;
}

function property(schema: Schema | undefined, key: string, root: Schema | undefined, depth = 0): Schema | undefined {
  const own = resolved(schema, root);
  if (own === undefined || depth > MAX_DEPTH) return undefined;
  const properties = own['properties'] as Record<string, Schema> | undefined;
  if (properties !== undefined && Object.hasOwn(properties, key)) return resolved(properties[key], root) ?? {};
  for (const group of ['anyOf', 'oneOf', 'allOf'] as const)
    for (const part of Array.isArray(own[group]) ? (own[group] as Schema[]) : []) {
      const found = property(part, key, root, depth + 1);
      if (found !== undefined) return found;
    }
  return undefined;
}

/** Follows `#/$defs/…`, never out of the schema. */
function resolved(schema: Schema | undefined, root: Schema | undefined): Schema | undefined {
  let at = schema;
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    if (typeof at !== 'object' || at === null) return undefined;
    const ref = at['$ref'];
    if (typeof ref !== 'string') return at;
    if (!ref.startsWith('#/')) return undefined;
    at = ref
      .slice(2)
      .split('/')
      .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
      .reduce<unknown>((value, part) => (value as Record<string, unknown> | undefined)?.[part], root) as
      | Schema
      | undefined;
  }
  return undefined;
}
