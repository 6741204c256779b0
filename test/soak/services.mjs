/** Knows the services of the soak: servers over stdio and HTTP, scripted ones and server-everything, and how they die. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));

const SCRIPTED = path('../support/scripted-server.mjs');
const HTTP = path('http-server.mjs');
const EVERYTHING = require.resolve('@modelcontextprotocol/server-everything/dist/index.js');
const LOOPBACK = new URL('../../demo/bind-loopback.mjs', import.meta.url).href;

/** A server in a process of its own that tells its port; `restart` kills it and starts it on the same one. */
class HttpProcess {
  #file;
  #args;
  #options;
  #child;
  port = 0;

  constructor(file, args, execArgv = []) {
    this.#file = file;
    this.#args = args;
    this.#options = { execArgv, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] };
  }

  async start() {
    const child = fork(this.#file, [...this.#args, String(this.port)], this.#options);
    this.#child = child;
    const [message] = await once(child, 'message', { signal: AbortSignal.timeout(30_000) });
    this.port = message.port;
    return this;
  }

  async stop() {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  async restart() {
    await this.stop();
    await this.start();
  }
}

/**
 * Starts what listens and says how all are configured.
 * @param ledger - file that has a line for each side effect
 * @returns `services` for the store, `victims` that may be killed (`kill` is undefined where the store knows the
 *   processes), and `stop`
 */
export async function servicesOf(ledger) {
  const web = await new HttpProcess(HTTP, [ledger]).start();
  const everythingWeb = await new HttpProcess(EVERYTHING, ['streamableHttp'], ['--import', LOOPBACK]).start();
  const args = [SCRIPTED, JSON.stringify({ ledger })];
  const scripted = { command: process.execPath, args };
  const url = (port) => `http://127.0.0.1:${port}/mcp`;
  return {
    services: {
      alpha: { ...scripted },
      pooled: { ...scripted, mcpstore: { connectionPool: { maxConnections: 3 } } },
      replicas: { mcpstore: { endpoints: [{ ...scripted }, { ...scripted, weight: 2 }] } },
      cached: { ...scripted, mcpstore: { resultCache: { enabled: true, ttlMs: 2_000 } } },
      everything: { command: process.execPath, args: [EVERYTHING] },
      web: { url: url(web.port) },
      everything_web: { url: url(everythingWeb.port) },
    },
    victims: [
      ...['alpha', 'pooled', 'replicas', 'cached', 'everything'].map((name) => ({ name, kill: undefined })),
      { name: 'web', kill: () => web.restart() },
    ],
    stop: () => Promise.all([web.stop(), everythingWeb.stop()]),
  };
}
