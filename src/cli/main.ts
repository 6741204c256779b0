#!/usr/bin/env node
/** Knows what can be answered without loading anything: help, version; everything else goes to `run`. */

import { commandOf, helpOf } from './commands.js';

const found = commandOf(process.argv.slice(2));
if (found.kind === 'help') process.stdout.write(helpOf(found.group));
else if (found.kind === 'version') {
  const { printVersion } = await import('./version.js');
  printVersion(found.json);
} else {
  const { run } = await import('./run.js');
  await run(found);
}
