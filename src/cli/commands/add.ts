/** Knows `mcpstore add`: a service given by a URL or a command line, into the configuration. */

import type { CommandModule } from '../command.js';
import { editConfig } from '../edit.js';
import { describeService, type ServiceFlags, serviceOf } from '../target.js';

export const add: CommandModule = {
  describe(command) {
    command
      .argument('<name>')
      .argument('[target...]', 'a URL, or -- and a command with its arguments')
      .option('--timeout <n>', 'longest time of one call: seconds below 1000, else milliseconds')
      .option('--disabled', 'keep it, but do not start it')
      .option('--trusted', "believe its tools' hints on what may be repeated");
    describeService(command);
    command.addHelpText('after', HELP);
  },
  async run(run, [name, words]: [string, string[]], flags: ServiceFlags) {
    serviceOf(words, flags, undefined); // refuses bad words before a file is made
    const { file, config } = await editConfig(run, true, async ({ scope, found, options }) => {
      const service = serviceOf(words, flags, found);
      await scope.addService(name, service, options);
      return { file: found.file, config: service };
    });
    if (config.cwd !== undefined && flags.cwd === undefined) run.out.note(`${name} will run in ${process.cwd()}`);
    await run.out.result({ added: [name], file }, () => '');
    run.out.note(`added ${name} to ${file}`);
    return undefined;
  },
};

const HELP = `
Examples:
  mcpstore add files -- npx -y @modelcontextprotocol/server-filesystem ./notes
  mcpstore add wiki https://example.com/mcp --header 'Authorization: Bearer \${WIKI_TOKEN}'
  mcpstore add db --env DB_PASSWORD -- uvx some-db-server

\${VAR} is filled in when the service starts; single quotes keep your shell from doing so now.`;
