/** How the tests run: two processes at a time, bounded, and watched for what they leave behind. */

import { defineConfig } from 'vitest/config';

/** They need programs that npm does not bring: run where they are named (`npm run test:system`). */
const system = process.argv.some((argument) => argument.includes('test/system'));

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: system ? [] : ['test/system/**'],
    globalSetup: ['test/support/leak-check.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
    unstubEnvs: true,
    restoreMocks: true,
  },
});
