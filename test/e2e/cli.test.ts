/** The command line on real servers: services added, seen, used and removed. */

import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  addScripted,
  configOf,
  EVERYTHING,
  json,
  ok,
  ownConfig,
  run,
  useCommandLine,
  user,
} from '../support/command-line.js';
import { startEverything } from '../support/everything.js';
import { npmServer, scripted } from '../support/harness.js';

useCommandLine();

describe('a user without any configuration', () => {
  it('adds a service, sees it, uses it, removes it', async () => {
    await ok('add', 'files', '--', 'node', npmServer('filesystem'), './notes');
    expect(JSON.parse(readFileSync(ownConfig(), 'utf8'))).toMatchObject({
      mcpServers: { files: { command: 'node', args: [npmServer('filesystem'), './notes'], cwd: user.folder } },
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
    expect(JSON.parse(readFileSync(ownConfig(), 'utf8'))).toEqual({ mcpServers: {} });
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
    expect(existsSync(ownConfig())).toBe(false);
  });

  it('calls a server by its address', async () => {
    const { url } = await startEverything('streamableHttp');
    expect(await ok('call', url, 'echo', 'message=hi')).toBe('Echo: hi\n');
    const checked: { services: unknown[] } = await json('check', url);
    expect(checked.services).toEqual([expect.objectContaining({ status: 'ok', kind: 'http' })]);
  });

  it('keeps what others wrote when it is changed', async () => {
    await ok('add-json', 'mem', JSON.stringify({ command: 'node', args: [npmServer('memory')], autoApprove: ['x'] }));
    await ok('update', 'mem', '--env', 'A=canary', '--env', 'HOME', '--timeout', '30');
    expect(JSON.parse(readFileSync(ownConfig(), 'utf8')).mcpServers.mem).toEqual({
      command: 'node',
      args: [npmServer('memory')],
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
    expect(JSON.parse(readFileSync(ownConfig(), 'utf8')).mcpServers.mem).toEqual({
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
    expect(JSON.parse(readFileSync(ownConfig(), 'utf8')).mcpstore.agents.bob.mcpServers).toEqual({});
  });
});

describe('an input of the configuration', () => {
  it('is answered with --input', async () => {
    const where = configOf({ a: scripted({}, { env: { TOKEN: '${input:tok}' } }) }, { inputs: [{ id: 'tok' }] });
    const failed = await run(['call', 'a', 'echo', ...where]);
    expect(failed).toMatchObject({ code: 3, stderr: expect.stringContaining('--input tok=') });
    expect(await ok('call', 'a', 'env', 'name=TOKEN', ...where, '--input', 'tok=abc')).toBe('abc\n');
  });

  it('is no problem while nothing starts: list and get say that it will be asked for', async () => {
    const where = configOf(
      {
        address: { url: 'https://${input:host}/mcp' },
        command: { command: 'x', env: { A: '${input:user}', B: '${input:tok}' } },
        preset: { url: 'https://${input:known}/mcp' },
        broken: { command: 'x', env: { A: '${NOT_SET_ANYWHERE}' } },
      },
      { inputs: [{ id: 'known', default: 'example.com' }] },
    );
    const { services }: { services: object[] } = await json('list', ...where);
    expect(services).toEqual([
      expect.objectContaining({ name: 'address', kind: 'http', needsInputs: ['host'] }),
      expect.objectContaining({ name: 'command', kind: 'stdio', needsInputs: ['user', 'tok'] }),
      expect.objectContaining({ name: 'preset', kind: 'http', needsInputs: [] }),
      expect.objectContaining({ name: 'broken', problem: expect.objectContaining({ code: 'CONFIG_INVALID' }) }),
    ]);
    for (const service of services.slice(0, 3)) expect(service).not.toHaveProperty('problem');
    const shown = await run(['list', ...where]);
    expect(shown.stdout).toMatch(/^address +http +needs input host +https:\/\/\$\{input:host\}/m);
    expect(shown.stdout).toMatch(/^command +stdio +needs input user, tok +x$/m);
    expect(shown.stdout).toMatch(/^preset +http +https/m);
    expect(shown.stderr).toContain('--input <id>=…');
    expect(await ok('list', ...where, '--input', 'host=example.com')).toMatch(/^address +http +https/m);
    expect(await ok('get', 'address', ...where)).toMatch(/^input +host: asked for when it starts on a terminal/m);
    expect(await json('get', 'address', ...where)).toMatchObject({ kind: 'http', needsInputs: ['host'] });
    expect(await ok('get', 'address', ...where)).not.toContain('CONFIG_INVALID');
  });
});
