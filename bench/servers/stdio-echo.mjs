/** An MCP server over stdio with the bench's tools; `--log FILE` notes each start, so that starts can be counted. */

import { appendFileSync } from 'node:fs';
import { answer } from './protocol.mjs';

const log = process.argv.indexOf('--log');
if (log > 0) appendFileSync(process.argv[log + 1], `${process.pid}\n`);

let out = '';
let scheduled = false;
let reading = false;

function flush() {
  scheduled = false;
  if (out === '') return;
  const text = out;
  out = '';
  process.stdout.write(text);
}

function reply(json) {
  out += `${json}\n`;
  // Answers to one chunk leave as one write at its end; those of timers, as one write per turn of the loop.
  if (reading || scheduled) return;
  scheduled = true;
  setImmediate(flush);
}

let rest = '';
process.stdin.setEncoding('utf8');
process.stdin.on('data', (chunk) => {
  const lines = chunk.split('\n');
  lines[0] = rest + lines[0];
  rest = lines.pop();
  reading = true;
  for (const line of lines) if (line !== '') answer(JSON.parse(line), reply);
  reading = false;
  flush();
});
process.stdin.on('end', () => process.exit(0));
process.stdout.on('error', () => process.exit(0));
