/** Each way in which a start fails says which it was: what to repair is in the words. */

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ServiceConfig } from '../../src/index.js';
import { cleanUp, openStore, scripted, temporaryPath } from '../support/harness.js';
import { failure } from '../support/waiting.js';

vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });
afterEach(cleanUp);

function file(text: string, mode: number): string {
  const path = temporaryPath('program');
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

const folder = (): string => {
  const path = temporaryPath('folder');
  mkdirSync(path);
  return path;
};

const error = '{"jsonrpc":"2.0","id":0,"error":{"code":-32002,"message":"the licence has expired"}}';
const node = process.execPath;

describe('F2, F3, F4: what failed is told apart', () => {
  it.each<[string, () => ServiceConfig, string, RegExp, Record<string, unknown>]>([
    [
      'no such command',
      () => ({ command: 'no-such-mcp-server' }),
      'SPAWN_FAILED',
      /: command not found$/,
      { errno: 'ENOENT' },
    ],
    [
      'no such path',
      () => ({ command: '/nowhere/server' }),
      'SPAWN_FAILED',
      /: command not found$/,
      { errno: 'ENOENT' },
    ],
    [
      'not executable',
      () => ({ command: file('#!/bin/sh\n', 0o644) }),
      'SPAWN_FAILED',
      /: not executable$/,
      { errno: 'EACCES' },
    ],
    ['a folder', () => ({ command: folder() }), 'SPAWN_FAILED', /: not executable$/, { errno: 'EACCES' }],
    [
      'no such interpreter',
      () => ({ command: file('#!/nowhere/python3\n', 0o755) }),
      'SPAWN_FAILED',
      /: the file is there, but not the program that it names in its first line$/,
      { errno: 'ENOENT' },
    ],
    [
      'no such working folder',
      () => ({ command: node, cwd: '/nowhere/at/all' }),
      'SPAWN_FAILED',
      /: the working folder \/nowhere\/at\/all does not exist$/,
      { errno: 'ENOENT' },
    ],
    [
      'a working folder that is a file',
      () => ({ command: node, cwd: file('', 0o644) }),
      'SPAWN_FAILED',
      /: the working folder \/.* is no folder$/,
      {},
    ],
    [
      'no such command, in a working folder that is there',
      () => ({ command: 'no-such-mcp-server', cwd: folder() }),
      'SPAWN_FAILED',
      /: command not found$/,
      { errno: 'ENOENT' },
    ],
    [
      'an end before it answers',
      () => scripted({ exitAtStart: { code: 78, stderr: 'API_KEY is not set' } }),
      'START_FAILED',
      /the server exited with code 78; stderr: API_KEY is not set$/,
      {},
    ],
    [
      'a signal',
      () => ({ command: 'sh', args: ['-c', 'kill -9 $$'] }),
      'START_FAILED',
      /the server ended by SIGKILL$/,
      {},
    ],
    [
      'silence',
      () => ({ command: 'sh', args: ['-c', 'echo waiting for the database >&2; exec sleep 60'] }),
      'START_FAILED',
      /within 1000 ms \(the process runs but does not answer initialize\); stderr: waiting for the database$/,
      { timeoutMs: 1_000 },
    ],
    [
      'an answer that is an error',
      () => ({ command: 'sh', args: ['-c', `read line; echo '${error}'; exec cat`] }),
      'START_FAILED',
      /the licence has expired$/,
      { retryable: false },
    ],
  ])('%s', async (_, config, code, message, figures) => {
    const connectionTimeoutMs = (figures['timeoutMs'] as number | undefined) ?? 20_000;
    const mcpstore = { connectionPool: { connectionTimeoutMs, maxRetries: 0 } };
    const store = await openStore({ services: { a: { ...config(), mcpstore } } });
    const failed = await failure(store.callTool('a__echo', { text: 'x' }));
    expect(failed).toMatchObject({ code, executed: 'no', service: 'a', figures });
    expect(failed.message).toMatch(message);
    if (code === 'SPAWN_FAILED') {
      expect(failed.figures?.['retryable']).toBe(false);
      // Not tried again: it fails fast, in the same words.
      expect(store.serviceInfo('a').status).toBe('failed');
      expect((await failure(store.callTool('a__echo', { text: 'x' }))).message).toBe(failed.message);
    }
  });
});
