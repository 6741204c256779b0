/** Knows the version of this package. */

import { readFileSync } from 'node:fs';

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

export function printVersion(json: boolean): void {
  const version = packageVersion();
  process.stdout.write(json ? `${JSON.stringify({ version, node: process.versions.node })}\n` : `${version}\n`);
}
