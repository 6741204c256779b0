/** Knows how a service may be told to sign in with OAuth: every key of `mcpstore.auth`, and which go together. */

/** How a service signs in, as `mcpstore.auth` of a service says it. Texts may hold `${VAR}`. */
export interface AuthOptions {
  /**
   * - `'authorization_code'`: a person signs in with a browser, once; also what happens where nothing is configured
   * - `'client_credentials'`: a program signs in for itself with `clientId` and `clientSecret`
   * - `'private_key_jwt'`: the same, with `clientId` and a token signed with `privateKey` (RFC 7523)
   */
  type: 'authorization_code' | 'client_credentials' | 'private_key_jwt';
  /** The id under which this client is registered. Without it, a person's client registers itself (RFC 7591). */
  clientId?: string;
  clientSecret?: string;
  /** PKCS #8 in PEM. */
  privateKey?: string;
  /** Signature algorithm of `privateKey`. Default: what fits the key: `RS256`, `ES256` or `ES384`. */
  algorithm?: string;
  /** Asked for beside what the server demands; names with spaces between them. */
  scope?: string;
  /**
   * The authorization server that this client belongs to: its credentials go to no other. Default: the one that the
   * server names.
   */
  issuer?: string;
  /** An `https:` address at which a description of this client lies; used as `clientId` by servers that take such. */
  clientMetadataUrl?: string;
  /** Port of 127.0.0.1 that the browser comes back to. Default: any that is free. */
  redirectPort?: number;
}

/** Keys of each type: those that it must have, and those that it may have. */
const KEYS: Record<AuthOptions['type'], { must: readonly string[]; may: readonly string[] }> = {
  authorization_code: {
    must: [],
    may: ['clientId', 'clientSecret', 'scope', 'issuer', 'clientMetadataUrl', 'redirectPort'],
  },
  client_credentials: { must: ['clientId', 'clientSecret'], may: ['scope', 'issuer'] },
  private_key_jwt: { must: ['clientId', 'privateKey'], may: ['algorithm', 'scope', 'issuer'] },
};

/** What SDK and server both know. */
const ALGORITHM = /^(RS|PS|ES)(256|384|512)$/;

/**
 * Throws what `refuse` makes of the first bad or unknown key; `false` switches OAuth off. Values are not shown: most are
 * secrets.
 */
export function checkAuth(value: unknown, path: string, refuse: (path: string, message: string) => Error): void {
  if (value === false) return;
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw refuse(path, 'expected an object, or false');
  const auth = value as Record<string, unknown>;
  const types = Object.keys(KEYS);
  const type = auth['type'];
  if (typeof type !== 'string' || !Object.hasOwn(KEYS, type))
    throw refuse(`${path}.type`, `expected one of ${types.map((name) => `"${name}"`).join(', ')}`);
  const { must, may } = KEYS[type as AuthOptions['type']];
  for (const key of Object.keys(auth))
    if (![...must, ...may, 'type'].includes(key))
      throw refuse(`${path}.${key}`, `unknown option; known for "${type}": ${[...must, ...may].join(', ')}`);
  for (const key of must) if (auth[key] === undefined) throw refuse(path, `"${type}" needs "${key}"`);
  for (const [key, given] of Object.entries(auth)) {
    if (key === 'type' || given === undefined) continue;
    if (key === 'redirectPort') {
      if (!Number.isInteger(given) || (given as number) < 1 || (given as number) > 65_535)
        throw refuse(`${path}.${key}`, 'expected a port from 1 to 65535');
    } else if (typeof given !== 'string' || given === '')
      throw refuse(`${path}.${key}`, 'expected a string that is not empty');
  }
  if (auth['clientSecret'] !== undefined && auth['clientId'] === undefined)
    throw refuse(path, '"clientSecret" goes with "clientId"');
  checkFilledIn(auth as unknown as AuthOptions, path, refuse, (text) => text.includes('${'));
}

/** Rules for values; `open`: this one is not filled in yet, so nothing can be said of it. */
export function checkFilledIn(
  { issuer, clientMetadataUrl, algorithm }: AuthOptions,
  path: string,
  refuse: (path: string, message: string) => Error,
  open: (text: string) => boolean = () => false,
): void {
  if (issuer !== undefined && !open(issuer) && !/^https?:$/.test(protocolOf(issuer)))
    throw refuse(`${path}.issuer`, 'expected an address such as https://auth.example.com');
  if (clientMetadataUrl !== undefined && !open(clientMetadataUrl) && protocolOf(clientMetadataUrl) !== 'https:')
    throw refuse(`${path}.clientMetadataUrl`, 'expected an address that begins with https://');
  if (algorithm !== undefined && !open(algorithm) && !ALGORITHM.test(algorithm))
    throw refuse(`${path}.algorithm`, 'expected RS256, ES256 or a relative of theirs');
}

function protocolOf(text: string): string {
  return URL.canParse(text) ? new URL(text).protocol : '';
}
