/** The command line on a terminal: what it shows while a server starts, what it asks, and what Ctrl-C does. */

import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter } from 'node:path';
import { describe, expect, it } from 'vitest';
import { configOf, inFolder, useCommandLine } from '../support/command-line.js';
import { allGone, scripted, starts } from '../support/harness.js';
import { hasTerminal, onTerminal } from '../support/terminal.js';
import { until } from '../support/waiting.js';

useCommandLine();

const CTRL_C = '\x03';

/** An `npx` that takes its time before the server runs, as if it had to be downloaded. @returns the environment */
function slowNpx(seconds: number): Record<string, string> {
  const { command, args } = scripted();
  mkdirSync(inFolder('bin'));
  const words = [command!, ...args!].map((word) => `'${word}'`).join(' ');
  writeFileSync(inFolder('bin', 'npx'), `#!/bin/sh\nsleep ${seconds}\nexec ${words}\n`);
  chmodSync(inFolder('bin', 'npx'), 0o755);
  return { PATH: `${inFolder('bin')}${delimiter}${process.env['PATH']}` };
}

describe.skipIf(!hasTerminal)('on a terminal', () => {
  it.each([
    [['call', '--stdio', 'npx -y some-server', 'echo', 'text=hi'], 'hi'],
    [['tools', '--stdio', 'npx -y some-server'], 'echo'],
  ])('%j says that its server may be downloading', async (args, result) => {
    const terminal = onTerminal(args, slowNpx(2));
    await terminal.shows('npx may be downloading it');
    expect(terminal.shown).not.toContain(`${result}\r\n`);
    expect(await terminal.ended).toBe(0);
    expect(terminal.shown).toContain(result);
    // Said once, and nowhere but there.
    expect(terminal.shown.split('downloading')).toHaveLength(2);
  });

  it('a server that another command starts is only said to be starting', async () => {
    const where = configOf({ s: scripted({ startDelayMs: 4_000 }) });
    const terminal = onTerminal(['call', 's', 'echo', 'text=hi', ...where]);
    await terminal.shows('s: still starting');
    expect(await terminal.ended).toBe(0);
    expect(terminal.shown).not.toContain('downloading');
  });

  it('an input is asked for when its service starts, and a secret is not shown', async () => {
    const inputs = [{ id: 'tok', type: 'promptString', description: 'The token', password: true }];
    const where = configOf({ s: scripted({}, { env: { TOKEN: '${input:tok}' } }) }, { inputs });
    const terminal = onTerminal(['call', 's', 'env', 'name=TOKEN', ...where]);
    await terminal.shows('The token: ');
    terminal.type('abc\r');
    expect(await terminal.ended).toBe(0);
    expect(terminal.shown.split('abc')).toHaveLength(2);
    expect(terminal.shown).toMatch(/abc\r\n$/);
  });

  it('Ctrl-C while a server is being downloaded ends that too', async () => {
    const env = slowNpx(600);
    const terminal = onTerminal(['tools', '--stdio', 'npx -y some-server'], env);
    await terminal.shows('npx may be downloading it');
    terminal.type(CTRL_C);
    // What it started carries the run's mark: whatever is left of it fails the run.
    expect(await terminal.ended).toBe(130);
  });

  it('Ctrl-C ends a call and its server', async () => {
    const service = scripted({ fork: true });
    const terminal = onTerminal(['call', 's', 'hang', '--progress', ...configOf({ s: service })]);
    await until(() => existsSync(service.pidFile), 'the server runs');
    await new Promise((done) => setTimeout(done, 500));
    terminal.type(CTRL_C);
    expect(await terminal.ended).toBe(130);
    await allGone(starts(service.pidFile).flat(), 500);
  });

  it('Ctrl-C twice ends it at once, and leaves no process, however stubborn (F38)', async () => {
    const services = [1, 2, 3].map(() => scripted({ stubborn: true, fork: true }));
    const where = configOf(Object.fromEntries(services.map((service, i) => [`s${i}`, service])));
    const calls = services.flatMap((_, i) => Array.from({ length: 20 }, () => ({ tool: `s${i}__hang` })));
    writeFileSync(inFolder('calls.jsonl'), calls.map((call) => JSON.stringify(call)).join('\n'));
    const terminal = onTerminal(['batch', 'calls.jsonl', '--concurrency', '60', ...where]);
    await until(() => services.every(({ pidFile }) => existsSync(pidFile)), 'the servers run');
    await new Promise((done) => setTimeout(done, 1_000));
    terminal.type(CTRL_C);
    await new Promise((done) => setTimeout(done, 100));
    const since = performance.now();
    terminal.type(CTRL_C);
    expect(await terminal.ended).toBe(130);
    expect(performance.now() - since).toBeLessThan(1_000);
    const pids = services.flatMap(({ pidFile }) => starts(pidFile).flat());
    expect(pids).toHaveLength(6);
    await allGone(pids, 500);
  });
});
