/** What signals do to a command that runs: calls are cancelled or finished, and no process is left. */

import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { configOf, ended, ok, start, useCommandLine } from '../support/command-line.js';
import { allGone, gone, scripted, starts, temporaryPath } from '../support/harness.js';
import { until } from '../support/waiting.js';

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

  /** A batch of 400 calls, 40 at a time, on two services, one of which does not want to end; `executed` are the calls that ran. */
  async function batchOf(effect: { ms?: number; end?: 'hang' }) {
    const ledger = temporaryPath('ledger');
    const services = { a: scripted({ ledger }), b: scripted({ ledger, stubborn: true, fork: true }) };
    const calls = Array.from({ length: 400 }, (_, id) =>
      JSON.stringify({ tool: `${id % 2 ? 'a' : 'b'}__effect`, arguments: { id, ...effect } }),
    );
    const child = start(['batch', '-', '--concurrency', '40', ...configOf(services)]);
    child.stdin!.end(calls.join('\n'));
    const end = ended(child);
    const executed = (): number[] =>
      existsSync(ledger) ? readFileSync(ledger, 'utf8').trim().split('\n').map(Number) : [];
    const pids = (): number[] => Object.values(services).flatMap(({ pidFile }) => starts(pidFile).flat());
    await until(() => executed().length >= 40, 'calls are executed', 30_000);
    return { child, end, executed, pids };
  }

  it('SIGTERM under load: what is in flight finishes, the rest is not sent, nothing is left (F38)', async () => {
    const { child, end, executed, pids } = await batchOf({ ms: 300 });
    child.kill('SIGTERM');
    const { code, stdout } = await end;
    expect(code).toBe(143);
    await allGone(pids(), 500);
    const entries = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { index: number; status: string });
    const by = (status: string): number[] =>
      entries.filter((entry) => entry.status === status).map((entry) => entry.index);
    // Each entry is told once, and what was executed is told to have been.
    expect(entries.map((entry) => entry.index).sort((a, b) => a - b)).toEqual([...Array(400).keys()]);
    expect(by('ok').sort((a, b) => a - b)).toEqual(executed().sort((a, b) => a - b));
    expect(by('ok').length + by('not_sent').length).toBe(400);
    expect(by('not_sent').length).toBeGreaterThan(0);
    expect(pids()).toHaveLength(3);
  });

  it('SIGTERM twice under load ends it at once, and leaves no process (F38)', async () => {
    const { child, end, pids } = await batchOf({ end: 'hang' });
    child.kill('SIGTERM');
    await new Promise((done) => setTimeout(done, 300));
    expect(pids().filter(gone)).toEqual([]);
    const since = performance.now();
    child.kill('SIGTERM');
    expect((await end).code).toBe(143);
    expect(performance.now() - since).toBeLessThan(1_000);
    await allGone(pids(), 500);
  });

  it('SIGTERM lets calls finish for 8 seconds and no longer', async () => {
    const { child, end, pids } = await batchOf({ end: 'hang' });
    const since = performance.now();
    child.kill('SIGTERM');
    expect((await end).code).toBe(143);
    const ms = performance.now() - since;
    expect(ms).toBeGreaterThan(7_900);
    expect(ms).toBeLessThan(14_000);
    await allGone(pids(), 500);
  });
});
