/** The keep-alive sockets of one origin, where a connect fails while others wait in line. */

import { expect, it } from 'vitest';
import { callTool, connected, openChannel, startServer, within } from '../support/http-channel.js';
import { failure, until } from '../support/waiting.js';

it('simulation seed 17: a connect that fails after its call was given up passes its place on, and ends nothing else', async () => {
  const server = await startServer();
  const channel = openChannel(server.url, { sockets: { max: 1 } });
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

it('idle ones are closed on demand, down to the minimum, and connected again when they are needed', async () => {
  const { channel } = await connected({}, {});
  const before = channel.opened;
  const four = async (): Promise<void> => {
    await Promise.all(Array.from({ length: 4 }, () => callTool(channel, 'sleep', { ms: 30 })));
  };
  await four();
  expect(channel.sockets()).toMatchObject({ open: 4, idle: 4 });
  expect(channel.closeIdle(60_000)).toBe(0);
  expect(channel.closeIdle(0)).toBe(3);
  expect(channel.sockets()).toMatchObject({ open: 1, idle: 1 });
  await four();
  expect(channel.opened).toBe(before + 6);
});

it('those of notifications close too once they idle for longer than a shorter time that was set meanwhile', async () => {
  const { server, channel } = await connected();
  const notify = (): Promise<void> => channel.send({ jsonrpc: '2.0', method: 'notifications/roots/list_changed' });
  await notify();
  await callTool(channel, 'echo');
  // One for requests, one for notifications, and streams of the server's own messages where it has some.
  const streams = server.sockets.size - 2;
  channel.configure({ writeTimeoutMs: 2_000, sockets: { max: 4, min: 1, idleMs: 20 } });
  await notify();
  await callTool(channel, 'echo');
  await until(() => server.sockets.size === streams + 1, 'the socket of the notifications is closed', 2_000);
});
