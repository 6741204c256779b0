/** Every error code with a real command that ends in it: the exit code of the table, and a hint of one line. */

import { writeFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ERROR_CODES, type ErrorCode } from '../../src/index.js';
import { configOf, EVERYTHING, inFolder, run, useCommandLine } from '../support/command-line.js';
import { scripted } from '../support/harness.js';
import { type Fault, HttpTestServer } from '../support/http-server.js';

useCommandLine();

/** Reserved for what is to come; ends of a whole run, which `cli-signals.test.ts` shows; the batch below. */
const ELSEWHERE: ErrorCode[] = ['FLOW_INVALID', 'TOOL_BLOCKED', 'CANCELLED', 'STORE_CLOSED', 'LIMIT_EXCEEDED'];

/** A call of a server over HTTP whose answers to `method` have this fault. */
async function faulty(method: string, fault: Fault): Promise<string[]> {
  const server = await HttpTestServer.start();
  onTestFinished(() => server.close());
  server.fail(method, fault, 100);
  return ['call', server.url.href, 'echo'];
}

async function closedPort(): Promise<string> {
  const server = await HttpTestServer.start();
  await server.close();
  return server.url.href;
}

const status = (code: number): Fault => ({ kind: 'status', status: code, body: 'no' });

/** What ends in each code. */
const CASES: Partial<Record<ErrorCode, () => string[] | Promise<string[]>>> = {
  CONFIG_INVALID: () => ['call', 's', 'echo', ...configOf({ s: { command: '${NOT_SET_ANYWHERE}' } })],
  OPTION_INVALID: () => ['list', '--no-such-option'],
  ARGUMENTS_INVALID: () => ['call', '--stdio', EVERYTHING, 'echo', '--validate'],
  NOT_TRUSTED: () => {
    writeFileSync(inFolder('mcp.json'), '{ "mcpServers": { "theirs": { "command": "x" } } }');
    return ['list'];
  },
  SERVICE_UNKNOWN: () => ['call', 'nope', 'echo'],
  TOOL_UNKNOWN: () => ['call', '--stdio', EVERYTHING, 'ecko'],
  TOOL_AMBIGUOUS: () => ['call', 'echo', ...configOf({ a: scripted(), b: scripted() })],
  SERVICE_EXISTS: () => ['add', 's', ...configOf({ s: { command: 'x' } }), '--', 'y'],
  SPAWN_FAILED: () => ['call', '--stdio', 'no-such-command', 'echo'],
  START_FAILED: () => [
    'call',
    's',
    'echo',
    ...configOf({ s: scripted({ exitAtStart: { code: 3, stderr: 'no licence' } }) }),
  ],
  CONNECT_FAILED: async () => ['call', await closedPort(), 'echo'],
  SERVICE_DOWN: () => ['call', 's', 'echo', ...configOf({ s: scripted({}, { disabled: true }) })],
  TOOL_ERROR: () => ['call', '--stdio', EVERYTHING, 'echo'],
  RPC_ERROR: () => ['prompt', 'get', '--stdio', EVERYTHING, 'nope'],
  TIMEOUT: () => ['call', 's', 'hang', '--timeout-ms', '3000', ...configOf({ s: scripted() })],
  RATE_LIMITED: () => faulty('tools/call', status(429)),
  AUTH_REQUIRED: () => faulty('initialize', status(401)),
  FORBIDDEN: () => faulty('tools/call', status(403)),
  OUTCOME_UNKNOWN: () => ['call', 's', 'exit', 'code:=7', ...configOf({ s: scripted() })],
  PROTOCOL_ERROR: () => faulty('tools/call', { kind: 'body', contentType: 'text/html', body: '<html>' }),
  MESSAGE_TOO_LARGE: () => [
    'call',
    's',
    'huge',
    `bytes:=${12 * 1024 * 1024}`,
    'id=first',
    ...configOf({ s: scripted() }),
  ],
  FILE_FAILED: () => ['list', '--config', 'missing.json'],
};

describe('an exit code', () => {
  it('is tested for every error code', () => {
    expect([...Object.keys(CASES), ...ELSEWHERE].sort()).toEqual(Object.keys(ERROR_CODES).sort());
  });

  it.each(Object.entries(CASES))('of %s is that of the table', async (code, args) => {
    // A slow machine would add that it is still starting.
    const failed = await run(['--quiet', ...(await args())]);
    expect(failed).toMatchObject({
      code: ERROR_CODES[code as ErrorCode].exit,
      stderr: expect.stringMatching(`^error ${code}: `),
    });
    expect(failed.stderr).toMatch(/^error [A-Z_]+: .+\n( {2}stderr \| .*\n)*hint: .{10,}\n$/);
  });

  it('of LIMIT_EXCEEDED is that of the table, where a batch floods a service', async () => {
    const performance = { calls: { maxConcurrentCalls: 1, queueLimit: 1 } };
    const where = configOf({ s: scripted() }, { performance });
    const input = '{"tool":"s__sleep","arguments":{"ms":500}}\n'.repeat(3);
    const done = await run(['batch', '-', ...where], { input });
    expect(done.code).toBe(ERROR_CODES.LIMIT_EXCEEDED.exit);
    const bad = done.stdout.split('\n').filter((line) => line.includes('LIMIT_EXCEEDED'));
    expect(bad).toHaveLength(1);
    expect(JSON.parse(bad[0]!)).toMatchObject({ status: 'not_sent', error: { hint: expect.stringMatching(/.{10,}/) } });
  });
});
