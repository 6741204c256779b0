/** What a process knows of its tokens while their file cannot be read: what it knew before, until the file can be. */

import { expect, it } from 'vitest';
import { type AuthEntry, type AuthFile, fingerprintOf } from '../../src/connection/auth-file.js';
import { Kept } from '../../src/connection/auth-kept.js';
import { StoreError } from '../../src/errors.js';
import { FakeClock } from '../support/fake-clock.js';

const ENTRY: AuthEntry = {
  service: 'peer',
  url: 'https://a.example/mcp',
  client: fingerprintOf(undefined),
  tokens: { access_token: 'one', token_type: 'Bearer' },
};

/** A file that never changes by its stamp, and is read as a test says. */
function keptIn(read: () => AuthEntry | undefined): Kept {
  const file = { stamp: () => 'same', get: async () => read() } as unknown as AuthFile;
  const parts = { service: 'peer', url: new URL(ENTRY.url), auth: undefined, clock: new FakeClock(), file };
  return new Kept(parts, () => {});
}

it('goes on with what it knew where the file cannot be read for a moment, and reads it again', async () => {
  let error: StoreError | undefined;
  const kept = keptIn(() => {
    if (error) throw error;
    return ENTRY;
  });
  await kept.read();
  expect(kept.changed).toBe(false);
  error = new StoreError('FILE_FAILED', 'too many open files', { figures: { errno: 'EMFILE' } });
  await kept.read();
  expect(kept).toMatchObject({ authorization: 'Bearer one', unreadable: error, changed: true });
  error = undefined;
  await kept.read();
  expect(kept).toMatchObject({ authorization: 'Bearer one', unreadable: undefined, changed: false });
});

it('does not read a file again that it could not understand, until that changes', async () => {
  const error = new StoreError('FILE_FAILED', 'of a newer version', { figures: { version: 2 } });
  const kept = keptIn(() => {
    throw error;
  });
  await kept.read();
  expect(kept).toMatchObject({ authorization: undefined, unreadable: error, changed: false });
});
