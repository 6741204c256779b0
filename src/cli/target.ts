/** Knows how a service is described on the command line: by a URL, or by the words of a command. */

import { dirname, isAbsolute, relative, resolve, sep } from 'node:path';
import type { Command } from 'commander';
import type { FoundConfig, ServiceConfig } from '../index.js';
import { GIVEN } from './given.js';
import type { Wanted } from './inputs.js';
import type { Opened, Run } from './session.js';
import { collect, pairOf, UsageError } from './usage.js';
import { splitWords } from './words.js';

export interface ServiceFlags {
  env?: string[];
  envFile?: string;
  header?: string[];
  cwd?: string;
  type?: string;
  timeout?: string;
  disabled?: boolean;
  trusted?: boolean;
}

export interface TargetFlags extends ServiceFlags {
  stdio?: string;
}

export function isUrl(word: string | undefined): word is string {
  return word !== undefined && /^https?:\/\//i.test(word);
}

/** Flags that say more of a service. */
export function describeService(command: Command): void {
  command
    .option('--env <NAME=VALUE>', "the server's environment; NAME alone hands on your own, as ${NAME}", collect)
    .option('--env-file <file>', 'a file of NAME=VALUE lines')
    .option('--header <Name: value>', 'an HTTP header; may hold ${VAR}', collect)
    .option('--cwd <folder>', 'the folder that the server runs in')
    .option('--type <type>', 'stdio, http or sse');
}

/** Flags of commands that also work on a service that is in no configuration. */
export function describeTarget(command: Command): void {
  command.option('--stdio <command>', 'a server given here: its command line, split without any shell');
  describeService(command);
}

/** The store that a command works on, and the words that are left when its service is known. */
export interface Target extends Opened {
  /** The service, where one was given on the command line. */
  given: string | undefined;
  words: string[];
}

/** Opens a service given by `--stdio` or a URL as the first word, else the configuration. */
export async function openTarget(
  run: Run,
  words: readonly string[],
  flags: TargetFlags,
  wanted: (words: readonly string[]) => Wanted,
): Promise<Target> {
  const url = flags.stdio === undefined && isUrl(words[0]) ? words[0] : undefined;
  if (flags.stdio === undefined && url === undefined) {
    for (const key of ['env', 'envFile', 'header', 'cwd', 'type'] as const)
      if (flags[key] !== undefined)
        throw new UsageError(
          `--${key === 'envFile' ? 'env-file' : key}: goes with a URL or --stdio`,
          'mcpstore update changes a service of the configuration.',
        );
    return { ...(await run.open(wanted(words))), given: undefined, words: [...words] };
  }
  if (run.options.agent !== undefined)
    throw new UsageError('--agent: goes with a configuration, not with a URL or --stdio');
  const config = serviceOf(url === undefined ? splitWords(flags.stdio!) : [url], flags, undefined);
  return { ...(await run.openGiven(config)), given: GIVEN, words: words.slice(url === undefined ? 0 : 1) };
}

/** The definition that words and flags stand for. `found`: the file that it will stand in, for its paths. */
export function serviceOf(
  words: readonly string[],
  flags: ServiceFlags,
  found: FoundConfig | undefined,
): ServiceConfig {
  const [first, ...rest] = words;
  if (first === undefined)
    throw new UsageError(
      'a service needs a URL, or a command after --',
      'Such as: mcpstore add files -- npx -y @modelcontextprotocol/server-filesystem ./notes',
    );
  const more = fieldsOf(flags, found);
  if (isUrl(first)) {
    if (rest.length > 0) throw new UsageError(`after the URL: unexpected "${rest[0]}"`);
    for (const key of ['env', 'envFile', 'cwd'] as const)
      if (more[key] !== undefined)
        throw new UsageError(`--${key === 'envFile' ? 'env-file' : key}: goes with a command, not with a URL`);
    return { ...(more.type === undefined ? { type: 'http' as const } : {}), ...more, url: first };
  }
  if (more.headers !== undefined) throw new UsageError('--header: goes with a URL, not with a command');
  const cwd = more.cwd ?? folderFor(words, found);
  return { command: first, ...(rest.length > 0 && { args: rest }), ...more, ...(cwd !== undefined && { cwd }) };
}

/** What the flags say, in the shape of `mcp.json`. */
export function fieldsOf(flags: ServiceFlags, found: FoundConfig | undefined): ServiceConfig {
  const config: ServiceConfig = {};
  if (flags.type !== undefined) config.type = flags.type as NonNullable<ServiceConfig['type']>;
  if (flags.env !== undefined) config.env = Object.fromEntries(flags.env.map(envOf));
  if (flags.envFile !== undefined) config.envFile = pathIn(flags.envFile, found);
  if (flags.header !== undefined)
    config.headers = Object.fromEntries(flags.header.map((text) => pairOf(text, '--header', ':')));
  if (flags.cwd !== undefined) config.cwd = pathIn(flags.cwd, found);
  if (flags.disabled === true) config.disabled = true;
  if (flags.trusted === true) config.mcpstore = { trusted: true };
  if (flags.timeout !== undefined) {
    const timeout = Number(flags.timeout);
    if (!(timeout > 0)) throw new UsageError('--timeout: expected a number: seconds below 1000, else milliseconds');
    config.timeout = timeout;
  }
  return config;
}

function envOf(text: string): [string, string] {
  if (text.includes('=')) {
    const [name, value] = [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)];
    if (name === '') throw new UsageError('--env: expected NAME=VALUE or NAME');
    return [name, value];
  }
  return [text, `\${${text}}`];
}

/** Paths on the command line mean the working folder; in a file they mean the folder of the file. */
function pathIn(path: string, found: FoundConfig | undefined): string {
  if (path.startsWith('${')) return path;
  const absolute = resolve(path);
  if (found === undefined || found.source === 'user') return absolute;
  const inside = relative(dirname(found.file), absolute);
  return inside.startsWith('..') || isAbsolute(inside) ? absolute : inside === '' ? '.' : inside;
}

/** A command with a relative path means the folder that it was typed in, wherever it is started from later. */
function folderFor(words: readonly string[], found: FoundConfig | undefined): string | undefined {
  const isRelative = (word: string): boolean =>
    word === '.' || word === '..' || ['./', '../', `.${sep}`, `..${sep}`].some((start) => word.startsWith(start));
  return found !== undefined && words.some(isRelative) ? pathIn('.', found) : undefined;
}
