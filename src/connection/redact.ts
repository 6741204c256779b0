/** Knows how configured secrets are taken out of what a server says of itself: it may echo what it was given. */

const MASK = '***';
/** Shorter values stand in too many places by chance. */
const MIN_CHARS = 6;
const SECRET_NAME = /key|token|secret|passw|pwd|auth|credential|cookie|session|dsn|connection_?string/i;
/** `postgres://user:password@host`: what stands before the host is secret under whatever name. */
const URL_PASSWORD = /^[a-z][a-z0-9+.-]*:\/\/[^/@?#]*:([^/@?#]+)@/i;

/** A function that replaces each of `secrets` by `***`. */
export function redacting(secrets: Iterable<string>): (text: string) => string {
  // The longest first: one may be a part of another.
  const ordered = [...new Set(secrets)]
    .filter((secret) => secret.length >= MIN_CHARS)
    .sort((a, b) => b.length - a.length);
  return (text) => ordered.reduce((shown, secret) => shown.replaceAll(secret, MASK), text);
}

/** Values of an environment and a command line that are secret by the names that they are given under. */
export function processSecrets(env: Readonly<Record<string, string>>, args: readonly string[]): string[] {
  const secrets: string[] = [];
  const add = (name: string, value: string): void => {
    if (SECRET_NAME.test(name)) secrets.push(value);
    const password = URL_PASSWORD.exec(value)?.[1];
    if (password !== undefined) secrets.push(value, password);
  };
  for (const [name, value] of Object.entries(env)) add(name, value);
  for (const [i, arg] of args.entries()) {
    const assigned = /^(-{0,2}[\w-]+)=(.*)$/s.exec(arg);
    const flag = i > 0 && args[i - 1]!.startsWith('-') && !arg.startsWith('-') ? args[i - 1]! : '';
    if (assigned) add(assigned[1]!, assigned[2]!);
    else add(flag, arg);
  }
  return secrets;
}
