/**
 * A stdio MCP server without any SDK that does what its script says. The script is JSON in the first argument:
 *
 * - `pidFile`: appends its process id and, after a space, those of its own children, one line a start
 * - `callDelayMs`: every tool answers so much later
 * - `name`, `tools` (so many more), `names` (more tools of these names), `pageSize`, `listDelayMs`, `startDelayMs`
 * - `exitAtStart: { code, stderr, starts }`: ends before it reads; with `starts` only the first so many times
 * - `silent: ['initialize', …]`: methods that are never answered; `crash: ['tools/list']`: methods that end it
 * - `stubborn`: ignores SIGTERM and the end of stdin; `fork`: starts a stubborn child of its own
 * - `stderrBytes`, `noise: [lines]` before each answer, `stream: 'crlf' | 'bytes'`: how stdout is written
 * - `modernOnly`: answers initialize with -32022 and speaks 2026-07-28
 * - `ledger`: file to which the tool `effect` appends a line for each execution; `crashOnce: 'effect'`: its first
 *   process ends then
 *
 * Beside the tools of behaviour.mjs: `effect`, `exit`, `raw` (writes `lines`, `$ID` being the request's id),
 * `huge`, `flood`, `deaf`, `env`, `after_cancel`, `spam` (says things unasked: `count` of them, or without end), `leak`
 * (keeps `mb` more, and answers after `ms`).
 */

import { spawn } from 'node:child_process';
import { appendFileSync, readFileSync } from 'node:fs';
import { Behaviour, CAPABILITIES, pause, RpcFailure, text } from './behaviour.mjs';

const MODERN = '2026-07-28';
const NAMESPACE = 'io.modelcontextprotocol';
const script = JSON.parse(process.argv[2] ?? '{}');
const behaviour = new Behaviour({ tools: script.tools, names: script.names });
behaviour.callDelayMs = script.callDelayMs ?? 0;
const running = new Map();
const asked = new Map();
const log = [];
const leaked = [];
/** This start included. */
let starts = 1;

const EXTRA_TOOLS = [
  'effect',
  'exit',
  'raw',
  'huge',
  'flood',
  'deaf',
  'env',
  'after_cancel',
  'received',
  'spam',
  'leak',
];
for (const name of EXTRA_TOOLS) behaviour.tools.push({ name, inputSchema: { type: 'object' } });

start();

function start() {
  if (script.stubborn) {
    process.on('SIGTERM', () => {});
    setInterval(() => {}, 2 ** 30);
  }
  let line = String(process.pid);
  if (script.fork) {
    const code = "process.on('SIGTERM', () => {}); setInterval(() => {}, 2 ** 30); process.stdout.write('up')";
    const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'ignore'] });
    line += ` ${child.pid}`;
    // Only once its handler stands is it stubborn.
    child.stdout.once('data', () => listen());
  }
  if (script.pidFile) {
    appendFileSync(script.pidFile, `${line}\n`);
    starts = readFileSync(script.pidFile, 'utf8').split('\n').length - 1;
  }
  const exit = script.exitAtStart;
  if (exit && starts <= (exit.starts ?? Number.POSITIVE_INFINITY)) {
    process.stderr.write(`${filled(exit.stderr)}\n`, () => process.exit(exit.code ?? 1));
    return;
  }
  if (script.stderrBytes) flood(script.stderrBytes);
  if (!script.fork) setTimeout(listen, script.startDelayMs ?? 0);
}

/** Servers like to print what they were given: `$API_KEY` stands for that variable. */
function filled(text = '') {
  return text.replaceAll('$API_KEY', process.env.API_KEY);
}

function listen() {
  // Not by `readline`: from Node 24 on it also breaks lines at U+2028 and U+2029, which JSON may hold.
  let rest = '';
  process.stdin.setEncoding('utf8').on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const line of lines) receive(JSON.parse(line));
  });
  process.stdin.on('end', () => {
    if (!script.stubborn) process.exit(0);
  });
}

function receive(message) {
  const level = message.method === 'logging/setLevel' ? ` ${message.params.level}` : '';
  log.push(message.method ? message.method + level : `answer to ${message.id}`);
  if (message.method === undefined) {
    asked.get(message.id)?.(message);
    asked.delete(message.id);
  } else if (message.method === 'notifications/cancelled') running.get(message.params.requestId)?.abort();
  else if (message.id !== undefined) void answer(message);
}

async function answer(message) {
  const { id, method, params } = message;
  if (script.silent?.includes(method)) return;
  if (script.crash?.includes(method)) process.exit(3);
  const abort = new AbortController();
  running.set(id, abort);
  for (const line of script.noise ?? []) process.stdout.write(`${line}\n`);
  try {
    const result = await handle(method, params ?? {}, abort.signal, id);
    if (result === undefined || (abort.signal.aborted && params?.name !== 'after_cancel')) return;
    write({ jsonrpc: '2.0', id, result: script.modernOnly ? modern(result) : result });
  } catch (error) {
    if (abort.signal.aborted) return;
    const { code = -32603, data } = error;
    write({ jsonrpc: '2.0', id, error: { code, message: error.message, ...(data !== undefined && { data }) } });
  } finally {
    running.delete(id);
  }
}

const modern = (result) => ({ resultType: 'complete', ttlMs: 60_000, cacheScope: 'private', ...result });

function write(message) {
  const line = JSON.stringify(message);
  if (script.stream === 'crlf') process.stdout.write(`\uFEFF${line}\r\n\r\n`);
  else if (script.stream === 'bytes') {
    const bytes = Buffer.from(`${line}\n`);
    for (let i = 0; i < bytes.length; i += 3) process.stdout.write(bytes.subarray(i, i + 3));
  } else process.stdout.write(`${line}\n`);
}

async function handle(method, params, signal, id) {
  const serverInfo = { name: script.name ?? 'scripted', version: '1.0.0' };
  if (method === 'initialize') {
    if (script.modernOnly) throw new RpcFailure(-32022, 'Unsupported protocol version', { supported: [MODERN] });
    return {
      protocolVersion: params.protocolVersion,
      capabilities: CAPABILITIES,
      serverInfo,
      instructions: 'Be kind.',
    };
  }
  if (method === 'server/discover' && script.modernOnly)
    return {
      supportedVersions: [MODERN],
      capabilities: CAPABILITIES,
      _meta: { [`${NAMESPACE}/serverInfo`]: serverInfo },
    };
  if (method === 'tools/list') {
    if (script.listDelayMs) await pause(script.listDelayMs);
    const { tools } = await behaviour.handle(method, params, {});
    const size = script.pageSize ?? tools.length;
    const from = Number(params.cursor ?? 0);
    const more = from + size < tools.length;
    return { tools: tools.slice(from, from + size), ...(more && { nextCursor: String(from + size) }) };
  }
  const extra = method === 'tools/call' && EXTRA[params.name];
  if (extra) return extra(params.arguments ?? {}, id, signal);
  return behaviour.handle(method, params, {
    signal,
    progress: (progress) => notify('progress', { progressToken: params._meta?.progressToken, ...progress }),
    log: (data) => notify('message', data),
    toolsChanged: () => notify('tools/list_changed'),
    ask: (what, about) =>
      new Promise((resolve) => {
        const own = `ask-${id}`;
        asked.set(own, ({ result, error }) => resolve(error ? { error } : { result }));
        write({ jsonrpc: '2.0', id: own, method: what, params: about });
      }),
  });
}

async function notify(name, params) {
  write({ jsonrpc: '2.0', method: `notifications/${name}`, ...(params && { params }) });
}

function flood(bytes) {
  const chunk = `${'e'.repeat(1023)}\n`.repeat(64);
  let left = bytes;
  const more = () => {
    while (left > 0) {
      left -= chunk.length;
      if (!process.stderr.write(chunk)) return process.stderr.once('drain', more);
    }
  };
  more();
}

const EXTRA = {
  /** Has a side effect; then answers, or does not. */
  async effect({ id, end, ms }) {
    await pause(ms ?? 0);
    if (script.ledger) appendFileSync(script.ledger, `${id}\n`);
    if (end === 'exit' || (script.crashOnce === 'effect' && starts === 1)) process.exit(7);
    return end === 'hang' ? pause(2 ** 31 - 1) : text(id);
  },
  exit: ({ code, stderr, ms }) =>
    pause(ms ?? 0).then(() => {
      process.stderr.write(filled(stderr), () => process.exit(code ?? 1));
    }),
  /** Writes `lines` as they are, each in a write of its own; `open` leaves out the last newline. */
  async raw({ lines, open }, id) {
    for (const [i, line] of lines.entries()) {
      process.stdout.write(line.replaceAll('$ID', id) + (open && i === lines.length - 1 ? '' : '\n'));
      await pause(1);
    }
  },
  /** An answer of so many bytes, written as the pipe takes it; its id stands first, last, or nowhere. Or no answer. */
  async huge({ bytes, id: where, ms }, id) {
    await pause(ms ?? 0);
    const noticeHead = '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"';
    const head = where === 'first' ? `{"jsonrpc":"2.0","id":"${id}","result":{"x":"` : '{"result":{"x":"';
    const chunk = 'x'.repeat(1024 * 1024);
    process.stdout.write({ notification: noticeHead, noise: '' }[where] ?? head);
    for (let left = bytes; left > 0; left -= chunk.length)
      if (!process.stdout.write(chunk)) await new Promise((resolve) => process.stdout.once('drain', resolve));
    process.stdout.write(where === 'last' ? `"},"jsonrpc":"2.0","id":"${id}"}\n` : '"}}\n');
    void notify('message', { level: 'info', data: 'huge is written' });
    return where === 'notification' || where === 'noise' ? text('told') : undefined;
  },
  async flood({ bytes }) {
    flood(bytes);
    return text('flooding');
  },
  /** Closes its stdin and lives on for `ms`: whoever writes to it gets EPIPE. */
  async deaf({ ms }) {
    process.stdin.destroy();
    setTimeout(() => process.exit(9), ms ?? 200);
    return text('deaf');
  },
  /** Writes `count` lines as the pipe takes them, `$N` being their number; then, or at once where there is no end, answers. */
  async spam({ line, count }, id) {
    const write = async () => {
      for (let n = 0; n < (count ?? Number.POSITIVE_INFINITY); n += 50) {
        let lines = '';
        for (let i = n; i < n + 50; i++) lines += `${line.replaceAll('$N', i)}\n`;
        if (!process.stdout.write(lines)) await new Promise((resolve) => process.stdout.once('drain', resolve));
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    if (count === undefined) void write();
    else await write();
    return text(`spam ${id}`);
  },
  /** One variable, or without a name all of them. */
  env: async ({ name }) => text(name === undefined ? JSON.stringify(process.env) : (process.env[name] ?? '')),
  /** Answers only once it was cancelled. */
  after_cancel: (_args, _id, signal) =>
    new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve(text('too late')), { once: true });
    }),
  leak: ({ mb, ms }) => {
    leaked.push(Buffer.alloc(mb * 1024 * 1024, 1));
    return pause(ms ?? 0).then(() => text(leaked.length));
  },
  received: async () => ({ ...text(log.length), structuredContent: { log } }),
};
