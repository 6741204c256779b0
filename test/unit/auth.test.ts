/** Where authorization servers may be asked at all, what a challenge says, and which sign-ins a configuration may describe. */

import { expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.js';
import { authorizationUrl, mayAsk } from '../../src/connection/auth-fetch.js';
import { challengeOf, stepsUp } from '../../src/connection/auth-http.js';
import type { StoreError } from '../../src/errors.js';
import { checkServiceOptions } from '../../src/option-rules.js';

it.each([
  ['https://auth.example.com/token', 'https://mcp.example.com/mcp', true],
  ['http://auth.example.com/token', 'https://mcp.example.com/mcp', false],
  ['http://127.0.0.1:8080/token', 'https://mcp.example.com/mcp', false],
  ['http://[::1]:8080/token', 'https://mcp.example.com/mcp', false],
  ['http://localhost/token', 'https://mcp.example.com/mcp', false],
  ['http://169.254.169.254/latest', 'http://127.0.0.1:1/mcp', false],
  ['http://127.0.0.1:8080/token', 'http://localhost:1/mcp', true],
  ['http://mcp.internal/token', 'http://mcp.internal/mcp', true],
  ['http://mcp.internal:81/token', 'http://mcp.internal/mcp', false],
  ['file:///etc/passwd', 'file:///etc/passwd', false],
  ['https://localhost:8443/token', 'https://mcp.example.com/mcp', false],
  ['https://127.0.0.2/token', 'https://mcp.example.com/mcp', false],
  ['https://0x7f.1/token', 'https://mcp.example.com/mcp', false],
  ['https://0.0.0.0/token', 'https://mcp.example.com/mcp', false],
  ['https://[::]/token', 'https://mcp.example.com/mcp', false],
  ['https://[::ffff:127.0.0.1]/token', 'https://mcp.example.com/mcp', false],
  ['https://auth.localhost./token', 'https://mcp.example.com/mcp', false],
  ['https://localhost:8443/token', 'http://127.0.0.1:1/mcp', true],
  ['https://[2001:db8::1]/token', 'https://mcp.example.com/mcp', true],
  ['https://localhost.example.com/token', 'https://mcp.example.com/mcp', true],
])('asks %s on behalf of %s: %s', (url, server, may) => {
  expect(mayAsk(new URL(url), new URL(server))).toBe(may);
});

it('hands on addresses as they are, but for what a shell would read', () => {
  const handedOn = (url: string, server = 'http://localhost:1/mcp'): string =>
    authorizationUrl(new URL(url), new URL(server));
  expect(handedOn('https://a.example/x?y=1&z=a%20b')).toBe('https://a.example/x?y=1&z=a%20b');
  expect(handedOn('http://[::1]:80/x?y=[1]')).toBe('http://[::1]/x?y=[1]');
  expect(handedOn("https://a.example/$(id)?a='b'")).toBe('https://a.example/%24%28id%29?a=%27b%27');
  for (const bad of [
    'http://a.example/',
    'javascript:1',
    'data:text/html,x',
    'ftp://a.example',
    'https://me@a.example',
  ])
    expect(() => handedOn(bad), bad).toThrow(/address/);
  // A public server has no business with what runs on this machine, by way of the person's browser neither.
  for (const bad of ['http://127.0.0.1:8080/x', 'http://localhost/x', 'https://localhost/x'])
    expect(() => handedOn(bad, 'https://mcp.example.com/mcp'), bad).toThrow(/on this machine/);
});

it('takes of a challenge what it may use', () => {
  const challenge = (header: string | undefined) => challengeOf(403, header);
  expect(challenge('Bearer error="insufficient_scope", scope="a b"')).toMatchObject({ scope: 'a b' });
  expect(stepsUp(challenge('Bearer error="insufficient_scope", scope="a"'))).toBe(true);
  expect(stepsUp(challenge('Bearer error="insufficient_scope"'))).toBe(false);
  expect(stepsUp(challenge('Bearer error="invalid_token", scope="a"'))).toBe(false);
  expect(stepsUp(challenge(undefined))).toBe(false);
  // Nothing that a shell or a header would read, however it is written.
  expect(challenge('Bearer scope="ok $(id)\'x\' \u0430"').scope).not.toMatch(/'/);
  expect(challenge(`Bearer scope="${'x'.repeat(100_000)}"`).scope).toBeUndefined();
  expect(challenge('Bearer resource_metadata="not an address"').resourceMetadataUrl).toBeUndefined();
  // One line may have several challenges.
  for (const others of ['Basic realm="a, b", ', 'Negotiate, ', 'Basic realm="x",'])
    expect(challenge(`${others}Bearer error="insufficient_scope", scope="a"`), others).toMatchObject({
      scope: 'a',
      error: 'insufficient_scope',
    });
  expect(challenge('Basic realm="the bearer scope=x"').scope).toBeUndefined();
});

it.each([
  [{ type: 'authorization_code' }, undefined],
  [false, undefined],
  [{ type: 'client_credentials', clientId: 'a', clientSecret: '${S}' }, undefined],
  [{ type: 'private_key_jwt', clientId: 'a', privateKey: '${S}', algorithm: '${A}', issuer: '${I}' }, undefined],
  [{}, 'mcpstore.auth.type'],
  [true, 'mcpstore.auth'],
  ['authorization_code', 'mcpstore.auth'],
  [{ type: 'password' }, 'mcpstore.auth.type'],
  [{ type: '__proto__' }, 'mcpstore.auth.type'],
  [{ type: 'client_credentials', clientId: 'a' }, 'mcpstore.auth'],
  [{ type: 'client_credentials', clientId: 'a', clientSecret: 'CANARY', privateKey: 'b' }, 'mcpstore.auth.privateKey'],
  [{ type: 'client_credentials', clientId: 7, clientSecret: 'CANARY' }, 'mcpstore.auth.clientId'],
  [{ type: 'client_credentials', clientId: 'a', clientSecret: '' }, 'mcpstore.auth.clientSecret'],
  [{ type: 'authorization_code', clientSecret: 'CANARY' }, 'mcpstore.auth'],
  [{ type: 'authorization_code', redirectPort: 0 }, 'mcpstore.auth.redirectPort'],
  [{ type: 'authorization_code', clientMetadataUrl: 'http://a.example/x' }, 'mcpstore.auth.clientMetadataUrl'],
  [{ type: 'authorization_code', issuer: 'javascript:1' }, 'mcpstore.auth.issuer'],
  [{ type: 'private_key_jwt', clientId: 'a', privateKey: 'CANARY', algorithm: 'none' }, 'mcpstore.auth.algorithm'],
])('checks %j', (auth, path) => {
  let error: StoreError | undefined;
  try {
    checkServiceOptions({ auth }, 'mcpstore');
  } catch (thrown) {
    error = thrown as StoreError;
  }
  expect(error?.figures?.['path']).toBe(path);
  expect(error?.message ?? '').not.toContain('CANARY');
});

it.each([
  [{ command: 'x', mcpstore: { auth: { type: 'authorization_code' } } }, 'goes with "url"'],
  [
    { url: 'https://a', headers: { authorization: 'x' }, mcpstore: { auth: { type: 'authorization_code' } } },
    'stands beside an Authorization header',
  ],
  [{ url: 'https://a', mcpstore: { auth: { type: 'nothing' } } }, 'expected one of'],
])('says where a file is wrong: %j', (peer, words) => {
  const text = JSON.stringify({ mcpServers: { peer } }, undefined, 2);
  expect(() => parseConfig(text, 'mcp.json')).toThrow(words);
  expect(() => parseConfig(text, 'mcp.json')).toThrow(/^mcp\.json:\d+:\d+/);
});
