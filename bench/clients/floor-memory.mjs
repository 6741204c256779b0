/** The floor in memory: a linked pair of transports, the same fake server at its other end, and a bare Map of who waits. */

/** Two transports, each of which hands what it is sent to the other at once. */
function linkedPair() {
  const end = () => ({
    other: undefined,
    onmessage: undefined,
    onclose: undefined,
    async start() {},
    async send(message) {
      this.other.onmessage(message);
    },
    async close() {
      this.onclose?.();
    },
  });
  const [a, b] = [end(), end()];
  a.other = b;
  b.other = a;
  return [a, b];
}

export function floorMemory(server) {
  const [near, far] = linkedPair();
  const waiting = new Map();
  let nextId = 0;
  near.onmessage = (message) => {
    const resolve = waiting.get(message.id);
    waiting.delete(message.id);
    resolve(message.result);
  };
  const request = (method, params) =>
    new Promise((resolve) => {
      const id = nextId++;
      waiting.set(id, resolve);
      near.send({ jsonrpc: '2.0', id, method, params });
    });
  return {
    name: 'floor',
    async connect() {
      await server.connect(far);
      await request('initialize', { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'floor' } });
    },
    call: (name, args) => request('tools/call', { name, arguments: args }),
    close: () => near.close(),
  };
}
