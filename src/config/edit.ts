/** Knows how to change one place of a JSON text and keep every other character, comments included. */

import { childAt, type JsonContainer, type JsonNode, type Path, parseTree, toValue } from './json-tree.js';

/** A place that cannot be written to, such as a key below a string. */
export class EditProblem extends Error {
  readonly path: Path;

  constructor(message: string, path: Path) {
    super(message);
    this.path = path;
  }
}

/**
 * Sets what stands at `path`, making the objects on the way. Where an object replaces an object, only the keys that
 * differ are written, so comments and order within it stay too. An equal value changes nothing.
 */
export function setAt(text: string, path: Path, value: unknown): string {
  if (path.length === 0) throw new EditProblem('the whole file is never replaced', path);
  return write(text, path, asJson(value, path));
}

/** The value as it will be read back; what JSON would drop or change in silence is refused. */
function asJson(value: unknown, path: Path): unknown {
  try {
    const json = JSON.stringify(value, (_, item: unknown) => {
      if (
        ['function', 'symbol', 'bigint'].includes(typeof item) ||
        (typeof item === 'number' && !Number.isFinite(item))
      )
        throw new Error(`${typeof item === 'number' ? String(item) : `a ${typeof item}`} cannot be saved`);
      return item;
    }) as string | undefined;
    if (json !== undefined) return JSON.parse(json);
  } catch (error) {
    throw new EditProblem((error as Error).message.split('\n')[0]!, path);
  }
  throw new EditProblem('undefined cannot be saved', path);
}

/** Removes what stands at `path` with its comma; comments around it stay. The same text if nothing stands there. */
export function removeAt(text: string, path: Path): string {
  const key = path.at(-1);
  const parent = find(parseTree(text), path.slice(0, -1));
  if (key === undefined || parent === undefined || childAt(parent, key) === undefined) return text;
  const container = parent as JsonContainer;
  const place = typeof key === 'number' ? key : container.index!.get(key)!;
  return collapse(removeChild(text, container, place), path.slice(0, -1));
}

function find(root: JsonNode, path: Path): JsonNode | undefined {
  let node: JsonNode | undefined = root;
  for (const segment of path) node = node && childAt(node, segment)?.value;
  return node;
}

function write(text: string, path: Path, value: unknown): string {
  const root = parseTree(text);
  let node = root;
  for (const [i, segment] of path.entries()) {
    const child = childAt(node, segment);
    if (child !== undefined) node = child.value;
    else return insert(text, root, node, path, i, value);
  }
  const old = toValue(node);
  if (isEqual(old, value)) return text;
  if (!isObject(old) || !isObject(value))
    return splice(text, node.start, node.end, print(value, lineIndent(text, node.start), unitOf(text, root), text));
  let out = text;
  for (const key of Object.keys(old)) if (!Object.hasOwn(value, key)) out = removeAt(out, [...path, key]);
  for (const key of Object.keys(value)) out = write(out, [...path, key], value[key]);
  return out;
}

/** `node` has no child `path[depth]` yet. */
function insert(text: string, root: JsonNode, node: JsonNode, path: Path, depth: number, value: unknown): string {
  const key = path[depth]!;
  const isItem = typeof key === 'number';
  if (node.type !== (isItem ? 'array' : 'object') || (isItem && key !== node.children.length))
    throw new EditProblem(
      node.type === 'array' && isItem
        ? `the array has only ${node.children.length} items`
        : `what stands here is no ${isItem ? 'array' : 'object'}`,
      path.slice(0, depth),
    );
  let whole = value;
  for (const segment of path.slice(depth + 1).reverse()) {
    if (typeof segment === 'number') throw new EditProblem('there is no array here yet', path);
    whole = Object.defineProperty({}, segment, { value: whole, enumerable: true });
  }
  const head = isItem ? '' : `${JSON.stringify(key)}: `;
  return insertChild(text, node, (indent) => head + print(whole, indent, unitOf(text, root), text), unitOf(text, root));
}

function insertChild(
  text: string,
  node: JsonContainer,
  content: (indent: string | undefined) => string,
  unit: string,
): string {
  const inside = text.slice(node.start + 1, node.end - 1);
  const last = node.children.at(-1);
  const trailing = last?.comma !== undefined;
  if (last !== undefined && !/[\r\n]/.test(inside)) {
    const at = last.comma === undefined ? last.value.end : last.comma + 1;
    return splice(text, at, at, `${trailing ? '' : ','} ${content(undefined)}${trailing ? ',' : ''}`);
  }
  const eol = eolOf(text);
  const outer = lineIndent(text, node.start);
  const indent = last !== undefined && startsLine(text, last.start) ? lineIndent(text, last.start) : outer + unit;
  // After the last comment: to its line's end if nothing follows there, since a line comment ends with its line.
  const used = node.start + 1 + inside.trimEnd().length;
  const lineEnd = endOfLine(text, used);
  const closesBelow = lineEnd < node.end - 1;
  const at = closesBelow ? lineEnd : used;
  const added = `${eol}${indent}${content(indent)}${trailing ? ',' : ''}`;
  const out = closesBelow ? splice(text, at, at, added) : splice(text, at, node.end - 1, added + eol + outer);
  return last !== undefined && !trailing ? splice(out, last.value.end, last.value.end, ',') : out;
}

function removeChild(text: string, container: JsonContainer, place: number): string {
  const child = container.children[place]!;
  const isLast = place === container.children.length - 1;
  let out = text;
  let end = child.value.end;
  if (child.comma !== undefined) {
    if (/^[ \t]*$/.test(text.slice(end, child.comma))) end = child.comma + 1;
    else out = splice(out, child.comma, child.comma + 1, '');
  }
  const [from, to] = withSpace(out, child.start, end, isLast);
  out = splice(out, from, to, '');
  // The last one without a comma of its own leaves the comma before it hanging.
  const before = container.children[place - 1]?.comma;
  return child.comma === undefined && before !== undefined ? splice(out, before, before + 1, '') : out;
}

/** What goes with a removed stretch: its whole line if nothing else stands there, else the spaces on one side. */
function withSpace(text: string, start: number, end: number, isLast: boolean): [number, number] {
  const lineEnd = endOfLine(text, end);
  const alone = startsLine(text, start) && text.slice(end, lineEnd).trim() === '';
  if (alone) return [lineStart(text, start), lineEnd + (text.startsWith('\r\n', lineEnd) ? 2 : 1)];
  let from = start;
  let to = end;
  if (isLast && !startsLine(text, start)) while (text[from - 1] === ' ' || text[from - 1] === '\t') from--;
  else while (text[to] === ' ' || text[to] === '\t') to++;
  return [from, to];
}

/** `{}` rather than an empty pair of lines. */
function collapse(text: string, path: Path): string {
  const node = find(parseTree(text), path);
  if (node === undefined || node.type === 'scalar' || node.children.length > 0) return text;
  return text.slice(node.start + 1, node.end - 1).trim() === '' ? splice(text, node.start + 1, node.end - 1, '') : text;
}

/** JSON in the file's own style; on one line where there is no indent. */
function print(value: unknown, indent: string | undefined, unit: string, text: string): string {
  if (indent !== undefined) return JSON.stringify(value, null, unit).replaceAll('\n', eolOf(text) + indent);
  if (Array.isArray(value)) return `[${value.map((item) => print(item, indent, unit, text)).join(', ')}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const fields = Object.keys(value).map((key) => `${JSON.stringify(key)}: ${print(value[key], indent, unit, text)}`);
  return fields.length === 0 ? '{}' : `{ ${fields.join(', ')} }`;
}

function unitOf(text: string, root: JsonNode): string {
  const first = root.type === 'scalar' ? undefined : root.children[0];
  return (first !== undefined && startsLine(text, first.start) && lineIndent(text, first.start)) || '  ';
}

function eolOf(text: string): string {
  return text.includes('\r\n') ? '\r\n' : '\n';
}

function lineStart(text: string, at: number): number {
  let start = at;
  while (start > 0 && text[start - 1] !== '\n' && text[start - 1] !== '\r') start--;
  return start;
}

function endOfLine(text: string, at: number): number {
  let end = at;
  while (end < text.length && text[end] !== '\n' && text[end] !== '\r') end++;
  return end;
}

function lineIndent(text: string, at: number): string {
  return /^[ \t]*/.exec(text.slice(lineStart(text, at), at))![0];
}

function startsLine(text: string, at: number): boolean {
  return text.slice(lineStart(text, at), at).trim() === '';
}

function splice(text: string, from: number, to: number, content: string): string {
  return text.slice(0, from) + content + text.slice(to);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isEqual(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => isEqual(item, b[i]));
  if (!isObject(a) || !isObject(b)) return a === b;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && isEqual(a[key], b[key]));
}
