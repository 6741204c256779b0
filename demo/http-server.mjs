/** Starts server-everything over streamable HTTP on a free port of the loopback interface, and stops it. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const START_TIMEOUT_MS = 20_000;

const script = new URL('../node_modules/@modelcontextprotocol/server-everything/dist/index.js', import.meta.url);
const preload = new URL('bind-loopback.mjs', import.meta.url);

/** @returns `url`, where it answers, and `stop`, which resolves when it has ended */
export async function startEverythingOverHttp() {
  const args = ['--import', preload.href, fileURLToPath(script), 'streamableHttp'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], windowsHide: true });
  const ended = once(child, 'exit');
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    complaint = (complaint + text).slice(-2_000);
  });
  const stop = async () => {
    if (child.connected) child.disconnect();
    child.kill();
    await ended;
  };
  try {
    const signal = AbortSignal.timeout(START_TIMEOUT_MS);
    const [message] = await Promise.race([
      once(child, 'message', { signal }),
      ended.then(([code]) => {
        throw new Error(`server-everything ended with ${code} before it listened: ${complaint.trim()}`);
      }),
    ]);
    return { url: `http://127.0.0.1:${message.port}/mcp`, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
