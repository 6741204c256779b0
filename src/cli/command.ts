/** Knows the shape of one command: what it takes, and what it does. */

import type { Command } from 'commander';
import type { Run } from './session.js';

export interface CommandModule {
  /** Declares arguments, options and help on a fresh command. */
  describe(command: Command): void;
  /**
   * @param args - the declared arguments, a variadic one as an array
   * @returns the exit code, if it is not 0
   */
  // biome-ignore lint/suspicious/noExplicitAny: each command names its own arguments and options
  run(run: Run, args: any[], options: any): Promise<number | undefined>;
}
