/** Knows what the processes of a child hold, against the kernel's own figures: its group, and who has left the group. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterEach, expect, it } from 'vitest';
import { fromPs, rssOf } from '../../src/connection/group-rss.js';

const MB = 1024 * 1024;
const children: ChildProcess[] = [];
const others: number[] = [];

afterEach(() => {
  for (const pid of others.splice(0)) process.kill(pid, 'SIGKILL');
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** A leader of a group that holds 40 MB, with a child of its own that holds 60 MB; resolves to the child's id. */
async function family(detached: boolean): Promise<{ leader: number; child: number }> {
  const young = `const kept = Buffer.alloc(${60 * MB}, 1); console.log(process.pid); setInterval(() => kept, 2 ** 30)`;
  const old = `const kept = Buffer.alloc(${40 * MB}, 1); setInterval(() => kept, 2 ** 30);
    require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(young)}],
      { detached: ${detached}, stdio: ['ignore', 'inherit', 'ignore'] })`;
  const leader = spawn(process.execPath, ['-e', old], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  children.push(leader);
  const [line] = await once(leader.stdout!.setEncoding('utf8'), 'data');
  others.push(Number(line));
  return { leader: leader.pid!, child: Number(line) };
}

const residentOf = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) * 1024;

it.skipIf(process.platform !== 'linux').each([
  ['of its group', false],
  ['also those that lead groups of their own, as a browser does', true],
])('a child counts with its descendants: %s', { timeout: 20_000 }, async (_, detached) => {
  const { leader, child } = await family(detached);
  const expected = residentOf(leader) + residentOf(child);
  expect(expected).toBeGreaterThan(150 * MB);
  const found = await rssOf([leader]);
  expect([...found!.keys()]).toEqual([leader]);
  expect(Math.abs(found!.get(leader)! - expected)).toBeLessThan(8 * MB);
  expect((await rssOf([leader, child]))!.size).toBe(detached ? 2 : 1);
});

it.skipIf(process.platform !== 'linux')('what is gone, or nobody asks for, is not there', async () => {
  const { child } = await family(false);
  expect(await rssOf([])).toEqual(new Map());
  expect(await rssOf([2 ** 22 + 1])).toEqual(new Map());
  // No leader of a group.
  expect(await rssOf([child])).toEqual(new Map());
});

it.skipIf(process.platform === 'win32')('ps tells the same as /proc', async () => {
  const { leader, child } = await family(false);
  const rows = (await fromPs())!;
  expect(rows.get(child)).toMatchObject({ parent: leader, group: leader });
  expect(rows.get(child)!.rssBytes).toBeGreaterThan(90 * MB);
  expect(rows.get(process.pid)!.group).not.toBe(leader);
});
