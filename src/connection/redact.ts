/** Knows how configured secrets are taken out of what a server says of itself: it may echo what it was given. */

import type { EndpointDefinition } from '../config/definition.js';
import { isStoreError, StoreError } from '../errors.js';

const MASK = '***';
/** Shorter values stand in too many places by chance. */
const MIN_CHARS = 6;
const SECRET_NAME = /key|token|secret|passw|pwd|auth|credential|cookie|session|dsn|connection_?string/i;
/** `postgres://user:password@host`: what stands before the host is secret under whatever name. */
const URL_PASSWORD = /^[a-z][a-z0-9+.-]*:\/\/[^/@?#]*:([^/@?#]+)@/i;
/** `Bearer abc`: the server may well echo only the second half. */
const CREDENTIALS = /^[\w-]+\s+(\S+)$/;
/** Deeper data of an error is left out: a server chooses how deep it goes. */
const MAX_DEPTH = 32;

/** Replaces each secret by `***`. */
export interface Redact {
  (text: string): string;
  /** Characters of the longest secret; 0: there is none, and texts stay as they are. */
  readonly longest: number;
}

/** A function that replaces each of `secrets` by `***`, also where it is escaped as in JSON or a URL. */
export function redacting(secrets: Iterable<string>): Redact {
  const all = [...secrets].flatMap((secret) => [secret, ...(secret.includes('\n') ? secret.split(/\r?\n/) : [])]);
  const written = all.flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1), inUrl(secret)]);
  // The longest first: one may be a part of another.
  const ordered = [...new Set(written)]
    .filter((secret) => secret.length >= MIN_CHARS)
    .sort((a, b) => b.length - a.length);
  const redact = (text: string): string => ordered.reduce((shown, secret) => shown.replaceAll(secret, MASK), text);
  return Object.assign(redact, { longest: ordered[0]?.length ?? 0 });
}

/** Takes out what either knows. */
export function both(first: Redact, second: Redact | undefined): Redact {
  if (second === undefined) return first;
  const redact = (text: string): string => first(second(text));
  const longest = (): number => Math.max(first.longest, second.longest);
  return Object.defineProperty(redact, 'longest', { get: longest }) as unknown as Redact;
}

function inUrl(text: string): string {
  try {
    return encodeURIComponent(text);
  } catch {
    return text; // Half a surrogate pair: no URL has it.
  }
}

/** The secrets of one endpoint. */
export function redactorOf(definition: EndpointDefinition): Redact {
  if (definition.kind === 'memory') return redacting([]);
  if (definition.kind === 'stdio') return redacting(processSecrets(definition.env, definition.args));
  return redacting(httpSecrets(new URL(definition.url), Object.values(definition.headers)));
}

/** Values of an environment and a command line that are secret by the names that they are given under. */
export function processSecrets(env: Readonly<Record<string, string>>, args: readonly string[]): string[] {
  const secrets: string[] = [];
  const add = (name: string, value: string): void => {
    if (SECRET_NAME.test(name)) secrets.push(value, CREDENTIALS.exec(value)?.[1] ?? value);
    const password = URL_PASSWORD.exec(value)?.[1];
    if (password !== undefined) secrets.push(value, password);
    if (!/^https?:/i.test(value) || !URL.canParse(value)) return;
    for (const [key, given] of new URL(value).searchParams) if (SECRET_NAME.test(key)) secrets.push(given);
  };
  for (const [name, value] of Object.entries(env)) add(name, value);
  for (const [i, arg] of args.entries()) {
    // `--token=…`, `KEY=…`, and a header: `Authorization: Bearer …`.
    const assigned = /^(-{0,2}[\w-]+)(?:=|:\s+)(.*)$/s.exec(arg);
    const flag = i > 0 && args[i - 1]!.startsWith('-') && !arg.startsWith('-') ? args[i - 1]! : '';
    if (assigned) add(assigned[1]!, assigned[2]!);
    else add(flag, arg);
  }
  return secrets;
}

/** Values of headers, and what a URL has beside its origin and path. */
export function httpSecrets(url: URL, headerValues: readonly string[]): string[] {
  const secrets = headerValues.flatMap((value) => [value, ...value.split(/\s+/).slice(1)]);
  secrets.push(...url.searchParams.values(), url.search);
  if (url.username !== '' || url.password !== '') {
    const [user, password] = [fromUrl(url.username), fromUrl(url.password)];
    secrets.push(url.password, password, Buffer.from(`${user}:${password}`).toString('base64'));
  }
  return secrets;
}

/** The same value with `***` for whatever stands under the name of a secret, after `Bearer`, or as a password in a URL. */
export function maskedByName(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return maskedText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth === MAX_DEPTH) return MASK;
  if (Array.isArray(value)) return value.map((item) => maskedByName(item, depth + 1));
  const fields = Object.entries(value);
  return Object.fromEntries(
    fields.map(([key, item]) => [key, SECRET_NAME.test(key) ? MASK : maskedByName(item, depth + 1)]),
  );
}

function maskedText(text: string): string {
  return text
    .replaceAll(/\b(bearer|basic)\s+[\w.~+/=-]{6,}/gi, `$1 ${MASK}`)
    .replaceAll(/\b([a-z][a-z0-9+.-]{1,20}:\/\/[^\s/@?#:]{0,200}:)[^\s/@?#]{1,200}@/gi, `$1${MASK}@`);
}

function fromUrl(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // A "%" that begins nothing.
  }
}

/** Takes secrets out of a text that comes in pieces: a line is told when it is complete. */
export class RedactedLines {
  readonly #redact: Redact;
  readonly #tell: (text: string) => void;
  readonly #maxHeld: number;
  #held = '';

  /** @param maxHeld - characters of an unfinished line beyond which its beginning is told */
  constructor(redact: Redact, tell: (text: string) => void, maxHeld = 16 * 1024) {
    this.#redact = redact;
    this.#tell = tell;
    this.#maxHeld = Math.max(maxHeld, 2 * redact.longest);
  }

  /** Characters of an unfinished line. */
  get held(): number {
    return this.#held.length;
  }

  push(piece: string): void {
    if (this.#redact.longest === 0) {
      this.#say(piece);
      return;
    }
    const text = this.#held + piece;
    const end = text.lastIndexOf('\n') + 1;
    this.#held = text.slice(end);
    this.#say(this.#redact(text.slice(0, end)));
    if (this.#held.length <= this.#maxHeld) return;
    // What is whole in it is masked; what may be the beginning of a secret stays.
    const masked = this.#redact(this.#held);
    const cut = Math.max(0, masked.length - this.#redact.longest + 1);
    this.#held = masked.slice(cut);
    this.#say(masked.slice(0, cut));
  }

  /** Nothing more comes. */
  end(): void {
    const rest = this.#held;
    this.#held = '';
    this.#say(this.#redact(rest));
  }

  #say(text: string): void {
    if (text !== '') this.#tell(text);
  }
}

/** The same error where it holds no secret, else one without: in its message, hint, figures, data and causes. */
export function redactedError<E extends Error>(error: E, redact: Redact): E | Error {
  return redact.longest === 0 ? error : withoutSecrets(error, redact, 0);
}

function withoutSecrets(error: Error, redact: Redact, depth: number): Error {
  const { message } = error;
  const cause =
    error.cause instanceof Error && depth < MAX_DEPTH
      ? withoutSecrets(error.cause, redact, depth + 1)
      : redactedData(error.cause, redact);
  const fields = { ...error };
  const shown = redactedData(fields, redact);
  if (redact(message) === message && cause === error.cause && shown === fields) return error;
  if (isStoreError(error)) {
    const { hint, figures, data } = redactedData(
      { hint: error.hint, figures: error.figures, data: error.data },
      redact,
    );
    const { service, tool, endpoint, attempts, executed, rpcCode } = error;
    const where = { service, tool, endpoint, attempts, executed, rpcCode };
    return new StoreError(error.code, redact(message), { ...where, hint, figures, data, cause });
  }
  // Of another's error only what is told of it: anything else may hold what its message holds.
  const { code } = error as { code?: unknown };
  const plain = new Error(redact(message), cause === undefined ? undefined : { cause });
  return Object.assign(plain, { name: error.name }, code !== undefined && { code: redactedData(code, redact) });
}

/** The same value where it holds no secret, else a copy without. */
export function redactedData<T>(value: T, redact: Redact): T {
  return redact.longest === 0 ? value : (redacted(value, redact, 0) as T);
}

function redacted(value: unknown, redact: Redact, depth: number): unknown {
  if (typeof value === 'string') return redact(value);
  if (typeof value !== 'object' || value === null || value instanceof Error) return value;
  if (depth === MAX_DEPTH) return MASK;
  if (Array.isArray(value)) {
    const items = value.map((item) => redacted(item, redact, depth + 1));
    return items.every((item, i) => item === value[i]) ? value : items;
  }
  const fields = Object.entries(value).map(([key, item]) => [redact(key), redacted(item, redact, depth + 1)] as const);
  const same = Object.entries(value).every(([key, item], i) => key === fields[i]![0] && item === fields[i]![1]);
  return same ? value : Object.fromEntries(fields);
}
