/**
 * Knows which HTTP endpoints spoke the legacy era in an earlier run, so that a short one need not ask again: a question
 * that costs a round trip, and with a server that leaves it unanswered five seconds. A modern server's answer is not
 * kept: asking it is all that its handshake consists of.
 */

import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../_util/atomic-file.js';
import type { EndpointDefinition } from '../config/definition.js';

/** A server may be replaced by a newer one: after so long it is asked again. Milliseconds. */
const KNOWN_MS = 24 * 3_600_000;

/** Did this very endpoint, credentials included, speak the legacy era of late? */
export async function wasLegacy(stateDir: string, definition: EndpointDefinition, wall: number): Promise<boolean> {
  try {
    const { era, at } = JSON.parse(await readFile(fileOf(stateDir, definition), 'utf8')) as Record<string, unknown>;
    return era === 'legacy' && typeof at === 'number' && at <= wall && wall - at < KNOWN_MS;
  } catch {
    return false; // Never asked, or damaged: it is asked again.
  }
}

/** Remembers what was found out just now. A disk that refuses is no trouble: the next run asks again. */
export async function rememberEra(
  stateDir: string,
  definition: EndpointDefinition,
  era: 'legacy' | 'modern',
  wall: number,
): Promise<void> {
  try {
    await mkdir(join(stateDir, 'eras'), { recursive: true, mode: 0o700 });
    await writeFileAtomic(fileOf(stateDir, definition), JSON.stringify({ era, at: wall }));
  } catch {
    // As said.
  }
}

function fileOf(stateDir: string, definition: EndpointDefinition): string {
  const name = createHash('sha256').update(JSON.stringify(definition)).digest('hex').slice(0, 32);
  return join(stateDir, 'eras', `${name}.json`);
}
