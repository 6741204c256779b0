/**
 * The command that the suite starts for each scenario: hands it to `client.mjs`, which runs for all of them, and tells
 * what became of it. So the suite may start dozens at once, and the store is loaded once.
 */

import { once } from 'node:events';
import { connect } from 'node:net';

const { MCP_CONFORMANCE_SCENARIO: scenario, MCP_CONFORMANCE_CONTEXT: context } = process.env;
const socket = connect(Number(process.env.MCPSTORE_CONFORMANCE_PORT), '127.0.0.1');
socket.write(`${JSON.stringify({ url: process.argv[2], scenario, context: JSON.parse(context ?? '{}') })}\n`);
let told = '';
socket.setEncoding('utf8').on('data', (text) => {
  told += text;
});
await once(socket, 'end');
process.stdout.write(told);
process.exitCode = told === 'done\n' ? 0 : 1;
