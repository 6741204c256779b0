/** Knows how tools are named towards models: `service__tool`, valid for every model API, stable and unique. */

import { createHash } from 'node:crypto';

export { nearest } from '../_util/nearest.js';

/** The strictest of the model APIs: 64 characters of these. */
const MAX_LENGTH = 64;
const INVALID = /[^a-zA-Z0-9_-]/g;
const SEPARATOR = '__';
const HASH_LENGTH = 8;

/**
 * The exposed name of a tool: a pure function of the two names, so it does not change when other services come and go.
 * What had to be replaced or cut, or could be split in two ways, carries a hash of the original names.
 */
export function exposedName(service: string, tool: string): string {
  const prefix = exposedPrefix(service);
  const name = `${prefix}${SEPARATOR}${tool.replace(INVALID, '_')}`;
  const exact =
    prefix === service && name.length <= MAX_LENGTH && name === `${service}${SEPARATOR}${tool}` && tool !== '';
  if (exact) return name;
  const hash = createHash('sha256').update(`${service.length}:${service}${tool}`).digest('hex').slice(0, HASH_LENGTH);
  return `${name.slice(0, MAX_LENGTH - HASH_LENGTH - 1)}_${hash}`;
}

/**
 * What stands before the separator. Equal to the service's name where that is unambiguous: the first `__` must be the
 * separator, and some APIs want a letter or underscore first.
 */
export function exposedPrefix(service: string): string {
  const clean = service.replace(INVALID, '_').replace(/_{2,}/g, '_').replace(/_$/, '-');
  return /^[a-zA-Z_]/.test(clean) ? clean : `s_${clean}`;
}

/** The part before the first separator; undefined for a bare tool name. */
export function prefixOf(name: string): string | undefined {
  const at = name.indexOf(SEPARATOR);
  return at > 0 ? name.slice(0, at) : undefined;
}
