/** The tour of `npm start`: one store on four real servers, and what it does with them. Leaves nothing behind. */

import { mkdtempSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isStoreError, MCPStore } from 'mcpstore';
import { startEverythingOverHttp } from './http-server.mjs';
import { heading, line } from './screen.mjs';
import { cachedBatch, comeUp, firstCall, killed, slowTool, table, wideBatch } from './steps.mjs';

const cleanups = [];
let cleaning;
let interrupted = false;

/** Undoes what was set up, last first and once; whatever fails, the rest is undone. */
function cleanUp() {
  cleaning ??= (async () => {
    for (const undo of cleanups.reverse()) await Promise.resolve().then(undo).catch(tell);
  })();
  return cleaning;
}

function interrupt(code) {
  interrupted = true;
  void cleanUp().then(() => process.exit(code));
}

function tell(error) {
  process.exitCode = isStoreError(error) ? error.exitCode : 1;
  const text = isStoreError(error) ? `${error.code}: ${error.message}` : (error?.stack ?? String(error));
  process.stderr.write(`\n${text}\n`);
  if (isStoreError(error) && error.hint) process.stderr.write(`Hint: ${error.hint}\n`);
  if (isStoreError(error) && error.cause) process.stderr.write(`Cause: ${error.cause.message ?? error.cause}\n`);
}

async function tour() {
  const folder = mkdtempSync(join(tmpdir(), 'mcpstore-tour-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  await mkdir(join(folder, 'notes'));
  for (let i = 1; i <= 51; i++)
    await writeFile(join(folder, 'notes', `${i}.txt`), `Note ${i}: one store, many servers.\n`);
  const http = await startEverythingOverHttp();
  cleanups.push(http.stop);

  const store = await MCPStore.open({
    config: fileURLToPath(new URL('mcp.json', import.meta.url)),
    workspaceFolder: fileURLToPath(new URL('..', import.meta.url)),
    env: { ...process.env, EVERYTHING_URL: http.url, DEMO_FOLDER: folder },
    stateDir: null,
  });
  cleanups.push(() => store.close({ drainMs: 1_000 }));

  heading('1. Four services come up, in parallel');
  await comeUp(store);
  heading('2. One call');
  await firstCall(store, join(folder, 'notes', '1.txt'));
  heading('3. A batch of 200 calls to all of them');
  const calls = callsOf(folder);
  const perSecond = await wideBatch(store, calls);
  heading('4. The same batch, cached');
  await cachedBatch(store, calls);
  heading('5. A slow tool, with its progress');
  await slowTool(store);
  heading('6. A server is killed, and comes back');
  await killed(store, 'files', join(folder, 'notes', '2.txt'));
  heading('7. What it came to');
  table(store, perSecond);
}

/** 200 different calls, in turn to each of the four services. */
function callsOf(folder) {
  return Array.from({ length: 50 }, (_, i) => [
    { tool: 'files__read_text_file', arguments: { path: join(folder, 'notes', `${i + 2}.txt`) } },
    { tool: 'everything__get-sum', arguments: { a: i, b: 1 } },
    { tool: 'everything-http__get-sum', arguments: { a: i, b: 2 } },
    { tool: 'memory__search_nodes', arguments: { query: `topic ${i}` } },
  ]).flat();
}

for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => interrupt(128 + constants.signals[name]));
// Whoever reads us has left: `npm start | head`.
process.stdout.on('error', (error) => interrupt(error.code === 'EPIPE' ? 0 : 1));

try {
  await tour();
} catch (error) {
  if (!interrupted) tell(error);
}
await cleanUp();
if (!process.exitCode && !interrupted) line('\nEvery server has been stopped and the temporary folder is gone.');
