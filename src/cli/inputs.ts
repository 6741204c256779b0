/** Knows how `${input:id}` gets its answer: from `--input`, or by asking on a terminal what the command really needs. */

import { safeLine } from '../_util/terminal-safe.js';
import type { ConfigDocument, InputDefinition } from '../index.js';
import { ask, canAsk } from './ask.js';
import type { Run } from './session.js';

/** Services that a command is going to start, by their names or those of their tools. */
export type Wanted = 'all' | 'none' | readonly string[];

/** Undefined answers leave the service unusable, with an error that names the input. */
export function inputsOf(
  run: Run,
  document: ConfigDocument | undefined,
  wanted: Wanted,
): (id: string) => Promise<string | undefined> {
  const given = run.options.inputs;
  const answers = new Map<string, Promise<string | undefined>>();
  let turn: Promise<unknown> = Promise.resolve();
  return (id) => {
    if (given.has(id)) return Promise.resolve(given.get(id));
    if (!canAsk() || !isNeeded(id, document, wanted)) return Promise.resolve(undefined);
    const known = answers.get(id);
    if (known) return known;
    // One question at a time.
    const answer = turn.then(() =>
      askFor(
        run,
        id,
        document?.inputs.find((input) => input.id === id),
      ),
    );
    turn = answer.catch(() => {});
    answers.set(id, answer);
    return answer;
  };
}

async function askFor(run: Run, id: string, input: InputDefinition | undefined): Promise<string | undefined> {
  const choices = input?.options ? ` (${input.options.join(', ')})` : '';
  const preset = input?.default === undefined || input.password ? '' : ` [${input.default}]`;
  const question = safeLine(`${input?.description ?? id}${choices}${preset}: `);
  const answer = await ask(run.interrupts, question, { hidden: input?.password ?? false });
  return answer === '' ? undefined : answer;
}

function isNeeded(id: string, document: ConfigDocument | undefined, wanted: Wanted): boolean {
  if (wanted === 'all' || wanted === 'none' || document === undefined) return wanted !== 'none';
  const own = [...document.agents.values()].flatMap((agent) => [...agent.mcpServers]);
  return [...document.services, ...own].some(
    ([name, config]) =>
      wanted.some((word) => word === name || word.startsWith(`${name}__`)) &&
      JSON.stringify(config).includes(`\${input:${id}}`),
  );
}
