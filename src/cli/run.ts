/** Knows how one command is run from its words to its exit code: options, signals, errors, and the end of everything. */

import { Command, CommanderError, Option } from 'commander';
import { nearest } from '../_util/nearest.js';
import { colorsFor } from './colors.js';
import type { CommandModule } from './command.js';
import { type Asked, COMMANDS, GLOBAL_OPTIONS } from './commands.js';
import { failureJson, failureOf, tellFailure } from './failure.js';
import { Interrupts } from './interrupts.js';
import { Output } from './output.js';
import { type Globals, Run } from './session.js';
import { collect, pairOf, UsageError } from './usage.js';

type Work = Extract<Asked, { kind: 'command' | 'unknown' }>;

/** Ends the process with the command's exit code. */
export async function run(asked: Work): Promise<void> {
  const interrupts = new Interrupts();
  // The library's timers keep no process alive; a command that waits for one must not end before.
  const alive = setInterval(() => {}, 60_000);
  let exitCode: number;
  try {
    exitCode = await runCommand(asked, interrupts);
  } finally {
    clearInterval(alive);
  }
  await flush();
  process.exit(exitCode);
}

async function runCommand(asked: Work, interrupts: Interrupts): Promise<number> {
  // Until the options are read, what stands in the words decides how a failure is told.
  let out = outputOf(asked.args);
  let session: Run | undefined;
  try {
    if (asked.kind === 'unknown') throw unknownCommand(asked.words);
    const entry = COMMANDS[asked.name]!;
    const module = await entry.load();
    const { args, globals, options } = parse(asked.name, entry.summary, module, asked.args);
    out = outputOf([], globals);
    session = new Run(globals, out, interrupts);
    const work = module.run(session, args, options);
    work.catch(() => {});
    const exitCode = await Promise.race([work, interrupts.overdue]);
    return interrupts.exitCode ?? exitCode ?? 0;
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0;
    return await failed(thrown, out, interrupts, asked);
  } finally {
    out.clearStatus();
    await session?.close();
  }
}

async function failed(thrown: unknown, out: Output, interrupts: Interrupts, asked: Work): Promise<number> {
  if (interrupts.exitCode === 0) return 0; // The reader went away.
  if (interrupts.exitCode !== undefined) {
    // Whatever failed, failed because the user stopped it.
    out.note(interrupts.signal.aborted ? String((interrupts.signal.reason as Error).message) : 'stopped');
    return interrupts.exitCode;
  }
  const name = asked.kind === 'command' ? asked.name : undefined;
  const failure = failureOf(thrown instanceof CommanderError ? usageOf(thrown) : thrown);
  tellFailure(out, failure, name);
  if (isJson(asked.args) && !out.wrote) await out.json(failureJson(failure, name));
  return failure.exitCode;
}

interface Parsed {
  args: unknown[];
  globals: Globals;
  options: Record<string, unknown>;
}

function parse(name: string, summary: string, module: CommandModule, words: readonly string[]): Parsed {
  const command = new Command(`mcpstore ${name}`).description(summary).exitOverride();
  command.configureOutput({ writeErr: () => {}, outputError: () => {} }).helpOption('-h, --help', 'show this help');
  module.describe(command);
  command.optionsGroup('Options of every command:');
  for (const [flags, text] of GLOBAL_OPTIONS) {
    const option = new Option(flags, text);
    if (flags.startsWith('--input')) option.argParser(collect);
    command.addOption(option);
  }
  command.action(() => {});
  command.parse(words as string[], { from: 'user' });
  const { config, agent, input, json, color, quiet, ...options } = command.opts<Record<string, unknown>>();
  const inputs = new Map(((input ?? []) as string[]).map((text) => pairOf(text, '--input')));
  const globals: Globals = {
    config: config as string | undefined,
    agent: agent as string | undefined,
    inputs,
    json: json === true,
    color: color !== false,
    quiet: quiet === true,
  };
  return { args: command.processedArgs, globals, options };
}

/** Commander's own words, with its suggestion as the hint. */
function usageOf(error: CommanderError): UsageError {
  const [message = '', suggestion] = error.message.replace(/^error: /, '').split('\n');
  const hint = /\(Did you mean (.*)\?\)/.exec(suggestion ?? '')?.[1];
  const help = 'mcpstore help <command> shows what it takes.';
  const isFlag = error.code === 'commander.unknownOption';
  const after = isFlag ? `The words of another program go after --; ${help}` : help;
  return new UsageError(message, hint ? `Did you mean ${hint}?` : after);
}

function unknownCommand(words: string): UsageError {
  if (words.startsWith('-'))
    return new UsageError(`unknown option ${words} before a command`, 'mcpstore help shows all.');
  const known = Object.keys(COMMANDS);
  const near = nearest(words, [...known, ...new Set(known.map((name) => name.split(' ')[0]!))]);
  return new UsageError(
    `unknown command ${words}`,
    near.length > 0 ? `Did you mean ${near[0]}? mcpstore help shows all.` : 'mcpstore help shows all commands.',
  );
}

function isJson(words: readonly string[]): boolean {
  const end = words.indexOf('--');
  return (end < 0 ? words : words.slice(0, end)).includes('--json');
}

function outputOf(words: readonly string[], globals?: Globals): Output {
  const color = globals?.color ?? !words.includes('--no-color');
  return new Output({
    json: globals?.json ?? isJson(words),
    quiet: globals?.quiet ?? false,
    colors: colorsFor(process.stdout, color),
    errorColors: colorsFor(process.stderr, color),
  });
}

/** Pipes of some platforms take their bytes later. */
async function flush(): Promise<void> {
  for (const stream of [process.stdout, process.stderr])
    if (!stream.destroyed && stream.writableLength > 0)
      await new Promise<void>((done) => {
        stream.write('', () => done());
        stream.on('error', () => done());
      });
}
