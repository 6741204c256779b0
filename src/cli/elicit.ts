/** Knows how a server's questions are put to the person at the terminal: who asks, field by field, and how to say no. */

import { safeLine, safeText } from '../_util/terminal-safe.js';
import type { AskContext, AskHandlers, ElicitationResult, FormElicitation, UrlElicitation } from '../index.js';
import { ask, canAsk } from './ask.js';
import { GIVEN } from './given.js';
import { line } from './render.js';
import type { Run } from './session.js';

type Field = Readonly<Record<string, unknown>>;
type Action = ElicitationResult['action'];

/** Of a server's text no more than this is shown. Characters. */
const MAX_TEXT = 4_000;
/** After so many answers that are none, the question is cancelled: a closed terminal answers for ever. */
const MAX_TRIES = 5;

export class Elicitor {
  readonly #run: Run;
  #turn: Promise<unknown> = Promise.resolve();
  #asking = 0;

  constructor(run: Run) {
    this.#run = run;
  }

  /** Is a person being asked? */
  get busy(): boolean {
    return this.#asking > 0;
  }

  /** One question at a time; without a terminal each is declined. */
  readonly handler: NonNullable<Extract<AskHandlers['onElicitation'], (...args: never) => unknown>> = async (
    request,
    context,
  ) => {
    const who = nameOf(context);
    if (!canAsk()) {
      this.#run.out.note(`${who} asks: ${request.message}; declined, as there is no terminal to answer on`);
      return { action: 'decline' };
    }
    this.#asking++;
    const answer = this.#turn.then(() => {
      context.signal.throwIfAborted();
      return request.mode === 'url' ? this.#page(request, who, context) : this.#form(request, who, context);
    });
    this.#turn = answer.catch(() => {});
    return answer.finally(() => {
      this.#asking--;
    });
  };

  async #form(request: FormElicitation, who: string, { signal }: AskContext): Promise<ElicitationResult> {
    const { out } = this.#run;
    out.error(out.errorColors.bold(`${safeLine(who)} asks you:`));
    out.error(quoted(request.message));
    const action = await this.#choose('Answer it?', signal);
    if (action !== 'accept') return { action };
    const { properties = {}, required = [] } = request.requestedSchema as { properties?: object; required?: string[] };
    const content: [string, string | number | boolean | string[]][] = [];
    for (const [name, field] of Object.entries(properties)) {
      const answer = await this.#field(name, field as Field, required.includes(name), signal);
      if (answer === 'cancel') return { action: 'cancel' };
      if (answer !== undefined) content.push([name, answer.value]);
    }
    return { action: 'accept', content: Object.fromEntries(content) };
  }

  /** The address is shown, never opened. */
  async #page(request: UrlElicitation, who: string, { signal }: AskContext): Promise<ElicitationResult> {
    const { out } = this.#run;
    const url = new URL(request.url);
    out.error(out.errorColors.bold(`${safeLine(who)} asks you to open a page of ${safeLine(url.host)}:`));
    out.error(quoted(request.message));
    out.error(`  ${safeLine(url.href)}`);
    return { action: await this.#choose('Will you open it?', signal) };
  }

  async #choose(question: string, signal: AbortSignal): Promise<Action> {
    const actions: Record<string, Action> = { y: 'accept', yes: 'accept', n: 'decline', no: 'decline', c: 'cancel' };
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const typed = await ask(this.#run.interrupts, `${question} [y]es, [n]o, [c]ancel: `, { signal });
      const action = actions[typed.trim().toLowerCase()];
      if (action) return action;
    }
    return 'cancel';
  }

  /** The value that was typed; undefined: left out, for the default where the field has one. */
  async #field(
    name: string,
    field: Field,
    required: boolean,
    signal: AbortSignal,
  ): Promise<{ value: string | number | boolean | string[] } | 'cancel' | undefined> {
    const { out, interrupts } = this.#run;
    const { elicitationProblem } = await import('../index.js');
    const options = optionsOf(field);
    if (field['description'] !== undefined) out.error(`  ${clipped(line(field['description']))}`);
    for (const [i, { title }] of options.entries()) out.error(`    ${i + 1}) ${clipped(line(title))}`);
    const question = `  ${clipped(line(field['title'] ?? name))}${hintOf(field, required)}: `;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const typed = (await ask(interrupts, question, { signal })).trim();
      if (typed === '' && (!required || field['default'] !== undefined)) return undefined;
      const value = typedValue(field, options, typed);
      const schema = { type: 'object', properties: { [name]: field }, required: [] };
      const problem = typed === '' ? 'it is required' : elicitationProblem(schema, { [name]: value });
      if (problem === undefined) return { value };
      out.error(out.errorColors.red(`  ${clipped(safeLine(problem))}`));
    }
    return 'cancel';
  }
}

function nameOf({ service, tool }: AskContext): string {
  const name = service === GIVEN ? 'the server' : service;
  return tool === undefined ? name : `${name} (${tool})`;
}

/** Behind a mark of ours, so that no line of it can pass for one of ours. */
function quoted(text: unknown): string {
  const lines = safeText(clipped(String(text))).split('\n');
  return lines.map((one) => `  | ${one}`).join('\n');
}

function clipped(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

/** ` (whole number, 1 to 100) [42]`. */
function hintOf(field: Field, required: boolean): string {
  const { type, minimum, maximum, format, default: preset } = field;
  const hints: string[] = [];
  if (type === 'boolean') hints.push('y or n');
  else if (type === 'array') hints.push('numbers or names, with commas between');
  else if (type === 'integer') hints.push('whole number');
  else if (type === 'number') hints.push('number');
  if (typeof format === 'string') hints.push(line(format));
  if (typeof minimum === 'number') hints.push(`from ${minimum}`);
  if (typeof maximum === 'number') hints.push(`to ${maximum}`);
  if (required && preset === undefined) hints.push('required');
  const shown = preset === undefined ? '' : ` [${clipped(line(Array.isArray(preset) ? preset.join(', ') : preset))}]`;
  return `${hints.length > 0 ? ` (${clipped(hints.join(', '))})` : ''}${shown}`;
}

/** What may be chosen, with its title for people. */
function optionsOf(field: Field): { value: string; title: unknown }[] {
  const from = (field['type'] === 'array' ? (field['items'] ?? {}) : field) as Field;
  const titled = from['oneOf'] ?? from['anyOf'];
  if (Array.isArray(titled))
    return titled.map((one: Field) => ({ value: String(one['const']), title: one['title'] ?? one['const'] }));
  const { enum: values, enumNames: names } = from as { enum?: unknown[]; enumNames?: unknown[] };
  return (Array.isArray(values) ? values : []).map((value, i) => ({
    value: String(value),
    title: (Array.isArray(names) ? names[i] : undefined) ?? value,
  }));
}

/** What was typed, as the field's type; what does not fit it stays text, and is told as such. */
function typedValue(
  field: Field,
  options: readonly { value: string; title: unknown }[],
  typed: string,
): string | number | boolean | string[] {
  const chosen = (text: string): string => options[Number(text) - 1]?.value ?? text;
  switch (field['type']) {
    case 'boolean':
      if (/^(y|yes|true)$/i.test(typed)) return true;
      return /^(n|no|false)$/i.test(typed) ? false : typed;
    case 'integer':
    case 'number':
      return typed === '' ? typed : Number(typed);
    case 'array':
      return typed
        .split(',')
        .map((text) => chosen(text.trim()))
        .filter((text) => text !== '');
    default:
      return options.length > 0 ? chosen(typed) : typed;
  }
}
