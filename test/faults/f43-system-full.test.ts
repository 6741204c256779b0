/** The system refuses file descriptors or processes: the error says so, nothing ran, and it passes by itself. Linux. */

import { execFileSync } from 'node:child_process';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { afterwards, cleanUp, scripted, starts } from '../support/harness.js';
import { type Host, host } from '../support/host.js';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 });
afterEach(cleanUp);
beforeAll(() => {
  expect(execFileSync('prlimit', ['--version'], { encoding: 'utf8' }), 'util-linux is needed').toContain('prlimit');
});

/** Calls `b` at each SIGUSR2, once where it is to fail, until it works where it is not; `a` has run before. */
const PROGRAM = `
  const store = await MCPStore.open({
    services: input.services,
    stateDir: null,
    performance: { connectionPool: { maxRetries: 0 } },
  });
  const call = (service) =>
    store.callTool('echo', { text: service }, { service, timeoutMs: 10_000 }).then(
      (result) => ({ text: result.content[0].text }),
      ({ code, message, executed, figures }) => ({ code, message, executed, figures }),
    );
  const alive = setInterval(() => {}, 1_000);
  const signal = () => new Promise((resolve) => process.once('SIGUSR2', resolve));
  if (input.before) await call('a');
  let given = signal();
  say('ready');
  await given;
  given = signal();
  say(await call('b'));
  await given;
  let told = await call('b');
  for (let n = 0; n < 20 && told.code; n++) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    told = await call('b');
  }
  say({ ...told, a: input.before && (await call('a')).text });
  await store.close();
  clearInterval(alive);
`;

interface Told {
  code?: string;
  message: string;
  executed: string;
  figures: Record<string, unknown>;
  text?: string;
  a?: string;
}

/** `prlimit` on the program, as its own user. */
const prlimit = (program: Host, wrapper: readonly string[], ...args: string[]): string => {
  const [command, ...rest] = [...wrapper, 'prlimit', '--pid', String(program.pid), ...args];
  return execFileSync(command!, rest, { encoding: 'utf8' }).trim();
};

/** Runs `b` for the first time under the limit, then without. `a` has run before, where `before`. */
async function under(
  resource: 'nofile' | 'nproc',
  soft: number,
  before: boolean,
  wrapper: readonly string[] = [],
): Promise<{ failed: Told; then: Told; starts: number }> {
  const [a, b] = [scripted(), scripted()];
  // Whoever the program runs as has no business in the test's folder.
  const bare = scripted({ pidFile: '' });
  const services = wrapper.length > 0 ? { a: bare, b: bare } : { a, b };
  const program = host(PROGRAM, { services, before }, wrapper);
  afterwards(() => program.child.kill('SIGKILL'));
  await program.next();
  const hard = prlimit(program, wrapper, `--${resource}`, '-o', 'HARD', '--noheadings', '--raw');
  // Soft limits may be lowered below what is used, and raised again up to the hard one.
  prlimit(program, wrapper, `--${resource}=${soft}:`);
  process.kill(program.pid, 'SIGUSR2');
  const failed = await program.next<Told>();
  prlimit(program, wrapper, `--${resource}=${hard}:`);
  process.kill(program.pid, 'SIGUSR2');
  const then = await program.next<Told>();
  expect(await program.ended).toBe(0);
  return { failed, then, starts: starts(b.pidFile).length };
}

describe('F43: the system is full', () => {
  it('of file descriptors, while others run', async () => {
    const { failed, then, starts } = await under('nofile', 5, true);
    expect(failed).toMatchObject({
      code: 'SPAWN_FAILED',
      executed: 'no',
      figures: { errno: 'EMFILE', retryable: true },
    });
    expect(failed.message).toContain('out of file descriptors');
    expect(then).toMatchObject({ text: 'b', a: 'a' });
    expect(starts).toBe(1);
  });

  it('of file descriptors, before anything was loaded that connects', async () => {
    const { failed, then } = await under('nofile', 5, false);
    expect(failed).toMatchObject({ code: 'CONNECT_FAILED', executed: 'no', figures: { errno: 'EMFILE' } });
    expect(failed.message).toContain('out of file descriptors');
    expect(then).toMatchObject({ text: 'b' });
  });

  it('of processes', async () => {
    // The limit does not hold for root.
    const wrapper = process.getuid?.() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
    const { failed, then } = await under('nproc', 1, true, wrapper);
    expect(failed).toMatchObject({
      code: 'SPAWN_FAILED',
      executed: 'no',
      figures: { errno: 'EAGAIN', retryable: true },
    });
    expect(failed.message).toContain('no room for another process');
    expect(then).toMatchObject({ text: 'b', a: 'a' });
  });
});
