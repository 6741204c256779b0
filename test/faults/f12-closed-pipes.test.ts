/** A server closes its end of a pipe and goes on running: its calls end as if it had, and it is started anew. */

import { writeFileSync } from 'node:fs';
import { afterEach, expect, it, vi } from 'vitest';
import { allGone, cleanUp, openStore, temporaryPath, textIn } from '../support/harness.js';
import { failure, timed } from '../support/waiting.js';

vi.setConfig({ testTimeout: 40_000, hookTimeout: 30_000 });
afterEach(cleanUp);

/** A server in the shell, because Node does not let go of its stdin. The tool `close` answers, then runs `$CLOSE`. */
const SERVER = `
while read -r line; do
  id=\${line#*'"id":'} id=\${id%%,*} id=\${id%%\\}*}
  case $line in
    *'"initialize"'*)
      result='{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}' ;;
    *'"tools/list"'*)
      result='{"tools":[{"name":"close","inputSchema":{"type":"object"}},{"name":"pid","inputSchema":{"type":"object"}}]}' ;;
    *'"id":'*) result='{"content":[{"type":"text","text":"'$$'"}]}' ;;
    *) continue ;;
  esac
  printf '{"jsonrpc":"2.0","id":%s,"result":%s}\\n' "$id" "$result"
  case $line in *'"close"'*) echo bye >&2; eval "$CLOSE" ;; esac
done
`;

it.each([
  ['stdin', 'exec 0<&-; exec sleep 60'],
  ['stdout', 'exec 1>&-; exec sleep 60'],
])('F12: %s', async (_, close) => {
  const program = temporaryPath('server');
  writeFileSync(program, SERVER);
  const store = await openStore({ services: { a: { command: 'sh', args: [program], env: { CLOSE: close } } } });
  const pid = Number(textIn(await store.callTool('a__close')));
  // Whether it is written before or after the close: nobody waits for a deadline.
  const { ms, value: error } = await timed(() => failure(store.callTool('a__pid', {}, { timeoutMs: 30_000 })));
  expect(error).toMatchObject({ code: 'OUTCOME_UNKNOWN', executed: 'unknown' });
  expect(error.message).toContain('closed its stdin or stdout and goes on running; stderr: bye');
  expect(ms).toBeLessThan(3_000);
  expect(textIn(await store.callTool('a__pid'))).not.toBe(String(pid));
  await allGone([pid]);
});
