/** Several processes with one sign-in, whose refresh tokens are good for one use: a second use would sign all of them out. */

import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
// @ts-expect-error: a script of the project, plain JavaScript.
import { build } from '../../scripts/build.mjs';
import { MCPStore } from '../../src/index.js';
import { afterwards, allGone, cleanUpAfterEach } from '../support/harness.js';
import { OAuthServer } from '../support/oauth-server.js';
import { tempDir } from '../support/tmp.js';
import { until } from '../support/waiting.js';

cleanUpAfterEach(60_000);
beforeAll(() => build(), 120_000);

const PROGRAM = fileURLToPath(new URL('../support/calling-process.mjs', import.meta.url));
const PROCESSES = 5;
const CALLS = 3;

/** A process of its own with a store, and a way to have it call. */
class Caller {
  readonly child: ChildProcess;
  readonly #lines: Interface;

  constructor(options: object) {
    this.child = spawn(process.execPath, [PROGRAM, JSON.stringify(options)], { stdio: ['pipe', 'pipe', 'inherit'] });
    afterwards(() => this.child.kill('SIGKILL'));
    this.#lines = createInterface({ input: this.child.stdout! });
  }

  /** How so many calls at once ended. */
  call(count: number): Promise<string[]> {
    const answer = new Promise<string[]>((resolve, reject) => {
      this.#lines.once('line', (line) => resolve(JSON.parse(line) as string[]));
      this.child.once('exit', (code) => reject(new Error(`it ended with ${code}`)));
    });
    this.child.stdin!.write(`${count}\n`);
    return answer;
  }

  /** Its exit code. */
  end(): Promise<number | null> {
    this.child.stdin!.end();
    return new Promise((resolve) => this.child.once('exit', resolve));
  }
}

it('refreshes once for all processes at once, round after round, and signs nobody out (F26)', async () => {
  const server = await OAuthServer.start({ rotate: true });
  const stateDir = await tempDir();
  const options = { stateDir, services: { peer: { url: server.url } } };
  const own = await MCPStore.open(options);
  await own.auth.login('peer', { onAuthorize: server.agree });
  await own.close();
  const callers = Array.from({ length: PROCESSES }, () => new Caller(options));
  const ok = Array.from({ length: CALLS }, () => 'ok');
  for (const ends of await Promise.all(callers.map((caller) => caller.call(CALLS)))) expect(ends).toEqual(ok);

  for (let round = 1; round <= 3; round++) {
    // The access token ends; no refresh is answered before each process was refused with it.
    server.access.clear();
    const before = server.calls('tools/call').length;
    const refused = (): boolean => server.calls('tools/call').length >= before + PROCESSES * CALLS;
    server.hold = until(refused, 'all are refused');
    for (const ends of await Promise.all(callers.map((caller) => caller.call(CALLS)))) expect(ends).toEqual(ok);
    await server.hold;
    expect(server.grants('refresh_token')).toHaveLength(round);
    // All of them go on with what the one got.
    const used = server.calls('tools/call').slice(-PROCESSES * CALLS);
    expect([...new Set(used.map(({ authorization }) => authorization))]).toEqual([
      `Bearer ${[...server.access.keys()][0]}`,
    ]);
  }
  expect(server.reused).toEqual([]);
  expect(server.authorizations).toHaveLength(1);
  const [kept] = [...server.refreshable.keys()];
  expect(readFileSync(join(stateDir, 'auth.json'), 'utf8')).toContain(`"${kept}"`);

  expect(await Promise.all(callers.map((caller) => caller.end()))).toEqual(callers.map(() => 0));
  await allGone(callers.map(({ child }) => child.pid!));
  expect(readdirSync(stateDir).filter((name) => /lock|tmp|takeover/.test(name))).toEqual([]);
});
