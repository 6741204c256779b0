/** What the variables, paths and times of a service become, and how what cannot be filled in is told. */

import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ServiceConfig, ServiceDefinition } from '../../src/config/definition.js';
import { type EnvFileProblem, parseEnvFile } from '../../src/config/env-file.js';
import { type ExpandContext, expandService } from '../../src/config/expand.js';
import { checkServiceConfig, parseConfig } from '../../src/config/load.js';
import { isStoreError, type StoreError } from '../../src/errors.js';
import { tempDir } from '../support/tmp.js';

const folder = await tempDir();

const context = (more: Partial<ExpandContext> = {}): ExpandContext => ({
  env: { TOKEN: 'secret', EMPTY: '', NESTED: '${TOKEN}' },
  workspaceFolder: '/work space/app',
  baseDir: folder,
  userHome: '/home/me',
  ...more,
});

async function expand(config: ServiceConfig, more?: Partial<ExpandContext>): Promise<ServiceDefinition> {
  return await expandService('s', checkServiceConfig('s', config), context(more));
}

async function problem(config: ServiceConfig, more?: Partial<ExpandContext>): Promise<StoreError> {
  try {
    await expand(config, more);
  } catch (error) {
    if (isStoreError(error, 'CONFIG_INVALID')) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

async function arg(text: string, more?: Partial<ExpandContext>): Promise<string> {
  const [endpoint] = (await expand({ command: 'x', args: [text] }, more)).endpoints;
  return endpoint?.kind === 'stdio' ? endpoint.args[0]! : '';
}

describe('variables', () => {
  it('are filled in from the environment, the folders and defaults', async () => {
    expect(await arg('a ${TOKEN} b ${env:TOKEN}')).toBe('a secret b secret');
    expect(await arg('${NONE:-a:-b}${env:NONE:-}${EMPTY:-full}[${EMPTY}]')).toBe('a:-bfull[]');
    expect(await arg('${workspaceFolder}|${workspaceFolderBasename}|${userHome}')).toBe('/work space/app|app|/home/me');
  });

  it('leave a $ without a brace, and what a value contains, alone', async () => {
    expect(await arg('$5 $TOKEN $$ a$')).toBe('$5 $TOKEN $$ a$');
    expect(await arg('${NESTED}')).toBe('${TOKEN}');
  });

  it('work in every field', async () => {
    await writeFile(join(folder, 'secret.env'), 'FROM_FILE=1\nBOTH=file\n');
    const [stdio] = (
      await expand({
        command: '${TOKEN}',
        args: ['${TOKEN}'],
        env: { BOTH: '${TOKEN}' },
        envFile: '${TOKEN}.env',
        cwd: 'sub/${TOKEN}',
      })
    ).endpoints;
    expect(stdio).toEqual({
      kind: 'stdio',
      command: 'secret',
      args: ['secret'],
      env: { FROM_FILE: '1', BOTH: 'secret' },
      cwd: resolve(folder, 'sub/secret'),
    });
    const [http] = (await expand({ url: 'https://x.example/${TOKEN}', headers: { A: 'Bearer ${TOKEN}' } })).endpoints;
    expect(http).toEqual({ kind: 'http', url: 'https://x.example/secret', headers: { A: 'Bearer secret' } });
  });

  it('ask once for each input of a service', async () => {
    const asked: string[] = [];
    const input = async (id: string): Promise<string> => {
      asked.push(id);
      return `<${id}>`;
    };
    const { endpoints } = await expand({ command: 'x', args: ['${input:a}', '${input:a}', '${input:b}'] }, { input });
    expect(endpoints[0]).toMatchObject({ args: ['<a>', '<a>', '<b>'] });
    expect(asked.sort()).toEqual(['a', 'b']);
  });

  it('fail this service with the variable, the field and the way out', async () => {
    const error = await problem({ command: 'x', env: { KEY: '${NONE}' } });
    expect(error.message).toBe('mcpServers.s.env.KEY: the environment variable NONE is not set');
    expect(error.hint).toBe('Set NONE, or write ${NONE:-default} to give it a default.');
    expect(error.service).toBe('s');
    expect((await problem({ command: 'x', args: ['${input:k}'] })).message).toBe(
      'mcpServers.s.args[0]: the input "k" has no answer',
    );
    expect((await problem({ command: '${command:pick}' })).message).toBe(
      'mcpServers.s.command: "${command:pick}": unknown kind of variable',
    );
    expect((await problem({ command: '${A:-${B}}' })).message).toContain('variables cannot be nested');
    expect((await problem({ command: '${TOKEN' })).message).toContain('"${" without its "}"');
    expect((await problem({ command: '${constructor}' }, { env: {} })).message).toContain('constructor is not set');
  });

  it('have file and line in their errors where the document is known', async () => {
    const document = parseConfig(
      '{\n  "servers": {\n    "s": { "command": "x",\n      "env": { "K": "${NONE}" } } } }',
      'mcp.json',
    );
    const failing = expandService('s', document.services.get('s')!, context({ document }));
    await expect(failing).rejects.toThrow('mcp.json:4:16: servers.s.env.K: the environment variable NONE is not set');
    const agents = parseConfig(
      '{"mcpstore":{"agents":{"bob":{\n"mcpServers":{"s":{"command":"${NONE}"}}}}}}',
      'mcp.json',
    );
    const path = ['mcpstore', 'agents', 'bob', 'mcpServers', 's'];
    const ofAgent = expandService(
      's',
      agents.agents.get('bob')!.mcpServers.get('s')!,
      context({ document: agents, path }),
    );
    await expect(ofAgent).rejects.toThrow('mcp.json:2:20: mcpstore.agents.bob.mcpServers.s.command');
  });
});

describe('what is filled in', () => {
  it('is refused where it cannot be used, without being shown', async () => {
    const env = { BAD: 'tok\nen', NUL: 'a\0b', EMPTY: '', FTP: 'ftp://tok' };
    const errors = await Promise.all([
      problem({ url: 'https://x.example', headers: { A: '${BAD}' } }, { env }),
      problem({ command: 'x', args: ['${NUL}'] }, { env }),
      problem({ command: '${EMPTY}' }, { env }),
      problem({ url: '${FTP}' }, { env }),
      problem({ url: 'no address ${BAD}' }, { env }),
    ]);
    expect(errors.map((error) => error.message)).toMatchInlineSnapshot(`
      [
        "mcpServers.s.headers.A: its value has a line break or a character that HTTP cannot carry",
        "mcpServers.s.args[0]: a NUL character cannot be passed on",
        "mcpServers.s.command: is empty when filled in",
        "mcpServers.s.url: expected an address such as https://example.com/mcp",
        "mcpServers.s.url: expected an address such as https://example.com/mcp",
      ]
    `);
    for (const error of errors)
      expect(`${error.message} ${error.hint} ${JSON.stringify(error.figures)}`).not.toMatch(/tok/);
  });

  it('has the timeout in milliseconds: seconds below 1,000', async () => {
    const ms = async (timeout: number): Promise<unknown> => (await expand({ command: 'x', timeout })).callTimeoutMs;
    expect([await ms(30), await ms(0.5), await ms(999), await ms(1_000), await ms(60_000), await ms(0.0001)]).toEqual([
      30_000, 500, 999_000, 1_000, 60_000, 1,
    ]);
    expect((await expand({ command: 'x' })).callTimeoutMs).toBeUndefined();
  });

  it('keeps what is disabled, and a server object as it is', async () => {
    expect((await expand({ command: 'x', disabled: true })).disabled).toBe(true);
    const server = { connect: () => {} };
    expect((await expand({ server })).endpoints).toEqual([{ kind: 'memory', server }]);
    expect((await expand({ url: 'https://x.example', type: 'sse' })).endpoints[0]?.kind).toBe('sse');
    expect((await expand({ url: 'https://x.example', type: 'streamable-http' })).endpoints[0]?.kind).toBe('http');
  });

  it('has a revision that follows what runs, and another for the rest', async () => {
    const base = await expand({ command: 'x', args: ['a'], env: { A: '1', B: '2' } });
    const same = await expand({ env: { B: '2', A: '1' }, args: ['a'], command: 'x', foreign: 1 });
    expect(same.revision).toBe(base.revision);
    expect(base.revision).toMatch(/^[0-9a-f]{16}$/);
    const secret = { command: 'x', args: ['${TOKEN}'] };
    expect((await expand(secret)).revision).not.toBe((await expand(secret, { env: { TOKEN: 'other' } })).revision);
    const tuned = await expand({
      command: 'x',
      args: ['a'],
      env: { A: '1', B: '2' },
      timeout: 3,
      mcpstore: { trusted: true },
    });
    expect(tuned.revision).toBe(base.revision);
    expect(tuned.settingsRevision).not.toBe(base.settingsRevision);
    const [one, two] = [{}, {}];
    expect((await expand({ server: one })).revision).toBe((await expand({ server: one })).revision);
    expect((await expand({ server: one })).revision).not.toBe((await expand({ server: two })).revision);
  });
});

describe('an env file', () => {
  it('has comments, quotes and exports', () => {
    const text =
      '\uFEFF# c\r\nA=1\r\nexport B = two words # note\nC="a\\n\\"b\\" #x" # y\nD=\'${X} \\n\'\n\nE=\nF=a#b\nA=last\nG= # only a comment\n';
    expect(parseEnvFile(text)).toEqual({
      A: 'last',
      B: 'two words',
      C: 'a\n"b" #x',
      D: '${X} \\n',
      E: '',
      F: 'a#b',
      G: '',
    });
    expect(Object.keys(parseEnvFile('__proto__=1'))).toEqual(['__proto__']);
  });

  it('is refused by its line', () => {
    for (const bad of ['A=1\nnonsense', 'A=1\nB="open', "A=1\nB='a' b", 'A=1\n=2'])
      expect(() => parseEnvFile(bad)).toThrow(expect.objectContaining({ line: 2 }) as EnvFileProblem);
  });

  it('takes no time for a long line', () => {
    const begin = performance.now();
    parseEnvFile(`A=a${' '.repeat(500_000)}b`);
    expect(performance.now() - begin).toBeLessThan(1_000);
  });

  it('fails its service when it is missing or wrong', async () => {
    await writeFile(join(folder, 'bad.env'), 'A=1\n?');
    expect((await problem({ command: 'x', envFile: 'none.env' })).message).toContain(
      'mcpServers.s.envFile: cannot read',
    );
    expect((await problem({ command: 'x', envFile: 'bad.env' })).message).toContain('bad.env:2: expected KEY=VALUE');
  });
});
