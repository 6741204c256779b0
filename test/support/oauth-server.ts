/** An MCP server that takes OAuth tokens, and the authorization server that gives them: real HTTP, written without any SDK. */

import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterwards } from './harness.js';

export interface OAuthServerOptions {
  /** Scopes that a call of this tool needs. */
  scopes?: Record<string, string>;
  /** What a refusal for missing scopes says it needs; default: what is missing. */
  challenge?: string;
  /** Names of the scopes that are missing only the first, so that a call learns of them one by one. */
  oneByOne?: boolean;
  /** Clients that are registered beforehand, with their secrets or keys. */
  clients?: Record<string, { secret?: string; publicKey?: string }>;
  /** Takes clients that register themselves. Default true. */
  registration?: boolean;
  /** Replaces what the authorization server says of itself. */
  metadata?: Record<string, unknown>;
  /** A new refresh token each time; whoever uses an old one again ends all that came of the same sign-in. */
  rotate?: boolean;
  /** Lets everybody in, and asks for a token at tools/call alone. */
  lenient?: boolean;
}

/** One request for a token. */
export interface TokenRequest {
  readonly grant: string;
  readonly params: URLSearchParams;
  readonly authorization: string | undefined;
}

interface Token {
  /** The sign-in that it came of. */
  readonly of: number;
  readonly client: string;
  readonly scope: string;
}

type Json = (value: unknown, status?: number, headers?: Record<string, string>) => void;

let count = 0;
/** Made to be found: no such text may stand in what is told to anybody. */
const secret = (what: string): string => `CANARY-${what}-${++count}-${Math.random().toString(36).slice(2)}`;

export class OAuthServer {
  options: OAuthServerOptions;
  readonly tokenRequests: TokenRequest[] = [];
  /** Every MCP request: its method, and what authorized it. */
  readonly seen: { method: string; authorization: string | undefined }[] = [];
  readonly registrations: Record<string, unknown>[] = [];
  readonly authorizations: URLSearchParams[] = [];
  readonly revoked: string[] = [];
  /** Path of the last sign-in, where it was longer than usual. */
  authorizePath = '';
  /** Every secret that was ever given out. */
  readonly secrets: string[] = [];
  readonly access = new Map<string, Token>();
  readonly refreshable = new Map<string, Token>();
  /** Refresh tokens that were used a second time. */
  readonly reused: string[] = [];
  /** What the token endpoint answers instead, while it is set. */
  tokenFault: { status: number; error?: string; location?: string } | undefined;
  /** Where the MCP server sends every request instead of answering. */
  movedTo: string | undefined;
  /** The token endpoint answers once this has settled. */
  hold: Promise<unknown> | undefined;
  /** Parameters that the redirect of a sign-in has instead of its own; undefined takes one away. */
  redirect: Record<string, string | undefined> = {};
  /** What the MCP server says of itself instead of its own. */
  resourceMetadata: Record<string, unknown> | undefined;
  /** Where it says so, which a refusal names. */
  resourceMetadataPath = '/.well-known/oauth-protected-resource/mcp';
  /** What they are answered with instead, while it is set. */
  metadataFault: number | undefined;
  readonly #clients = new Map<string, { secret?: string; publicKey?: string }>();
  readonly #codes = new Map<string, { challenge: string; redirectUri: string; client: string; scope: string }>();
  readonly #rotated = new Map<string, Token>();
  readonly #server: Server;

  private constructor(options: OAuthServerOptions) {
    this.options = options;
    for (const [id, client] of Object.entries(options.clients ?? {})) {
      this.#clients.set(id, client);
      if (client.secret) this.secrets.push(client.secret);
    }
    this.#server = createServer((request, response) => void this.#handle(request, response));
  }

  static async start(options: OAuthServerOptions = {}): Promise<OAuthServer> {
    const server = new OAuthServer(options);
    await new Promise<void>((resolve) => {
      server.#server.listen(0, '127.0.0.1', resolve);
    });
    afterwards(() => server.close());
    return server;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get url(): string {
    return `${this.origin}/mcp`;
  }

  /** The person with the browser: agrees at once. @returns where the browser is sent */
  readonly agree = async ({ url }: { url: string }): Promise<string> => {
    const response = await fetch(url, { redirect: 'manual' });
    return response.headers.get('location') ?? `none: ${response.status}`;
  };

  calls(method: string): { method: string; authorization: string | undefined }[] {
    return this.seen.filter((one) => one.method === method);
  }

  grants(name: string): TokenRequest[] {
    return this.tokenRequests.filter(({ grant }) => grant === name);
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, this.origin);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const json: Json = (value, status = 200, headers = {}) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
    };
    if (url.pathname === this.resourceMetadataPath && this.metadataFault !== undefined)
      return json({}, this.metadataFault);
    if (url.pathname === this.resourceMetadataPath)
      return json(this.resourceMetadata ?? { resource: this.url, authorization_servers: [this.origin] });
    // Whatever stands behind it, which a browser has to bring here unchanged.
    if (url.pathname.startsWith('/authorize/')) this.authorizePath = decodeURIComponent(url.pathname);
    switch (url.pathname.startsWith('/authorize/') ? '/authorize' : url.pathname) {
      case '/mcp':
        return this.#mcp(request, response, body);
      case '/.well-known/oauth-authorization-server':
        return json(this.#metadata());
      case '/register':
        return this.#register(JSON.parse(body) as Record<string, unknown>, json);
      case '/authorize':
        return this.#authorize(url.searchParams, response);
      case '/token':
        return this.#token(new URLSearchParams(body), request.headers.authorization, json);
      case '/revoke':
        this.revoked.push(new URLSearchParams(body).get('token') ?? '');
        return json({});
      default:
        return json({ error: 'not_found' }, 404);
    }
  }

  #metadata(): Record<string, unknown> {
    return {
      issuer: this.origin,
      authorization_endpoint: `${this.origin}/authorize`,
      token_endpoint: `${this.origin}/token`,
      revocation_endpoint: `${this.origin}/revoke`,
      ...(this.options.registration !== false && { registration_endpoint: `${this.origin}/register` }),
      response_types_supported: ['code'],
      code_challenge_methods_supported: ['S256'],
      ...this.options.metadata,
    };
  }

  #register(wanted: Record<string, unknown>, json: Json): void {
    this.registrations.push(wanted);
    const id = `client-${this.registrations.length}`;
    const own = secret('client-secret');
    this.secrets.push(own);
    this.#clients.set(id, { secret: own });
    json({ ...wanted, client_id: id, client_secret: own }, 201);
  }

  #authorize(asked: URLSearchParams, response: ServerResponse): void {
    this.authorizations.push(asked);
    const code = secret('code');
    this.secrets.push(code);
    const redirectUri = asked.get('redirect_uri')!;
    const client = asked.get('client_id')!;
    this.#codes.set(code, {
      challenge: asked.get('code_challenge')!,
      redirectUri,
      client,
      scope: asked.get('scope') ?? '',
    });
    const target = new URL(redirectUri);
    for (const [key, value] of Object.entries({ code, state: asked.get('state') ?? undefined, ...this.redirect }))
      if (value !== undefined) target.searchParams.set(key, value);
    response.writeHead(302, { location: target.href }).end();
  }

  async #token(params: URLSearchParams, authorization: string | undefined, json: Json): Promise<void> {
    const grant = params.get('grant_type') ?? '';
    this.tokenRequests.push({ grant, params, authorization });
    const written = [authorization?.replace('Basic ', ''), params.get('client_assertion'), params.get('code_verifier')];
    this.secrets.push(...written.filter((one) => typeof one === 'string'));
    await this.hold;
    if (this.tokenFault) {
      // Says all that it was given.
      const basic = Buffer.from(authorization?.slice(6) ?? '', 'base64').toString();
      const { status, error, location } = this.tokenFault;
      if (location !== undefined) return json({}, status, { location });
      return json(
        { error, error_description: `${decodeURIComponent(String(params))} ${authorization} ${basic}` },
        status,
      );
    }
    const client = this.#authenticated(params, authorization);
    if (client === undefined) return json({ error: 'invalid_client', error_description: 'who are you' }, 401);
    if (grant === 'client_credentials')
      return json(this.#issue({ of: ++count, client, scope: params.get('scope') ?? '' }, false));
    if (grant === 'refresh_token') {
      const token = params.get('refresh_token') ?? '';
      this.#endIfReused(token);
      const known = this.refreshable.get(token);
      if (known?.client !== client) return json({ error: 'invalid_grant', error_description: `no ${token}` }, 400);
      if (this.options.rotate && this.refreshable.delete(token)) this.#rotated.set(token, known);
      return json(this.#issue(known, this.options.rotate === true));
    }
    const code = this.#codes.get(params.get('code') ?? '');
    this.#codes.delete(params.get('code') ?? '');
    const challenge = createHash('sha256')
      .update(params.get('code_verifier') ?? '')
      .digest('base64url');
    const fits =
      code?.client === client && code.challenge === challenge && code.redirectUri === params.get('redirect_uri');
    if (!fits) return json({ error: 'invalid_grant', error_description: 'wrong code' }, 400);
    json(this.#issue({ of: ++count, client, scope: code.scope }, true));
  }

  /** Somebody has a copy of it, and nobody can tell who (RFC 9700, 4.14.2). */
  #endIfReused(refresh: string): void {
    const family = this.#rotated.get(refresh);
    if (family === undefined) return;
    this.reused.push(refresh);
    for (const tokens of [this.access, this.refreshable])
      for (const [token, { of }] of tokens) if (of === family.of) tokens.delete(token);
  }

  #issue(token: Token, refreshable: boolean): Record<string, unknown> {
    const access = secret('access');
    this.access.set(access, token);
    this.secrets.push(access);
    const out: Record<string, unknown> = { access_token: access, token_type: 'Bearer', expires_in: 3_600 };
    if (token.scope !== '') out['scope'] = token.scope;
    if (refreshable) {
      const refresh = secret('refresh');
      this.refreshable.set(refresh, token);
      this.secrets.push(refresh);
      out['refresh_token'] = refresh;
    }
    return out;
  }

  #authenticated(params: URLSearchParams, authorization: string | undefined): string | undefined {
    const basic = authorization && Buffer.from(authorization.slice(6), 'base64').toString().split(':');
    const assertion = params.get('client_assertion');
    const id = basic ? basic[0]! : assertion ? subjectOf(assertion) : params.get('client_id')!;
    const client = this.#clients.get(id);
    if (client === undefined) return undefined;
    if (client.publicKey)
      return assertion && isSigned(assertion, createPublicKey(client.publicKey), this.origin) ? id : undefined;
    return client.secret === (basic ? basic[1] : (params.get('client_secret') ?? undefined)) ? id : undefined;
  }

  #mcp(request: IncomingMessage, response: ServerResponse, body: string): void {
    if (request.method !== 'POST') {
      response.writeHead(405).end();
      return;
    }
    const message = JSON.parse(body) as {
      id?: string | number;
      method?: string;
      params?: { name?: string; protocolVersion?: string };
    };
    const { authorization } = request.headers;
    if (this.movedTo !== undefined) {
      response.writeHead(307, { location: this.movedTo }).end();
      return;
    }
    this.seen.push({ method: message.method ?? '', authorization });
    const token = this.access.get(authorization?.replace('Bearer ', '') ?? '');
    const tool = message.method === 'tools/call' ? message.params?.name : undefined;
    const free = this.options.lenient === true && tool === undefined;
    const refuse = (status: number, more: string): void => {
      const where = `resource_metadata="${this.origin}${this.resourceMetadataPath}"`;
      response.writeHead(status, { 'www-authenticate': `Bearer ${where}${more}` });
      // Servers that echo what they were given must not make us tell it.
      response.end(`no entry for ${authorization ?? 'you'}`);
    };
    if (!free && token === undefined) {
      refuse(401, '');
      return;
    }
    const needed = (this.options.scopes?.[tool ?? ''] ?? '').split(' ').filter((one) => one !== '');
    const missing = needed.filter((scope) => !token?.scope.split(' ').includes(scope));
    if (missing.length > 0) {
      const named = this.options.oneByOne ? missing[0] : missing.join(' ');
      refuse(403, `, error="insufficient_scope", scope="${this.options.challenge ?? named}"`);
      return;
    }
    if (message.id === undefined) {
      response.writeHead(202).end();
      return;
    }
    const result = this.#result(message, authorization);
    const answer = result ? { result } : { error: { code: -32601, message: 'Method not found' } };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ jsonrpc: '2.0', id: message.id, ...answer }));
  }

  /** Its tools: three of its own, and each that needs scopes. */
  #tools(): string[] {
    return [...new Set(['echo', 'write', 'crash', ...Object.keys(this.options.scopes ?? {})])];
  }

  #result(
    { method, params }: { method?: string; params?: { name?: string; protocolVersion?: string } },
    authorization: string | undefined,
  ): object | undefined {
    if (method === 'initialize')
      return {
        protocolVersion: params?.protocolVersion,
        capabilities: { tools: {} },
        serverInfo: { name: 'oauth', version: '1' },
      };
    if (method === 'tools/list')
      return { tools: this.#tools().map((name) => ({ name, inputSchema: { type: 'object' } })) };
    if (method === 'tools/call' && params?.name !== 'crash') return { content: [{ type: 'text', text: 'done' }] };
    if (method === 'tools/call')
      return {
        isError: true,
        content: [{ type: 'text', text: `crashed, having ${authorization?.length} characters` }],
      };
    return method === 'ping' ? {} : undefined;
  }
}

function part(jwt: string, at: number): Record<string, unknown> {
  return JSON.parse(Buffer.from(jwt.split('.')[at]!, 'base64url').toString()) as Record<string, unknown>;
}

function subjectOf(jwt: string): string {
  return String(part(jwt, 1)['sub']);
}

/** RFC 7523: for this server, still good, and signed with the client's key. */
function isSigned(jwt: string, key: KeyObject, audience: string): boolean {
  const { aud, exp } = part(jwt, 1);
  const [head, payload, signature] = jwt.split('.') as [string, string, string];
  if (aud !== audience || !(Number(exp) * 1_000 > Date.now())) return false;
  const own = key.asymmetricKeyType === 'ec' ? { key, dsaEncoding: 'ieee-p1363' as const } : key;
  return verify('sha256', Buffer.from(`${head}.${payload}`), own, Buffer.from(signature, 'base64url'));
}
