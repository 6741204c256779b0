/** Knows what a history on disk has to say: one line a call, whole lines only, bounded, and no trouble for calls. */

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { NewRecord } from '../../src/call.js';
import type { HistoryEntry, MCPStore, OpenOptions } from '../../src/index.js';
import { Kept } from '../../src/observe/history-entry.js';
import { HistoryFile } from '../../src/observe/history-file.js';
import { FakeClock, failure, settle } from '../support/fake-clock.js';
import { FakeServer, openStore } from '../support/fake-server.js';
import { tempDir } from '../support/tmp.js';
import { until } from '../support/waiting.js';

const DAY = 86_400_000;

async function open(
  stateDir: string,
  clock = new FakeClock(),
  options: OpenOptions = {},
  monitoring: object = { historyFile: true },
): Promise<{ clock: FakeClock; store: MCPStore }> {
  const server = new FakeServer({ read: {} }, clock);
  const store = await openStore({ files: server }, clock, { ...options, stateDir, performance: { monitoring } });
  return { clock, store };
}

const filesIn = (stateDir: string): string[] => readdirSync(join(stateDir, 'history')).sort();
const linesIn = (stateDir: string): HistoryEntry[] =>
  filesIn(stateDir).flatMap((name) =>
    readFileSync(join(stateDir, 'history', name), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line)),
  );
const call = (store: MCPStore, n: number): Promise<unknown> => store.callTool('files__read', { x: 'x'.repeat(n - 8) });
const sizes = (entries: readonly HistoryEntry[]): (number | undefined)[] => entries.map((one) => one.argumentBytes);

it('has a line of JSON for each call, for the user alone, soon after it and at the latest at the close', async () => {
  const stateDir = await tempDir();
  const { clock, store } = await open(stateDir);
  await call(store, 10);
  await call(store, 11);
  await clock.advance(1_000);
  await until(() => existsSync(join(stateDir, 'history')) && linesIn(stateDir).length === 2, 'two lines');
  await call(store, 12);
  await store.close();
  expect(sizes(linesIn(stateDir))).toEqual([10, 11, 12]);
  expect(linesIn(stateDir)[0]).toMatchObject({ service: 'files', tool: 'read', outcome: 'ok', at: expect.any(Number) });
  const [name] = filesIn(stateDir);
  expect(name).toMatch(/^\d{4}-\d\d-\d\d-0001\.jsonl$/);
  if (process.platform !== 'win32')
    expect([name!, ''].map((of) => statSync(join(stateDir, 'history', of)).mode & 0o777)).toEqual([0o600, 0o700]);
});

it('is asked like the memory, and has what earlier runs wrote', async () => {
  const stateDir = await tempDir();
  const clock = new FakeClock();
  const first = await open(stateDir, clock);
  for (const n of [10, 11]) await call(first.store, n);
  await first.store.close();
  await clock.advance(2 * DAY);
  const since = clock.wall();
  const { store } = await open(stateDir, clock, {}, { historyFile: true, historySize: 1 });
  for (const n of [12, 13]) await call(store, n);
  const found = async (query: object): Promise<unknown[]> =>
    sizes((await store.history.query({ from: 'file', ...query })).entries);
  expect(await found({})).toEqual([13, 12, 11, 10]);
  expect(await found({ limit: 3 })).toEqual([13, 12, 11]);
  expect(await found({ since })).toEqual([13, 12]);
  expect(await found({ until: since })).toEqual([11, 10]);
  expect(sizes((await store.history.query()).entries)).toEqual([13]);
  expect(await store.history.report({ from: 'file', periodMs: DAY })).toMatchObject({
    calls: 4,
    periods: [{ calls: 2 }, { calls: 2 }],
  });
  expect((await store.forAgent('one').history.query({ from: 'file' })).entries).toEqual([]);
  await store.close();
});

it('skips a line that a crash has torn, and loses no other', async () => {
  const stateDir = await tempDir();
  const clock = new FakeClock();
  const first = await open(stateDir, clock);
  for (const n of [10, 11]) await call(first.store, n);
  await first.store.close();
  const path = join(stateDir, 'history', filesIn(stateDir)[0]!);
  truncateSync(path, statSync(path).size - 20);
  const { store } = await open(stateDir, clock);
  await call(store, 12);
  expect(sizes((await store.history.query({ from: 'file' })).entries)).toEqual([12, 10]);
  await store.close();
  writeFileSync(path, '{"at":"x"}\n[1]\nnull\n}\n\n{"at":1}\n', { flag: 'a' });
  const again = await open(stateDir, clock);
  expect((await again.store.history.query({ from: 'file', limit: 2 })).entries).toMatchObject([
    { at: 1 },
    { tool: 'read' },
  ]);
  await again.store.close();
});

it('goes on in another file after 10 MiB and every day, and keeps no more than 100 MiB and 30 days', async () => {
  const stateDir = await tempDir();
  const folder = join(stateDir, 'history');
  mkdirSync(folder);
  const clock = new FakeClock();
  const day = (ago: number): string => new Date(clock.wall() - ago * DAY).toISOString().slice(0, 10);
  const put = (name: string, bytes: number): void => {
    writeFileSync(join(folder, name), '');
    truncateSync(join(folder, name), bytes);
  };
  const goesOn = async (name: string): Promise<void> => {
    await clock.advance(1_000);
    await until(() => filesIn(stateDir).includes(name), name);
  };
  put('notes.txt', 10);
  put(`${day(31)}-0001.jsonl`, 10);
  put(`${day(29)}-0001.jsonl`, 10);
  put(`${day(0)}-0001.jsonl`, 10 * 1024 * 1024);
  const { store } = await open(stateDir, clock);
  await call(store, 10);
  await goesOn(`${day(0)}-0002.jsonl`);
  expect(filesIn(stateDir)).toEqual([
    `${day(29)}-0001.jsonl`,
    `${day(0)}-0001.jsonl`,
    `${day(0)}-0002.jsonl`,
    'notes.txt',
  ]);
  await store.close();
  for (let i = 2; i < 12; i++) put(`${day(0)}-${String(i).padStart(4, '0')}.jsonl`, 10 * 1024 * 1024);
  const again = await open(stateDir, clock);
  await call(again.store, 11);
  await goesOn(`${day(0)}-0012.jsonl`);
  const left = filesIn(stateDir);
  expect([left[0], left.at(-2), left.length]).toEqual([`${day(0)}-0003.jsonl`, `${day(0)}-0012.jsonl`, 11]);
  await clock.advance(DAY);
  await call(again.store, 12);
  await again.store.close();
  expect(filesIn(stateDir)).toContain(`${day(0)}-0001.jsonl`);
});

it('is shared by stores that write at the same time: every line is whole', async () => {
  const stateDir = await tempDir();
  const clock = new FakeClock();
  const stores = await Promise.all([1, 2, 3].map(() => open(stateDir, clock)));
  for (let round = 0; round < 20; round++)
    await Promise.all(
      stores.map(async ({ store }) => {
        for (let n = 0; n < 20; n++) await call(store, 100 + n);
        await store.history.query({ from: 'file', limit: 1 });
      }),
    );
  await Promise.all(stores.map(({ store }) => store.close()));
  expect(linesIn(stateDir)).toHaveLength(3 * 20 * 20);
});

it('that cannot be written is told once, and calls go on; it is tried again', async () => {
  const stateDir = await tempDir();
  writeFileSync(join(stateDir, 'history'), 'in the way');
  const logged: unknown[] = [];
  const say = (fields: object, message: string): unknown => logged.push({ ...fields, message });
  const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: say };
  const { store } = await open(stateDir, new FakeClock(), { logger });
  for (const n of [10, 11, 12]) {
    await call(store, n);
    expect(await store.history.query({ from: 'file' })).toEqual({ entries: [], more: false });
  }
  expect(logged).toEqual([{ error: expect.stringContaining('EEXIST'), message: expect.stringContaining('history') }]);
  unlinkSync(join(stateDir, 'history'));
  await call(store, 13);
  expect(sizes((await store.history.query({ from: 'file' })).entries)).toEqual([13]);
  await store.close();
});

it('that is slower than the calls is told once, until it has caught up', async () => {
  const folder = await tempDir();
  const clock = new FakeClock();
  const told: string[] = [];
  const file = new HistoryFile({ folder, clock, onProblem: ({ message }) => told.push(message) });
  const add = (count: number): void => {
    for (let i = 0; i < count; i++) file.add(new Kept(new NewRecord('', 's', 't', 0), 0, undefined));
  };
  const flood = async (): Promise<void> => {
    add(50_001);
    clock.jump(1_000);
    for (let i = 0; i < 50; i++) {
      await settle();
      add(1_500);
    }
    await file.close();
  };
  await flood();
  expect(told).toEqual(['more than 50000 calls wait to be written']);
  await flood();
  expect(told).toHaveLength(2);
});

it('needs a place: refused without a stateDir at open and later, as a whole', async () => {
  const clock = new FakeClock();
  const server = new FakeServer({ read: {} }, clock);
  const performance = { monitoring: { historyFile: true } };
  const error = await failure(openStore({ files: server }, clock, { performance }));
  expect([error['code'], error.message]).toEqual([
    'OPTION_INVALID',
    'monitoring.historyFile: needs a stateDir to write to, and this store has none (null)',
  ]);
  const store = await openStore({ files: server }, clock);
  expect(() => store.configure({ ...performance, calls: { queueLimit: 5 } })).toThrow('historyFile');
  expect(store.effectiveOptions.calls.queueLimit).toBe(10_000);
  await store.close();
});

it('begins and ends while the store runs; off, nothing is written', async () => {
  const stateDir = await tempDir();
  const { clock, store } = await open(stateDir, new FakeClock(), {}, {});
  await call(store, 10);
  await clock.advance(5_000);
  expect(existsSync(join(stateDir, 'history'))).toBe(false);
  store.configure({ monitoring: { historyFile: true } });
  await call(store, 11);
  store.configure({ monitoring: { enabled: false } });
  await call(store, 12);
  store.configure({ monitoring: { enabled: true, historyFile: false } });
  await call(store, 13);
  expect(sizes((await store.history.query({ from: 'file' })).entries)).toEqual([11]);
  await store.close();
  expect(sizes(linesIn(stateDir))).toEqual([11]);
});
