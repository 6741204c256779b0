/** Knows how it is said that a process wrote too much at a time, does not read, or is not there. */

import { StoreError } from '../errors.js';

export function tooLargeError(limit: number): StoreError {
  return new StoreError('MESSAGE_TOO_LARGE', `the server's answer is larger than ${limit} bytes`, {
    executed: 'yes',
    figures: { maxMessageBytes: limit },
  });
}

export function writeTimedOut(ms: number, sent: boolean): StoreError {
  return new StoreError('TIMEOUT', `the server did not read its input for ${ms} ms`, {
    executed: sent ? 'unknown' : 'no',
    figures: { writeTimeoutMs: ms },
  });
}

export function notOpenError(reason: Error | undefined): StoreError {
  const why = reason === undefined ? '' : `: ${reason.message}`;
  return new StoreError('CONNECT_FAILED', `the connection is not open${why}`, { cause: reason });
}
