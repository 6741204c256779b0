/** The tables of the documentation say what the code says: every code with its status and exit, every option with its default. */

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { COMMANDS, GLOBAL_OPTIONS } from '../../src/cli/commands.js';
import { ERROR_CODES } from '../../src/errors.js';
import { resolvePerformance } from '../../src/option-layers.js';
import { checkServiceOptions } from '../../src/option-rules.js';

const page = (name: string): string => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');

/** Cells of the table below a heading, without its head. */
function table(text: string, heading: string): string[][] {
  const section = text.split(new RegExp(`^## ${heading}$`, 'm'))[1]!.split(/^## /m)[0]!;
  const rows = section
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(1);
  return rows.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

it('docs/errors.md has every code with its HTTP status and exit code', () => {
  const rows = table(page('errors.md'), 'Codes').map(([code, , http, exit]) => [
    code!.replaceAll('`', ''),
    { http: Number(http), exit: Number(exit) },
  ]);
  expect(Object.fromEntries(rows)).toEqual(ERROR_CODES);
});

it('docs/configuration.md has every option of the store with its default', () => {
  const documented = table(page('configuration.md'), 'Options of the store').map(([name, , , value]) => [
    name!.replaceAll('`', ''),
    value!.replaceAll(',', ''),
  ]);
  const { options, sources } = resolvePerformance([]);
  const actual = Object.keys(sources).map((path) => [
    path,
    path.split('.').reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], options),
  ]);
  expect(documented.map(([name]) => name).sort()).toEqual(actual.map(([path]) => path).sort());
  // What stays open until a service is known is told in words.
  const shown = new Map(documented as [string, string][]);
  for (const [path, value] of actual)
    if (value !== undefined && typeof value !== 'object')
      expect(shown.get(path as string), String(path)).toBe(String(value));
});

it('docs/configuration.md has every option of a service', () => {
  const known = (options: unknown, path: string): string[] => {
    try {
      checkServiceOptions(options, 'mcpstore');
    } catch (error) {
      const { message } = error as Error;
      expect(message).toContain(`${path}: unknown option`);
      return message.split('known here: ')[1]!.split(', ');
    }
    throw new Error(`${path} was taken`);
  };
  const own = known({ '': 1 }, 'mcpstore.').filter((name) => name !== 'tools');
  const tools = known({ tools: { x: { '': 1 } } }, 'mcpstore.tools.x.').map((name) => `tools.<tool>.${name}`);
  const documented = table(page('configuration.md'), 'Options of one service').map(([name]) =>
    name!.replaceAll('`', ''),
  );
  expect(documented.sort()).toEqual([...own, ...tools].sort());
});

it('docs/cli.md has every command and every common option as the help shows them', () => {
  const text = page('cli.md').replaceAll('\\|', '|');
  for (const { usage, summary } of Object.values(COMMANDS)) expect(text).toContain(`| \`${usage}\` | ${summary} |`);
  for (const [flags] of GLOBAL_OPTIONS) expect(text).toContain(`| \`${flags}\` |`);
});
