/** Knows how to read JSON with comments and trailing commas into a tree with positions; nothing of what it means. */

/** Keys and indices from the root. */
export type Path = readonly (string | number)[];

export interface JsonContainer {
  readonly type: 'object' | 'array';
  readonly start: number;
  readonly end: number;
  readonly children: JsonChild[];
  /** Place of each key of an object in `children`. */
  readonly index: Map<string, number> | undefined;
}

export interface JsonScalar {
  readonly type: 'scalar';
  readonly start: number;
  readonly end: number;
  readonly value: string | number | boolean | null;
}

export type JsonNode = JsonContainer | JsonScalar;

/** A property of an object or an item of an array. */
export interface JsonChild {
  /** Of the key; of the value in an array. */
  readonly start: number;
  readonly value: JsonNode;
  /** Where the comma after it stands. */
  comma: number | undefined;
}

/** Text that is not JSON; whoever knows the file's name makes a message of it. */
export class JsonSyntaxError extends Error {
  readonly offset: number;
  readonly path: Path;

  constructor(message: string, offset: number, path: Path = []) {
    super(message);
    this.offset = offset;
    this.path = path;
  }
}

/** The deepest nesting that is read: real files have about 8, and recursion must end before the stack does. */
const MAX_DEPTH = 100;

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /[A-Za-z]+/y;
const WORDS = new Map<string, boolean | null>([
  ['true', true],
  ['false', false],
  ['null', null],
]);

/** Throws JsonSyntaxError, also for a key that stands twice in one object. */
export function parseTree(text: string): JsonNode {
  return new Reader(text).document();
}

class Reader {
  readonly #text: string;
  #at = 0;
  readonly #path: (string | number)[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  document(): JsonNode {
    this.#skip();
    if (this.#at === this.#text.length) throw new JsonSyntaxError('the file is empty', 0);
    const root = this.#value();
    this.#skip();
    if (this.#at < this.#text.length) throw this.#unexpected('the end of the file');
    return root;
  }

  #value(): JsonNode {
    const start = this.#at;
    const char = this.#text[start];
    if (char === '{' || char === '[') return this.#container(char === '{');
    if (char === '"') return { type: 'scalar', value: this.#string(), start, end: this.#at };
    const number = this.#match(NUMBER);
    if (number !== undefined) return { type: 'scalar', value: Number(number), start, end: this.#at };
    const word = this.#match(WORD);
    const value = word === undefined ? undefined : WORDS.get(word);
    if (value === undefined) {
      this.#at = start;
      throw this.#unexpected('a value');
    }
    return { type: 'scalar', value, start, end: this.#at };
  }

  #container(isObject: boolean): JsonContainer {
    const start = this.#at++;
    const close = isObject ? '}' : ']';
    const children: JsonChild[] = [];
    const index = isObject ? new Map<string, number>() : undefined;
    if (this.#path.length >= MAX_DEPTH)
      throw new JsonSyntaxError(`nested deeper than ${MAX_DEPTH} levels`, start, this.#path.slice(0, 3));
    for (;;) {
      this.#skip();
      if (this.#text[this.#at] === close) break;
      const previous = children.at(-1);
      if (previous !== undefined && previous.comma === undefined) throw this.#unexpected(`"," or "${close}"`);
      const childStart = this.#at;
      this.#path.push(index === undefined ? children.length : this.#key(index, children));
      const child: JsonChild = { start: childStart, value: this.#value(), comma: undefined };
      this.#path.pop();
      children.push(child);
      this.#skip();
      if (this.#text[this.#at] === ',') child.comma = this.#at++;
    }
    this.#at++;
    return { type: isObject ? 'object' : 'array', start, end: this.#at, children, index };
  }

  #key(index: Map<string, number>, children: readonly JsonChild[]): string {
    const start = this.#at;
    if (this.#text[start] !== '"') throw this.#unexpected('a key in double quotes or "}"');
    const key = this.#string();
    const first = index.get(key);
    if (first !== undefined) {
      const line = new Lines(this.#text).at(children[first]!.start).line;
      throw new JsonSyntaxError(`this key stands twice, first on line ${line}`, start, [...this.#path, key]);
    }
    index.set(key, children.length);
    this.#skip();
    if (this.#text[this.#at] !== ':') throw this.#unexpected('":" after the key');
    this.#at++;
    this.#skip();
    return key;
  }

  #string(): string {
    const text = this.#text;
    const start = this.#at;
    // Nearly every string has no escape and can be taken as it stands.
    const quote = text.indexOf('"', start + 1);
    const plain = text.slice(start + 1, quote);
    if (quote > 0 && !/[\\\u0000-\u001f]/.test(plain)) {
      this.#at = quote + 1;
      return plain;
    }
    let at = start + 1;
    for (; text[at] !== '"'; at++) {
      const char = text[at];
      if (char === undefined || char === '\n' || char === '\r')
        throw new JsonSyntaxError('a string without its closing quote', start, this.#path);
      if (char === '\\') at++;
    }
    this.#at = at + 1;
    try {
      return JSON.parse(text.slice(start, this.#at)) as string;
    } catch {
      throw new JsonSyntaxError('a string with a bad escape or a control character', start, this.#path);
    }
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  /** White space and comments. */
  #skip(): void {
    const text = this.#text;
    for (;;) {
      const char = text[this.#at];
      if (char === ' ' || char === '\n' || char === '\t' || char === '\r') this.#at++;
      else if (char === '/' && text[this.#at + 1] === '/') {
        while (this.#at < text.length && text[this.#at] !== '\n' && text[this.#at] !== '\r') this.#at++;
      } else if (char === '/' && text[this.#at + 1] === '*') {
        const end = text.indexOf('*/', this.#at + 2);
        if (end < 0) throw new JsonSyntaxError('a comment without its "*/"', this.#at, this.#path);
        this.#at = end + 2;
      } else return;
    }
  }

  #unexpected(expected: string): JsonSyntaxError {
    const found = this.#text[this.#at];
    const got = found === undefined ? 'the end of the file' : found === '"' ? `'"'` : JSON.stringify(found);
    return new JsonSyntaxError(`expected ${expected}, found ${got}`, this.#at, this.#path);
  }
}

/** Plain data. Objects have no prototype, so a key such as `__proto__` or `constructor` is a key like any other. */
export function toValue(node: JsonNode): unknown {
  if (node.type === 'scalar') return node.value;
  if (node.index === undefined) return node.children.map((child) => toValue(child.value));
  const out: Record<string, unknown> = Object.create(null);
  for (const [key, place] of node.index) out[key] = toValue(node.children[place]!.value);
  return out;
}

/** The child of `node` that a key or an index names. */
export function childAt(node: JsonNode, segment: string | number): JsonChild | undefined {
  if (node.type === 'scalar') return undefined;
  const place = typeof segment === 'number' ? segment : node.index?.get(segment);
  if (place === undefined || (typeof segment === 'number' && node.index !== undefined)) return undefined;
  return node.children[place];
}

/** Where `path` stands: its key or item, or the nearest parent that is there. */
export function offsetOf(root: JsonNode, path: Path): number {
  let node = root;
  let offset = root.start;
  for (const segment of path) {
    const child = childAt(node, segment);
    if (child === undefined) break;
    offset = child.start;
    node = child.value;
  }
  return offset;
}

/** Turns offsets into lines and columns, both from 1, as editors count them. */
export class Lines {
  readonly #starts: number[] = [0];

  constructor(text: string) {
    for (let at = 0; at < text.length; at++) {
      const char = text.charCodeAt(at);
      if (char === 10 || (char === 13 && text.charCodeAt(at + 1) !== 10)) this.#starts.push(at + 1);
    }
  }

  at(offset: number): { line: number; column: number } {
    let low = 0;
    let high = this.#starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle]! <= offset) low = middle;
      else high = middle;
    }
    return { line: low + 1, column: offset - this.#starts[low]! + 1 };
  }
}

/** `mcpServers.files.args[1]`; keys that would read wrong are quoted: `mcpServers["my.files"]`. */
export function formatPath(path: Path): string {
  let out = '';
  for (const segment of path)
    if (typeof segment === 'number') out += `[${segment}]`;
    else if (/^[\w@-]+$/.test(segment)) out += out === '' ? segment : `.${segment}`;
    else out += `[${JSON.stringify(segment)}]`;
  return out;
}
