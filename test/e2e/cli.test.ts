/** The built command line as real processes, on real servers: what it prints, how it exits, what it leaves behind. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
// @ts-expect-error: a script of the project, plain JavaScript.
import { build } from '../../scripts/build.mjs';
import { afterwards, cleanUp, scripted, starts, temporaryPath } from '../support/harness.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const { resolve } = createRequire(import.meta.url);
const serverOf = (name: string): string => resolve(`@modelcontextprotocol/server-${name}/dist/index.js`);
const EVERYTHING = `node ${serverOf('everything')}`;

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

let folder: string;
let home: string;

// Each test starts several processes one after another, on machines that may be busy.
vi.setConfig({ testTimeout: 90_000 });
beforeAll(() => build(), 120_000);
beforeEach(() => {
  home = temporaryPath('home');
  folder = temporaryPath('work');
  for (const path of [home, join(folder, 'notes')]) mkdirSync(path, { recursive: true });
  writeFileSync(join(folder, 'notes', 'a.txt'), 'hello\n');
});
afterEach(cleanUp);

function start(args: readonly string[], env: Record<string, string> = {}): ChildProcess {
  const state = { HOME: home, XDG_STATE_HOME: join(home, 'state'), LOCALAPPDATA: home, USERPROFILE: home };
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: folder, env: { ...process.env, ...state, ...env } });
  afterwards(() => child.kill('SIGKILL'));
  return child;
}

function ended(child: ChildProcess): Promise<Ended> {
  const out = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      out[name] += text;
    });
  return new Promise((done) => child.once('close', (code) => done({ code, ...out })));
}

async function run(
  args: readonly string[],
  more: { input?: string; env?: Record<string, string> } = {},
): Promise<Ended> {
  const child = start(args, more.env);
  child.stdin!.end(more.input ?? '');
  return ended(child);
}

const ok = async (...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await run(args);
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
};
const json = async (...args: string[]): Promise<never> => JSON.parse(await ok(...args, '--json')) as never;
const own = (): string => join(home, '.mcpstore', 'mcp.json');
const addFiles = (): Promise<string> => ok('add', 'files', '--', 'node', serverOf('filesystem'), './notes');
const addScripted = (name: string, script: Record<string, unknown> = {}, ...flags: string[]): Promise<string> =>
  ok('add', name, ...flags, '--', process.execPath, ...scripted(script).args!);

describe('a user without any configuration', () => {
  it('adds a service, sees it, uses it, removes it', async () => {
    await addFiles();
    expect(JSON.parse(readFileSync(own(), 'utf8'))).toMatchObject({
      mcpServers: { files: { command: 'node', args: [serverOf('filesystem'), './notes'], cwd: folder } },
    });
    expect(await ok('list')).toMatch(/^files {2}/m);
    expect(await ok('tools', 'files')).toMatch(/^files__read_text_file {2}/m);
    expect(await ok('call', 'files', 'read_text_file', 'path=a.txt')).toBe('hello\n');
    expect(await ok('call', 'files__read_text_file', '--args', '{"path":"a.txt","head":1}')).toBe('hello\n');
    expect(await ok('call', 'read_text_file', 'path=a.txt', 'head=1')).toBe('hello\n');
    const result: { content: unknown } = await json('call', 'files', 'read_text_file', 'path=a.txt');
    expect(result.content).toEqual([{ type: 'text', text: 'hello\n' }]);
    const list: { services: { name: string; tools: number }[] } = await json('list');
    expect(list.services).toEqual([
      expect.objectContaining({ name: 'files', kind: 'stdio', tools: expect.any(Number) }),
    ]);
    await ok('remove', 'files');
    expect(JSON.parse(readFileSync(own(), 'utf8'))).toEqual({ mcpServers: {} });
  });

  it('calls a server that stands in no file', async () => {
    expect(await ok('tools', '--stdio', EVERYTHING)).toMatch(/^echo {2}/m);
    expect(await ok('call', '--stdio', EVERYTHING, 'echo', 'message=a=b')).toBe('Echo: a=b\n');
    expect(await ok('call', '--stdio', EVERYTHING, 'get-sum', 'a=1', 'b:=2.5')).toContain('3.5');
    expect(await ok('call', '--stdio', EVERYTHING, 'get-tiny-image')).toMatch(/\[image: image\/png, \d+ bytes/);
    expect(await ok('prompt', 'get', '--stdio', EVERYTHING, 'args-prompt', 'city=Paris')).toContain('Paris');
    expect(await ok('resource', 'list', '--stdio', EVERYTHING)).toContain('demo://resource/static/document/');
    expect(await ok('resource', 'read', '--stdio', EVERYTHING, 'demo://resource/static/document/features.md')).not.toBe(
      '',
    );
    expect(await ok('resource', 'templates', '--stdio', EVERYTHING)).toContain('{resourceId}');
    expect(existsSync(own())).toBe(false);
  });

  it('calls a server by its address', async () => {
    const port = 20_000 + Math.floor(Math.random() * 20_000);
    const server = spawn(process.execPath, [serverOf('everything'), 'streamableHttp'], {
      env: { ...process.env, PORT: String(port) },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    afterwards(() => server.kill('SIGKILL'));
    await new Promise((done) => server.stderr!.once('data', done));
    const url = `http://127.0.0.1:${port}/mcp`;
    await expect
      .poll(() => run(['call', url, 'echo', 'message=hi']), { timeout: 15_000 })
      .toMatchObject({
        code: 0,
        stdout: 'Echo: hi\n',
      });
    const checked: { services: unknown[] } = await json('check', url);
    expect(checked.services).toEqual([expect.objectContaining({ status: 'ok', kind: 'http' })]);
  });

  it('keeps what others wrote when it is changed', async () => {
    await ok('add-json', 'mem', JSON.stringify({ command: 'node', args: [serverOf('memory')], autoApprove: ['x'] }));
    await ok('update', 'mem', '--env', 'A=canary', '--env', 'HOME', '--timeout', '30');
    expect(JSON.parse(readFileSync(own(), 'utf8')).mcpServers.mem).toEqual({
      command: 'node',
      args: [serverOf('memory')],
      autoApprove: ['x'],
      env: { A: 'canary', HOME: '${HOME}' },
      timeout: 30,
    });
    const shown = (await ok('get', 'mem')) + (await ok('config', 'show')) + (await ok('list', '--json'));
    expect(shown).not.toContain('canary');
    expect(shown).toContain('${HOME}');
    expect(await ok('config', 'show', '--show-secrets')).toContain('canary');
    const checked: { services: { status: string }[]; foreign: unknown[] } = await json('check');
    expect(checked.services[0]!.status).toBe('ok');
    expect(checked.foreign).toEqual([expect.objectContaining({ path: 'mcpServers.mem.autoApprove', why: 'unknown' })]);
    await ok('update', 'mem', '--remove-env', 'A', '--disabled');
    expect(await run(['call', 'mem', 'read_graph'])).toMatchObject({
      code: 5,
      stderr: expect.stringContaining('disabled'),
    });
    await ok('update', 'mem', 'https://example.com/mcp', '--enabled');
    expect(JSON.parse(readFileSync(own(), 'utf8')).mcpServers.mem).toEqual({
      type: 'http',
      url: 'https://example.com/mcp',
      autoApprove: ['x'],
      timeout: 30,
    });
  });

  it('keeps services of an agent apart', async () => {
    await addScripted('mine', {}, '--agent', 'bob');
    expect(await ok('call', 'mine', 'echo', 'text=hi', '--agent', 'bob')).not.toBe('');
    expect(await run(['call', 'mine', 'echo'])).toMatchObject({ code: 4 });
    expect(await run(['list', '--agent', 'bo'])).toMatchObject({ code: 2, stderr: expect.stringContaining('bob') });
    await ok('remove', 'mine', '--agent', 'bob');
    expect(JSON.parse(readFileSync(own(), 'utf8')).mcpstore.agents.bob.mcpServers).toEqual({});
  });
});

describe('failures', () => {
  it.each([
    [['nope'], 2, 'OPTION_INVALID'],
    [['chekc'], 2, 'Did you mean check'],
    [['list', '--jsn'], 2, 'Did you mean --json'],
    [['add'], 2, 'mcpstore help add'],
    [['call', '--stdio', EVERYTHING, 'get-sum', 'a=x'], 2, '"a" must be number'],
    [['list', '--config', 'missing.json'], 1, 'FILE_FAILED'],
    [['call', 'files', 'x'], 4, 'SERVICE_UNKNOWN'],
    [['call', '--stdio', EVERYTHING, 'ecko'], 4, 'nearest: server__echo'],
    [['call', '--stdio', 'nonesuch-command', 'x'], 5, 'SPAWN_FAILED'],
    [['call', '--stdio', EVERYTHING, 'echo'], 6, 'TOOL_ERROR'],
    [['prompt', 'get', '--stdio', EVERYTHING, 'nope'], 6, 'RPC_ERROR'],
    [
      ['call', '--stdio', EVERYTHING, 'trigger-long-running-operation', 'duration=20', '--timeout-ms', '3000'],
      7,
      'TIMEOUT',
    ],
  ])('%j', async (args, code, text) => {
    // A slow machine would add that it is still starting.
    const failed = await run([...args, '--quiet']);
    expect(failed).toMatchObject({ code, stderr: expect.stringContaining(text) });
    expect(failed.stderr).toMatch(/^error [A-Z_]+: .+\nhint: .+\n$/);
  });

  it('are JSON on stdout with --json', async () => {
    const failed = await run(['call', 'files', 'x', '--json']);
    expect(JSON.parse(failed.stdout)).toMatchObject({ error: { code: 'SERVICE_UNKNOWN', hint: expect.any(String) } });
    expect(failed.stderr).toMatch(/^error SERVICE_UNKNOWN: /);
  });

  it('show what the server said last', async () => {
    await addScripted('bad', { exitAtStart: { code: 3, stderr: 'no licence\nbuy one' } });
    const checked = await run(['check']);
    expect(checked.code).toBe(5);
    expect(checked.stdout).toMatch(/^bad .*exited with code 3/m);
    expect(checked.stderr).toContain('  stderr | no licence\n  stderr | buy one\n');
  });

  it('of a file name its line', async () => {
    writeFileSync(join(folder, 'bad.json'), '{\n  "mcpServers": { "a": { "command": 1 } }\n}');
    const failed = await run(['config', 'check', 'bad.json']);
    expect(failed).toMatchObject({ code: 3, stderr: expect.stringContaining('bad.json:2:') });
    expect(await run(['list', '--config', 'bad.json'])).toMatchObject({ code: 3 });
    expect(await run(['add', 'x', '--config', 'bad.json', '--', 'y'])).toMatchObject({ code: 3 });
    expect(readFileSync(join(folder, 'bad.json'), 'utf8')).toContain('"command": 1');
  });

  it('print nothing that drives a terminal (A2)', async () => {
    const code = `process.stderr.write('\\x1b[31m\\u202eevil\\r\\nhint: forged'); process.exit(1)`;
    await ok('add', 'evil', '--', process.execPath, '-e', code);
    const checked = await run(['check']);
    expect(`${checked.stdout}${checked.stderr}`).not.toMatch(/[\x1b\u202e\r]|^hint: forged/m);
    expect(checked.stderr).toContain(String.raw`\x1b[31m\u202eevil`);
  });
});

describe("a project's file", () => {
  const config = (): string => join(folder, 'mcp.json');
  const write = (): ReturnType<typeof scripted> => {
    const service = scripted();
    writeFileSync(
      config(),
      JSON.stringify({ mcpServers: { theirs: { command: service.command, args: service.args } } }),
    );
    return service;
  };

  it('runs nothing before its content is approved, and asks again when it changes (A11)', async () => {
    const { pidFile } = write();
    for (const args of [['list'], ['check'], ['tools'], ['call', 'theirs', 'echo'], ['add', 'x', '--', 'y']])
      expect(await run(args)).toMatchObject({ code: 3, stderr: expect.stringContaining('mcpstore config approve') });
    expect(await run(['config', 'path'])).toMatchObject({ code: 0, stdout: `${config()}\n` });
    expect(await run(['config', 'approve'])).toMatchObject({ code: 2 });
    expect(existsSync(pidFile)).toBe(false);
    await ok('config', 'approve', '--yes');
    expect(await ok('check')).toMatch(/^theirs +ok/m);
    writeFileSync(config(), `${readFileSync(config(), 'utf8')}\n`);
    expect(await run(['list'])).toMatchObject({ code: 3 });
  });

  it('is approved where the user wrote it', async () => {
    await ok('add', 'a', '--config', 'mcp.json', '--', 'x');
    expect(await ok('list')).toMatch(/^a /m);
    await ok('add', 'b', '--', 'y');
    expect(await ok('list')).toMatch(/^b /m);
    expect(JSON.parse(readFileSync(config(), 'utf8')).mcpServers).toHaveProperty('b');
    expect(existsSync(own())).toBe(false);
  });

  it('stays unapproved when it is named and changed', async () => {
    write();
    expect(await ok('list', '--config', 'mcp.json')).toMatch(/^theirs /m);
    await ok('add', 'b', '--config', 'mcp.json', '--', 'y');
    expect(await run(['list'])).toMatchObject({ code: 3 });
  });

  it('is used without a question while it has no services', async () => {
    writeFileSync(config(), '{ "performance": {} }');
    await ok('list');
    await ok('add', 'a', '--', 'x');
    expect(await ok('list')).toMatch(/^a /m);
  });
});

it('answers an input of the configuration', async () => {
  const { command, args } = scripted();
  const service = { command, args, env: { TOKEN: '${input:tok}' } };
  writeFileSync(join(folder, 'c.json'), JSON.stringify({ inputs: [{ id: 'tok' }], mcpServers: { a: service } }));
  expect(await ok('list', '--config', 'c.json')).not.toContain('CONFIG_INVALID');
  const failed = await run(['call', 'a', 'echo', '--config', 'c.json']);
  expect(failed).toMatchObject({ code: 3, stderr: expect.stringContaining('--input tok=') });
  expect(await run(['call', 'a', 'env', '--config', 'c.json', '--input', 'tok=abc'])).toMatchObject({ code: 0 });
});

describe('a batch', () => {
  const lines = (...calls: object[]): string => calls.map((call) => JSON.stringify(call)).join('\n');
  const entries = (stdout: string): { index: number; status: string }[] =>
    stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { index: number; status: string })
      .sort((a, b) => a.index - b.index);

  it('gives a line for each call, and the code of the first that failed in input order', async () => {
    await addScripted('s');
    const input = lines({ tool: 's__echo', arguments: { text: 'x' } }, { tool: 's__tool_error' }, { tool: 's__nope' });
    const done = await run(['batch', '-', '--concurrency', '2'], { input });
    expect(entries(done.stdout).map((entry) => entry.status)).toEqual(['ok', 'tool_error', 'not_sent']);
    expect(done.code).toBe(6);
    const other = await run(['batch', '-'], {
      input: lines({ tool: 'nope', service: 's' }, { tool: 's__tool_error' }),
    });
    expect(other.code).toBe(4);
    const stopped = await run(['batch', '-', '--concurrency', '1', '--stop-on-error'], {
      input: lines({ tool: 's__tool_error' }, { tool: 's__echo' }),
    });
    expect(entries(stopped.stdout).map((entry) => entry.status)).toEqual(['tool_error', 'not_sent']);
  });

  it('refuses a bad line before anything runs', async () => {
    const { command, args, pidFile } = scripted();
    await ok('add', 's', '--', command!, ...args!);
    writeFileSync(join(folder, 'calls.jsonl'), '{"tool":"s__echo"}\n{"tool":');
    const failed = await run(['batch', 'calls.jsonl']);
    expect(failed).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('calls.jsonl:2: ') });
    expect(existsSync(pidFile)).toBe(false);
  });

  it('ends quietly when its reader does', async () => {
    await addScripted('s');
    const calls = Array.from({ length: 2_000 }, () => ({ tool: 's__big', arguments: { bytes: 2_000 } }));
    const child = start(['batch', '-', '--quiet']);
    child.stdin!.end(lines(...calls));
    child.stdout!.once('data', () => child.stdout!.destroy());
    let stderr = '';
    child.stderr!.on('data', (text: Buffer) => {
      stderr += String(text);
    });
    const code = await new Promise((done) => child.once('exit', done));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });
});

describe.skipIf(process.platform === 'win32')('a signal', () => {
  const isUp = (pidFile: string): Promise<void> =>
    expect
      .poll(() => starts(pidFile).length, { timeout: 10_000 })
      .toBe(1)
      .then(() => undefined);

  /** A command in the middle of a call of `tool`: what was written to the server so far tells. */
  async function calling(tool: string, script: Record<string, unknown> = {}, ...more: string[]) {
    const service = scripted(script);
    const wire = temporaryPath('wire');
    const words = [service.command!, ...service.args!].map((word) => `'${word}'`).join(' ');
    await ok('add', 's', '--', 'sh', '-c', `tee ${wire} | ${words}`);
    const child = start(['call', 's', tool, ...more]);
    child.stdin!.end();
    const end = ended(child);
    await isUp(service.pidFile);
    const sent = (): string => (existsSync(wire) ? readFileSync(wire, 'utf8') : '');
    await expect.poll(sent, { timeout: 10_000 }).toContain('tools/call');
    return { child, end, sent, pidFile: service.pidFile };
  }

  it('cancels on the wire, closes everything and exits 130', async () => {
    const { child, end, sent } = await calling('hang');
    child.kill('SIGINT');
    expect(await end).toMatchObject({ code: 130, stdout: '' });
    expect(sent()).toContain('notifications/cancelled');
  });

  it('lets a call finish on SIGTERM (F38)', async () => {
    const { child, end } = await calling('sleep', {}, 'ms=1500');
    child.kill('SIGTERM');
    const { code, stdout } = await end;
    expect(code).toBe(143);
    expect(stdout).not.toBe('');
  });

  it('that comes twice ends it at once and leaves no process, however stubborn (F38)', async () => {
    const { child, end } = await calling('hang', { stubborn: true, fork: true });
    child.kill('SIGTERM');
    await new Promise((done) => setTimeout(done, 100));
    const since = performance.now();
    child.kill('SIGTERM');
    expect((await end).code).toBe(143);
    expect(performance.now() - since).toBeLessThan(1_500);
  });

  it('ends a server that is only starting', async () => {
    const { command, args, pidFile } = scripted({ silent: ['initialize'], stubborn: true });
    await ok('add', 's', '--', command!, ...args!);
    const child = start(['tools', 's']);
    const end = ended(child);
    await isUp(pidFile);
    child.kill('SIGINT');
    expect((await end).code).toBe(130);
  });
});

describe('the start', () => {
  /** CPU time of a process in milliseconds, user and system. */
  function cpuOf(args: readonly string[]): number {
    const shell = 'TIMEFORMAT="%U %S"; time "$0" "$@" >/dev/null 2>&1';
    const text = execFileSync('bash', ['-c', `{ ${shell}; } 2>&1`, process.execPath, ...args], { encoding: 'utf8' });
    const [user = 0, system = 0] = text.trim().split(' ').map(Number);
    return 1_000 * (user + system);
  }

  it.skipIf(process.platform === 'win32')('of --help costs at most 60 ms of CPU over an empty Node', () => {
    // The least of many is what it costs without the noise of other processes; pairs share what noise is left.
    const costs = Array.from({ length: 9 }, () => cpuOf([MAIN, '--help']) - cpuOf(['-e', '0'])).sort((a, b) => a - b);
    expect(costs[4]).toBeLessThanOrEqual(60 + 15);
    expect(costs[0]).toBeLessThanOrEqual(60);
  });

  it.each([
    ['--help'],
    ['version'],
    ['help', 'resource'],
    ['config', 'path'],
    ['call', '--help'],
    ['list'],
  ])('of %s %s loads no SDK', async (...args) => {
    const hook = temporaryPath('hook.mjs');
    writeFileSync(
      hook,
      `import { register } from 'node:module';
         register('data:text/javascript,' + encodeURIComponent(\`
           export async function load(url, context, next) {
             if (/node_modules.(@modelcontextprotocol|zod|undici|ajv)./.test(url)) throw new Error('loaded ' + url);
             return next(url, context);
           }\`));`,
    );
    const words = args.filter((word) => word !== undefined);
    const { code, stderr } = await run(words, { env: { NODE_OPTIONS: `--import=${hook}` } });
    expect({ code, stderr: stderr.includes('loaded') }).toEqual({ code: 0, stderr: false });
  });
});
