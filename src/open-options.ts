/** Knows what a store is opened with, and refuses what it does not know. */

import type { Clock } from './_util/clock.js';
import { type AskHandlers, checkHandlers, HANDLER_KEYS } from './asking.js';
import type { ServiceConfig } from './config/definition.js';
import type { Inputs } from './configured.js';
import type { OnAuthorize } from './connection/auth.js';
import { StoreError } from './errors.js';
import type { Logger } from './events.js';
import { asObject, checkPerformance, refuseUnknown } from './option-rules.js';
import type { PerformanceOptions } from './options.js';

export interface OpenOptions extends AskHandlers {
  /** Path of an `mcp.json`. With neither this nor `services`: the user's own, `~/.mcpstore/mcp.json`, if it is there. */
  config?: string;
  /** Services in code, in the shape of `mcpServers`; `{ server }` is an MCP server object in this process. */
  services?: Record<string, ServiceConfig>;
  performance?: PerformanceOptions;
  /** `'lazy'` (default): a service starts at its first use. `'eager'`: all start now, behind. */
  start?: 'lazy' | 'eager';
  /** Where the store keeps what it remembers. Default: the platform's state folder; `null`: nothing on disk. */
  stateDir?: string | null;
  /** Answers `${input:id}` of the configuration. */
  inputs?: Inputs;
  /** `${workspaceFolder}`. Default: the folder of the configuration file. */
  workspaceFolder?: string;
  /** What `${VAR}` stands for. Default: `process.env`. */
  env?: Readonly<Record<string, string | undefined>>;
  /** Take changes of the configuration file over while running. Default true. */
  watch?: boolean;
  /**
   * Shows a person where to sign in, when a service demands it (OAuth). Without it such a service is `AUTH_REQUIRED`
   * until `mcpstore auth login`, or `auth.login` of the store.
   */
  onAuthorize?: OnAuthorize;
  /** Any logger of pino's shape. Default: silent. */
  logger?: Logger;
  /** @internal Where time and randomness come from. */
  clock?: Clock;
}

const OPEN_KEYS = [
  'config',
  'services',
  'performance',
  'start',
  'stateDir',
  'inputs',
  'workspaceFolder',
  'env',
  'watch',
  'onAuthorize',
  'logger',
  'clock',
  ...HANDLER_KEYS,
];

/** The error of a value that is none, by its path. */
export function bad(path: string, expected: string): StoreError {
  return new StoreError('OPTION_INVALID', `${path}: expected ${expected}`, { figures: { path } });
}

/** Throws `OPTION_INVALID` with the path of the first bad or unknown option. */
export function checkOpen(options: OpenOptions): void {
  refuseUnknown(asObject(options, 'options'), OPEN_KEYS, '');
  const { config, services, performance, start, stateDir, workspaceFolder, watch, logger, clock } = options;
  if (config !== undefined && typeof config !== 'string') throw bad('config', 'the path of a file');
  if (services !== undefined) asObject(services, 'services');
  if (performance !== undefined) checkPerformance(performance);
  if (start !== undefined && start !== 'lazy' && start !== 'eager') throw bad('start', '"lazy" or "eager"');
  if (stateDir !== undefined && stateDir !== null && typeof stateDir !== 'string')
    throw bad('stateDir', 'the path of a folder, or null');
  if (workspaceFolder !== undefined && typeof workspaceFolder !== 'string')
    throw bad('workspaceFolder', 'the path of a folder');
  if (typeof options.inputs !== 'function') checkStrings(options.inputs, 'inputs', 'a function');
  checkStrings(options.env, 'env');
  checkHandlers(options);
  const { onAuthorize } = options;
  if (onAuthorize !== undefined && typeof onAuthorize !== 'function') throw bad('onAuthorize', 'a function');
  if (watch !== undefined && typeof watch !== 'boolean') throw bad('watch', 'true or false');
  checkMethods(logger, 'logger', ['debug', 'info', 'warn', 'error']);
  checkMethods(clock, 'clock', ['now', 'wall', 'after', 'random']);
}

function checkStrings(value: unknown, path: string, other?: string): void {
  if (value === undefined) return;
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw bad(path, `an object of strings${other === undefined ? '' : ` or ${other}`}`);
  for (const [key, item] of Object.entries(value))
    if (item !== undefined && typeof item !== 'string') throw bad(`${path}.${key}`, 'a string');
}

function checkMethods(value: unknown, path: string, names: readonly string[]): void {
  if (value === undefined) return;
  if (typeof value !== 'object' || value === null) throw bad(path, `an object with ${names.join(', ')}`);
  for (const name of names)
    if (typeof (value as Record<string, unknown>)[name] !== 'function') throw bad(`${path}.${name}`, 'a function');
}
