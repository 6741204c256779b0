/** Knows how text becomes a checked document, and how a problem gets its file, line and column. */

import { readBounded } from '../_util/read-file.js';
import { StoreError } from '../errors.js';
import type { ConfigDocument, ForeignKey, ServiceConfig } from './definition.js';
import { configInvalid, fileFailed } from './failures.js';
import {
  formatPath,
  type JsonNode,
  JsonSyntaxError,
  Lines,
  offsetOf,
  type Path,
  parseTree,
  toValue,
} from './json-tree.js';
import { nameProblem } from './names.js';
import { checkMemory } from './reach.js';
import { checkDocument, checkService, type Fail } from './schema.js';

/** A config is kilobytes; beyond this it is something else, and would only fill memory. */
const MAX_CONFIG_BYTES = 16 * 1024 * 1024;

/**
 * Reads and checks the text of an `mcp.json`. Variables stay as they are; see `expandService`.
 * @param file - for messages only
 * @throws StoreError `CONFIG_INVALID` with file, line, column and field; the whole document is refused.
 */
export function parseConfig(text: string, file?: string): ConfigDocument {
  if (text.length > MAX_CONFIG_BYTES) throw tooLarge(file);
  const body = withoutMark(text);
  const lines = new Lines(body);
  const tree = parse(body, file, lines);
  const fail: Fail = (path, message, hint) =>
    configInvalid({ file, path, ...lines.at(offsetOf(tree, path)) }, message, { hint });
  const foreign: ForeignKey[] = [];
  const checked = checkDocument(toValue(tree), fail, (path, why) =>
    foreign.push({ path: formatPath(path), line: lines.at(offsetOf(tree, path)).line, why }),
  );
  return { file, text, ...checked, foreign };
}

/**
 * @throws StoreError `FILE_FAILED` if it cannot be read, `CONFIG_INVALID` if it is no config; an empty file is none.
 */
export async function loadConfig(file: string): Promise<ConfigDocument> {
  return parseConfig(await readConfigText(file), file);
}

/** The text of a config file, refused rather than damaged where it is not UTF-8. */
export async function readConfigText(file: string): Promise<string> {
  let bytes: Buffer | undefined;
  try {
    bytes = await readBounded(file, MAX_CONFIG_BYTES);
  } catch (error) {
    throw fileFailed(file, 'read', error);
  }
  if (bytes === undefined) throw tooLarge(file);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw configInvalid({ file, path: [], line: undefined, column: undefined }, 'this is not UTF-8 text', {
      hint: 'Save the file as UTF-8.',
      cause,
    });
  }
}

/**
 * Checks one service that code gives, in the shape of `mcp.json`; `{ server }` is an MCP server object.
 * @throws StoreError `OPTION_INVALID` with the path of the first problem.
 */
export function checkServiceConfig(name: string, value: unknown, path: Path = ['services', name]): ServiceConfig {
  const fail: Fail = (at, message, hint) =>
    new StoreError('OPTION_INVALID', `${formatPath(at)}: ${message}`, {
      service: name,
      figures: { path: formatPath(at) },
      hint,
    });
  const problem = nameProblem(name);
  if (problem !== undefined) throw fail(path, problem);
  const server = (value as ServiceConfig | null | undefined)?.server;
  if (server === undefined) return checkService(value, path, fail, () => {});
  const { server: _, ...rest } = value as ServiceConfig;
  if (server === null || (typeof server !== 'object' && typeof server !== 'function'))
    throw fail([...path, 'server'], 'expected an MCP server object, or a function that makes one');
  for (const key of ['command', 'url', 'type'])
    if (rest[key] !== undefined) throw fail([...path, key], 'does not go with "server"');
  // Everything else that a service may say has the same rules, so it is checked as if it had a command.
  checkService({ ...rest, command: 'server' }, path, fail, () => {});
  checkMemory(rest as ServiceConfig, path, fail);
  return value as ServiceConfig;
}

/** Line and column of `path` in a document, both from 1. Reads the text again: only errors need it. */
export function locate(document: ConfigDocument, path: Path): { line: number; column: number } {
  const body = withoutMark(document.text);
  return new Lines(body).at(offsetOf(parseTree(body), path));
}

/** Editors on Windows put a byte-order mark in front; it belongs to the text, not to the JSON. */
export function withoutMark(text: string): string {
  return text.startsWith('\uFEFF') ? text.slice(1) : text;
}

function parse(body: string, file: string | undefined, lines: Lines): JsonNode {
  try {
    return parseTree(body);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    const empty = body.trim() === '';
    throw configInvalid({ file, path: error.path, ...lines.at(error.offset) }, error.message, {
      hint: empty ? 'Write { "mcpServers": {} } into it, or delete it.' : undefined,
    });
  }
}

function tooLarge(file: string | undefined): StoreError {
  return configInvalid(
    { file, path: [], line: undefined, column: undefined },
    `larger than ${MAX_CONFIG_BYTES / 1024 / 1024} MiB; this is no config`,
  );
}
