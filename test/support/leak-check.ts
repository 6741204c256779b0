/** Runs once around all tests: what they started has to have ended, and what they put aside has to be gone. */

// @ts-expect-error: a script of the project, plain JavaScript.
import { endRun, markRun } from '../../scripts/lib/leftovers.mjs';

export default function setup(): () => Promise<void> {
  const { folder, env } = markRun() as { folder: string; env: Record<string, string> };
  Object.assign(process.env, env, { MCPSTORE_TEST_FOLDER: folder });
  return async () => {
    // Its own workers end with the runner, after this.
    const expectedProcess = (command: string): boolean =>
      /node_modules\/(vitest|vite|esbuild|rolldown)\//.test(command);
    const left = (await endRun(folder, { expectedProcess })) as string[];
    if (left.length === 0) return;
    // An error here is printed, and the runner would exit with 0 all the same.
    process.exitCode = 1;
    throw new Error(`the tests left something behind:\n  ${left.join('\n  ')}`);
  };
}
