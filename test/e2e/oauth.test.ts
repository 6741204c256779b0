/** OAuth of a whole store against real HTTP servers: every way to a token, what is kept, and what is never told. */

import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { createServer, get, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { expect, it, vi } from 'vitest';
import { isStoreError, MCPStore, type OpenOptions, type ServiceConfig, StoreError } from '../../src/index.js';
import { afterwards, cleanUpAfterEach } from '../support/harness.js';
import { OAuthServer } from '../support/oauth-server.js';
import { tempDir } from '../support/tmp.js';
import { failure, until } from '../support/waiting.js';

cleanUpAfterEach(60_000);

type Auth = NonNullable<ServiceConfig['mcpstore']>['auth'];

async function open(
  server: OAuthServer,
  stateDir: string | null,
  auth?: Auth,
  more: Partial<OpenOptions> & { url?: string } = {},
): Promise<MCPStore> {
  const { url = server.url, ...options } = more;
  const store = await MCPStore.open({
    stateDir,
    services: { peer: { url, ...(auth !== undefined && { mcpstore: { auth } }) } },
    ...options,
  });
  afterwards(() => store.close({ drainMs: 0 }));
  return store;
}

const echo = (store: MCPStore): Promise<unknown> => store.callTool('peer__echo', {});
const write = (store: MCPStore): Promise<unknown> => store.callTool('peer__write', {});
const MACHINE = { type: 'client_credentials', clientId: 'robot', clientSecret: 'CANARY-robot-secret-1' } as const;
const ROBOT = { robot: { secret: 'CANARY-robot-secret-1' } };
const keptIn = (stateDir: string): string => readFileSync(join(stateDir, 'auth.json'), 'utf8');

/** A person has signed in, and the tokens are kept. */
async function signedIn(server: OAuthServer, auth?: Auth): Promise<string> {
  const stateDir = await tempDir();
  const store = await open(server, stateDir, auth);
  await store.auth.login('peer', { onAuthorize: server.agree });
  await store.close();
  return stateDir;
}

it('signs in for itself with a client id and secret, once for all that wait', async () => {
  const server = await OAuthServer.start({ clients: ROBOT });
  const store = await open(server, null, MACHINE);
  await Promise.all(Array.from({ length: 20 }, () => echo(store)));
  expect(server.tokenRequests).toHaveLength(1);
  expect(server.tokenRequests[0]!.authorization).toMatch(/^Basic /);
  expect(server.calls('tools/call').every(({ authorization }) => authorization?.startsWith('Bearer '))).toBe(true);
});

it.each(['ec', 'rsa'] as const)('signs in for itself with a token signed by its %s key', async (kind) => {
  const keys =
    kind === 'ec'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const publicKey = String(keys.publicKey.export({ type: 'spki', format: 'pem' }));
  const privateKey = String(keys.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const server = await OAuthServer.start({ clients: { robot: { publicKey } } });
  const auth: Auth = { type: 'private_key_jwt', clientId: 'robot', privateKey: '${PEM}' };
  const store = await open(server, null, auth, { env: { PEM: privateKey } });
  await echo(store);
  expect(server.grants('client_credentials')).toHaveLength(1);
  expect(server.tokenRequests[0]!.params.get('client_assertion')).toBeTruthy();
});

it('says of a key that is none only that', async () => {
  const server = await OAuthServer.start();
  const auth: Auth = { type: 'private_key_jwt', clientId: 'robot', privateKey: 'CANARY-no-key-at-all' };
  const error = await failure(echo(await open(server, null, auth)));
  expect(error).toMatchObject({ code: 'AUTH_REQUIRED', message: expect.stringContaining('privateKey is no key') });
  expect(JSON.stringify(error.toJSON()) + error.stack).not.toContain('CANARY');
});

it('has a person sign in where one can be asked: PKCE, a state of its own, and a port of 127.0.0.1', async () => {
  const server = await OAuthServer.start();
  const asked: string[] = [];
  const onAuthorize: OpenOptions['onAuthorize'] = (request) => {
    asked.push(request.url, request.redirectUrl);
    return server.agree(request);
  };
  const store = await open(server, null, undefined, { onAuthorize });
  await Promise.all([echo(store), echo(store), echo(store)]);
  expect(server.authorizations).toHaveLength(1);
  const [sent] = server.authorizations;
  expect(sent!.get('code_challenge_method')).toBe('S256');
  expect(sent!.get('resource')).toBe(server.url);
  expect(sent!.get('state')!.length).toBeGreaterThan(20);
  expect(asked[1]).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/callback$/);
  expect(server.grants('authorization_code')).toHaveLength(1);
  // The listener is gone with the sign-in.
  await expect(fetch(asked[1]!)).rejects.toThrow();
});

/** Status of the answer to a request for `path`, written as it is. */
function asked(address: string, path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(address);
    get({ hostname, port, path }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on('error', reject);
  });
}

it('takes the redirect of a browser, and no other', async () => {
  const server = await OAuthServer.start();
  const pages: string[] = [];
  const store = await open(server, null, undefined, {
    onAuthorize: async (request) => {
      const visited = async (address: string): Promise<number> => {
        const response = await fetch(address);
        pages.push(await response.text());
        return response.status;
      };
      expect(await visited(`${request.redirectUrl}?code=x&state=wrong`)).toBe(400);
      expect(await visited(`${request.redirectUrl}/else?code=x`)).toBe(400);
      // What is no address at all ends neither the sign-in nor the process.
      for (const path of ['//', '/\\\\', '//[', 'http://[', '*', '//evil.example/callback'])
        expect(await asked(request.redirectUrl, path), path).toBe(400);
      expect(await visited(request.url)).toBe(200);
    },
  });
  await echo(store);
  expect(pages.at(-1)).toContain('Signed in.');
  expect(pages.join()).not.toContain('CANARY');
});

it('keeps the tokens in a file of mode 0600, and the next process uses them', async () => {
  const server = await OAuthServer.start();
  const stateDir = await signedIn(server);
  expect(statSync(join(stateDir, 'auth.json')).mode & 0o777).toBe(0o600);
  expect(readdirSync(stateDir).filter((name) => name.startsWith('auth.json.') || name.startsWith('.auth'))).toEqual([]);
  const store = await open(server, stateDir);
  await echo(store);
  expect(server.tokenRequests).toHaveLength(1);
  // No request went out without them.
  expect(server.calls('server/discover').at(-1)!.authorization).toMatch(/^Bearer /);
});

it('closes a file that was opened to others when it writes it', async () => {
  const server = await OAuthServer.start();
  const stateDir = await signedIn(server);
  chmodSync(join(stateDir, 'auth.json'), 0o644);
  const store = await open(server, stateDir);
  await store.auth.login('peer', { onAuthorize: server.agree });
  expect(statSync(join(stateDir, 'auth.json')).mode & 0o777).toBe(0o600);
});

it('gives tokens to no other address, and to no other name', async () => {
  const server = await OAuthServer.start();
  const other = await OAuthServer.start();
  const stateDir = await signedIn(server);
  const store = await open(server, stateDir, undefined, { url: other.url });
  expect(await failure(echo(store))).toMatchObject({ code: 'AUTH_REQUIRED' });
  expect(other.seen.every(({ authorization }) => authorization === undefined)).toBe(true);
});

it('refreshes once for all that wait (F26)', async () => {
  const server = await OAuthServer.start({ rotate: true });
  const stateDir = await signedIn(server);
  const store = await open(server, stateDir);
  await echo(store);
  server.access.clear();
  await Promise.all(Array.from({ length: 50 }, () => echo(store)));
  expect(server.grants('refresh_token')).toHaveLength(1);
  // The next process has the new ones.
  const next = await open(server, stateDir);
  await echo(next);
  expect(server.grants('refresh_token')).toHaveLength(1);
});

it('asks once for all that wait in memory too, and again for the next refusal (F26)', async () => {
  const server = await OAuthServer.start({ clients: ROBOT });
  const store = await open(server, null, MACHINE);
  await echo(store);
  for (let round = 2; round <= 3; round++) {
    server.access.clear();
    await Promise.all(Array.from({ length: 50 }, () => echo(store)));
    expect(server.tokenRequests).toHaveLength(round);
  }
});

it('refreshes once for two processes, where a refresh token is good for one use', async () => {
  const server = await OAuthServer.start({ rotate: true });
  const stateDir = await signedIn(server);
  const stores = [await open(server, stateDir), await open(server, stateDir)];
  await Promise.all(stores.map(echo));
  server.access.clear();
  await Promise.all([...stores, ...stores, ...stores].map(echo));
  expect(server.grants('refresh_token')).toHaveLength(1);
});

it.each([
  ['refused', 400],
  ['granted', undefined],
])('keeps what somebody signed in or out meanwhile, where a refresh is %s', async (_, status) => {
  const server = await OAuthServer.start({ rotate: true });
  const stateDir = await signedIn(server);
  const [store, other] = [await open(server, stateDir), await open(server, stateDir)];
  await echo(store);
  /** One refresh that takes as long as `meanwhile`. */
  const during = async (meanwhile: () => Promise<unknown>): Promise<unknown> => {
    let release = (): void => {};
    server.hold = new Promise<void>((resolve) => {
      release = resolve;
    });
    const asked = server.grants('refresh_token').length;
    server.access.clear();
    const call = echo(store).catch((error: unknown) => error);
    await until(() => server.grants('refresh_token').length > asked, 'a refresh');
    const fault = status === undefined ? undefined : { status, error: 'invalid_grant' };
    const held = server.hold;
    server.hold = undefined;
    await meanwhile();
    server.tokenFault = fault;
    release();
    await held;
    const result = await call;
    server.tokenFault = undefined;
    return result;
  };
  expect(isStoreError(await during(() => other.auth.login('peer', { onAuthorize: server.agree })))).toBe(false);
  const kept = JSON.parse(keptIn(stateDir)) as { entries: Record<string, { tokens: { access_token: string } }> };
  expect(server.calls('tools/call').at(-1)!.authorization).toBe(
    `Bearer ${Object.values(kept.entries)[0]!.tokens.access_token}`,
  );
  expect(await during(() => other.auth.logout('peer'))).toMatchObject({ code: 'AUTH_REQUIRED' });
  expect((await other.auth.status('peer'))[0]!.signedIn).toBe(false);
});

it('is AUTH_REQUIRED when a refresh is refused, says how to sign in, and counts for no breaker (F26)', async () => {
  const server = await OAuthServer.start();
  const stateDir = await signedIn(server);
  const store = await open(server, stateDir);
  await echo(store);
  server.access.clear();
  server.refreshable.clear();
  for (let n = 0; n < 12; n++) {
    const error = await failure(echo(store));
    expect(error).toMatchObject({ code: 'AUTH_REQUIRED', executed: 'no', service: 'peer' });
    expect(error.hint).toBe('Sign in with: mcpstore auth login peer');
  }
  expect(store.serviceInfo('peer').status).toBe('ready');
  expect(server.grants('refresh_token').length).toBeLessThanOrEqual(1);
  // Nothing of them is left to try with.
  expect(keptIn(stateDir)).not.toContain('CANARY-refresh');
});

it('goes on by itself when somebody has signed in meanwhile, in another process too', async () => {
  const server = await OAuthServer.start();
  const stateDir = await tempDir();
  const store = await open(server, stateDir);
  expect(await failure(echo(store))).toMatchObject({ code: 'AUTH_REQUIRED' });
  expect(store.serviceInfo('peer').status).toBe('auth_required');
  const before = server.seen.length;
  expect(await failure(echo(store))).toMatchObject({ code: 'AUTH_REQUIRED' });
  expect(server.seen.length).toBe(before);
  const other = await open(server, stateDir);
  await other.auth.login('peer', { onAuthorize: server.agree });
  await echo(store);
});

it('is no refusal for ever while the authorization server is down, and no failure of the service', async () => {
  const server = await OAuthServer.start();
  const stateDir = await signedIn(server);
  const store = await open(server, stateDir, undefined, {
    performance: { connectionPool: { maxRetries: 0 } },
  });
  await echo(store);
  server.access.clear();
  server.tokenFault = { status: 503 };
  for (let n = 0; n < 12; n++)
    expect(await failure(echo(store))).toMatchObject({ code: 'CONNECT_FAILED', executed: 'no' });
  expect(store.serviceInfo('peer').status).toBe('ready');
  server.tokenFault = undefined;
  await until(() => echo(store).catch(() => false), 'a refresh that succeeds');
});

it.each([429, 500, 503])('asks no other authorization server while the metadata cannot be had (%i)', async (status) => {
  // The server itself would be the next one to ask.
  const server = await OAuthServer.start({ clients: ROBOT });
  const other = await OAuthServer.start({ clients: ROBOT });
  server.resourceMetadata = { resource: server.url, authorization_servers: [other.origin] };
  const options = { performance: { connectionPool: { maxRetries: 0 } } };
  const program = await open(server, null, MACHINE, options);
  const stateDir = await signedIn(server);
  const onAuthorize = vi.fn(other.agree);
  const person = await open(server, stateDir, undefined, { ...options, onAuthorize });
  server.metadataFault = status;
  for (const store of [program, person])
    expect(await failure(echo(store))).toMatchObject({ code: 'CONNECT_FAILED', figures: { signIn: true } });
  expect(server.tokenRequests).toEqual([]);
  expect(onAuthorize).not.toHaveBeenCalled();
});

it('ends a call that waits for a token at its deadline', async () => {
  const server = await OAuthServer.start();
  const stateDir = await signedIn(server);
  const store = await open(server, stateDir);
  await echo(store);
  server.access.clear();
  let release = (): void => {};
  server.hold = new Promise<void>((resolve) => {
    release = resolve;
  });
  const error = await failure(store.callTool('peer__echo', {}, { timeoutMs: 300 }));
  expect(error).toMatchObject({ code: 'TIMEOUT', executed: 'no' });
  release();
});

it('steps up to the scopes that a tool needs, with those that it had', async () => {
  const server = await OAuthServer.start({ clients: ROBOT, scopes: { write: 'notes:write' } });
  const store = await open(server, null, { ...MACHINE, scope: 'notes:read' });
  await echo(store);
  await write(store);
  expect(server.tokenRequests.map(({ params }) => params.get('scope'))).toEqual([
    'notes:read',
    'notes:read notes:write',
  ]);
});

it('steps up for each of many calls at once, whatever scope each needs', async () => {
  const tools = Array.from({ length: 8 }, (_, at) => `t${at}`);
  const scopes = Object.fromEntries(tools.map((tool) => [tool, `scope:${tool}`]));
  const server = await OAuthServer.start({ clients: ROBOT, scopes });
  const store = await open(server, null, MACHINE);
  await echo(store);
  const done = await Promise.allSettled(tools.map((tool) => store.callTool(`peer__${tool}`, {})));
  expect(done.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []))).toEqual([]);
  expect(server.tokenRequests.length).toBeLessThanOrEqual(1 + tools.length);
});

it('has the person agree to what many calls at once need, whatever scope each needs, in one go', async () => {
  const tools = Array.from({ length: 8 }, (_, at) => `t${at}`);
  const scopes = Object.fromEntries(tools.map((tool) => [tool, `scope:${tool}`]));
  const server = await OAuthServer.start({ scopes });
  const stateDir = await signedIn(server);
  const store = await open(server, stateDir, undefined, { onAuthorize: server.agree });
  await echo(store);
  const before = server.authorizations.length;
  const done = await Promise.allSettled(tools.map((tool) => store.callTool(`peer__${tool}`, {})));
  expect(done.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []))).toEqual([]);
  // Calls whose refusal came while the person was asked are in the next question, all of them.
  expect(server.authorizations.length - before).toBeLessThanOrEqual(2);
});

it('asks the person as often as one call learns of a further scope that it needs', async () => {
  const server = await OAuthServer.start({ scopes: { write: 'a b c d e f' }, oneByOne: true });
  const stateDir = await signedIn(server);
  const store = await open(server, stateDir, undefined, { onAuthorize: server.agree });
  await write(store);
  expect(server.authorizations.at(-1)!.get('scope')).toBe('a b c d e f');
});

it('ends with a server that finds a further scope each time', async () => {
  const endless = Array.from({ length: 30 }, (_, at) => `more:${at}`).join(' ');
  const server = await OAuthServer.start({ scopes: { write: endless }, oneByOne: true });
  const stateDir = await signedIn(server);
  const store = await open(server, stateDir, undefined, { onAuthorize: server.agree });
  expect(await failure(write(store))).toMatchObject({ code: 'FORBIDDEN', executed: 'no' });
  expect(server.authorizations).toHaveLength(1 + 10);
});

it('has the person agree to a step up, and is FORBIDDEN with the scope where nobody can be asked', async () => {
  const server = await OAuthServer.start({ scopes: { write: 'notes:write' } });
  const stateDir = await signedIn(server);
  const silent = await open(server, stateDir);
  const error = await failure(write(silent));
  expect(error).toMatchObject({ code: 'FORBIDDEN', executed: 'no', figures: { scope: 'notes:write' } });
  expect(error.hint).toBe("Sign in with: mcpstore auth login peer --scope 'notes:write'");
  const asking = await open(server, stateDir, undefined, { onAuthorize: server.agree });
  await write(asking);
  expect(server.authorizations.at(-1)!.get('scope')).toBe('notes:write');
});

it('names with a missing scope those of before, without which signing in anew would lose them', async () => {
  const server = await OAuthServer.start({ scopes: { echo: 'notes:read', write: 'notes:write' } });
  const stateDir = await signedIn(server, { type: 'authorization_code', scope: "notes:read $(id)'x'" });
  const store = await open(server, stateDir);
  await echo(store);
  const { hint } = await failure(write(store));
  expect(hint).toBe("Sign in with: mcpstore auth login peer --scope 'notes:read notes:write'");
});

it('steps up a bounded number of times: the same scopes are not asked for again', async () => {
  const server = await OAuthServer.start({ clients: ROBOT, scopes: { write: 'never' }, challenge: 'admin' });
  const store = await open(server, null, MACHINE);
  for (let n = 0; n < 10; n++) expect(await failure(write(store))).toMatchObject({ code: 'FORBIDDEN' });
  expect(server.tokenRequests).toHaveLength(2);
  expect(store.serviceInfo('peer').status).toBe('ready');
  await echo(store);
});

it('gives up on a server that refuses every token', async () => {
  const server = await OAuthServer.start({ clients: ROBOT, lenient: true });
  const store = await open(server, null, MACHINE);
  const { access } = server;
  vi.spyOn(access, 'get').mockReturnValue(undefined);
  expect(await failure(echo(store))).toMatchObject({ code: 'AUTH_REQUIRED' });
  expect(server.tokenRequests.length).toBeLessThanOrEqual(4);
});

it.each([
  ['a client that registered itself', undefined],
  ['a client of the configuration', { ...MACHINE, type: 'authorization_code' } as const],
])('shows another authorization server nothing of the one before: %s', async (_, auth) => {
  const server = await OAuthServer.start({ clients: ROBOT });
  const other = await OAuthServer.start({ clients: ROBOT });
  const stateDir = await signedIn(server, auth);
  const store = await open(server, stateDir, auth);
  server.resourceMetadata = { resource: server.url, authorization_servers: [other.origin] };
  server.access.clear();
  expect(await failure(echo(store))).toMatchObject({ code: 'AUTH_REQUIRED' });
  expect(other.tokenRequests).toEqual([]);
  await store.auth.login('peer', { onAuthorize: other.agree });
  expect(other.registrations).toHaveLength(auth ? 0 : 1);
  const sent = [...other.authorizations, ...other.tokenRequests.map(({ params }) => params)].map(String).join();
  expect(sent).not.toMatch(/CANARY-(access|refresh)/);
});

it('gives a configured secret to the authorization server that it belongs to, and to no other', async () => {
  const server = await OAuthServer.start({ clients: ROBOT });
  const store = await open(server, null, { ...MACHINE, issuer: 'https://auth.example.com' });
  expect(await failure(echo(store))).toMatchObject({
    code: 'AUTH_REQUIRED',
    message: expect.stringContaining('https://auth.example.com'),
  });
  expect(server.tokenRequests).toEqual([]);
});

it.each([
  ['javascript:alert(1)', 'authorization_endpoint'],
  ['`touch /tmp/x`', 'authorization_endpoint'],
  ['$(touch /tmp/x)', 'authorization_endpoint'],
  ['file:///etc/passwd', 'authorization_endpoint'],
  ['http://auth.example.com/authorize', 'authorization_endpoint'],
  ['https://me:pw@auth.example.com/authorize', 'authorization_endpoint'],
  ['http://auth.example.com/token', 'token_endpoint'],
])('refuses %s as %s (A8)', async (address, field) => {
  const server = await OAuthServer.start({ metadata: { [field]: address } });
  const opened: string[] = [];
  const store = await open(server, null, undefined, {
    onAuthorize: ({ url }) => {
      opened.push(url);
      return field === 'token_endpoint' ? server.agree({ url }) : undefined;
    },
  });
  expect(await failure(echo(store))).toMatchObject({ code: 'AUTH_REQUIRED' });
  if (field === 'authorization_endpoint') expect(opened).toEqual([]);
});

it('follows no redirect to another origin, neither with a token nor for one (A8)', async () => {
  const server = await OAuthServer.start({ clients: ROBOT });
  const evil = await OAuthServer.start({ clients: ROBOT });
  const store = await open(server, null, MACHINE, { performance: { connectionPool: { maxRetries: 0 } } });
  await echo(store);
  server.movedTo = evil.url;
  expect(await failure(echo(store))).toMatchObject({
    code: 'CONNECT_FAILED',
    message: expect.stringContaining('not followed'),
  });
  server.movedTo = undefined;
  server.access.clear();
  server.tokenFault = { status: 307, location: `${evil.origin}/token` };
  expect(await failure(echo(store))).toMatchObject({ code: 'AUTH_REQUIRED' });
  expect([...evil.seen, ...evil.tokenRequests]).toEqual([]);
});

it('hands on no address that a shell would understand (A8)', async () => {
  const server = await OAuthServer.start();
  const path = "/authorize/$(id);'id'|id";
  server.options.metadata = { authorization_endpoint: `${server.origin}${path}?q=$(id)\`id\`` };
  let opened = '';
  const store = await open(server, null, undefined, {
    onAuthorize: (request) => {
      opened = request.url;
      return server.agree(request);
    },
  });
  await echo(store);
  expect(opened).not.toMatch(/[`$()'"\\;|<>^!\s]/);
  // To the server it says the same.
  expect(server.authorizePath).toBe(path);
  expect(server.authorizations[0]!.get('q')).toBe('$(id)`id`');
});

it.each([
  ['a state that is not ours', { state: 'forged' }, 'another sign-in'],
  ['no state', { state: undefined }, 'another sign-in'],
  ['another issuer', { iss: 'https://evil.example.com' }, 'another authorization server'],
  ['a refusal', { code: undefined, error: 'access_denied', error_description: 'CANARY <b>' }, 'access_denied'],
])('does not take a redirect with %s', async (_, redirect, words) => {
  const server = await OAuthServer.start();
  server.redirect = redirect;
  const store = await open(server, null, undefined, { onAuthorize: server.agree });
  const error = await failure(echo(store));
  expect(error).toMatchObject({ code: 'AUTH_REQUIRED', message: expect.stringContaining(words) });
  expect(error.message).not.toMatch(/CANARY|evil/);
  expect(server.tokenRequests).toEqual([]);
});

it('names the server in every request for a token, as its metadata write it', async () => {
  const server = await OAuthServer.start({ clients: ROBOT });
  // An origin alone, which a URL would end with a slash.
  server.resourceMetadata = { resource: server.origin, authorization_servers: [server.origin] };
  const person = await open(server, await signedIn(server));
  server.access.clear();
  await echo(person);
  await echo(await open(server, null, MACHINE));
  expect(server.tokenRequests.map(({ grant, params }) => [grant, params.get('resource')])).toEqual(
    ['authorization_code', 'refresh_token', 'client_credentials'].map((grant) => [grant, server.origin]),
  );
});

it.each([
  ['of another server', () => 'https://evil.example.com/mcp'],
  ['of another path of it', ({ origin }: OAuthServer) => `${origin}/mc`],
  ['of a part of it', ({ url }: OAuthServer) => `${url}/part`],
])('asks for no token for metadata %s', async (_, resource) => {
  const server = await OAuthServer.start({ clients: ROBOT });
  const stateDir = await signedIn(server);
  server.access.clear();
  server.resourceMetadata = { resource: resource(server), authorization_servers: [server.origin] };
  for (const store of [await open(server, stateDir), await open(server, null, MACHINE)])
    expect(await failure(echo(store))).toMatchObject({ code: 'AUTH_REQUIRED' });
  expect(server.tokenRequests).toHaveLength(1);
});

it('asks for no token where the metadata of the authorization server name another issuer', async () => {
  const server = await OAuthServer.start({ clients: ROBOT, metadata: { issuer: 'https://evil.example.com' } });
  const error = await failure(echo(await open(server, null, MACHINE)));
  expect(error).toMatchObject({ code: 'AUTH_REQUIRED', message: expect.stringContaining('names another issuer') });
  expect(server.tokenRequests).toEqual([]);
});

it('refuses a redirect without the issuer, of an authorization server that says that it names itself', async () => {
  const server = await OAuthServer.start({ metadata: { authorization_response_iss_parameter_supported: true } });
  const store = await open(server, null);
  const login = (): Promise<void> => store.auth.login('peer', { onAuthorize: server.agree });
  expect(await failure(login())).toMatchObject({ message: expect.stringContaining('another authorization server') });
  expect(server.tokenRequests).toEqual([]);
  server.redirect = { iss: `${server.origin}/` };
  await failure(login());
  server.redirect = { iss: server.origin };
  await login();
});

it.each([[undefined], [[]], [['plain']]])('signs in nowhere without PKCE: %j', async (methods) => {
  const server = await OAuthServer.start({ metadata: { code_challenge_methods_supported: methods } });
  const store = await open(server, null, undefined, { onAuthorize: server.agree });
  expect(await failure(echo(store))).toMatchObject({
    code: 'AUTH_REQUIRED',
    message: expect.stringContaining('does not support PKCE with S256'),
  });
  expect([...server.registrations, ...server.authorizations]).toEqual([]);
});

it.each([
  ['another host', (at: string) => at.replace('127.0.0.1', 'localhost')],
  ['another path', (at: string) => at.replace('/callback', '/elsewhere')],
  ['no address', () => 'http://[CANARY'],
])('takes from who has the browser no address but the one that it waits for: %s', async (_, changed) => {
  const server = await OAuthServer.start();
  const store = await open(server, null);
  const onAuthorize = async (request: { url: string }): Promise<string> => changed(await server.agree(request));
  const error = await failure(store.auth.login('peer', { onAuthorize }));
  expect(error).toMatchObject({ code: 'AUTH_REQUIRED', message: expect.stringContaining('/callback?…') });
  expect(inspect(error)).not.toContain('CANARY');
  expect(server.tokenRequests).toEqual([]);
});

it('revokes what it forgets also where the metadata lie at a place that only a refusal names', async () => {
  const server = await OAuthServer.start();
  const other = await OAuthServer.start();
  server.resourceMetadataPath = '/elsewhere.json';
  server.resourceMetadata = { resource: server.url, authorization_servers: [other.origin] };
  const store = await open(server, null);
  await store.auth.login('peer', { onAuthorize: other.agree });
  expect(await store.auth.logout('peer')).toBe(true);
  expect(other.revoked).toHaveLength(1);
});

it('asks nobody again at once who did not sign in', async () => {
  const server = await OAuthServer.start({ lenient: true });
  server.redirect = { code: undefined, error: 'access_denied' };
  const store = await open(server, null, undefined, { onAuthorize: server.agree });
  for (let n = 0; n < 5; n++) expect(await failure(echo(store))).toMatchObject({ code: 'AUTH_REQUIRED' });
  expect(server.authorizations).toHaveLength(1);
});

it('tells how to sign in where nobody can be asked, and asks the authorization server for nothing', async () => {
  const server = await OAuthServer.start();
  const error = await failure(echo(await open(server, null)));
  expect(error).toMatchObject({ code: 'AUTH_REQUIRED', hint: 'Sign in with: mcpstore auth login peer' });
  expect(error.figures).toMatchObject({ status: 401, signIn: true });
  expect(server.registrations).toEqual([]);
});

it('leaves a configured Authorization header and "auth": false alone', async () => {
  const server = await OAuthServer.start();
  const onAuthorize = vi.fn();
  const off = await open(server, null, false, { onAuthorize });
  expect(await failure(echo(off))).toMatchObject({ code: 'AUTH_REQUIRED' });
  const headers = { Authorization: 'Bearer CANARY-configured' };
  const own = await MCPStore.open({ stateDir: null, services: { peer: { url: server.url, headers } }, onAuthorize });
  afterwards(() => own.close());
  const error = await failure(echo(own));
  expect(error).toMatchObject({ code: 'AUTH_REQUIRED' });
  expect(error.message).not.toContain('CANARY');
  expect(onAuthorize).not.toHaveBeenCalled();
  await expect(own.auth.login('peer')).rejects.toMatchObject({ code: 'OPTION_INVALID' });
});

it('forgets tokens on demand, tells their server, and shows what is kept without a secret', async () => {
  const server = await OAuthServer.start();
  const stateDir = await signedIn(server);
  const store = await open(server, stateDir);
  const [status] = await store.auth.status();
  expect(status).toMatchObject({
    service: 'peer',
    url: server.url,
    type: 'authorization_code',
    signedIn: true,
    refreshable: true,
    issuer: server.origin,
  });
  expect(Date.parse(status!.expiresAt!) - Date.now()).toBeGreaterThan(3_000_000);
  expect(JSON.stringify(status)).not.toContain('CANARY');
  await echo(store);
  expect(await store.auth.logout('peer')).toBe(true);
  expect(server.revoked).toHaveLength(1);
  expect(keptIn(stateDir)).not.toContain('CANARY');
  expect(await store.auth.logout('peer')).toBe(false);
  expect(await failure(echo(store))).toMatchObject({ code: 'AUTH_REQUIRED' });
});

it('goes on where tokens cannot be kept, but says so to who signs in', async () => {
  const server = await OAuthServer.start({ clients: ROBOT });
  const file = join(await tempDir(), 'no-folder');
  writeFileSync(file, '');
  const store = await open(server, join(file, 'state'), MACHINE);
  await echo(store);
  await echo(store);
  expect(server.tokenRequests).toHaveLength(1);
  expect(await failure(store.auth.login('peer'))).toMatchObject({ code: 'FILE_FAILED' });
});

it('takes what another process signs in over what it could not keep itself', async () => {
  const server = await OAuthServer.start({ rotate: true });
  const stateDir = await signedIn(server);
  const store = await open(server, withoutRoom(stateDir));
  const other = await open(server, stateDir);
  await echo(store);
  server.access.clear();
  await echo(store);
  // What it has now is in no file, and good for the next refresh all the same.
  server.access.clear();
  await echo(store);
  expect(server.grants('refresh_token')).toHaveLength(2);
  server.access.clear();
  server.refreshable.clear();
  await other.auth.login('peer', { onAuthorize: server.agree });
  await echo(store);
});

/** The same folder by a path that is so long that its files can be read, and nothing with a longer name be made. */
function withoutRoom(folder: string): string {
  const longest = 4_095 - '/auth.json'.length;
  const name = 'l'.repeat(200);
  symlinkSync('.', join(folder, name));
  let path = folder;
  while (longest - path.length > 250) path = join(path, name);
  const rest = 'r'.repeat(longest - path.length - 1);
  symlinkSync('.', join(folder, rest));
  return join(path, rest);
}

it('takes a file that has nothing for an empty one', async () => {
  const server = await OAuthServer.start();
  for (const text of ['', '\n', '{"version":1,"entries":{"x":null}}']) {
    const stateDir = await tempDir();
    writeFileSync(join(stateDir, 'auth.json'), text);
    const store = await open(server, stateDir);
    expect(await failure(echo(store))).toMatchObject({ code: 'AUTH_REQUIRED' });
    await store.auth.login('peer', { onAuthorize: server.agree });
    expect(keptIn(stateDir)).toContain('CANARY-refresh');
    await store.close();
  }
});

const NEWER = '{"version":2,"entries":{"one":"CANARY-of-a-newer-version"}}';

it.each([
  ['of a newer version', NEWER, 'version 2, and this program knows 1', 'update'],
  ['that does not parse', '{"version":1,"entries":{CANARY', 'no list of tokens', 'Move it away'],
  ['without a version', '{"entries":{"CANARY":{}}}', 'no list of tokens', 'Move it away'],
  ['of another kind', '{"version":1,"entries":["CANARY"]}', 'no list of tokens', 'Move it away'],
  ['of nothing', 'null', 'no list of tokens', 'Move it away'],
])('goes on beside a file %s, which it leaves as it is', async (_, text, words, hint) => {
  const server = await OAuthServer.start({ lenient: true });
  const stateDir = await tempDir();
  writeFileSync(join(stateDir, 'auth.json'), text);
  const store = await open(server, stateDir);
  expect((await store.listTools()).length).toBeGreaterThan(0);
  const refused = await failure(echo(store));
  const told = [refused];
  expect(refused).toMatchObject({ code: 'AUTH_REQUIRED', message: expect.stringContaining(words) });
  expect(refused.hint).toContain(hint);
  const onAuthorize = vi.fn(server.agree);
  for (const work of [() => store.auth.login('peer', { onAuthorize }), () => store.auth.logout('peer')])
    told.push(await failure(work()));
  told.push(await failure(store.auth.status()));
  for (const error of told.slice(1)) {
    expect(error).toMatchObject({ code: 'FILE_FAILED', message: expect.stringContaining(words) });
    expect(error.hint).toContain(hint);
  }
  expect(JSON.stringify(told.map((error) => [error.toJSON(), error.stack, String(error.cause)]))).not.toContain(
    'CANARY',
  );
  // Nobody is sent to a browser for tokens that could not be kept.
  expect(onAuthorize).not.toHaveBeenCalled();
  expect(keptIn(stateDir)).toBe(text);
  // Once it is gone, all is well, in the same store.
  unlinkSync(join(stateDir, 'auth.json'));
  await store.auth.login('peer', { onAuthorize });
  await echo(store);
});

it('signs in for itself beside a file of a newer version, in memory alone', async () => {
  const server = await OAuthServer.start({ clients: ROBOT });
  const stateDir = await tempDir();
  writeFileSync(join(stateDir, 'auth.json'), NEWER);
  const store = await open(server, stateDir, MACHINE);
  await echo(store);
  server.access.clear();
  await echo(store);
  expect(server.tokenRequests).toHaveLength(2);
  expect(keptIn(stateDir)).toBe(NEWER);
  expect(await failure(store.auth.login('peer'))).toMatchObject({
    code: 'FILE_FAILED',
    figures: { version: 2, known: 1 },
  });
});

it('uses the token that it has when the file becomes one of a newer version, and leaves refreshing to its writer', async () => {
  const server = await OAuthServer.start({ rotate: true });
  const stateDir = await signedIn(server);
  const store = await open(server, stateDir);
  await echo(store);
  writeFileSync(join(stateDir, 'auth.json'), NEWER);
  await echo(store);
  server.access.clear();
  expect(await failure(echo(store))).toMatchObject({
    code: 'AUTH_REQUIRED',
    message: expect.stringContaining('version 2'),
  });
  expect(server.grants('refresh_token')).toEqual([]);
  expect(keptIn(stateDir)).toBe(NEWER);
});

it('ends a sign-in with the store, and with its signal', async () => {
  const server = await OAuthServer.start();
  let asked = (): void => {};
  const waiting = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const store = await open(server, null, undefined, {
    onAuthorize: () => {
      asked();
      return undefined;
    },
  });
  const call = failure(echo(store));
  await waiting;
  await store.close({ drainMs: 0 });
  expect(isStoreError(await call)).toBe(true);
  const other = await open(server, null);
  const reason = new AbortController();
  const login = other.auth.login('peer', {
    onAuthorize: () => {
      reason.abort(new StoreError('CANCELLED', 'enough'));
      return undefined;
    },
    signal: reason.signal,
  });
  expect(await failure(login)).toMatchObject({ code: 'CANCELLED' });
});

it('tells no secret in errors, events, logs, stats or its configuration (canary)', async () => {
  const server = await OAuthServer.start({ clients: ROBOT, scopes: { write: 'never' }, challenge: 'admin' });
  const told: unknown[] = [];
  const note = (...what: unknown[]): void => void told.push(...what);
  const consoles = (['log', 'warn', 'error', 'info', 'debug'] as const).map((name) =>
    vi.spyOn(console, name).mockImplementation(note),
  );
  const logger = { debug: note, info: note, warn: note, error: note };
  const stateDir = await tempDir();
  for (const auth of [MACHINE, undefined]) {
    const store = await open(server, stateDir, auth, { logger, onAuthorize: server.agree });
    for (const name of ['state', 'log', 'output', 'call', 'configProblem'] as const) store.on(name, note);
    const fails = async (work: () => Promise<unknown>): Promise<void> => {
      const error = (await work().then(note, (thrown: Error) => thrown)) as StoreError | undefined;
      for (let at = error as Error | undefined; at instanceof Error; at = at.cause as Error | undefined)
        note(at.message, at.stack, { ...at }, 'toJSON' in at ? (at as StoreError).toJSON() : undefined);
    };
    await fails(() => echo(store));
    await fails(() => write(store));
    await fails(() => store.callTool('peer__crash', {}));
    for (const fault of [{ status: 400, error: 'invalid_grant' }, { status: 400, error: 'odd' }, { status: 500 }]) {
      server.access.clear();
      server.tokenFault = fault;
      await fails(() => echo(store));
      await fails(() => store.auth.login('peer', { onAuthorize: server.agree }));
      server.tokenFault = undefined;
    }
    note(store.stats(), await store.auth.status(), store.serviceInfo('peer'));
    await store.close();
  }
  expect(consoles.flatMap((spy) => spy.mock.calls)).toEqual([]);
  const text = told.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))).join('\n');
  expect(server.secrets.length).toBeGreaterThan(5);
  expect(server.secrets.filter((secret) => text.includes(secret))).toEqual([]);
});

it('signs the requests of a legacy SSE service too, and refreshes for them', async () => {
  const server = await OAuthServer.start({ clients: ROBOT });
  let events: ServerResponse | undefined;
  const sse = createServer((request, response) => {
    const known = server.access.has(request.headers.authorization?.slice(7) ?? '');
    const metadata = `resource_metadata="${server.origin}/.well-known/oauth-protected-resource/mcp"`;
    if (!known) {
      response.writeHead(401, { 'www-authenticate': `Bearer ${metadata}` }).end();
      return;
    }
    if (request.method === 'GET') {
      events = response.writeHead(200, { 'content-type': 'text/event-stream' });
      events.write('event: endpoint\ndata: /messages\n\n');
      return;
    }
    let text = '';
    request.on('data', (chunk) => {
      text += chunk;
    });
    request.on('end', () => {
      const { id, method, params } = JSON.parse(text);
      const results: Record<string, object> = {
        initialize: {
          protocolVersion: params?.protocolVersion,
          capabilities: { tools: {} },
          serverInfo: { name: 's', version: '1' },
        },
        'tools/list': { tools: [{ name: 'echo', inputSchema: { type: 'object' } }] },
        'tools/call': { content: [] },
      };
      response.writeHead(202).end();
      if (id !== undefined)
        events?.write(
          `event: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', id, result: results[method] ?? {} })}\n\n`,
        );
    });
  });
  await new Promise<void>((resolve) => sse.listen(0, '127.0.0.1', resolve));
  afterwards(() => sse.close() && sse.closeAllConnections());
  const url = `http://127.0.0.1:${(sse.address() as AddressInfo).port}/sse`;
  server.resourceMetadata = { resource: url, authorization_servers: [server.origin] };
  const services = { peer: { type: 'sse' as const, url, mcpstore: { auth: MACHINE } } };
  const store = await MCPStore.open({ stateDir: null, services });
  afterwards(() => store.close({ drainMs: 0 }));
  await echo(store);
  server.access.clear();
  await echo(store);
  expect(server.tokenRequests).toHaveLength(2);
});
