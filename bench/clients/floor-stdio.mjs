/** The floor over stdio: a raw pipe, writes joined per microtask, JSON.parse per line, and a Map of who waits. */

import { spawn } from 'node:child_process';
import { end, STDIO_SERVER } from '../lib/spawn.mjs';

export function floorStdio({ args = [] } = {}) {
  let child;
  let nextId = 0;
  let out = '';
  let parts = [];
  const waiting = new Map();

  function flush() {
    const text = out;
    out = '';
    child.stdin.write(text);
  }

  function receive(chunk) {
    let from = 0;
    // Only the new chunk is searched; the pieces of a long line are joined once, when its end is here.
    for (let at = chunk.indexOf('\n'); at !== -1; at = chunk.indexOf('\n', from)) {
      let line = chunk.slice(from, at);
      from = at + 1;
      if (parts.length > 0) {
        parts.push(line);
        line = parts.join('');
        parts = [];
      }
      const message = JSON.parse(line);
      const resolve = waiting.get(message.id);
      waiting.delete(message.id);
      resolve(message.result);
    }
    if (from < chunk.length) parts.push(from === 0 ? chunk : chunk.slice(from));
  }

  function request(method, params) {
    return new Promise((resolve) => {
      const id = nextId++;
      waiting.set(id, resolve);
      if (out === '') queueMicrotask(flush);
      out += `${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`;
    });
  }

  return {
    name: 'floor',
    async connect() {
      child = spawn(process.execPath, [STDIO_SERVER, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
      child.stdout.setEncoding('utf8').on('data', receive);
      await request('initialize', { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'floor' } });
    },
    call: (name, args) => request('tools/call', { name, arguments: args }),
    close: () => end(child),
  };
}
