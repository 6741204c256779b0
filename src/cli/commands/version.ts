/** Knows `mcpstore version` with options; without any it is answered before this is loaded. */

import type { CommandModule } from '../command.js';
import { printVersion } from '../version.js';

export const version: CommandModule = {
  describe() {},
  async run(run) {
    printVersion(run.options.json);
    return undefined;
  },
};
