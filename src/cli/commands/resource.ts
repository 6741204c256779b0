/** Knows `mcpstore resource`: what services offer to read, and reading it. */

import type { CommandModule } from '../command.js';
import { contentOf, describeListing, type ListedItem, listItems } from '../listing.js';
import { line, resourceText, summary } from '../render.js';
import { describeTarget, openTarget, type TargetFlags } from '../target.js';
import { UsageError, wholeNumber } from '../usage.js';

type Flags = TargetFlags & { timeoutMs?: number };

const row = (item: ListedItem, key: string): string[] => [
  line(item['service']),
  line(item[key]),
  line(item['mimeType']),
  summary(item['description'] ?? item['title'] ?? item['name']),
];

export const resourceList: CommandModule = {
  describe: describeListing,
  run: (run, [service]: [string | undefined], flags: Flags) =>
    listItems(run, service, flags, {
      list: (scope, options) => scope.listResources(options),
      head: ['SERVICE', 'URI', 'TYPE', 'DESCRIPTION'],
      row: (item) => row(item, 'uri'),
    }),
};

export const resourceTemplates: CommandModule = {
  describe: describeListing,
  run: (run, [service]: [string | undefined], flags: Flags) =>
    listItems(run, service, flags, {
      list: (scope, options) => scope.listResourceTemplates(options),
      head: ['SERVICE', 'URI TEMPLATE', 'TYPE', 'DESCRIPTION'],
      row: (item) => row(item, 'uriTemplate'),
    }),
};

export const resourceRead: CommandModule = {
  describe(command) {
    command
      .argument('<words...>', '[service|url] uri')
      .option('--timeout-ms <n>', 'longest time of the request', wholeNumber('--timeout-ms'));
    describeTarget(command);
  },
  async run(run, [words]: [string[]], flags: Flags) {
    // With one word over --stdio, or a URL and one word, the service is known; else it is the first word.
    const target = await openTarget(run, words, flags, (own) => own.slice(0, 1));
    const [service, uri, stray] = target.given ? [target.given, ...target.words] : target.words;
    if (service === undefined || uri === undefined || stray !== undefined)
      throw new UsageError(
        'expected a service and the URI of a resource',
        'Such as: mcpstore resource read files file:///notes/a.txt',
      );
    const result = await target.scope.readResource(service, uri, {
      signal: run.signal,
      ...(flags.timeoutMs !== undefined && { timeoutMs: flags.timeoutMs }),
    });
    await run.out.result(result, () => contentOf(result['contents']).map(resourceText).join('\n'));
    return undefined;
  },
};
