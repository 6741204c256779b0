/** `mcpstore batch`: a line for each call, exit codes, readers that leave. */

import { existsSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { addScripted, inFolder, ok, run, start, useCommandLine } from '../support/command-line.js';
import { scripted } from '../support/harness.js';

useCommandLine();

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
    writeFileSync(inFolder('calls.jsonl'), '{"tool":"s__echo"}\n{"tool":');
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
