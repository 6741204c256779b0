/**
 * The program that the conformance suite tests: does what a scenario asks for, each with a store of its own, through the
 * public API of the built package. It is given scenarios by `ask.mjs` and ends when its parent lets go of it.
 */

import { once } from 'node:events';
import { createServer } from 'node:net';
import { MCPStore } from '../../dist/index.js';
import { agree, serviceOf, stepsOf } from './scenarios.mjs';

/** Scenarios at a time: enough to use the pauses of one for another. */
const AT_ONCE = 3;
/** Longer than any scenario takes on a busy machine. */
const LIMIT_MS = 60_000;

/** How long the first scenario waits for the others. */
const GATHER_MS = 30_000;

const waiting = [];
let running = 0;
/** Scenarios that have to be there before the first begins. */
let expected = 0;
let gathering;

const server = createServer((socket) => {
  let text = '';
  socket.on('error', () => {});
  socket.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
    if (!text.endsWith('\n')) return;
    waiting.push({ socket, job: JSON.parse(text) });
    gathering ??= setTimeout(begin, GATHER_MS);
    if (waiting.length >= expected) begin();
  });
});

/**
 * The suite starts the commands of all scenarios at once and answers little meanwhile, on a busy machine so late that a
 * modern server is taken for an old one, which would be silent (5 s). So it is left to finish that first.
 */
process.on('message', (count) => {
  expected = count;
});

function begin() {
  clearTimeout(gathering);
  gathering = undefined;
  expected = 0;
  next();
}

function next() {
  if (expected > 0) return;
  while (running < AT_ONCE && waiting.length > 0) {
    const { socket, job } = waiting.shift();
    running++;
    outcome(job).then((told) => {
      running--;
      socket.end(`${told}\n`);
      next();
    });
  }
}

/** `done`, or what went wrong. */
async function outcome({ url, scenario, context }) {
  const services = { peer: { url, ...serviceOf(scenario, context) } };
  const store = await MCPStore.open({ stateDir: null, services, onAuthorize: agree });
  const limit = AbortSignal.timeout(LIMIT_MS);
  const late = once(limit, 'abort').then(() => {
    throw new Error(`not done within ${LIMIT_MS} ms`);
  });
  try {
    await Promise.race([stepsOf(scenario)(store, context), late]);
    return 'done';
  } catch (error) {
    return `${error.code ?? error.name}: ${error.message}`;
  } finally {
    await store.close({ drainMs: 0 });
  }
}

server.listen(0, '127.0.0.1', () => process.send(server.address().port));
// Once the stores are closed, nothing is left that would keep the process: the run waits for its end.
process.on('disconnect', () => server.close());
