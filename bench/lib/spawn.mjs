/** Knows how the bench's servers and one-off programs are started, and that each is ended by its pid. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const file = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

export const STDIO_SERVER = file('servers/stdio-echo.mjs');
const HTTP_SERVER = file('servers/http-echo.mjs');

/** Ends a child that this process started and waits until it is gone. */
export async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.stdin?.end();
  const timer = setTimeout(() => child.kill('SIGKILL'), 1_000);
  await gone;
  clearTimeout(timer);
}

export async function httpServer() {
  const child = spawn(process.execPath, [HTTP_SERVER], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = await once(child.stdout.setEncoding('utf8'), 'data');
  return { url: `http://127.0.0.1:${line.trim()}/mcp`, close: () => end(child) };
}

/** Runs a file of the bench in a fresh Node process and gives what it sent over its IPC channel. */
export function fresh(path, args = [], { flags = [], timeoutMs = 120_000, env = {} } = {}) {
  const child = spawn(process.execPath, [...flags, file(path), ...args], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, ...env },
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  const interrupt = () => child.kill('SIGTERM');
  process.once('SIGINT', interrupt);
  let answer;
  child.on('message', (message) => {
    answer = message;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      process.off('SIGINT', interrupt);
      if (answer === undefined || answer.error !== undefined)
        reject(new Error(answer?.error ?? `${path} ended with ${signal ?? code} and no answer`));
      else resolve(answer);
    });
  });
}
