/** The floor over HTTP: undici.request on a pool of so many sockets, and the body's JSON. */

import { Pool } from 'undici';

export function floorHttp({ url, sockets }) {
  const { origin, pathname } = new URL(url);
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
  let pool;
  let nextId = 0;

  async function request(method, params) {
    const body = JSON.stringify({ jsonrpc: '2.0', id: nextId++, method, params });
    const response = await pool.request({ path: pathname, method: 'POST', headers, body });
    const message = await response.body.json();
    headers['mcp-session-id'] ??= response.headers['mcp-session-id'];
    return message.result;
  }

  return {
    name: 'floor',
    async connect() {
      pool = new Pool(origin, { connections: sockets });
      await request('initialize', { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'floor' } });
    },
    call: (name, args) => request('tools/call', { name, arguments: args }),
    close: () => pool.close(),
  };
}
