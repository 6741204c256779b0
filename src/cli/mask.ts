/** Knows which parts of a configuration may be secrets, and how they are shown: templates as they are, values as `***`. */

import type { AuthOptions, EndpointOptions, InputDefinition, ServiceConfig, ServiceOptions } from '../index.js';

const MASK = '***';
/** What may stand beside a template without being a secret. */
const HARMLESS = /^(?:(?:bearer|basic|token|apikey)\s*)?$/i;
const SECRET_NAME = /key|token|secret|passw|pwd|auth|credential|cookie/i;
const SECRET_FLAG = /^--?[\w-]*(?:key|token|secret|passw|pwd|auth|credential)[\w-]*$/i;
const SECRET_ASSIGNMENT =
  /^(--?[\w-]*(?:key|token|secret|passw|pwd|auth|credential)[\w-]*|[A-Z0-9_]*(?:KEY|TOKEN|SECRET|PASSW)[A-Z0-9_]*)=(.*)$/is;

/** `Bearer ${TOKEN}` stays, `Bearer abc` becomes `***`; a default within a template may be a secret too. */
export function maskValue(value: string): string {
  const shown = value.replace(/\$\{([^}]*?):-[^}]*\}/g, `\${$1:-${MASK}}`);
  const rest = value.replace(/\$\{[^}]*\}/g, '');
  return value === '' || (rest !== value && HARMLESS.test(rest.trim())) ? shown : MASK;
}

/** Credentials and the values of the query are masked. */
export function maskUrl(url: string): string {
  return url
    .replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@?#]*@/i, `$1${MASK}@`)
    .replace(/([?&][^=&#]*=)([^&#]*)/g, (_, key: string, value: string) => key + maskValue(value));
}

/** A copy that may be shown. */
export function maskConfig(config: ServiceConfig): ServiceConfig {
  const { env, headers, url, args, mcpstore, ...rest } = config;
  const { type, command, envFile, cwd, disabled, timeout, server, ...foreign } = rest;
  return {
    ...rest,
    ...(maskForeign(foreign, false) as object),
    ...(args && { args: maskArgs(args) }),
    ...(env && { env: maskMap(env) }),
    ...(url !== undefined && { url: maskUrl(url) }),
    ...(headers && { headers: maskMap(headers) }),
    ...(mcpstore && { mcpstore: maskOptions(mcpstore) }),
  };
}

/** Keys of other programs: nobody here knows what they mean, but some are called like secrets. */
function maskForeign(value: unknown, secret: boolean): unknown {
  if (typeof value === 'string') return secret ? maskValue(value) : maskUrl(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => maskForeign(item, secret));
  const shown = Object.entries(value).map(([key, item]) => [key, maskForeign(item, secret || SECRET_NAME.test(key))]);
  return Object.fromEntries(shown);
}

/** The default of what is not shown when it is typed is a secret too. */
export function maskInput(input: InputDefinition): InputDefinition {
  return input.password && input.default !== undefined ? { ...input, default: maskValue(input.default) } : input;
}

/** Replicas are written like services; of what signs in, ids and addresses are no secret. */
function maskOptions(options: ServiceOptions): ServiceOptions {
  const { auth, endpoints, ...rest } = options;
  return {
    ...rest,
    ...(endpoints && { endpoints: endpoints.map((one) => maskConfig(one as ServiceConfig) as EndpointOptions) }),
    ...(auth !== undefined && { auth: auth && maskAuth(auth) }),
  };
}

function maskAuth(auth: AuthOptions): AuthOptions {
  const { clientSecret, privateKey, ...rest } = auth;
  return {
    ...rest,
    ...(clientSecret !== undefined && { clientSecret: maskValue(clientSecret) }),
    ...(privateKey !== undefined && { privateKey: maskValue(privateKey) }),
  };
}

function maskMap(map: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, maskValue(value)]));
}

function maskArgs(args: readonly string[]): string[] {
  return args.map((arg, i) => {
    if (i > 0 && SECRET_FLAG.test(args[i - 1]!) && !arg.startsWith('-')) return maskValue(arg);
    const assigned = SECRET_ASSIGNMENT.exec(arg);
    if (assigned) return `${assigned[1]}=${maskValue(assigned[2]!)}`;
    return /^[a-z][a-z0-9+.-]*:\/\//i.test(arg) ? maskUrl(arg) : arg;
  });
}
