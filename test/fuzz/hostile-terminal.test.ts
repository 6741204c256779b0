/** A2: names, descriptions, schemas, results and errors of a hostile server, on a terminal and in --json. */

import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { inFolder, ok, run, useCommandLine } from '../support/command-line.js';

useCommandLine();

const SERVER = fileURLToPath(new URL('hostile-server.mjs', import.meta.url));
const EVIL = '\u001b]0;owned\u0007\u001b[31m\u202Eevil\r\nforged\u2028line\u0000';
const UNSAFE = /[\u001b\u0007\u202e\r\u2028\0]/;
/** Lines of its own are right only where one text is shown: a result, and the description of one tool. */
const FORGED = /^forged/m;

it('A2: nothing of it drives the terminal or makes lines of its own', async () => {
  const schema = { type: 'object', description: EVIL, properties: { [EVIL]: { type: 'string', description: EVIL } } };
  const tool = { name: EVIL, title: EVIL, description: EVIL, inputSchema: schema, annotations: { title: EVIL } };
  writeFileSync(inFolder('tools.txt'), JSON.stringify(tool));
  await ok('add', 'h', '--', process.execPath, SERVER, 'stdio', inFolder('tools.txt'));
  const result = Buffer.from(JSON.stringify({ content: [{ type: 'text', text: EVIL }], isError: true })).toString(
    'base64',
  );
  const listed = await ok('tools', 'h', '--json');
  const exposed = /"(h__[^"]*evil[^"]*)"/.exec(listed)?.[1];
  expect(exposed, listed.slice(0, 500)).toBeDefined();
  for (const args of [
    ['tools', 'h'],
    ['tools', 'h', '--json'],
    ['tools', exposed!],
    ['call', exposed!],
    ['call', 'h__say', `result=${result}`],
    ['call', `h__${EVIL.replace('\0', '')}`],
    ['list'],
    ['check'],
  ]) {
    const { stdout, stderr } = await run(args);
    expect(`${stdout}${stderr}`, args.join(' ')).not.toMatch(UNSAFE);
    const lists = ['list', 'check'].includes(args[0]!) || args[1] === 'h';
    expect(lists ? `${stdout}${stderr}` : stderr, args.join(' ')).not.toMatch(FORGED);
    expect(`${stdout}${stderr}`.length, args.join(' ')).toBeGreaterThan(0);
  }
});
