/** An MCP server object in this process that answers at once and costs next to nothing, for what runs in memory. */

const RESULT = { content: [{ type: 'text', text: 'ok' }] };

/**
 * @param options.annotations - of its tool `echo`
 * @param options.connectMs - how long the handshake takes
 * @param options.callMs - how long a call takes; 0: it is answered before `send` returns
 */
export function fakeServer({ annotations, connectMs = 0, callMs = 0 } = {}) {
  const tools = [
    { name: 'echo', description: 'Echo.', inputSchema: { type: 'object' }, ...(annotations && { annotations }) },
  ];
  const results = {
    'tools/call': () => RESULT,
    'tools/list': () => ({ tools }),
    initialize: (params) => ({
      protocolVersion: params.protocolVersion,
      capabilities: { tools: {} },
      serverInfo: { name: 'fake', version: '1.0.0' },
    }),
    ping: () => ({}),
  };
  const delays = { initialize: connectMs, 'tools/call': callMs };

  function receive(transport, { id, method, params }) {
    if (id === undefined) return;
    const make = results[method];
    const answer = make
      ? { jsonrpc: '2.0', id, result: make(params) }
      : { jsonrpc: '2.0', id, error: { code: -32601, message: `no method ${method}` } };
    const delay = delays[method] ?? 0;
    // Who closed meanwhile wants no answer any more.
    if (delay === 0) transport.send(answer);
    else setTimeout(() => transport.send(answer).catch(() => undefined), delay);
  }

  return {
    async connect(transport) {
      transport.onmessage = (message) => receive(transport, message);
      await transport.start();
    },
    async close() {},
  };
}
