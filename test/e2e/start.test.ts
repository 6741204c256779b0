/** The tour of `npm start` does what it says, fails in words, and leaves nothing behind however it ends. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
// @ts-expect-error: a script of the project, plain JavaScript.
import { endRun, markRun } from '../../scripts/lib/leftovers.mjs';

const script = fileURLToPath(new URL('../../demo/tour.mjs', import.meta.url));

let run: { folder: string; env: Record<string, string> };
beforeEach(() => {
  run = markRun();
});
afterEach(async () => {
  expect(await endRun(run.folder)).toEqual([]);
});

/** Starts the tour; `text` holds what it has printed so far. */
function tour(env: Record<string, string> = {}): { child: ChildProcess; text: () => string; code: Promise<number> } {
  const child = spawn(process.execPath, [script], { env: { ...process.env, ...run.env, ...env } });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
  return { child, text: () => text, code: once(child, 'close').then(([code]) => code as number) };
}

describe('the tour', () => {
  it('shows every step and ends with the figures', { timeout: 60_000 }, async () => {
    const { text, code } = tour();
    expect(await code, text()).toBe(0);
    for (const name of ['everything', 'everything-http', 'files', 'memory'])
      expect(text()).toMatch(new RegExp(`✓ ${name} .*ready.*│ ${name} +│ +\\d`, 's'));
    expect(text()).toContain('Note 1: one store, many servers.');
    expect(text()).toMatch(/200 ok, 0 from the cache.*200 ok, 200 from the cache/s);
    expect(text()).toContain('8 reports of progress');
    expect(text()).toMatch(/files: ready after .*the next call waited for the new process: "Note 2/s);
    expect(text()).toMatch(/│ total +│ +403 │/);
    // It is no terminal: no colours, no rewritten lines.
    expect(text()).not.toContain('\x1b');
  });

  it.each([
    ['SIGINT', '1. Four services', 130],
    ['SIGTERM', '5. A slow tool', 143],
  ] as const)('stops its servers at %s while it shows "%s"', { timeout: 60_000 }, async (signal, step, expected) => {
    const { child, text, code } = tour();
    let sent = false;
    child.stdout?.on('data', () => {
      if (!sent && text().includes(step)) sent = child.kill(signal);
    });
    expect(await code, text()).toBe(expected);
  });

  it('is content with a reader that leaves', { timeout: 60_000 }, async () => {
    const { child, code } = tour();
    child.stdout?.once('data', () => child.stdout?.destroy());
    expect(await code).toBe(0);
  });

  it('says what is wrong, with code and hint', { timeout: 60_000 }, async () => {
    const { text, code } = tour({ PATH: run.env['PATH']!.split(':')[0]! });
    expect(await code).toBe(5);
    expect(text()).toMatch(/SPAWN_FAILED: .*node.*\nHint: .*PATH/);
  });
});
