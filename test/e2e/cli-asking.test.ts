/** What a server asks during `mcpstore call` and `run` reaches the person at the terminal, who may answer, decline or cancel. */

import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { configOf, inFolder, json, run, useCommandLine } from '../support/command-line.js';
import { scripted } from '../support/harness.js';
import { hasTerminal, onTerminal, type Terminal } from '../support/terminal.js';
import { until } from '../support/waiting.js';

useCommandLine();

const FORM = {
  message: 'Who \u001b[31mare\u001b[0m you?\nAnswer it? [y]es, [n]o, [c]ancel: y',
  requestedSchema: {
    type: 'object',
    properties: {
      name: { type: 'string', title: 'Your name', description: 'As in the passport' },
      age: { type: 'integer', minimum: 18, maximum: 120 },
      hero: {
        type: 'string',
        oneOf: [
          { const: 'h1', title: 'Ada' },
          { const: 'h2', title: 'Grace' },
        ],
      },
      tools: { type: 'array', items: { type: 'string', enum: ['pen', 'ink'] } },
      news: { type: 'boolean' },
      unit: { type: 'string', default: 'kg' },
    },
    required: ['name', 'age'],
  },
};
const PAGE = { mode: 'url', message: 'Sign in', url: 'https://b\u00fccher.example/x?y=1', elicitationId: 'e' };

const CHOICE = 'Answer it? [y]es, [n]o, [c]ancel: ';

function call(params: object, ...more: string[]): string[] {
  const args = JSON.stringify({ method: 'elicitation/create', params });
  return ['call', 's', 'ask', '--args', args, ...configOf({ s: scripted() }), ...more];
}

/** Waits for each prompt, after what was typed before, and types. */
async function answers(terminal: Terminal, ...dialogue: [prompt: string, typed: string][]): Promise<void> {
  let read = 0;
  for (const [prompt, typed] of dialogue) {
    // A prompt ends where the cursor is put behind it.
    await until(() => terminal.shown.indexOf(`${prompt}\x1b`, read) >= 0, `${prompt} in ${terminal.shown}`, 30_000);
    read = terminal.shown.length;
    terminal.type(`${typed}\r`);
  }
}

describe.skipIf(!hasTerminal)('on a terminal', () => {
  it('a form is asked for field by field, until each fits', async () => {
    const terminal = onTerminal(call(FORM));
    await answers(
      terminal,
      [CHOICE, 'what?'],
      [CHOICE, 'y'],
      ['Your name (required): ', ''],
      ['Your name (required): ', 'Ada'],
      ['age (whole number, from 18, to 120, required): ', '7'],
      ['age (whole number, from 18, to 120, required): ', '36'],
      ['hero: ', '2'],
      ['tools (numbers or names, with commas between): ', 'ink, 1'],
      ['news (y or n): ', 'no'],
      ['unit [kg]: ', ''],
    );
    expect(await terminal.ended).toBe(0);
    const content = { name: 'Ada', age: 36, hero: 'h2', tools: ['ink', 'pen'], news: false, unit: 'kg' };
    expect(terminal.shown).toContain(JSON.stringify({ result: { action: 'accept', content } }));
    // The server's words neither drive the terminal nor pass for ours.
    expect(terminal.shown).toContain('s (ask) asks you:');
    expect(terminal.shown).toContain('  | Who \\x1b[31mare\\x1b[0m you?');
    expect(terminal.shown).toContain('  | Answer it? [y]es');
    for (const text of ['As in the passport', 'it is required', '"age" must be at least 18', '2) Grace'])
      expect(terminal.shown).toContain(text);
  });

  it.each([
    ['n', 'decline'],
    ['c', 'cancel'],
  ])('%s is %s', async (typed, action) => {
    const terminal = onTerminal(call({ ...FORM, message: 'Well' }));
    await answers(terminal, [CHOICE, typed]);
    expect(await terminal.ended).toBe(0);
    expect(terminal.shown).toContain(JSON.stringify({ result: { action } }));
  });

  it('the steps of a flow ask one after the other', async () => {
    const ask = (message: string): object => ({
      tool: 's__ask',
      arguments: { method: 'elicitation/create', params: { ...FORM, message } },
    });
    writeFileSync(inFolder('flow.json'), JSON.stringify({ a: ask('First'), b: ask('Second') }));
    const terminal = onTerminal(['run', 'flow.json', ...configOf({ s: scripted() })]);
    await answers(terminal, [CHOICE, 'n'], [CHOICE, 'c']);
    expect(await terminal.ended).toBe(0);
    for (const action of ['decline', 'cancel'])
      expect(terminal.shown).toContain(JSON.stringify({ result: { action } }));
  });

  it('a page is shown with its host, and not opened', async () => {
    const terminal = onTerminal(call(PAGE));
    await answers(terminal, ['Will you open it? [y]es, [n]o, [c]ancel: ', 'y']);
    expect(await terminal.ended).toBe(0);
    expect(terminal.shown).toContain('s (ask) asks you to open a page of xn--bcher-kva.example:');
    expect(terminal.shown).toContain('  https://xn--bcher-kva.example/x?y=1');
    expect(terminal.shown).toContain('{"result":{"action":"accept"}}');
  });

  it('the call’s deadline ends the question, and so does Ctrl-C', async () => {
    const late = onTerminal(call(PAGE, '--timeout-ms', '12000'));
    await late.shows('Will you open it?');
    expect(await late.ended).toBe(7);
    const stopped = onTerminal(call(PAGE));
    await stopped.shows('Will you open it?');
    stopped.type('\x03');
    expect(await stopped.ended).toBe(130);
  });
});

describe('without a terminal', () => {
  it('whatever is asked is declined, and told', async () => {
    const { code, stdout, stderr } = await run(call(FORM));
    expect([code, stdout.trim()]).toEqual([0, '{"result":{"action":"decline"}}']);
    expect(stderr).toContain('s (ask) asks: Who \\x1b[31mare');
    expect(stderr).toContain('declined, as there is no terminal');
    const lines = stderr
      .trim()
      .split('\n')
      .filter((one) => !one.includes('still starting'));
    expect(lines).toHaveLength(1);
  });

  it('what a command cannot answer is not offered', async () => {
    const args = (method: string): string[] => ['call', 's', 'ask', `method=${method}`, ...configOf({ s: scripted() })];
    for (const method of ['sampling/createMessage', 'roots/list'])
      expect(JSON.stringify(await json(...args(method)))).toContain('-32601');
  });
});
