/** The process of a store ends without a word: what it started ends too, and nothing else does. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/_util/clock.js';
import { sweep } from '../../src/connection/earlier-run.js';
import { startTimeOf } from '../../src/connection/group.js';
import { ServerProcess } from '../../src/connection/process.js';
import { REAPER_SCRIPT, Reaper } from '../../src/connection/reaper.js';
import type { ServiceConfig } from '../../src/index.js';
import { afterwards, allGone, cleanUp, gone, scripted, starts, temporaryPath } from '../support/harness.js';
import { host, livingIn, processes } from '../support/host.js';
import { until } from '../support/waiting.js';

vi.setConfig({ testTimeout: 40_000, hookTimeout: 30_000 });
afterEach(cleanUp);

/** Opens a store on the given services, calls each, and tells the processes. Then it waits for what comes. */
const PROGRAM = `
  const store = await MCPStore.open({ services: input.services, stateDir: input.stateDir ?? null });
  const names = Object.keys(input.services);
  await Promise.all(names.map((service) => store.callTool('echo', { text: 'x' }, { service, timeoutMs: 20_000 })));
  say(names.map((name) => store.serviceInfo(name).pids[0]));
`;

/** A process that does not care for the end of its input or SIGTERM, as leader of a group. */
async function sleeper(script = "trap '' TERM; echo up; sleep 60 & wait; sleep 60"): Promise<number> {
  const child = spawn('/bin/sh', ['-c', script], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  await once(child.stdout!, 'data');
  afterwards(async () => {
    try {
      process.kill(-child.pid!, 'SIGKILL');
    } catch {
      // Gone already, as most shall be.
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });
  return child.pid!;
}

/** The shells that watch over the children of this process. */
const reapersOf = (parent: number): number[] =>
  processes()
    .filter((entry) => entry.parent === parent && entry.command.endsWith('mcpstore-reaper'))
    .map((entry) => entry.pid);

/** Three servers: one that ends with its input, one that ignores what it can, one behind shells that have gone. */
function services(): { config: Record<string, ServiceConfig>; pids: () => number[] } {
  const kind = scripted();
  const stubborn = scripted({ stubborn: true, fork: true });
  const inner = scripted({ stubborn: true });
  const forking = `trap '' TERM; (sleep 300 & (sleep 301 &) ); "$0" "$@"; true`;
  const shell = { command: 'sh', args: ['-c', forking, inner.command!, ...inner.args!] };
  const files = [kind.pidFile, stubborn.pidFile, inner.pidFile];
  return { config: { kind, stubborn, shell }, pids: () => files.flatMap((file) => starts(file).flat()) };
}

describe('F39: the process of the store ends at once', () => {
  it.each([
    ['by SIGKILL', 'SIGKILL', ''],
    ['by SIGINT, unheard', 'SIGINT', ''],
    ['by its own process.exit()', undefined, 'process.exit(0)'],
    ['by an exception that nobody catches', undefined, "setTimeout(() => { throw new Error('bug') })"],
  ] as const)('%s: nothing of it is left after 6 s', async (_, signal, last) => {
    const { config, pids } = services();
    const store = host(`${PROGRAM}\n${last}`, { services: config });
    const groups = await store.next<number[]>();
    const all = [...groups, ...pids()];
    expect(new Set(all).size).toBe(5);
    let reapers: number[] = [];
    if (signal) {
      // Also the two that the shells started, and left.
      expect(livingIn(groups).length).toBe(7);
      reapers = reapersOf(store.pid);
      expect(reapers.length).toBe(1);
      process.kill(store.pid, signal);
    }
    await store.ended;
    await until(() => livingIn(groups).length === 0 && all.every(gone), 'no survivor', 6_000);
    await allGone(reapers);
  });

  it('while a terminal, a person and a service manager ask all to end: the shell that watches stays', async () => {
    const { config } = services();
    const store = host(PROGRAM, { services: config });
    const groups = await store.next<number[]>();
    const [reaper] = reapersOf(store.pid) as [number];
    const own = processes().find((entry) => entry.pid === reaper)!;
    // Not in the group that a Ctrl-C reaches.
    expect(own.group).toBe(reaper);
    for (const signal of ['SIGINT', 'SIGHUP', 'SIGTERM', 'SIGQUIT'] as const) process.kill(reaper, signal);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(gone(reaper)).toBe(false);
    process.kill(store.pid, 'SIGKILL');
    await until(() => livingIn(groups).length === 0, 'no survivor', 6_000);
    await allGone([reaper]);
  });

  it('also where the shell that watches was killed before: another took its place', async () => {
    const { config } = services();
    const store = host(PROGRAM, { services: config });
    const groups = await store.next<number[]>();
    const [first] = reapersOf(store.pid) as [number];
    // One that dies young is not replaced at once, or it could be a loop.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    process.kill(first, 'SIGKILL');
    const [second] = await until(() => {
      const found = reapersOf(store.pid).filter((pid) => pid !== first);
      return found.length > 0 && found;
    }, 'another');
    expect(gone(first)).toBe(true);
    process.kill(store.pid, 'SIGKILL');
    await until(() => livingIn(groups).length === 0, 'no survivor', 6_000);
    await allGone([second!]);
  });
});

describe('the shell that watches', () => {
  it('is one for all stores of a process, and goes with the last child, leaving no zombie', async () => {
    const [a, b, c] = [scripted(), scripted({ stubborn: true }), scripted()];
    const program = `
      const stores = [];
      for (const services of input) stores.push(await MCPStore.open({ services, stateDir: null }));
      await Promise.all(stores.map((store) => store.listTools()));
      say();
      await new Promise((resolve) => process.once('SIGUSR2', resolve));
      await stores[0].close();
      say();
      await new Promise((resolve) => process.once('SIGUSR2', resolve));
      await stores[1].close();
      const { readdirSync, readFileSync } = await import('node:fs');
      const stats = readdirSync('/proc').filter((name) => Number(name)).map((pid) => {
        try { return readFileSync('/proc/' + pid + '/stat', 'latin1'); } catch { return ''; }
      });
      say(stats.filter((stat) => stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] === String(process.pid)));
    `;
    const store = host(program, [{ a, b }, { c }]);
    await store.next();
    const children = (): string[] =>
      processes()
        .filter((entry) => entry.parent === store.pid)
        .map((entry) => `${entry.state === 'Z' ? 'zombie' : 'runs'} ${entry.command.split(' ').at(-1)}`);
    expect(children().length).toBe(4);
    expect(reapersOf(store.pid).length).toBe(1);
    const [reaper] = reapersOf(store.pid);
    process.kill(store.pid, 'SIGUSR2');
    await store.next();
    expect(children().length).toBe(2);
    expect(reapersOf(store.pid)).toEqual([reaper]);
    process.kill(store.pid, 'SIGUSR2');
    expect(await store.next()).toEqual([]);
    expect(await store.ended).toBe(0);
  });

  it('keeps nobody running', async () => {
    const own = new Reaper();
    const pid = await sleeper();
    const active = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === 'ProcessWrap' || name === 'PipeWrap').length;
    const before = active();
    own.watch(() => ({ pid }) as ChildProcess);
    expect(own.pid).toBeGreaterThan(0);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(active()).toBe(before);
    await own.forget(pid);
    expect(own.pid).toBeUndefined();
    expect(gone(pid)).toBe(false);
  });

  it('does not come for a command that does not start', async () => {
    const own = new Reaper();
    expect(() =>
      own.watch(() => {
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(own.pid).toBeUndefined();
    await until(() => reapersOf(process.pid).length === 0, 'it went');
  });

  it.each([
    '/bin/sh',
    '/bin/bash',
  ])('%s: ends what is left, but neither what was taken back nor a later process', async (shell) => {
    const [left, takenBack, later, restarted] = [await sleeper(), await sleeper(), await sleeper(), await sleeper()];
    const child = spawn(shell, ['-c', REAPER_SCRIPT, 'mcpstore-reaper'], { stdio: ['pipe', 'ignore', 'ignore'] });
    const told = [
      `+ ${left} ${startTimeOf(left)}`,
      `+ ${takenBack} ${startTimeOf(takenBack)}`,
      `+ ${later} 1`,
      `+ ${restarted} 1`,
      `+ 1${left} 1`,
      `- ${takenBack}`,
      // A number that came again is the new one's.
      `+ ${restarted} ${startTimeOf(restarted)}`,
    ];
    child.stdin.end(`${told.join('\n')}\n`);
    await once(child, 'exit');
    await allGone([left, restarted], 500);
    expect([takenBack, later].map(gone)).toEqual([false, false]);
  });

  it('without groups, or after all were taken back, just goes', async () => {
    const since = performance.now();
    for (const told of ['', '+ 4194304 1\n- 4194304\n']) {
      const child = spawn('/bin/sh', ['-c', REAPER_SCRIPT], { stdio: ['pipe', 'ignore', 'ignore'] });
      child.stdin.end(told);
      expect(await once(child, 'exit')).toEqual([0, null]);
    }
    expect(performance.now() - since).toBeLessThan(950);
  });
});

describe('what an earlier run left, where the shell that watches was killed too', () => {
  const place = (): string =>
    `${readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()} ${readlinkSync('/proc/self/ns/pid')}`;

  /** A file as a process leaves it. */
  function left(lines: readonly string[], where = place(), owner = '4194304-1'): { folder: string; file: string } {
    const folder = join(temporaryPath('state'), 'children');
    mkdirSync(folder, { recursive: true });
    const file = join(folder, `${owner}-0a0a0a0a`);
    writeFileSync(file, [where, ...lines].join('\n'));
    return { folder, file };
  }

  it('F39: is ended by the next process at its first child', async () => {
    const stubborn = scripted({ stubborn: true, fork: true });
    const kind = scripted();
    const stateDir = temporaryPath('state');
    const first = host(PROGRAM, { services: { stubborn }, stateDir });
    await first.next();
    const notes = readdirSync(join(stateDir, 'children'));
    expect(notes.length).toBe(1);
    for (const pid of [...reapersOf(first.pid), first.pid]) process.kill(pid, 'SIGKILL');
    await first.ended;
    const survivors = starts(stubborn.pidFile).flat();
    expect(survivors.map(gone)).toEqual([false, false]);
    const second = host(`${PROGRAM}\n await store.close(); say(); setInterval(() => {}, 1000)`, {
      services: { kind },
      stateDir,
    });
    await second.next();
    await second.next();
    await allGone(survivors, 6_000);
    await until(() => !existsSync(join(stateDir, 'children', notes[0]!)), 'its note is gone');
    // Nor is one left of the process that ended as it should.
    expect(readdirSync(join(stateDir, 'children'))).toEqual([]);
  });

  it('needs number and start time to match', async () => {
    const [mine, others] = [await sleeper(), await sleeper()];
    const { folder, file } = left([`${others} 1`, '4194304 7', '1 1', '', `${mine} ${startTimeOf(mine)}`, `${others}`]);
    await sweep(folder);
    await allGone([mine], 500);
    expect(gone(others)).toBe(false);
    expect(existsSync(file)).toBe(false);
  });

  it.each([
    ['another boot', place().replace(/^.{8}/, '00000000'), undefined],
    ['another pid namespace', place().replace(/\d+\]/, '1]'), undefined],
    ['a process that lives', place(), `${process.pid}-${startTimeOf(process.pid)}`],
  ])('leaves alone what belongs to %s', async (_, where, owner) => {
    const pid = await sleeper();
    const { folder, file } = left([`${pid} ${startTimeOf(pid)}`], where, owner);
    await sweep(folder);
    expect(gone(pid)).toBe(false);
    expect(existsSync(file)).toBe(true);
  });

  it('is noted for each child, and no more once the last has ended', async () => {
    const stateDir = temporaryPath('state');
    const start = (): Promise<ServerProcess> =>
      ServerProcess.start({ command: 'cat', args: [], env: {}, cwd: undefined, stateDir, clock: systemClock });
    const [one, two] = [await start(), await start()];
    const folder = join(stateDir, 'children');
    const [name] = readdirSync(folder);
    expect(readFileSync(join(folder, name!), 'utf8')).toBe(
      [place(), ...[one, two].map(({ pid }) => `${pid} ${startTimeOf(pid)}`), ''].join('\n'),
    );
    await one.stop(1_000);
    expect(readdirSync(folder)).toEqual([name]);
    await two.stop(1_000);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('cannot be noted on a disk that is read-only, and children start all the same', async () => {
    const file = temporaryPath('file');
    writeFileSync(file, '');
    const server = await ServerProcess.start({
      command: 'cat',
      args: [],
      env: {},
      cwd: undefined,
      stateDir: join(file, 'below'),
      clock: systemClock,
    });
    await server.stop(1_000);
    expect(gone(server.pid)).toBe(true);
  });
});
