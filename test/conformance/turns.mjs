/**
 * Knows how many clients run at a time: the suite starts all of them at once, which a small machine does not survive
 * without time-outs. A client connects to the run and begins when it is sent a byte; its end is the end of its turn.
 */

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

const VARIABLE = 'MCPSTORE_CONFORMANCE_TURNS';

/** For the run: gives turns, `atOnce` at a time. @returns the environment of the clients, and the end of it all */
export async function giveTurns(atOnce) {
  const waiting = [];
  const sockets = new Set();
  let running = 0;
  const next = () => {
    while (running < atOnce && waiting.length > 0) {
      running++;
      waiting.shift().write('.');
    }
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    waiting.push(socket);
    socket.on('error', () => {});
    socket.on('close', () => {
      sockets.delete(socket);
      const at = waiting.indexOf(socket);
      if (at === -1) running--;
      else waiting.splice(at, 1);
      next();
    });
    socket.resume();
    next();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { env: { [VARIABLE]: String(server.address().port) }, close };
}

/** For a client: resolves when its turn has come. It ends with the run. */
export async function ourTurn() {
  const port = process.env[VARIABLE];
  if (port === undefined) return;
  const socket = connect(Number(port), '127.0.0.1');
  socket.on('close', () => process.exit(1));
  socket.on('error', () => {});
  await once(socket, 'data');
  socket.unref();
}
