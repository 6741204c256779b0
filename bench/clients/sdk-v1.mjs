/** The official SDK v1 as its users use it: its Client on its own transports. */

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { STDIO_SERVER } from '../lib/spawn.mjs';

export function sdkV1({ url } = {}) {
  const client = new Client({ name: 'bench', version: '1.0.0' });
  return {
    name: 'v1',
    connect: () =>
      client.connect(
        url
          ? new StreamableHTTPClientTransport(new URL(url))
          : new StdioClientTransport({ command: process.execPath, args: [STDIO_SERVER] }),
      ),
    call: (name, args) => client.callTool({ name, arguments: args }),
    close: () => client.close(),
  };
}
