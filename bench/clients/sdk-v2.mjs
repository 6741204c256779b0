/** The official SDK v2 as its users use it: its Client on its own transports. */

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { STDIO_SERVER } from '../lib/spawn.mjs';

export function sdkV2({ url } = {}) {
  const client = new Client({ name: 'bench', version: '1.0.0' });
  return {
    name: 'v2',
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
