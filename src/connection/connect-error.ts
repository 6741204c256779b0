/** Knows what a failure to connect means: which code it gets, and whose words tell it best. */

import type { EndpointDefinition } from '../config/definition.js';
import { asError, StoreError } from '../errors.js';

/** What a silent handshake looks like from here. */
const SILENCE: Record<EndpointDefinition['kind'], string> = {
  stdio: 'the process runs but does not answer initialize',
  memory: 'the server object does not answer',
  http: 'connected or connecting, no answer',
  sse: 'connected or connecting, no answer',
};

/** Nothing came back within the time of a handshake. */
export class HandshakeTimeout extends Error {
  constructor(ms: number) {
    super(`no answer to the handshake within ${ms} ms`);
  }
}

/** Gives a failed start its code: what could not be reached, what ended, what stayed silent, what said no. */
export function connectError(
  definition: EndpointDefinition,
  timeoutMs: number,
  thrown: unknown,
  reason: Error | undefined,
  lastWords?: string,
): StoreError {
  const error = asError(thrown);
  if (error instanceof StoreError && error.code !== 'OUTCOME_UNKNOWN') return beforeCalls(error);
  const cause = unwrap(error);
  if (cause instanceof StoreError) return beforeCalls(cause);
  const data = cause as { code?: unknown; status?: unknown; data?: { status?: unknown } };
  const rpcCode = typeof data.code === 'number' ? data.code : undefined;
  const status = data.data?.status ?? data.status;
  if (status === 401 || cause.name === 'UnauthorizedError')
    return new StoreError('AUTH_REQUIRED', 'the server asks for credentials (401)', {
      cause,
      hint: 'Give an Authorization header under "headers".',
    });
  if (status === 403) return new StoreError('FORBIDDEN', 'the server refuses these credentials (403)', { cause });
  const local = definition.kind === 'stdio' || definition.kind === 'memory';
  const silent = cause instanceof HandshakeTimeout;
  // An error answer says more than the end of the connection, which follows it.
  const said = rpcCode === undefined ? (reason?.message ?? cause.message) : cause.message;
  const stderr = lastWords ? `; stderr: ${lastWords}` : '';
  const what = silent ? `${cause.message} (${SILENCE[definition.kind]})${stderr}` : said;
  const probe = !silent && /tim(ed|e) ?out/i.test(cause.message) ? 'silent' : undefined;
  return new StoreError(local ? 'START_FAILED' : 'CONNECT_FAILED', what, {
    cause,
    rpcCode,
    figures: {
      // An error answer, and a missing program, stay as they are; an end or a silence may be of the moment.
      retryable: rpcCode === undefined,
      ...(silent && { timeoutMs }),
      ...(probe && { probe }),
      ...(typeof status === 'number' && { status }),
    },
  });
}

/** Whatever became of the handshake, no call was sent: those that wait for it are told so, and may go elsewhere. */
function beforeCalls(error: StoreError): StoreError {
  const { code, message, executed, figures, hint, rpcCode, data, cause } = error;
  if (executed === 'no') return error;
  if (code !== 'OUTCOME_UNKNOWN') return new StoreError(code, message, { figures, hint, rpcCode, data, cause });
  return new StoreError('CONNECT_FAILED', message, { figures: { ...figures, retryable: true }, cause });
}

/** The SDK hides the transport's own error below `cause` or `data.cause`. */
function unwrap(error: Error): Error {
  let at = error;
  for (let depth = 0; depth < 5; depth++) {
    const next = at.cause ?? (at as { data?: { cause?: unknown } }).data?.cause;
    if (!(next instanceof Error)) return at;
    if (next instanceof StoreError) return next;
    at = next;
  }
  return error;
}
