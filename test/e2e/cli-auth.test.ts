/** `mcpstore auth` as real processes: a browser that is opened without a shell, tokens for the next command, no secret shown. */

import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import {
  configOf,
  ended,
  inFolder,
  json,
  ok,
  ownConfig,
  run,
  start,
  useCommandLine,
  user,
} from '../support/command-line.js';
import { OAuthServer } from '../support/oauth-server.js';
import { until } from '../support/waiting.js';

useCommandLine();

let env: Record<string, string> = {};
const opened = (): string => inFolder('opened');

/** A browser whose owner agrees at once: it notes its arguments and goes where it is sent. */
beforeEach(() => {
  const bin = inFolder('bin');
  mkdirSync(bin, { recursive: true });
  const browser = join(bin, 'browser.mjs');
  writeFileSync(
    browser,
    `import { writeFileSync } from 'node:fs';
     writeFileSync(${JSON.stringify(opened())}, JSON.stringify(process.argv.slice(2)));
     await fetch(process.argv[2]);`,
  );
  for (const name of ['xdg-open', 'open']) {
    writeFileSync(join(bin, name), `#!/bin/sh\nexec "${process.execPath}" "${browser}" "$@"\n`);
    chmodSync(join(bin, name), 0o755);
  }
  env = { PATH: `${bin}${delimiter}${process.env['PATH']}` };
});

const secretsIn = (server: OAuthServer, text: string): string[] => server.secrets.filter((one) => text.includes(one));

it('signs in with the browser; the next command has the tokens; signs out', async () => {
  const server = await OAuthServer.start();
  server.options.metadata = { authorization_endpoint: `${server.origin}/authorize/$(touch pwned);touch pwned` };
  await ok('add', 'wiki', server.url);
  const refused = await run(['call', 'wiki', 'echo']);
  expect(refused).toMatchObject({ code: 9, stdout: '' });
  expect(refused.stderr).toContain('error AUTH_REQUIRED');
  expect(refused.stderr).toContain('hint: Sign in with: mcpstore auth login wiki');
  expect((await run(['auth', 'status', 'wiki'])).code).toBe(9);

  const login = await run(['auth', 'login', 'wiki', '--json'], { env });
  expect(login, login.stderr).toMatchObject({ code: 0 });
  expect(login.stderr).toContain(`Sign in here: ${server.origin}/authorize/`);
  expect(JSON.parse(login.stdout)).toMatchObject({
    services: [{ service: 'wiki', url: server.url, signedIn: true, refreshable: true, issuer: server.origin }],
  });
  const [url, ...more] = JSON.parse(readFileSync(opened(), 'utf8')) as string[];
  expect(login.stderr).toContain(url);
  expect(more).toEqual([]);
  expect(existsSync(inFolder('pwned'))).toBe(false);

  const file = join(user.home, 'state', 'mcpstore', 'auth.json');
  if (process.platform === 'linux') expect(statSync(file).mode & 0o777).toBe(0o600);
  const call = await run(['call', 'wiki', 'echo']);
  expect(call, call.stderr).toMatchObject({ code: 0, stdout: 'done\n' });
  const status = await run(['auth', 'status']);
  expect(status.stdout).toMatch(/wiki +signed in/);
  expect(await json('auth', 'logout', 'wiki')).toEqual({ service: 'wiki', signedOut: true });
  expect(server.revoked).toHaveLength(1);
  expect((await run(['call', 'wiki', 'echo'])).code).toBe(9);
  const all = [refused, login, call, status].map(({ stdout, stderr }) => stdout + stderr).join();
  expect(secretsIn(server, all)).toEqual([]);
});

it('prints the address where it is to open no browser, and gives up at Ctrl-C', async () => {
  const server = await OAuthServer.start();
  const args = ['auth', 'login', server.url, '--no-browser'];
  const login = start(args, env);
  const url = await addressOf(login);
  const done = ended(login);
  await fetch(url);
  expect(await done).toMatchObject({ code: 0 });
  // A URL needs no configuration, and has tokens of its own.
  expect(await ok('call', server.url, 'echo')).toBe('done\n');
  expect(existsSync(ownConfig())).toBe(false);

  const other = start(args, env);
  const redirect = new URL(new URL(await addressOf(other)).searchParams.get('redirect_uri')!);
  const over = ended(other);
  other.kill('SIGINT');
  expect((await over).code).toBe(130);
  await expect(fetch(redirect)).rejects.toThrow();
  expect(existsSync(opened())).toBe(false);
});

it('says what was refused, and that a machine without a browser needs the address', async () => {
  const server = await OAuthServer.start();
  server.redirect = { code: undefined, error: 'access_denied' };
  await ok('add', 'wiki', server.url);
  const login = await run(['auth', 'login', 'wiki'], { env });
  expect(login).toMatchObject({ code: 9, stdout: '' });
  expect(login.stderr).toContain('access_denied');
  expect(await run(['auth', 'login', 'nobody'])).toMatchObject({ code: 4 });
  await ok('add', 'files', '--', 'node', 'x.mjs');
  expect(await run(['auth', 'login', 'files'])).toMatchObject({ code: 2 });
  // Nothing is there that could be opened.
  server.redirect = {};
  const bare = start(['auth', 'login', 'wiki'], { PATH: inFolder('nowhere') });
  const url = await addressOf(bare);
  const done = ended(bare);
  await fetch(url);
  expect(await done).toMatchObject({ code: 0 });
});

it('signs in with the credentials of the configuration, and masks them', async () => {
  const server = await OAuthServer.start({ clients: { robot: { secret: 'CANARY-configured-secret' } } });
  const auth = { type: 'client_credentials', clientId: 'robot', clientSecret: 'CANARY-configured-secret' } as const;
  const config = configOf({ jobs: { url: server.url, mcpstore: { auth } } });
  expect(await ok(...config, 'call', 'jobs', 'echo')).toBe('done\n');
  // The token of the first command serves the second.
  expect(await ok(...config, 'call', 'jobs', 'echo')).toBe('done\n');
  expect(server.tokenRequests).toHaveLength(1);
  const shown = await Promise.all([
    ok(...config, 'get', 'jobs'),
    ok(...config, 'get', 'jobs', '--json'),
    ok(...config, 'config', 'show'),
    ok(...config, 'auth', 'login', 'jobs', '--json'),
    ok(...config, 'auth', 'status', '--json'),
  ]);
  expect(shown[0]).toContain('robot');
  expect(secretsIn(server, shown.join())).toEqual([]);
});

async function addressOf(child: ReturnType<typeof start>): Promise<string> {
  let text = '';
  child.stderr!.on('data', (chunk: Buffer) => {
    text += String(chunk);
  });
  return until(() => /Sign in here: (\S+)\n/.exec(text)?.[1], 'the address');
}
