/** What a server started ends with it, in its own time: grandchildren behind wrappers, after a crash, and as zombies. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/_util/clock.js';
import { ServerProcess, system } from '../../src/connection/process.js';
import type { ServiceConfig } from '../../src/index.js';
import { afterwards, cleanUp, gone, openStore, scripted, temporaryPath } from '../support/harness.js';
import { livingIn, processes } from '../support/host.js';
import { failure, timed, until } from '../support/waiting.js';

vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });
afterEach(cleanUp);

const root = fileURLToPath(new URL('../..', import.meta.url));

/** A server that has a companion in its group: at SIGTERM it takes 0.2 s to put things in order, then notes it. */
function withCompanion(): { config: ServiceConfig; done: string } {
  const { command, args } = scripted();
  const done = temporaryPath('done');
  const companion = 'trap "sleep 0.2; echo > $DONE; exit" TERM; echo up > $DONE.up; while :; do sleep 0.02; done';
  const script = `(${companion}) & while [ ! -e $DONE.up ]; do sleep 0.02; done; exec "$0" "$@"`;
  return { config: { command: 'sh', args: ['-c', script, command!, ...args!], env: { DONE: done } }, done };
}

function start(script: string): Promise<ServerProcess> {
  return ServerProcess.start({ command: 'sh', args: ['-c', script], env: {}, cwd: undefined, clock: systemClock });
}

describe('F13: the group of a server', () => {
  it('has the time of the ladder also where its leader has ended at once', async () => {
    const { config, done } = withCompanion();
    const store = await openStore({ services: { a: config } });
    await store.callTool('a__echo', { text: 'x' });
    const { pids } = store.serviceInfo('a');
    expect(livingIn(pids).length).toBeGreaterThanOrEqual(2);
    const { ms } = await timed(() => store.close());
    expect(livingIn(pids)).toEqual([]);
    expect(existsSync(done)).toBe(true);
    expect(ms).toBeLessThan(3_000);
  });

  it('is ended where its leader crashed, SIGTERM first', async () => {
    const { config, done } = withCompanion();
    const store = await openStore({ services: { a: config } });
    await store.callTool('a__echo', { text: 'x' });
    const { pids } = store.serviceInfo('a');
    process.kill(pids[0]!, 'SIGKILL');
    await until(() => livingIn(pids).length === 0, 'nobody left', 3_000);
    expect(existsSync(done)).toBe(true);
  });

  it('is ended where its leader has ended by itself, however stubborn the rest is', async () => {
    const script = `trap '' TERM HUP; (sleep 300 & (sleep 300 &)); exec "$0" "$@"`;
    const { command, args } = scripted();
    const store = await openStore({ services: { a: { command: 'sh', args: ['-c', script, command!, ...args!] } } });
    const error = store.callTool('a__exit', { code: 5 });
    const { pids } = await store.waitService('a');
    expect((await failure(error)).message).toContain('exited with code 5');
    // Sooner than by the ladder's 2 s: its successor is on its way.
    await until(() => livingIn(pids).length === 0, 'nobody left', 1_700);
  });

  it('of npx ends with it', async () => {
    const config = { command: 'npx', args: ['--no-install', 'mcp-server-everything'], cwd: root };
    const store = await openStore({ services: { a: config } });
    await store.callTool('a__echo', { message: 'x' }, { timeoutMs: 25_000 });
    const { pids } = store.serviceInfo('a');
    const group = livingIn(pids).map(({ pid }) => pid);
    expect(group.length).toBeGreaterThanOrEqual(2);
    await store.close();
    expect(group.map(gone)).toEqual(group.map(() => true));
  });

  it('counts as gone where only zombies are left', async () => {
    // The inner shell leaves the group, and never looks after its child.
    const server = await start(`sh -c 'sleep 0 & exec setsid sleep 60' & echo >&2; exec cat`);
    const zombie = await until(
      () => processes().find((entry) => entry.group === server.pid && entry.state === 'Z'),
      'a zombie in the group',
    );
    afterwards(() => process.kill(zombie.parent, 'SIGKILL'));
    const { ms } = await timed(() => server.stop(2_000));
    expect(ms).toBeLessThan(450);
  });

  it('is not signalled once it is gone: its number may be that of others', async () => {
    const kill = vi.spyOn(system, 'kill');
    const server = await start('exec cat');
    await server.stop(2_000);
    const crashed = await start('exit 3');
    await until(() => crashed.exited, 'it has ended');
    await crashed.stop(2_000);
    expect(kill).not.toHaveBeenCalled();
  });
});
