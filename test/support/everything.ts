/** Starts server-everything over HTTP or legacy SSE on a free port of the loopback interface. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterwards, npmServer } from './harness.js';

const preload = new URL('../../demo/bind-loopback.mjs', import.meta.url);

export interface EverythingServer {
  readonly url: string;
  readonly child: ChildProcess;
}

/** Ends with the test. */
export async function startEverything(mode: 'streamableHttp' | 'sse'): Promise<EverythingServer> {
  const args = ['--import', preload.href, npmServer('everything'), mode];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  const exited = once(child, 'exit');
  afterwards(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const [message] = (await once(child, 'message', { signal: AbortSignal.timeout(20_000) })) as [{ port: number }];
  return { url: `http://127.0.0.1:${message.port}/${mode === 'sse' ? 'sse' : 'mcp'}`, child };
}
