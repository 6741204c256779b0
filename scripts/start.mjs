/** `npm start`: installs and builds what is missing, then runs the tour. */

import { build } from './build.mjs';
import { main } from './lib/project.mjs';
import { setup } from './setup.mjs';

await main(import.meta, async () => {
  await setup();
  await build();
  // In this process: signals reach the tour, which closes its store.
  await import('../demo/tour.mjs');
});
