/** Knows which names services and agents may have: they become file names, tool names and lines on terminals. */

/** `CON.txt` is the same device as `CON`; a name must mean the same on every platform. */
const WINDOWS_DEVICE = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?$/i;
const ALLOWED = /^[\p{L}\p{M}\p{N} ._:@-]+$/u;
const OF_JAVASCRIPT = ['__proto__', 'constructor', 'prototype'];
const MAX_LENGTH = 200;

/** An agent's own service, as the store names it. */
export function agentService(agent: string, local: string): string {
  return `${agent}.${local}`;
}

/** What is wrong with a service name or an agent id; `undefined` for a good one. */
export function nameProblem(name: string): string | undefined {
  if (name === '') return 'a name must not be empty';
  if (name.length > MAX_LENGTH) return `a name may have at most ${MAX_LENGTH} characters, this one has ${name.length}`;
  if (OF_JAVASCRIPT.includes(name) || WINDOWS_DEVICE.test(name)) return 'this name is reserved';
  if (name === '.' || name.includes('..')) return 'a name must not contain ".."';
  if (name !== name.trim()) return 'a name must not begin or end with a space';
  if (!ALLOWED.test(name)) return 'a name may have letters, digits, spaces and . - _ : @';
  return undefined;
}
