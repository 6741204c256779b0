/**
 * The program that the conformance suite tests: `node client.mjs URL`, with the scenario's name in the environment.
 * Whatever it does goes through the public API of the built package. Its last line on stdout is `done`, or why not.
 */

import { ourTurn } from './turns.mjs';

/** Longer than any scenario takes on a busy machine. */
const LIMIT_MS = 90_000;

await ourTurn();
setTimeout(() => end(`not done within ${LIMIT_MS} ms`), LIMIT_MS).unref();

const { MCPStore } = await import('../../dist/index.js');
const { stepsOf } = await import('./scenarios.mjs');

const scenario = process.env.MCP_CONFORMANCE_SCENARIO ?? '';
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const store = await MCPStore.open({ stateDir: null, services: { peer: { url: process.argv[2] } } });
let failure;
try {
  await stepsOf(scenario)(store, context);
} catch (error) {
  failure = error;
}
await store.close();
end(failure && `${failure.code ?? failure.name}: ${failure.message}`);

function end(failed) {
  process.stdout.write(`${failed ?? 'done'}\n`, () => process.exit(failed === undefined ? 0 : 1));
}
