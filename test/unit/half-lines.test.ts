/** Knows when half an answer on a process's stdout is given up: once all that it could be the answer to have ended. */

import { afterEach, expect, it } from 'vitest';
import { systemClock } from '../../src/_util/clock.js';
import { StdioChannel } from '../../src/connection/stdio.js';
import { failure } from '../support/fake-clock.js';
import { until } from '../support/waiting.js';

const MAX_BYTES = 200_000;
/** Answers `half` with half a line, and tells it on stderr; `rest` gets the other half and an answer of its own. */
const PROGRAM = `
  const lines = require('node:readline').createInterface({ input: process.stdin });
  const half = 'x'.repeat(${MAX_BYTES * 0.8});
  let owner;
  lines.on('line', (line) => {
    const { id, method } = JSON.parse(line);
    if (method === 'half') {
      owner = id;
      process.stdout.write('{"result":{"text":"' + half, () => console.error('half is written'));
    } else if (method === 'rest') {
      process.stdout.write(half + '"},"jsonrpc":"2.0","id":"' + owner + '"}\\n');
      process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, result: { rest: true } }) + '\\n');
    }
  });
`;

const open: StdioChannel[] = [];
afterEach(async () => {
  for (const channel of open.splice(0)) await channel.close();
});

async function channel() {
  let written = '';
  const errors: Error[] = [];
  const made = new StdioChannel({
    command: process.execPath,
    args: ['-e', PROGRAM],
    env: {},
    cwd: undefined,
    stopTimeoutMs: 500,
    writeTimeoutMs: 10_000,
    maxMessageBytes: MAX_BYTES,
    clock: systemClock,
    onStderr: (text) => {
      written += text;
    },
  });
  open.push(made);
  made.onerror = (error) => errors.push(error);
  await made.start();
  const request = (method: string, signal?: AbortSignal) =>
    made.request(method, {}, { deadline: systemClock.now() + 20_000, timeoutMs: 20_000, silenceMs: 0, signal });
  return { request, errors, halfWritten: () => until(() => written.includes('half is written'), 'half an answer') };
}

it('F8: half an answer to a call that ended is freed: what follows of it is skipped, whatever its length', async () => {
  const { request, errors, halfWritten } = await channel();
  const controller = new AbortController();
  const ended = failure(request('half', controller.signal));
  await halfWritten();
  controller.abort();
  expect(await ended).toMatchObject({ code: 'CANCELLED', executed: 'unknown' });
  expect(await request('rest')).toEqual({ rest: true });
  // Both halves together are over the limit, which is told where the first is still held.
  expect(errors).toEqual([]);
});

it('F8: half an answer is kept while any call waits that was there before it', async () => {
  const { request, errors, halfWritten } = await channel();
  const controller = new AbortController();
  const waits = failure(request('other', controller.signal));
  const ending = new AbortController();
  const ended = failure(request('half', ending.signal));
  await halfWritten();
  ending.abort();
  await ended;
  expect(await request('rest')).toEqual({ rest: true });
  expect(errors).toMatchObject([{ code: 'MESSAGE_TOO_LARGE' }]);
  controller.abort();
  await waits;
});
