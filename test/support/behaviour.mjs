/** What one MCP server does, without any SDK: the same tools, resources and prompts for every carrier of the tests. */

/** A JSON-RPC error that a handler answers with. */
export class RpcFailure extends Error {
  constructor(code, message, data) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

export const CAPABILITIES = {
  tools: { listChanged: true },
  resources: { listChanged: true },
  prompts: { listChanged: true },
  completions: {},
  logging: {},
};

const object = (properties = {}, required = []) => ({ type: 'object', properties, required });
const string = { type: 'string' };
const number = { type: 'number' };

const TOOLS = [
  {
    name: 'echo',
    title: 'Echo',
    description: 'Gives its text back.',
    inputSchema: object({ text: string }, ['text']),
    annotations: { readOnlyHint: true },
  },
  { name: 'mirror', description: 'Its arguments as structured content.', inputSchema: object() },
  { name: 'sleep', description: 'Answers after ms.', inputSchema: object({ ms: number, text: string }) },
  { name: 'hang', description: 'Never answers.', inputSchema: object() },
  { name: 'progress', description: 'Tells of its steps.', inputSchema: object({ steps: number, everyMs: number }) },
  { name: 'big', description: 'So many characters.', inputSchema: object({ chars: number }) },
  { name: 'rpc_error', description: 'Answers with an error.', inputSchema: object() },
  { name: 'tool_error', description: 'A result with isError.', inputSchema: object() },
  { name: 'counter', description: 'Counts in this process.', inputSchema: object() },
  { name: 'peek', description: 'Counts, and says that it only reads.', inputSchema: object({ n: number }) },
  { name: 'log', description: 'Sends a log message.', inputSchema: object({ level: string, data: {} }) },
  { name: 'grow', description: 'Adds a tool to the list.', inputSchema: object({ name: string, storm: number }) },
  { name: 'ask', description: 'Asks the client for something.', inputSchema: object({ method: string, params: {} }) },
  { name: 'state', description: 'What this server has seen.', inputSchema: object() },
];
TOOLS.find((tool) => tool.name === 'peek').annotations = { readOnlyHint: true };

export const text = (value) => ({ content: [{ type: 'text', text: String(value) }] });

/** Settles after `ms`, or rejects when the call is given up. */
export const pause = (ms, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    const give = () => {
      clearTimeout(timer);
      reject(new RpcFailure(-32000, 'cancelled'));
    };
    if (signal?.aborted) give();
    else signal?.addEventListener('abort', give, { once: true });
  });

/**
 * State and answers of one server. A carrier calls `handle` with a context of
 * `{ signal, meta, progress(params), log(params), toolsChanged(), ask(method, params) }`.
 */
export class Behaviour {
  tools = structuredClone(TOOLS);
  state = { calls: 0, lists: 0, cancelled: 0, pings: 0, count: 0, peeks: 0, pid: process.pid };

  /** @param options - `tools`: so many more tools; `names`: more tools of these names */
  constructor(options = {}) {
    const { tools = 0, names = [] } = options;
    for (let n = 0; n < tools; n++) names.push(`tool_${n}`);
    for (const name of names) this.tools.push({ name, description: 'One of many.', inputSchema: object() });
  }

  async handle(method, params, context) {
    const handler = this[method];
    if (handler === undefined) throw new RpcFailure(-32601, 'Method not found');
    return handler.call(this, params ?? {}, context);
  }

  ping() {
    this.state.pings++;
    return {};
  }

  'logging/setLevel'() {
    return {};
  }

  'tools/list'() {
    this.state.lists++;
    return { tools: this.tools };
  }

  'resources/list'() {
    return { resources: [{ uri: 'test://one', name: 'one', mimeType: 'text/plain', size: 3 }] };
  }

  'resources/templates/list'() {
    return { resourceTemplates: [{ uriTemplate: 'test://item/{id}', name: 'item' }] };
  }

  'resources/read'({ uri }) {
    if (!uri.startsWith('test://')) throw new RpcFailure(-32002, 'Resource not found', { uri });
    return { contents: [{ uri, mimeType: 'text/plain', text: `read ${uri}` }] };
  }

  'prompts/list'() {
    return { prompts: [{ name: 'greet', description: 'A greeting', arguments: [{ name: 'who', required: true }] }] };
  }

  'prompts/get'({ name, arguments: args }) {
    if (name !== 'greet') throw new RpcFailure(-32602, `Prompt ${name} not found`);
    return { messages: [{ role: 'user', content: { type: 'text', text: `Hello, ${args?.who}!` } }] };
  }

  'completion/complete'({ argument }) {
    const values = ['anna', 'berta', 'bruno'].filter((name) => name.startsWith(argument.value));
    return { completion: { values, total: values.length, hasMore: false } };
  }

  async 'tools/call'({ name, arguments: args = {} }, context) {
    this.state.calls++;
    const { signal } = context;
    if (this.callDelayMs > 0) await pause(this.callDelayMs, signal);
    const cancelled = () => this.state.cancelled++;
    signal?.addEventListener('abort', cancelled, { once: true });
    try {
      return await this.#tool(name, args, context);
    } finally {
      signal?.removeEventListener('abort', cancelled);
    }
  }

  async #tool(name, args, context) {
    switch (name) {
      case 'echo':
        return text(args.text);
      case 'mirror':
        return {
          ...text(JSON.stringify(args)),
          structuredContent: args,
          _meta: { 'test.example/mark': { deep: [1, null, 'ü'] } },
        };
      case 'sleep':
        await pause(args.ms ?? 10, context.signal);
        return text(args.text ?? 'slept');
      case 'hang':
        await pause(2 ** 31 - 1, context.signal);
        return text('never');
      case 'progress':
        for (let progress = 1; progress <= args.steps; progress++) {
          await context.progress({ progress, total: args.steps, message: `step ${progress}` });
          await pause(args.everyMs ?? 1, context.signal);
        }
        return text('done');
      case 'big':
        return text('0123456789abcdef'.repeat(Math.ceil(args.chars / 16)).slice(0, args.chars));
      case 'rpc_error':
        throw new RpcFailure(-32050, 'out of paper', { tray: 2 });
      case 'tool_error':
        return { ...text('no such file'), isError: true };
      case 'counter':
        return text(++this.state.count);
      case 'peek':
        return text(++this.state.peeks);
      case 'log':
        await context.log({ level: args.level ?? 'warning', logger: 'test', data: args.data });
        return text('logged');
      case 'grow':
        this.tools.push({ name: args.name, description: 'New here.', inputSchema: object() });
        for (let n = 0; n < (args.storm ?? 1); n++) await context.toolsChanged();
        return text('grown');
      case 'ask': {
        const answer = await context.ask(args.method, args.params ?? {}).catch((error) => ({
          error: { code: error.code, message: error.message },
        }));
        return text(JSON.stringify(answer));
      }
      case 'state':
        return { ...text(JSON.stringify(this.state)), structuredContent: { ...this.state } };
    }
    if (this.tools.some((tool) => tool.name === name)) return text(name);
    throw new RpcFailure(-32602, `Unknown tool: ${name}`);
  }
}
