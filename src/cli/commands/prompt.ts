/** Knows `mcpstore prompt`: the prompts that services offer, and one of them filled in. */

import { isPair } from '../args.js';
import type { CommandModule } from '../command.js';
import { contentOf, describeListing, listItems } from '../listing.js';
import { contentText, line, summary } from '../render.js';
import { describeTarget, isUrl, openTarget, type TargetFlags } from '../target.js';
import { pairOf, UsageError, wholeNumber } from '../usage.js';

type Flags = TargetFlags & { timeoutMs?: number };

export const promptList: CommandModule = {
  describe: describeListing,
  run: (run, [service]: [string | undefined], flags: Flags) =>
    listItems(run, service, flags, {
      list: (scope, options) => scope.listPrompts(options),
      head: ['SERVICE', 'PROMPT', 'ARGUMENTS', 'DESCRIPTION'],
      row: (item) => [
        line(item['service']),
        line(item['name']),
        contentOf(item['arguments'])
          .map((argument) => `${line(argument['name'])}${argument['required'] === true ? '' : '?'}`)
          .join(' '),
        summary(item['description'] ?? item['title']),
      ],
    }),
};

export const promptGet: CommandModule = {
  describe(command) {
    command
      .argument('<words...>', '[service|url] prompt [key=value …]')
      .option('--timeout-ms <n>', 'longest time of the request', wholeNumber('--timeout-ms'));
    describeTarget(command);
  },
  async run(run, [words]: [string[]], flags: Flags) {
    const at = words.findIndex((word, i) => isPair(word) && !(i === 0 && isUrl(word)));
    const names = at < 0 ? words : words.slice(0, at);
    const target = await openTarget(run, names, flags, (own) => own.slice(0, 1));
    const [service, name, stray] = target.given ? [target.given, ...target.words] : target.words;
    if (service === undefined || name === undefined || stray !== undefined)
      throw new UsageError('expected a service and the name of a prompt', 'mcpstore prompt list shows them.');
    const args = Object.fromEntries((at < 0 ? [] : words.slice(at)).map(argument));
    const result = await target.scope.getPrompt(service, name, args, {
      signal: run.signal,
      ...(flags.timeoutMs !== undefined && { timeoutMs: flags.timeoutMs }),
    });
    await run.out.result(result, () =>
      contentOf(result['messages'])
        .map((message) => `${run.out.colors.bold(line(message['role']))}: ${contentText([message['content']].flat())}`)
        .join('\n'),
    );
    return undefined;
  },
};

/** All arguments of a prompt are text, so nothing is trimmed or converted. */
function argument(word: string): [string, string] {
  pairOf(word, 'argument');
  return [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)];
}
