/** Knows which options of a service go with how it is reached. */

import type { ServiceConfig } from './definition.js';
import type { Path } from './json-tree.js';
import type { Fail } from './schema.js';

/** OAuth goes with an address, and instead of an Authorization header. */
export function checkSignIn(service: ServiceConfig, path: Path, fail: Fail): void {
  const { auth, endpoints = [] } = service.mcpstore ?? {};
  if (!auth) return;
  const at = [...path, 'mcpstore', 'auth'];
  const addresses = [service, ...endpoints].filter(({ url }) => url !== undefined);
  if (addresses.length === 0) throw fail(at, 'goes with "url", not with "command"');
  const headers = addresses.flatMap((one) => Object.keys(one.headers ?? {}));
  if (headers.some((name) => name.toLowerCase() === 'authorization'))
    throw fail(at, 'stands beside an Authorization header', 'Keep one of the two.');
}

/** A limit of memory is for processes of ours that live longer than a call. */
export function checkMemory(service: ServiceConfig, path: Path, fail: Fail): void {
  const { maxMemoryMb, sharing, endpoints = [] } = service.mcpstore ?? {};
  if (maxMemoryMb === undefined) return;
  const at = [...path, 'mcpstore', 'maxMemoryMb'];
  if ([service, ...endpoints].every(({ command }) => command === undefined))
    throw fail(at, 'goes with "command": what a "url" leads to is not ours to restart');
  if (sharing === 'call') throw fail(at, 'does not go with "sharing": "call", where a process ends with its call');
}
