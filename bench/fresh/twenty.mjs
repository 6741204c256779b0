/** The twenty services of the row `open-known`, whose servers note each start in a file. */

import { existsSync, readFileSync } from 'node:fs';
import { STDIO_SERVER } from '../lib/spawn.mjs';

export const TOOLS = 20 * 5;

export const services = (log) =>
  Object.fromEntries(
    Array.from({ length: 20 }, (_, i) => [
      `service${i}`,
      { command: process.execPath, args: [STDIO_SERVER, '--log', log] },
    ]),
  );

export const countLines = (file) => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0);
