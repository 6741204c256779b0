/** How the command line tells what went wrong: what is near, the words of servers, where in a file. */

import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { addScripted, EVERYTHING, inFolder, ok, run, useCommandLine } from '../support/command-line.js';

useCommandLine();

describe('failures', () => {
  it.each([
    [['nope'], 2, 'OPTION_INVALID'],
    [['chekc'], 2, 'Did you mean check'],
    [['list', '--jsn'], 2, 'Did you mean --json'],
    [['add'], 2, 'mcpstore help add'],
    [['call', '--stdio', EVERYTHING, 'get-sum', 'a=x'], 2, '"a" must be number'],
    [['call', '--stdio', EVERYTHING, 'ecko'], 4, 'nearest: server__echo'],
  ])('name what is near: %j', async (args, code, text) => {
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
    writeFileSync(inFolder('bad.json'), '{\n  "mcpServers": { "a": { "command": 1 } }\n}');
    const failed = await run(['config', 'check', 'bad.json']);
    expect(failed).toMatchObject({ code: 3, stderr: expect.stringContaining('bad.json:2:') });
    expect(await run(['list', '--config', 'bad.json'])).toMatchObject({ code: 3 });
    expect(await run(['add', 'x', '--config', 'bad.json', '--', 'y'])).toMatchObject({ code: 3 });
    expect(readFileSync(inFolder('bad.json'), 'utf8')).toContain('"command": 1');
  });

  it('print nothing that drives a terminal (A2)', async () => {
    const code = `process.stderr.write('\\x1b[31m\\u202eevil\\r\\nhint: forged'); process.exit(1)`;
    await ok('add', 'evil', '--', process.execPath, '-e', code);
    const checked = await run(['check']);
    expect(`${checked.stdout}${checked.stderr}`).not.toMatch(/[\x1b\u202e\r]|^hint: forged/m);
    expect(checked.stderr).toContain(String.raw`\x1b[31m\u202eevil`);
  });
});
