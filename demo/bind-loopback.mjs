/**
 * Preloaded into a server that cannot be told an address (`node --import`): whatever it listens on becomes a free port
 * of the loopback interface, which is told to the parent process. Ends with its parent.
 */

import { Server } from 'node:net';

const listen = Server.prototype.listen;

Server.prototype.listen = function listenOnLoopback(...args) {
  const listener = args.find((arg) => typeof arg === 'function');
  if (process.connected) this.once('listening', () => process.send({ port: this.address().port }));
  return listen.call(this, { host: '127.0.0.1', port: 0 }, listener);
};

process.on('disconnect', () => process.exit(0));
