/** The library on real servers from npm, as a user would use it: calls, lists, resources, prompts, progress, batches. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type MCPStore, type StoreEvents, textOf } from '../../src/index.js';
import { startEverything } from '../support/everything.js';
import { allGone, cleanUp, gone, npmServer, openStore, temporaryPath } from '../support/harness.js';
import { failure, timed, until } from '../support/waiting.js';

vi.setConfig({ testTimeout: 30_000, hookTimeout: 60_000 });

let store: MCPStore;
let notes: string;

beforeAll(async () => {
  notes = temporaryPath('notes');
  mkdirSync(notes);
  writeFileSync(join(notes, 'a.txt'), 'Äpfel\n');
  const node = process.execPath;
  store = await openStore({
    services: {
      files: { command: node, args: [npmServer('filesystem'), notes] },
      memory: {
        command: node,
        args: [npmServer('memory')],
        env: { MEMORY_FILE_PATH: join(notes, 'memory.jsonl') },
      },
      everything: { command: node, args: [npmServer('everything')] },
      http: { url: (await startEverything('streamableHttp')).url },
      sse: { type: 'sse', url: (await startEverything('sse')).url },
    },
  });
});
afterAll(cleanUp);

const EVERYTHING = ['everything', 'http', 'sse'] as const;

it('starts nothing at open; lists everything in a stable order', async () => {
  expect(store.listServices().map((service) => [service.name, service.status])).toEqual(
    ['files', 'memory', 'everything', 'http', 'sse'].map((name) => [name, 'registered']),
  );
  expect(await store.listTools({ refresh: 'never' })).toEqual([]);
  expect(store.connectionStats()).toEqual({});
  // On a busy machine five starts may take long.
  const tools = await store.listTools({ timeoutMs: 25_000 });
  expect([...new Set(tools.map((tool) => tool.service))]).toEqual(['files', 'memory', 'everything', 'http', 'sse']);
  expect(store.problems()).toEqual([]);
  const again = await timed(() => store.listTools());
  expect(again.value).toEqual(tools);
  expect(again.ms).toBeLessThan(100);
  const read = tools.find((tool) => tool.name === 'files__read_text_file');
  expect(read).toMatchObject({ tool: 'read_text_file', inputSchema: { required: ['path'] } });
  expect(read!.annotations?.readOnlyHint).toBe(true);
});

describe('server-filesystem and server-memory', () => {
  it('writes and reads files', async () => {
    const path = join(notes, 'b.txt');
    await store.callTool('files__write_file', { path, content: 'zwei' });
    expect(readFileSync(path, 'utf8')).toBe('zwei');
    const result = await store.callTool('files__read_text_file', { path: join(notes, 'a.txt') });
    expect(textOf(result)).toBe('Äpfel\n');
    expect(result.structuredContent).toEqual({ content: 'Äpfel\n' });
  });

  it('gives isError as a result, or as an error where asked for', async () => {
    const args = { path: join(notes, 'missing.txt') };
    expect((await store.callTool('files__read_text_file', args)).isError).toBe(true);
    const error = await failure(store.callTool('files__read_text_file', args, { throwOnToolError: true }));
    expect(error).toMatchObject({ code: 'TOOL_ERROR', executed: 'yes', service: 'files', tool: 'read_text_file' });
    expect(error.message).toContain('ENOENT');
  });

  it('says what is wrong with the arguments before anything is sent', async () => {
    const sent = store.stats().services['files']!.attempts;
    const check = { validateArguments: true };
    const error = await failure(store.callTool('files__read_text_file', {}, check));
    expect(error).toMatchObject({ code: 'ARGUMENTS_INVALID', executed: 'no' });
    expect(error.message).toBe('files__read_text_file: "path" is required (string)');
    const wrong = await failure(store.callTool('files__read_text_file', { path: 7 }, check));
    expect(wrong.message).toBe('files__read_text_file: "path" must be string');
    expect(store.stats().services['files']!.attempts).toBe(sent);
  });

  it('keeps the state of one process over calls', async () => {
    const entities = [{ name: 'Ada', entityType: 'person', observations: ['counts'] }];
    await store.callTool('memory__create_entities', { entities });
    const found = await store.callTool('search_nodes', { query: 'Ada' });
    expect(textOf(found)).toContain('counts');
  });
});

describe('names', () => {
  it('refuses an ambiguous and an unknown name, with what may be meant', async () => {
    const clash = await failure(store.callTool('echo', { message: 'x' }));
    expect(clash).toMatchObject({ code: 'TOOL_AMBIGUOUS', executed: 'no' });
    expect(clash.figures?.['candidates']).toEqual(EVERYTHING.map((name) => `${name}__echo`));
    const typo = await failure(store.callTool('files__read_text_fil', {}));
    expect(typo).toMatchObject({ code: 'TOOL_UNKNOWN', executed: 'no' });
    expect(typo.figures?.['nearest']).toContain('files__read_text_file');
    const service = await failure(store.callTool('echo', {}, { service: 'fils' }));
    expect(service).toMatchObject({ code: 'SERVICE_UNKNOWN', figures: { nearest: ['files'] } });
    expect(textOf(await store.callTool('echo', { message: 'x' }, { service: 'http' }))).toBe('Echo: x');
  });

  it('finds tools by parts of their names, and calls none', async () => {
    const found = await store.findTool('read_text');
    expect(found[0]!.name).toBe('files__read_text_file');
  });
});

describe.each(EVERYTHING)('server-everything: %s', (service) => {
  it('calls, with structured content', async () => {
    expect(textOf(await store.callTool(`${service}__get-sum`, { a: 2, b: 3 }))).toContain('5');
    const weather = await store.callTool(`${service}__get-structured-content`, { location: 'New York' });
    expect(weather.structuredContent).toMatchObject({ conditions: expect.any(String) });
  });

  it('hands on progress, and cancels', async () => {
    const seen: number[] = [];
    const abort = new AbortController();
    const call = store.callTool(
      `${service}__trigger-long-running-operation`,
      { duration: 20, steps: 200 },
      { signal: abort.signal, onProgress: ({ progress }) => seen.push(progress) },
    );
    const cancelled = failure(call);
    await until(() => seen.length >= 3, 'progress');
    abort.abort();
    expect(await cancelled).toMatchObject({ code: 'CANCELLED', executed: 'unknown' });
    expect(seen.slice(0, 3)).toEqual([1, 2, 3]);
  });

  it('lists and reads resources, templates and prompts', async () => {
    const resources = await store.listResources({ service });
    expect(resources.length).toBeGreaterThan(3);
    expect(new Set(resources.map((resource) => resource['service']))).toEqual(new Set([service]));
    const read = await store.readResource(service, String(resources[0]!['uri']));
    expect(read['contents']).toMatchObject([{ uri: resources[0]!['uri'] }]);
    expect((await store.listResourceTemplates({ service })).length).toBeGreaterThan(0);
    const prompts = await store.listPrompts({ service });
    expect(prompts.map((prompt) => prompt['name'])).toContain('simple-prompt');
    const prompt = await store.getPrompt(service, 'args-prompt', { city: 'Ulm' });
    expect(JSON.stringify(prompt['messages'])).toContain('Ulm');
    const ref = { type: 'ref/prompt', name: 'completable-prompt' } as const;
    const completion = await store.complete(service, ref, { name: 'department', value: 'E' });
    expect(completion['completion']).toMatchObject({ values: ['Engineering'] });
  });

  it('runs a batch in input order', async () => {
    const calls = Array.from({ length: 60 }, (_, n) => ({ tool: `${service}__echo`, arguments: { message: `${n}` } }));
    const { results, totals } = await store.batchCall(calls, { concurrency: 20 });
    expect(totals).toMatchObject({ calls: 60, ok: 60 });
    expect(results.map((entry) => textOf(entry.result!))).toEqual(calls.map((_, n) => `Echo: ${n}`));
  });

  it('is healthy', async () => {
    const info = (await store.checkServices()).find((one) => one.name === service);
    expect(info).toMatchObject({ status: 'ready', problem: undefined, era: 'legacy' });
    expect(info!.server?.name).toContain('everything');
  });
});

it('brings a killed server back: the call in flight is unknown, the next one works', async () => {
  const states: StoreEvents['state'][] = [];
  store.on('state', (event) => event.service === 'everything' && states.push(event));
  const [pid] = store.serviceInfo('everything').pids as [number];
  const progressed = new Promise<unknown>((resolve) => {
    const call = store.callTool(
      'everything__trigger-long-running-operation',
      { duration: 20, steps: 100 },
      { onProgress: () => process.kill(pid, 'SIGKILL') },
    );
    resolve(failure(call));
  });
  const error = await progressed;
  expect(error).toMatchObject({ code: 'OUTCOME_UNKNOWN', executed: 'unknown' });
  expect(textOf(await store.callTool('everything__echo', { message: 'back' }))).toBe('Echo: back');
  expect(gone(pid)).toBe(true);
  expect(states.map((event) => event.status)).toEqual(['reconnecting', 'starting', 'ready']);
});

it('counts, and closes without leaving a process', async () => {
  const stats = store.stats();
  expect(stats.calls.calls).toBe(Object.values(stats.services).reduce((sum, one) => sum + one.calls, 0));
  expect(stats.calls.p50Ms).toBeGreaterThan(0);
  expect(stats.calls.p99Ms).toBeGreaterThanOrEqual(stats.calls.p50Ms);
  const pids = store.listServices().flatMap((service) => service.pids);
  expect(pids.length).toBe(3);
  const { ms } = await timed(() => store.close());
  expect(ms).toBeLessThan(5_000);
  await allGone(pids, 100);
});
