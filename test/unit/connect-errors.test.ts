/** What a handshake that fails means for the calls that wait for it: none of them was sent. */

import { expect, it } from 'vitest';
import { systemClock } from '../../src/_util/clock.js';
import { connect } from '../../src/connection/connect.js';
import { startServer } from '../support/http-channel.js';
import type { Fault } from '../support/http-server.js';
import { failure } from '../support/waiting.js';

it.each<[string, Fault, string]>([
  ['is no MCP', { kind: 'body', contentType: 'text/html', body: '<p>hello</p>' }, 'PROTOCOL_ERROR'],
  ['is no JSON', { kind: 'body', contentType: 'application/json', body: '{' }, 'PROTOCOL_ERROR'],
  ['is a 500', { kind: 'status', status: 500 }, 'CONNECT_FAILED'],
  ['is lost', { kind: 'reset' }, 'CONNECT_FAILED'],
])('simulation seed 113: an answer to the handshake that %s has run no call', async (_what, fault, code) => {
  const server = await startServer();
  for (const method of ['server/discover', 'initialize']) server.fail(method, fault);
  const error = await failure(
    connect(
      { kind: 'http', url: server.url.href, headers: {} },
      {
        clock: systemClock,
        timeoutMs: 5_000,
        writeTimeoutMs: 5_000,
        stopTimeoutMs: 1_000,
        maxMessageBytes: 1_000_000,
        maxInFlight: 8,
        sockets: { max: 2, min: 0, idleMs: 1_000 },
      },
    ),
  );
  expect(error).toMatchObject({ code, executed: 'no' });
});
