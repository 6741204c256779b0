/** Knows `mcpstore add-json`: services in the JSON that other programs' documentation shows. */

import type { ServiceConfig, ServiceConfigs } from '../../index.js';
import { readJsonText } from '../args.js';
import type { CommandModule } from '../command.js';
import { editConfig } from '../edit.js';
import { UsageError } from '../usage.js';

export const addJson: CommandModule = {
  describe(command) {
    command
      .argument('<name-or-json>', 'name of the service; left out where the JSON has names')
      .argument('[json]', 'the JSON itself, @file, or - for stdin')
      .addHelpText(
        'after',
        `\nExamples:\n  mcpstore add-json files '{"command":"npx","args":["-y","@modelcontextprotocol/server-filesystem","/tmp"]}'\n  mcpstore add-json @servers.json      # { "mcpServers": { … } }`,
      );
  },
  async run(run, [first, second]: [string, string | undefined]) {
    const text = await readJsonText(second ?? first, 'JSON');
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new UsageError('JSON: expected an object');
    const { file, names } = await editConfig(run, true, async ({ scope, found, options }) => {
      const added =
        second === undefined
          ? await scope.addService(value as ServiceConfigs, undefined, options)
          : await scope.addService(first, value as ServiceConfig, options);
      return { file: found.file, names: added };
    });
    await run.out.result({ added: names, file }, () => '');
    run.out.note(`added ${names.join(', ')} to ${file}`);
    return undefined;
  },
};
