/** The keep-alive sockets of one origin, where a connect fails while others wait in line. */

import { expect, it } from 'vitest';
import { callTool, openChannel, startServer, within } from '../support/http-channel.js';
import { failure } from '../support/waiting.js';

it('simulation seed 17: a connect that fails after its call was given up passes its place on, and ends nothing else', async () => {
  const server = await startServer();
  const channel = openChannel(server.url, { sockets: 1 });
  await server.close();
  const caller = new AbortController();
  const given = failure(callTool(channel, 'echo', {}, within(5_000, { signal: caller.signal })));
  const waiting = failure(callTool(channel, 'echo'));
  // Its socket is being connected, and the second call is in line for it.
  caller.abort();
  expect(await given).toMatchObject({ code: 'CANCELLED', executed: 'no' });
  expect(await waiting).toMatchObject({ code: 'CONNECT_FAILED', executed: 'no' });
  expect(channel.sockets()).toEqual({ open: 0, idle: 0, inFlight: 0, waiting: 0 });
});
