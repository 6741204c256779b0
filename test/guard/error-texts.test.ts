/** Keeps the texts of the commonest errors: who changes one sees it here, and so does whoever reads the change. */

import { expect, it } from 'vitest';
import { MCPStore } from '../../src/store.js';
import { FakeClock, failure, settle } from '../support/fake-clock.js';
import { FakeServer, type FakeTool, openStore, RpcFault } from '../support/fake-server.js';

const schema = { type: 'object', properties: { path: { type: 'string' } }, required: ['path'] };

async function open(
  services: Record<string, Record<string, FakeTool>>,
  options: Parameters<typeof openStore>[2] = {},
): Promise<{ clock: FakeClock; store: MCPStore; servers: Record<string, FakeServer> }> {
  const clock = new FakeClock();
  const servers = Object.fromEntries(
    Object.entries(services).map(([name, tools]) => [name, new FakeServer(tools, clock)]),
  );
  return { clock, servers, store: await openStore(servers, clock, options) };
}

/** What a person reads: code, message, hint, and the cause by its message. */
async function read(clock: FakeClock, promise: Promise<unknown>, ms = 0): Promise<string[]> {
  const failed = failure(promise);
  await settle(20);
  await clock.advance(ms);
  const error = await failed;
  const lines = [`${error['code']}: ${error.message}`, `executed: ${error['executed']}`];
  if (error['hint']) lines.push(`hint: ${error['hint']}`);
  if (error.cause !== undefined) lines.push(`cause: ${(error.cause as Error).message ?? error.cause}`);
  return lines;
}

it('a tool that nobody has', async () => {
  const { clock, store } = await open({ files: { read_file: {} } });
  expect(await read(clock, store.callTool('files__read_fle'))).toMatchInlineSnapshot(`
    [
      "TOOL_UNKNOWN: files__read_fle: files has no tool of this name; nearest: files__read_file",
      "executed: no",
      "hint: listTools() has all names.",
    ]
  `);
  await store.close();
});

it('a tool that two services have', async () => {
  const { clock, store } = await open({ a: { search: {} }, b: { search: {} } });
  expect(await read(clock, store.callTool('search'))).toMatchInlineSnapshot(`
    [
      "TOOL_AMBIGUOUS: search: 2 services have a tool of this name: a__search, b__search",
      "executed: no",
      "hint: Use one of these names, or give { service }.",
    ]
  `);
  await store.close();
});

it('a service that there is not', async () => {
  const { clock, store } = await open({ files: {} });
  expect(await read(clock, store.readResource('file', 'x:y'))).toMatchInlineSnapshot(`
    [
      "SERVICE_UNKNOWN: there is no service named file; nearest: files",
      "executed: no",
      "hint: listServices() has all names; addService adds one.",
    ]
  `);
  await store.close();
});

it('arguments that do not fit', async () => {
  const { clock, store } = await open({ files: { read_file: { inputSchema: schema } } });
  const call = store.callTool('files__read_file', {}, { validateArguments: true });
  expect(await read(clock, call)).toMatchInlineSnapshot(`
    [
      "ARGUMENTS_INVALID: files__read_file: "path" is required (string)",
      "executed: no",
    ]
  `);
  await store.close();
});

it('a tool that takes longer than the call may', async () => {
  const { clock, store } = await open({ files: { slow: { delayMs: 60_000 } } });
  expect(await read(clock, store.callTool('files__slow', {}, { timeoutMs: 1_000 }), 2_000)).toMatchInlineSnapshot(`
    [
      "TIMEOUT: files__slow: timed out after 1000 ms, waiting for the answer",
      "executed: unknown",
    ]
  `);
  await store.close();
});

it('a tool that is silent for too long', async () => {
  const { clock, store } = await open({ files: { slow: { delayMs: 90_000 } } });
  expect(await read(clock, store.callTool('files__slow'), 61_000)).toMatchInlineSnapshot(`
    [
      "TIMEOUT: files__slow: no answer and no progress for 60000 ms",
      "executed: unknown",
      "hint: A tool that works in silence for longer needs a higher connectionPool.readTimeoutMs, or a timeoutMs of its own.",
    ]
  `);
  await store.close();
});

it('a queue that is full', async () => {
  const { clock, store } = await open(
    { files: { slow: { delayMs: 100 } } },
    { performance: { calls: { maxConcurrentCalls: 1, queueLimit: 1 } } },
  );
  const running = [store.callTool('files__slow'), store.callTool('files__slow')];
  await settle(20);
  expect(await read(clock, store.callTool('files__slow'))).toMatchInlineSnapshot(`
    [
      "LIMIT_EXCEEDED: files: 1 call runs (max 1) and 1 waits (queueLimit 1)",
      "executed: no",
      "hint: Call less at a time, or raise calls.queueLimit.",
    ]
  `);
  await clock.advance(500);
  await Promise.all(running);
  await store.close();
});

it('a queue that takes longer than the call may', async () => {
  const { clock, store } = await open(
    { files: { slow: { delayMs: 5_000 } } },
    { performance: { calls: { maxConcurrentCalls: 1 } } },
  );
  const running = store.callTool('files__slow');
  await settle(20);
  expect(await read(clock, store.callTool('files__slow', {}, { timeoutMs: 1_000 }), 1_000)).toMatchInlineSnapshot(`
    [
      "TIMEOUT: files: timed out after 1000 ms in the queue (running 1, max 1, waiting 0)",
      "executed: no",
    ]
  `);
  await clock.advance(5_000);
  await running;
  await store.close();
});

it('a connection that is lost while the call is under way', async () => {
  const run: FakeTool['run'] = ({ hangUp }) => {
    hangUp();
    return {};
  };
  const { clock, store } = await open({ files: { die: { run } } });
  expect(await read(clock, store.callTool('files__die'))).toMatchInlineSnapshot(`
    [
      "OUTCOME_UNKNOWN: files__die: the connection was lost before the answer: closed",
      "executed: unknown",
      "hint: The call may have run. Repeat it only if that does no harm.",
      "cause: closed",
    ]
  `);
  await store.close();
});

it('an error answer', async () => {
  const run = (): never => {
    throw new RpcFault(-32602, 'path must be absolute');
  };
  const { clock, store } = await open({ files: { read: { run } } });
  expect(await read(clock, store.callTool('files__read'))).toMatchInlineSnapshot(`
    [
      "RPC_ERROR: files__read: path must be absolute",
      "executed: yes",
    ]
  `);
  await store.close();
});

it('a tool error that is to be thrown', async () => {
  const run = (): Record<string, unknown> => ({ content: [{ type: 'text', text: 'no such file' }], isError: true });
  const { clock, store } = await open({ files: { read: { run } } });
  expect(await read(clock, store.callTool('files__read', {}, { throwOnToolError: true }))).toMatchInlineSnapshot(`
    [
      "TOOL_ERROR: files__read: no such file",
      "executed: yes",
    ]
  `);
  await store.close();
});

it('a call that its caller ends', async () => {
  const { clock, store } = await open({ files: { slow: { delayMs: 1_000 } } });
  const controller = new AbortController();
  const call = store.callTool('files__slow', {}, { signal: controller.signal });
  await settle(20);
  controller.abort(new Error('the user left'));
  expect(await read(clock, call)).toMatchInlineSnapshot(`
    [
      "CANCELLED: files__slow: cancelled by the caller",
      "executed: unknown",
      "cause: the user left",
    ]
  `);
  await store.close();
});

it('a command that is not there', async () => {
  const clock = new FakeClock();
  const store = await MCPStore.open({ services: { files: { command: 'no-such-command' } }, stateDir: null, clock });
  expect(await read(clock, store.callTool('files__read'))).toMatchInlineSnapshot(`
    [
      "SPAWN_FAILED: files: cannot start no-such-command: command not found",
      "executed: no",
      "hint: Check the command and PATH; only PATH and a few other variables reach a server unless its env names more.",
      "cause: spawn no-such-command ENOENT",
    ]
  `);
  await store.close();
});

it('a service that never starts', async () => {
  const { clock, store, servers } = await open({ files: { read: {} } });
  servers['files']!.answers.initialize = false;
  expect(await read(clock, store.callTool('files__read'), 30_000)).toMatchInlineSnapshot(`
    [
      "START_FAILED: files: no answer to the handshake within 30000 ms (the server object does not answer)",
      "executed: no",
      "cause: no answer to the handshake within 30000 ms",
    ]
  `);
  await store.close();
});

it('a service whose list does not come', async () => {
  const { clock, store, servers } = await open({ files: { read: {} } });
  servers['files']!.answers.list = false;
  expect(await read(clock, store.callTool('files__read', {}, { timeoutMs: 1_000 }), 1_000)).toMatchInlineSnapshot(`
    [
      "TIMEOUT: files: no tool list yet: it does not answer tools/list",
      "executed: no",
    ]
  `);
  await store.close({ drainMs: 0 });
});

it('a service that has given up starting', async () => {
  const { clock, store, servers } = await open({ files: { read: {} } });
  await read(clock, store.callTool('files__nothing'));
  servers['files']!.onConnect = () => {
    throw new Error('no licence');
  };
  servers['files']!.drop();
  await clock.advance(60_000);
  expect(await read(clock, store.callTool('files__read'))).toMatchInlineSnapshot(`
    [
      "SERVICE_DOWN: files: does not start: no licence; next try in 246 s",
      "executed: no",
      "hint: restartService tries again at once.",
      "cause: no licence",
    ]
  `);
  await store.close();
});

it('a service that is stopped', async () => {
  const { clock, store } = await open({ files: { read: {} } });
  await read(clock, store.callTool('files__nothing'));
  await store.disconnectService('files');
  expect(await read(clock, store.callTool('files__read'))).toMatchInlineSnapshot(`
    [
      "SERVICE_DOWN: files: the service is stopped",
      "executed: no",
      "hint: Start it with restartService.",
    ]
  `);
  await store.close();
});

it('a variable that is not set', async () => {
  const clock = new FakeClock();
  const services = { files: { command: 'node', args: ['${TOKEN}'] } };
  const store = await MCPStore.open({ services, stateDir: null, clock, env: {} });
  expect(await read(clock, store.callTool('files__read'))).toMatchInlineSnapshot(`
    [
      "CONFIG_INVALID: mcpServers.files.args[0]: the environment variable TOKEN is not set",
      "executed: no",
      "hint: Set TOKEN, or write \${TOKEN:-default} to give it a default.",
      "cause: mcpServers.files.args[0]: the environment variable TOKEN is not set",
    ]
  `);
  await store.close();
});

it('a store that is closed', async () => {
  const { clock, store } = await open({ files: { read: {} } });
  await store.close();
  expect(await read(clock, store.callTool('files__read'))).toMatchInlineSnapshot(`
    [
      "STORE_CLOSED: the store is closed",
      "executed: no",
    ]
  `);
});

it('an option that is none', async () => {
  const { clock, store } = await open({ files: { read: {} } });
  expect(await read(clock, store.callTool('files__read', {}, { timeout: 5 } as never))).toMatchInlineSnapshot(`
    [
      "OPTION_INVALID: timeout: unknown option; known here: service, timeoutMs, signal, onProgress, cache, throwOnToolError, validateArguments, fallback, meta, onSampling, onElicitation",
      "executed: no",
    ]
  `);
  await store.close();
});

it('an option of the store that does not fit a service', async () => {
  const { clock, store } = await open(
    { files: {} },
    {
      own: { files: { connectionPool: { maxConnections: 2 } } },
      performance: { connectionPool: { minConnections: 1 } },
    },
  );
  const change = (connectionPool: object) => (async () => store.configure({ connectionPool }))();
  expect(await read(clock, change({ minConnections: 3 }))).toMatchInlineSnapshot(`
    [
      "OPTION_INVALID: files: connectionPool.minConnections: 3, given in code, is above maxConnections 2, of the service itself",
      "executed: no",
      "hint: Give the service both: its own options win over the store's.",
    ]
  `);
  expect(await read(clock, change({ minConnections: 3, maxConnections: 2 }))).toMatchInlineSnapshot(`
    [
      "OPTION_INVALID: options.connectionPool.minConnections: 3 is above maxConnections 2",
      "executed: no",
    ]
  `);
  await store.close();
});
