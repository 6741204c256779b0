/** A hundred services start, ten of them hang: so many at a time, and nobody waits for the bad ones. */

import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { afterEach, expect, it, vi } from 'vitest';
import type { ServiceConfig } from '../../src/index.js';
import { cleanUp, openStore, temporaryPath } from '../support/harness.js';
import { timed } from '../support/waiting.js';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 });
afterEach(cleanUp);

/** A server that is a shell: a hundred are started in a few seconds. Notes that it runs, and that it answers. */
const SERVER = `
echo start >> "$LOG"
while read -r line; do
  id=\${line#*'"id":'} id=\${id%%,*} id=\${id%%\\}*}
  case $line in
    *'"initialize"'*)
      [ -n "$HANGS" ] && continue
      sleep 0.05
      echo answer >> "$LOG"
      result='{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}' ;;
    *'"tools/list"'*) result='{"tools":[{"name":"t","inputSchema":{"type":"object"}}]}' ;;
    *'"id":'*) result='{}' ;;
    *) continue ;;
  esac
  printf '{"jsonrpc":"2.0","id":%s,"result":%s}\\n' "$id" "$result"
done
`;

it('F34: at most min(2 × cores, 8) at once, and a place is held for 2 s at most', async () => {
  const log = temporaryPath('log');
  const hung = temporaryPath('hung');
  for (const file of [log, hung]) writeFileSync(file, '');
  const program = temporaryPath('server');
  writeFileSync(program, SERVER);
  const server = (env: Record<string, string>): ServiceConfig => ({ command: 'sh', args: [program], env });
  const bad = Array.from({ length: 10 }, (_, n) => [`bad${n}`, server({ LOG: hung, HANGS: '1' })] as const);
  const good = Array.from({ length: 90 }, (_, n) => [`good${n}`, server({ LOG: log })] as const);
  const store = await openStore({
    // The bad ones come first, so that the good ones have to come past them.
    services: Object.fromEntries([...bad, ...good]),
    performance: { connectionPool: { connectionTimeoutMs: 30_000, startTimeoutMs: 30_000 } },
    start: 'eager',
  });
  const { ms } = await timed(() =>
    Promise.all(good.map(([name]) => store.waitService(name, { status: 'ready', timeoutMs: 25_000 }))),
  );
  // Were a place held for the 30 s of a start, the ten bad ones would hold them all.
  expect(ms).toBeLessThan(25_000);
  expect(bad.map(([name]) => store.serviceInfo(name).status)).toEqual(bad.map(() => 'starting'));
  expect(readFileSync(hung, 'utf8').trim().split('\n').length).toBe(10);
  let [now, most] = [0, 0];
  for (const what of readFileSync(log, 'utf8').trim().split('\n')) {
    now += what === 'start' ? 1 : -1;
    most = Math.max(most, now);
  }
  expect(now).toBe(0);
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(Math.min(2 * availableParallelism(), 8));
});
