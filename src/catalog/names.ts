/** Knows how tools are named towards models: `service__tool`, valid for every model API, stable and unique. */

import { createHash } from 'node:crypto';

export { nearest } from '../_util/nearest.js';

/** The strictest of the model APIs: 64 characters of these. */
const MAX_LENGTH = 64;
const INVALID = /[^a-zA-Z0-9_-]/g;
const SEPARATOR = '__';
const HASH_LENGTH = 8;
/** The longest prefix that leaves room for the separator and a hash. */
const MAX_PREFIX_LENGTH = MAX_LENGTH - HASH_LENGTH - 1 - SEPARATOR.length;
/** What `hashOf` gives at the end of a name. */
const HASHED = /_(?=\d*[a-f])[0-9a-f]{8}$/;

/**
 * The exposed name of a tool: a pure function of the two names, so it does not change when other services come and go.
 *
 * A name that can stand as it is does. One that had to be replaced or cut ends with `_` and a hash of the original
 * names, and so does one that already ends like that: whatever a server calls its tools, no name that stands as it is
 * can equal a hashed one.
 */
export function exposedName(service: string, tool: string): string {
  const prefix = `${exposedPrefix(service)}${SEPARATOR}`;
  const name = prefix + tool.replace(INVALID, '_');
  const exact = tool !== '' && name === prefix + tool && name.length <= MAX_LENGTH && !HASHED.test(tool);
  if (exact) return name;
  return `${name.slice(0, MAX_LENGTH - HASH_LENGTH - 1)}_${hashOf(`${service.length}:${service}${tool}`)}`;
}

/**
 * What stands before the first `__`: it belongs to one service alone, by the same rule, so that no server can give a
 * tool a name of another service. Some APIs want a letter or underscore first.
 */
export function exposedPrefix(service: string): string {
  const clean = service.replace(INVALID, '_').replace(/_{2,}/g, '_').replace(/_$/, '-');
  const named = /^[a-zA-Z_]/.test(clean) ? clean : `s_${clean}`;
  if (named === service && named.length <= MAX_PREFIX_LENGTH && !HASHED.test(service)) return named;
  const start = named.slice(0, MAX_PREFIX_LENGTH - HASH_LENGTH - 1).replace(/_$/, '-');
  return `${start}_${hashOf(service)}`;
}

/** Has at least one letter, so that a date at the end of a name is not taken for a hash. */
function hashOf(text: string): string {
  const hash = createHash('sha256').update(text).digest('hex').slice(0, HASH_LENGTH);
  return /[a-f]/.test(hash) ? hash : `a${hash.slice(1)}`;
}

/** The part before the first separator; undefined for a bare tool name. */
export function prefixOf(name: string): string | undefined {
  const at = name.indexOf(SEPARATOR);
  return at > 0 ? name.slice(0, at) : undefined;
}
