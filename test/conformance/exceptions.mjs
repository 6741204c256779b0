/** Scored scenarios that do not pass yet, by revision, each with its reason. The run fails for one that passes. */

const OAUTH = 'the store does not sign in with OAuth yet';

/** Sign-in, as both revisions want it. */
const AUTH = [
  ...['metadata-default', 'metadata-var1', 'metadata-var2', 'metadata-var3', 'basic-cimd', 'pre-registration'],
  ...['scope-from-www-authenticate', 'scope-from-scopes-supported', 'scope-omitted-when-undefined'],
  ...['scope-step-up', 'scope-retry-limit'],
  ...['token-endpoint-auth-basic', 'token-endpoint-auth-post', 'token-endpoint-auth-none'],
];

/** What 2026-07-28 added to it. */
const AUTH_2026 = [
  ...['resource-mismatch', 'offline-access-scope', 'offline-access-not-supported', 'authorization-server-migration'],
  ...['iss-supported', 'iss-not-advertised', 'iss-supported-missing', 'iss-wrong-issuer', 'iss-unexpected'],
  ...['iss-normalized', 'metadata-issuer-mismatch'],
];

const each = (names, reason) => Object.fromEntries(names.map((name) => [`auth/${name}`, reason]));

export const EXCEPTIONS = {
  '2025-11-25': each(AUTH, OAUTH),
  '2026-07-28': each([...AUTH, ...AUTH_2026], OAUTH),
};
