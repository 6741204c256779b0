/** Knows `mcpstore remove`: services out of the configuration. */

import type { CommandModule } from '../command.js';
import { editConfig } from '../edit.js';

export const remove: CommandModule = {
  describe(command) {
    command.argument('<service...>');
  },
  async run(run, [names]: [string[]]) {
    const file = await editConfig(run, false, async ({ scope, found, options }) => {
      for (const name of names) scope.serviceInfo(name); // all or none
      for (const name of new Set(names)) await scope.deleteService(name, options);
      return found.file;
    });
    await run.out.result({ removed: [...new Set(names)], file }, () => '');
    run.out.note(`removed ${names.join(', ')} from ${file}`);
    return undefined;
  },
};
