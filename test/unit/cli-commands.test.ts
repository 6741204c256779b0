/** Which command a command line means, before anything is loaded; what the help and the hints say. */

import { describe, expect, it } from 'vitest';
import { parseCalls } from '../../src/cli/commands/batch.js';
import { COMMANDS, commandOf, helpOf } from '../../src/cli/commands.js';
import { failureOf, hintOf, withoutTail } from '../../src/cli/failure.js';
import { serviceOf } from '../../src/cli/target.js';
import { ERROR_CODES, type ErrorCode, StoreError } from '../../src/errors.js';

describe('the command of a command line', () => {
  it.each([
    ['list --json', { kind: 'command', name: 'list', args: ['--json'] }],
    ['--config a.json --json list', { kind: 'command', name: 'list', args: ['--config', 'a.json', '--json'] }],
    ['--config=list get x', { kind: 'command', name: 'get', args: ['--config=list', 'x'] }],
    ['resource read files x', { kind: 'command', name: 'resource read', args: ['files', 'x'] }],
    ['--json resource list', { kind: 'command', name: 'resource list', args: ['--json'] }],
    ['resource --json list', { kind: 'command', name: 'resource list', args: ['--json'] }],
    ['resource', { kind: 'help', group: 'resource' }],
    ['help resource', { kind: 'help', group: 'resource' }],
    ['help call', { kind: 'command', name: 'call', args: ['--help'] }],
    ['help resource list', { kind: 'command', name: 'resource list', args: ['--help'] }],
    ['', { kind: 'help', group: undefined }],
    ['--help', { kind: 'help', group: undefined }],
    ['version', { kind: 'version', json: false }],
    ['--version', { kind: 'version', json: false }],
    ['version --json', { kind: 'version', json: true }],
    ['add x -- list', { kind: 'command', name: 'add', args: ['x', '--', 'list'] }],
    ['nope', { kind: 'unknown', words: 'nope', args: [] }],
    ['resource nope', { kind: 'unknown', words: 'resource nope', args: [] }],
    ['--nope', { kind: 'unknown', words: '--nope', args: ['--nope'] }],
  ])('%s', (text, expected) => {
    expect(commandOf(text.split(' ').filter((word) => word !== ''))).toEqual(expected);
  });

  it('is in the help, each of them', () => {
    for (const { usage } of Object.values(COMMANDS)) expect(helpOf(undefined)).toContain(`  ${usage}  `);
    expect(helpOf('config')).toContain('config approve');
    expect(helpOf('config')).not.toContain('resource');
  });
});

describe('failures', () => {
  it('each have a hint of one line, in words of the command line', () => {
    for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
      const hint = hintOf(failureOf(new StoreError(code, 'x')));
      expect(hint, code).toMatch(/^\S.*\S$/);
      expect(hint, code).not.toMatch(/\w\(\)|Service\b/);
    }
  });

  it('are told by their cause where a service was given up', () => {
    const cause = new StoreError('START_FAILED', 'the server exited with code 3', { service: 'a' });
    const failure = failureOf(new StoreError('SERVICE_DOWN', 'a: does not start: …; next try in 9 s', { cause }));
    expect(failure).toMatchObject({ code: 'START_FAILED', exitCode: 5, message: 'a: the server exited with code 3' });
  });

  it('that are none of ours are bugs', () => {
    expect(failureOf(new TypeError('x'))).toMatchObject({ exitCode: 1, message: expect.stringContaining('internal') });
  });

  it('give the last words of a server apart', () => {
    expect(withoutTail('a: exited; stderr: b\nc')).toEqual(['a: exited', 'b\nc']);
  });
});

describe('the lines of a batch', () => {
  it('are calls', () => {
    const text = '\uFEFF{"tool":"a"}\r\n\n{"tool":"b","arguments":{"x":1},"service":"s","cacheKey":"k"}\n';
    expect(parseCalls(text, 'f')).toEqual([
      { tool: 'a' },
      { tool: 'b', arguments: { x: 1 }, service: 's', cacheKey: 'k' },
    ]);
  });

  it.each([
    '{',
    '[]',
    '{}',
    '{"tool":1}',
    '{"tool":"a","args":{}}',
    '{"tool":"a","arguments":[]}',
    '{"tool":"a","service":1}',
  ])('are refused with their number: %s', (line) => {
    expect(() => parseCalls(`{"tool":"a"}\n\n${line}`, 'f.jsonl')).toThrow(
      expect.objectContaining({ exitCode: 2, message: expect.stringMatching(/^f\.jsonl:3: /) }),
    );
  });
});

describe('a service of words and flags', () => {
  const project = { file: '/elsewhere/mcp.json', exists: true, source: 'user' as const };

  it('has a command or a URL', () => {
    expect(serviceOf(['npx', '-y', 'x'], { env: ['A=b=c', 'TOKEN'] }, undefined)).toEqual({
      command: 'npx',
      args: ['-y', 'x'],
      env: { A: 'b=c', TOKEN: '${TOKEN}' },
    });
    expect(serviceOf(['https://h/mcp'], { header: ['X-A: b: c'] }, undefined)).toEqual({
      type: 'http',
      url: 'https://h/mcp',
      headers: { 'X-A': 'b: c' },
    });
  });

  it('runs where it was typed, if it names a relative path', () => {
    expect(serviceOf(['x', './notes'], {}, project).cwd).toBe(process.cwd());
    expect(serviceOf(['x', 'notes'], {}, project).cwd).toBeUndefined();
    const here = { file: `${process.cwd()}/mcp.json`, exists: true, source: 'named' as const };
    expect(serviceOf(['x', './notes'], {}, here).cwd).toBe('.');
  });

  it.each([
    [[], {}],
    [['https://h/', 'more'], {}],
    [['https://h/'], { env: ['A=b'] }],
    [['x'], { header: ['A: b'] }],
    [['x'], { env: ['=b'] }],
    [['https://h/'], { header: ['nocolon'] }],
    [['x'], { timeout: 'soon' }],
  ])('refuses %j %j', (words, flags) => {
    expect(() => serviceOf(words, flags, undefined)).toThrow(expect.objectContaining({ exitCode: 2 }));
  });
});
