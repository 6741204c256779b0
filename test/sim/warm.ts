/** Knows what is loaded or compiled at its first use: done before the first run, so that no run waits for the disk. */

import '@modelcontextprotocol/client';
import '../../src/connection/http.js';
import '../../src/connection/stdio.js';
import { run } from './run.js';

/** Runs some seeds and forgets them: undici's parser and lazy imports are ready afterwards. */
export async function warm(): Promise<void> {
  for (let seed = 1_000_000_001; seed <= 1_000_000_003; seed++) await run(seed, false);
}
