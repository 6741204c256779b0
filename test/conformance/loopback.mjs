/** Preloaded into the suite (`node --import`): its servers listen on the loopback interface alone, on free ports. */

import dns from 'node:dns';
import { Server } from 'node:net';

const HOST = '127.0.0.1';
const { listen } = Server.prototype;
const { lookup } = dns;

// The suite reads the port right after `listen`, which Node knows by then only where no name had to be looked up.
dns.lookup = (name, ...rest) => (name === HOST ? rest.at(-1)(null, HOST, 4) : lookup(name, ...rest));

Server.prototype.listen = function listenOnLoopback(...args) {
  const listener = args.find((arg) => typeof arg === 'function');
  return listen.call(this, { host: HOST, port: 0 }, listener);
};
