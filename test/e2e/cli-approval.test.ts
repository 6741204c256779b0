/** A project's file runs nothing before the user approved its content, and stays approved by the user's own edits alone. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { inFolder, ok, ownConfig, run, useCommandLine, user } from '../support/command-line.js';
import { scripted, temporaryPath } from '../support/harness.js';

useCommandLine();

describe("a project's file", () => {
  const config = (): string => inFolder('mcp.json');
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
    expect(existsSync(ownConfig())).toBe(false);
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

  // Another's edit, made at the one moment where it could slip through: with the library's own calls.
  it.each([
    ['is saved', 'rename', `await real(from, to); if (to === file) edit();`],
    ['is being saved', 'open', `if (from.endsWith('.tmp') && from.includes('mcp.json.')) edit();`],
  ])("is not approved with another's edit while it %s", async (_, call, code) => {
    await ok('add', 'a', '--config', 'mcp.json', '--', 'x');
    const hook = temporaryPath('hook.mjs');
    writeFileSync(
      hook,
      `import { readFileSync, writeFileSync } from 'node:fs';
       import fs from 'node:fs/promises';
       import { syncBuiltinESMExports } from 'node:module';
       const file = ${JSON.stringify(config())};
       const real = fs.${call};
       let done = false;
       const edit = () => {
         if (done) return;
         done = true;
         const now = JSON.parse(readFileSync(file, 'utf8'));
         now.mcpServers.evil = { command: 'evil' };
         writeFileSync(file, JSON.stringify(now));
       };
       fs.${call} = async (from, to, ...more) => { ${code} return ${call === 'open' ? 'real(from, to, ...more)' : 'undefined'}; };
       syncBuiltinESMExports();`,
    );
    const added = await run(['add', 'b', '--', 'y'], { env: { NODE_OPTIONS: `--import=${hook}` } });
    expect(added).toMatchObject({ code: 0 });
    expect(readFileSync(config(), 'utf8')).toContain('evil');
    expect(await run(['list'])).toMatchObject({ code: 3, stderr: expect.stringContaining('NOT_TRUSTED') });
  });

  it('is changed also where the approval cannot be remembered, which is told', async () => {
    const state = join(user.home, 'state', 'mcpstore');
    mkdirSync(state, { recursive: true });
    writeFileSync(join(state, 'approved.json'), 'damaged');
    const added = await run(['add', 'a', '--config', 'mcp.json', '--', 'x']);
    expect(added).toMatchObject({ code: 0, stderr: expect.stringContaining('will have to be approved') });
    expect(readFileSync(config(), 'utf8')).toContain('"a"');
    expect(await run(['list'])).toMatchObject({ code: 3 });
  });
});
