/** Knows what the bench's servers answer, free of any SDK so that a server costs little and the same for every client. */

const TOOLS = ['echo', 'sleep', 'payload', 'burn', 'leak'].map((name) => ({
  name,
  description: `${name} of the bench`,
  inputSchema: { type: 'object' },
}));

export const TOOLS_JSON = JSON.stringify({ tools: TOOLS });

const payloads = new Map();
/** What a server that leaks holds for ever. */
const leaked = [];

/** The result of a call of `bytes` of text, serialised once. */
function payloadJson(bytes) {
  let json = payloads.get(bytes);
  if (json === undefined) {
    json = textJson('x'.repeat(bytes));
    payloads.set(bytes, json);
  }
  return json;
}

const textJson = (text) => `{"content":[{"type":"text","text":${JSON.stringify(text)}}]}`;

/** Fixed work for a processor: integer arithmetic that no compiler can drop, since its value is returned. */
function burn(iterations) {
  let x = 1;
  for (let i = 0; i < iterations; i++) x = (Math.imul(x, 1664525) + 1013904223) | 0;
  return x;
}

/** Keeps so many bytes more, written to, so that they are resident. */
function leak(bytes) {
  leaked.push(Buffer.alloc(bytes, 1));
  return leaked.length;
}

const idJson = (id) => (typeof id === 'number' ? id : JSON.stringify(id));

export const resultJson = (id, result) => `{"jsonrpc":"2.0","id":${idJson(id)},"result":${result}}`;

export const errorJson = (id, code, message) =>
  `{"jsonrpc":"2.0","id":${idJson(id)},"error":${JSON.stringify({ code, message })}}`;

const initializeJson = (params) =>
  JSON.stringify({
    protocolVersion: params?.protocolVersion ?? '2025-06-18',
    capabilities: { tools: {} },
    serverInfo: { name: 'bench', version: '1.0.0' },
  });

/**
 * Answers one parsed request through `reply(json)`, at once but for `sleep`; notifications and answers are passed over.
 */
export function answer(message, reply) {
  const { id, method, params } = message;
  if (id === undefined || method === undefined) return;
  if (method === 'tools/call') {
    const args = params.arguments ?? {};
    if (params.name === 'echo') reply(resultJson(id, textJson(args.text ?? '')));
    else if (params.name === 'payload') reply(resultJson(id, payloadJson(args.bytes)));
    else if (params.name === 'burn') reply(resultJson(id, textJson(String(burn(args.iterations)))));
    else if (params.name === 'leak') reply(resultJson(id, textJson(String(leak(args.bytes)))));
    else if (params.name === 'sleep') setTimeout(() => reply(resultJson(id, textJson(args.text ?? 'slept'))), args.ms);
    else reply(errorJson(id, -32602, `unknown tool ${params.name}`));
  } else if (method === 'tools/list') reply(resultJson(id, TOOLS_JSON));
  else if (method === 'initialize') reply(resultJson(id, initializeJson(params)));
  else if (method === 'ping') reply(resultJson(id, '{}'));
  else reply(errorJson(id, -32601, `no method ${method}`));
}
