/** What signals do to a command that runs: calls are cancelled or finished, and no process is left. */

import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ended, ok, start, useCommandLine } from '../support/command-line.js';
import { scripted, starts, temporaryPath } from '../support/harness.js';

useCommandLine();

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
