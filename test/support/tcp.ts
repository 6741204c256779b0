/** Servers that answer nothing: one that accepts connections, one whose connections are never accepted. They end with the test. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { until } from './waiting.js';

export interface SilentServer {
  readonly port: number;
  /** Connections that are open. */
  readonly accepted: ReadonlySet<Socket>;
}

/** Accepts and never answers. @param reads - takes what is sent; else the sender's buffers fill up */
export async function silentServer({ reads = false } = {}): Promise<SilentServer> {
  const accepted = new Set<Socket>();
  const server = createServer((socket) => {
    accepted.add(socket.on('error', () => {}).on('close', () => accepted.delete(socket)));
    if (reads) socket.resume();
    else socket.pause();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of accepted) socket.destroy();
    server.close();
  });
  return { port: (server.address() as { port: number }).port, accepted };
}

/** A port on which a connect hangs: its process is stopped and its line of connections is full. */
export async function hangingPort(): Promise<number> {
  const code = `const s = require('net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 },
    () => process.send(s.address().port, () => process.kill(process.pid, 'SIGSTOP')))`;
  const child: ChildProcess = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  const fillers: Socket[] = [];
  onTestFinished(async () => {
    for (const socket of fillers) socket.destroy();
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  const [port] = (await once(child, 'message')) as [number];
  await until(async () => {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    fillers.push(socket);
    return Promise.race([
      once(socket, 'connect').then(() => false),
      new Promise<true>((resolve) => setTimeout(() => resolve(true), 300)),
    ]);
  }, 'a connect hangs');
  return port;
}
