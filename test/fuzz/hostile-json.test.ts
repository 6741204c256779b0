/** A1, A9, F22: what servers answer and callers pass, through every real channel: nothing crashes, nothing is polluted. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type CallToolResult, isStoreError, MCPStore } from '../../src/index.js';
import { afterwards, cleanUp, temporaryPath, textIn } from '../support/harness.js';
import { failure } from '../support/waiting.js';

const SERVER = fileURLToPath(new URL('hostile-server.mjs', import.meta.url));
const CHANNELS = ['stdio', 'json', 'sse'] as const;
const deepText = (levels: number): string => `{"content":[],"x":${'['.repeat(levels)}${']'.repeat(levels)}}`;

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

let store: MCPStore;
const undo: (() => unknown)[] = [];

beforeAll(async () => {
  const urlOf = async (mode: string): Promise<string> => {
    const child = fork(SERVER, [mode]);
    undo.push(() => child.kill('SIGKILL'));
    const [{ port }] = (await once(child, 'message')) as [{ port: number }];
    return `http://127.0.0.1:${port}/mcp`;
  };
  const stdio = { command: process.execPath, args: [SERVER, 'stdio'] };
  const services = { stdio, json: { url: await urlOf('json') }, sse: { url: await urlOf('sse') }, neighbour: stdio };
  store = await MCPStore.open({ services, stateDir: null, performance: { resultCache: { enabled: true } } });
});
afterAll(async () => {
  await store.close({ drainMs: 0 });
  for (const fn of undo) fn();
});

const say = (channel: string, result: string | Uint8Array, tool = 'say'): Promise<CallToolResult> =>
  store.callTool(`${channel}__${tool}`, { result: Buffer.from(result).toString('base64') }, { timeoutMs: 60_000 });

/** The channel still works, and so does another service. */
async function allWell(channel: string): Promise<void> {
  for (const service of [channel, 'neighbour'])
    expect(textIn(await store.callTool(`${service}__say`, { n: 1 }))).toBe('say');
  expect(Object.keys(Object.prototype)).toEqual([]);
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
}

describe.each(CHANNELS)('%s: a result', (channel) => {
  it('A9: of 100,000 levels is given as it is, or refused with a type', async () => {
    const result = (await say(channel, deepText(1e5))) as Record<string, unknown>;
    let levels = 0;
    for (let at = result['x']; at !== undefined; at = (at as unknown[])[0]) levels++;
    expect(levels).toBe(1e5);
    await allWell(channel);
  });

  it('A9: of 100,000 levels that would be cached', async () => {
    const outcome = await say(channel, deepText(1e5), 'kept').catch((error: unknown) => error);
    if (outcome instanceof Error) expect(isStoreError(outcome), String(outcome.stack)).toBe(true);
    await allWell(channel);
  });

  it('A1: with names of JavaScript pollutes nothing and loses nothing', async () => {
    const raw =
      '{"content":[],"__proto__":{"polluted":1},"structuredContent":{"__proto__":{"polluted":2},"constructor":{"prototype":{"polluted":3}},"toString":1}}';
    for (const tool of ['say', 'kept']) {
      const result = await say(channel, raw, tool);
      expect(JSON.stringify(result)).toBe(raw);
      expect((result as Record<string, unknown>)['polluted']).toBeUndefined();
    }
    await allWell(channel);
  });

  it('with huge numbers, keys that stand twice and halves of surrogate pairs', async () => {
    const raw =
      '{"content":[],"a":1e400,"b":-1e400,"c":9007199254740993,"d":1e-400,"e":"\\ud800","e":"\\udc00x","f":-0}';
    expect(await say(channel, raw)).toEqual(JSON.parse(raw));
    await allWell(channel);
  });

  it('that is no UTF-8 has the replacement character in place of what is none', async () => {
    const bytes = Buffer.from('{"content":[{"type":"text","text":"a\xff\xc3(\xed\xa0\x80b"}]}', 'latin1');
    expect(textIn(await say(channel, bytes))).toMatch(/^a\uFFFD+\(\uFFFD+b$/);
    await allWell(channel);
  });

  it('that is any JSON, or none, settles its own call', async () => {
    const value = fc.oneof(
      fc.json(),
      fc.json().map((text) => text.slice(0, -1)),
      fc.constantFrom(
        '',
        '{',
        '[]',
        '"x"',
        'null',
        '{"content":5}',
        '{"isError":true}',
        '{"content":[null]}',
        '{"_meta":7}',
      ),
      fc.uint8Array({ maxLength: 40, size: 'max' }).map((bytes) => Buffer.from(bytes).filter((byte) => byte !== 10)),
    );
    await fc.assert(
      fc.asyncProperty(value, async (result) => {
        const call = store.callTool(
          `${channel}__say`,
          { result: Buffer.from(result as string).toString('base64') },
          { timeoutMs: 300 },
        );
        await call.catch((error: unknown) => {
          if (!isStoreError(error)) throw error;
          // What is no message at all cannot be told from silence.
          expect(['PROTOCOL_ERROR', 'TIMEOUT', 'OUTCOME_UNKNOWN', 'SERVICE_DOWN', 'CONNECT_FAILED']).toContain(
            error.code,
          );
        });
      }),
      { seed: 5, numRuns: 30 },
    );
    await store.restartService(channel, { drainMs: 0 });
    await allWell(channel);
  });
});

describe.each(CHANNELS)('%s: arguments', (channel) => {
  it.each([
    '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"toString":null}',
    '{"a":"\\ud800","b":"\\u2028\\u2029\\u0000","":[],"c":1.7976931348623157e+308}',
    '{"method":"x","id":"c1","jsonrpc":"1","_meta":{"progressToken":1}}',
  ])('A1: arrive untouched: %s', async (text) => {
    expect(textIn(await store.callTool(`${channel}__hear`, JSON.parse(text)))).toBe(JSON.stringify(JSON.parse(text)));
    await allWell(channel);
  });

  it('A9: of 100,000 levels are refused and never sent, without a stack overflow', async () => {
    let deep: unknown = {};
    for (let i = 0; i < 1e5; i++) deep = [deep];
    const error = await failure(store.callTool(`${channel}__hear`, { deep }));
    expect(error).toMatchObject({ code: 'ARGUMENTS_INVALID', executed: 'no' });
    await allWell(channel);
  });
});

it('A9: a result of a million keys comes whole over stdio', async () => {
  const keys = Array.from({ length: 1e6 }, (_, i) => `"${i.toString(36)}":1`);
  const before = process.memoryUsage().rss;
  const result = await say('stdio', `{"content":[],"x":{${keys}}}`);
  expect(Object.keys((result as Record<string, object>)['x']!)).toHaveLength(1e6);
  expect(process.memoryUsage().rss - before).toBeLessThan(600 * 1024 * 1024);
  await allWell('stdio');
});

describe('F22: a list of hostile tools', () => {
  const evil = [
    '\u001b[2J\u001b]0;x\u0007',
    '\u202Eevil',
    'a\r\nb',
    '__proto__',
    'constructor',
    'x'.repeat(300),
    '\0',
    '../../x',
    '💥',
  ];
  const items = (): string => {
    const levels = 1e5;
    const deep = `{"name":"deep","inputSchema":{"type":"object","x":${'['.repeat(levels)}${']'.repeat(levels)}}}`;
    const wide = `{"name":"wide","inputSchema":{"type":"object","properties":{${Array.from({ length: 1e5 }, (_, i) => `"p${i}":{}`)}}}}`;
    const odd = [
      ...evil.map((name) => ({ name, description: `\u001b[31m${name}`, inputSchema: { type: 'object' } })),
      { name: 'redos', inputSchema: { type: 'object', properties: { a: { type: 'string', pattern: '^(a+)+$' } } } },
      { name: 'remote', inputSchema: { $ref: 'http://127.0.0.1:1/schema.json' } },
      { name: 5 },
      { name: '' },
      { name: 'bare' },
      { name: 'bad', inputSchema: 'text', annotations: 7, _meta: [] },
    ];
    return `${deep},${wide},null,[],7,${JSON.stringify(odd).slice(1, -1)}`;
  };

  it('leaves the good ones usable, each under a valid name of its own, and blocks what nobody can work with', async () => {
    const file = temporaryPath('tools');
    writeFileSync(file, items());
    const services = { h: { command: process.execPath, args: [SERVER, 'stdio', file] } };
    const own = await MCPStore.open({ services, stateDir: null });
    afterwards(() => own.close({ drainMs: 0 }));
    const tools = await own.listTools({ timeoutMs: 60_000 });
    expect(tools.map((tool) => tool.tool)).toEqual(['say', 'hear', 'kept', ...evil, 'redos', 'remote', 'bare', 'bad']);
    expect(new Set(tools.map((tool) => tool.name)).size).toBe(tools.length);
    for (const tool of tools) {
      expect(tool.name).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
      expect(textIn(await own.callTool(tool.name, {}))).toBe(tool.tool === 'hear' ? '{}' : tool.tool);
    }
    for (const name of ['h__deep', 'deep', 'h__wide'])
      expect(await failure(own.callTool(name)), name).toMatchObject({
        code: 'TOOL_BLOCKED',
        executed: 'no',
        service: 'h',
      });
    const check = { validateArguments: true };
    expect(await failure(own.callTool('h__redos', { a: `${'a'.repeat(40)}!` }, check))).toMatchObject({
      code: 'TOOL_BLOCKED',
      executed: 'no',
    });
    expect(textIn(await own.callTool('h__remote', { a: 1 }, check))).toBe('remote');
    await cleanUp();
  });
});
