/** A3: canaries in every place of a configuration, and servers that tell all they know: what may say nothing of it. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { expect, it } from 'vitest';
import type { MCPStore, ServiceConfig } from '../../src/index.js';
import { configOf, inFolder, ok, run, useCommandLine } from '../support/command-line.js';
import { afterwards, openStore, temporaryPath, textIn } from '../support/harness.js';
import { failure, until } from '../support/waiting.js';

useCommandLine();

const SERVER = fileURLToPath(new URL('../support/telltale-server.mjs', import.meta.url));
/** What no place but a result may hold; `arguments` is a caller's own. */
const CANARIES = {
  env: 'canary-env-1f7a',
  envFile: 'canary-file-2b8c',
  database: 'canary-database-3c9d',
  assigned: 'canary-assigned-4dae',
  flag: 'canary-flag-5ebf',
  header: 'canary-header-6fc0',
  query: 'canary-query-70d1',
  user: 'canary-user-81e2',
  password: 'canary-password-92f3',
  client: 'canary-client-a304',
  arguments: 'canary-arguments-b415',
} as const;
const BASIC = Buffer.from(`${CANARIES.user}:${CANARIES.password}`).toString('base64');

/** Whole canaries, their halves, and what they become in a header. */
function hits(text: string): string[] {
  return [...Object.values(CANARIES).flatMap((canary) => [canary, canary.slice(0, -5)]), BASIC].filter((one) =>
    text.includes(one),
  );
}

/** As a program may write it into a log. */
function written(...values: unknown[]): string {
  const all = inspect(values, { depth: 20, maxStringLength: null, maxArrayLength: null, showHidden: true });
  return `${all}\n${JSON.stringify(values)}\n${values.map((value) => (value instanceof Error ? `${value.stack} ${value}` : '')).join('\n')}`;
}

/** Tells what it was sent: in refusals, JSON-RPC errors, headers, and of itself. */
async function telltaleSite(): Promise<string> {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const told = `given ${JSON.stringify(request.headers)} at ${request.url}`;
    if (request.method !== 'POST') return void response.writeHead(405).end(told);
    // Where it is asked for a token, it tells what it was sent for that.
    if (!body.startsWith('{')) return void response.writeHead(400).end(`${told} ${body}`);
    const { id, method, params } = JSON.parse(body);
    if (id === undefined) return void response.writeHead(202).end();
    const { authorization } = request.headers;
    response.setHeader('www-authenticate', `Bearer realm="${authorization}", error_description="${request.url}"`);
    const refused = /\/refuses\/(\d+)/.exec(request.url!)?.[1];
    if (refused) return void response.writeHead(Number(refused)).end(told);
    const { protocolVersion, name } = params ?? {};
    const serverInfo = { name: told, version: '1' };
    const said: Record<string, object> = {
      initialize: { result: { protocolVersion, capabilities: { tools: {} }, serverInfo, instructions: told } },
      'tools/list': {
        result: {
          tools: [
            { name: 'is_error', inputSchema: {} },
            { name: 'rpc_error', inputSchema: {} },
            { name: 'status', inputSchema: {} },
          ],
        },
      },
    };
    if (name === 'status') return void response.writeHead(500).end(told);
    if (name === 'is_error') said[method] = { result: { content: [{ type: 'text', text: told }], isError: true } };
    response.setHeader('content-type', 'application/json');
    const error = { code: method === 'server/discover' ? -32601 : -32000, message: told, data: { told } };
    response.end(JSON.stringify({ jsonrpc: '2.0', id, ...(said[method] ?? { error }) }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterwards(() => {
    server.closeAllConnections();
    return new Promise((done) => server.close(done));
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Every service that has secrets, and what fails of it. `filled`: as a person writes them who does not use `${VAR}`. */
async function telltales(): Promise<Record<string, ServiceConfig>> {
  const envFile = temporaryPath('env');
  writeFileSync(envFile, `FILE_TOKEN=${CANARIES.envFile}\n`);
  const process_: ServiceConfig = {
    command: process.execPath,
    args: [SERVER, `--token=${CANARIES.assigned}`, '--api-key', CANARIES.flag],
    env: { CANARY_KEY: CANARIES.env, DATABASE_URL: `postgres://me:${CANARIES.database}@db/x` },
    envFile,
  };
  const host = await telltaleSite();
  const address = `http://${CANARIES.user}:${CANARIES.password}@${host}`;
  const web = (path: string): ServiceConfig => ({
    url: `http://${host}/${path}?key=${CANARIES.query}`,
    headers: { Authorization: `Bearer ${CANARIES.header}` },
  });
  return {
    proc: process_,
    exits: { ...process_, env: { ...process_.env, REFUSES: 'exit' } },
    answers: { ...process_, env: { ...process_.env, REFUSES: 'answer' } },
    missing: { ...process_, command: 'no-such-command' },
    web: web('mcp'),
    user: { url: `${address}/mcp?key=${CANARIES.query}` },
    ...Object.fromEntries([400, 401, 403, 429, 500].map((status) => [`w${status}`, web(`refuses/${status}`)])),
    robot: {
      url: `http://${host}/refuses/401`,
      mcpstore: { auth: { type: 'client_credentials', clientId: 'robot', clientSecret: CANARIES.client } },
    },
    copies: { mcpstore: { endpoints: [{ command: 'no-such-command', args: process_.args!, env: process_.env! }] } },
  };
}

it('A3: errors, events, the logger, statistics and states say nothing of them, results all', async () => {
  const services = await telltales();
  const logged: unknown[] = [];
  const log = (fields: object, message: string): unknown => logged.push(fields, message);
  const stateDir = temporaryPath('state');
  const store: MCPStore = await openStore({
    services,
    stateDir,
    logger: { debug: log, info: log, warn: log, error: log },
    performance: { connectionPool: { maxRetries: 0 }, monitoring: { historyFile: true, intervalMs: 100 } },
  });
  const told: unknown[] = [];
  for (const name of ['state', 'output', 'log', 'call', 'alert', 'toolsChanged', 'configProblem'] as const)
    store.on(name, (event) => told.push(event));
  const args = { text: CANARIES.arguments };
  const result = textIn(await store.callTool('proc__fine', args));
  for (const name of ['env', 'envFile', 'database', 'assigned', 'flag', 'arguments'] as const)
    expect(result).toContain(CANARIES[name]);
  const thrown: unknown[] = [];
  const fails = async (name: string, code?: string): Promise<void> => {
    const error = await failure(store.callTool(name, args, { throwOnToolError: true, timeoutMs: 20_000 }));
    if (code) expect(error.code, name).toBe(code);
    thrown.push(error);
  };
  await fails('proc__is_error', 'TOOL_ERROR');
  await fails('proc__rpc_error', 'RPC_ERROR');
  await store.callTool('proc__log', args);
  await until(() => told.some((event) => (event as { logger?: string }).logger !== undefined), 'the log message');
  await fails('web__is_error', 'TOOL_ERROR');
  await fails('web__rpc_error', 'RPC_ERROR');
  await fails('web__status', 'OUTCOME_UNKNOWN');
  await fails('user__is_error', 'TOOL_ERROR');
  await fails('user__rpc_error', 'RPC_ERROR');
  await store.callTool('web__is_error', args);
  const others = Object.keys(services).filter((name) => !['proc', 'web', 'user'].includes(name));
  await Promise.all(others.map((name) => fails(`${name}__x`)));
  await until(() => store.alerts.active.length > 0, 'an alert');
  const states = [
    store.problems(),
    store.listServices(),
    Object.keys(services).map((name) => store.serviceInfo(name)),
    store.stats(),
    store.connectionStats(),
    store.effectiveOptions,
    store.optionSources,
    await store.history.query(),
    await store.history.query({ from: 'file' }),
    await store.history.report(),
    await store.history.export('csv'),
    store.health(),
    store.alerts.history,
  ];
  expect(JSON.stringify(states)).toContain('given *** and ***'); // what the server says of itself was asked for
  await fails('proc__die', 'OUTCOME_UNKNOWN');
  const batch = await store.batchCall([
    { tool: 'proc__rpc_error', arguments: args },
    { tool: 'web__status', arguments: args },
  ]);
  await store.close({ drainMs: 0 });
  for (const error of thrown) expect(hits(written(error)), (error as Error).message).toEqual([]);
  expect({
    told: hits(written(told)),
    logged: hits(written(logged)),
    states: hits(written(states)),
    batch: hits(written(batch)),
    files: hits(
      readdirSync(stateDir, { recursive: true, withFileTypes: true })
        .filter((file) => file.isFile())
        .map((file) => `${file.name} ${readFileSync(`${file.parentPath}/${file.name}`, 'latin1')}`)
        .join('\n'),
    ),
  }).toEqual({ told: [], logged: [], states: [], batch: [], files: [] });
});

it('A3: nor do arguments that a history keeps redacted, in memory and on disk', async () => {
  const stateDir = temporaryPath('state');
  const { proc, user } = await telltales();
  const monitoring = { historyArguments: 'redacted', historyFile: true } as const;
  const store = await openStore({ services: { proc: proc!, user: user! }, stateDir, performance: { monitoring } });
  const configured = Object.values(CANARIES).filter((one) => one !== CANARIES.client && one !== CANARIES.arguments);
  const text = `none of ${configured.join()} ${BASIC}`;
  const ofProcess = { text: 'seen', deep: [{ text }], password: CANARIES.arguments };
  await store.callTool('proc__fine', ofProcess);
  await failure(store.callTool('user__rpc_error', { text: `${CANARIES.query} ${BASIC}` }));
  const { entries } = await store.history.query({ from: 'file' });
  expect(entries.map(({ arguments: args }) => (args as { text: string }).text)).toEqual(['*** ***', 'seen']);
  await store.close();
  const found = new Set(hits(written(await store.history.query(), entries)));
  for (const name of ['env', 'envFile', 'database', 'assigned', 'flag', 'arguments', 'query', 'password'] as const)
    if (!['query', 'password'].includes(name)) expect(found.has(CANARIES[name]), name).toBe(false);
});

it('A3: the configuration that a store shows has its variables, not what they stand for', async () => {
  process.env['CANARY_FOR_TEST'] = CANARIES.env;
  afterwards(() => delete process.env['CANARY_FOR_TEST']);
  const env = { CANARY_KEY: '${CANARY_FOR_TEST}' };
  const store = await openStore({ services: { proc: { command: process.execPath, args: [SERVER], env } } });
  expect(textIn(await store.callTool('proc__fine'))).toContain(CANARIES.env);
  expect(store.showConfig().mcpServers['proc']!.env).toEqual(env);
  expect(hits(written(store.showConfig(), store.serviceInfo('proc')))).toEqual([]);
});

it('A3: nor does the command line, with --json or without', async () => {
  const services = await telltales();
  const inputs = [{ id: 'pass', type: 'promptString', password: true, default: CANARIES.password }];
  const foreign = { oauth: { clientSecret: CANARIES.client }, apiKey: CANARIES.header };
  const config = configOf({ ...services, proc: { ...services['proc'], ...foreign } }, { inputs });
  const args = `text=${CANARIES.arguments}`;
  const lines = ['proc__rpc_error', 'web__status', 'exits__x', 'copies__x', 'web__rpc_error', 'robot__x'];
  writeFileSync(
    inFolder('calls.jsonl'),
    lines.map((tool) => JSON.stringify({ tool, arguments: { text: CANARIES.arguments } })).join('\n'),
  );
  writeFileSync(inFolder('broken.jsonl'), `{"tool":"x","arguments":{"text":"${CANARIES.arguments}" oops}}\n`);
  const commands = [
    ['list'],
    ...['proc', 'user', 'robot', 'copies'].map((name) => ['get', name]),
    ['config', 'show'],
    ['config', 'check'],
    ['check'],
    ['tools'],
    ['tools', 'w403'],
    ...lines.map((tool) => ['call', tool, args]),
    ['call', 'proc__die', args],
    ['batch', 'calls.jsonl'],
    ['batch', 'broken.jsonl'],
    ['call', 'proc__fine', '--args', `{"text":"${CANARIES.arguments}" oops}`],
    ['call', 'proc__fine', `text:={"${CANARIES.arguments}" oops`],
  ];
  const left = commands.flatMap((command) => [command, [...command, '--json']]);
  const worker = async (): Promise<void> => {
    for (let command = left.shift(); command !== undefined; command = left.shift()) {
      const { code, stdout, stderr } = await run([...command, ...config]);
      const seen = { command, hits: hits(stdout + stderr), code };
      expect(seen, stdout + stderr).toEqual({ command, hits: [], code: expect.any(Number) });
    }
  };
  await Promise.all([worker(), worker(), worker()]);
  expect(await ok('config', 'show', '--show-secrets', ...config)).toContain(CANARIES.env);
}, 240_000);
