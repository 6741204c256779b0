/** Faults in what a server writes: noise, half lines, odd encodings, messages that are too large or not to be understood. */

import { describe, expect, it } from 'vitest';
import type { CallToolResult, MCPStore, StoreEvents } from '../../src/index.js';
import { cleanUpAfterEach, openStore, type Script, scripted, textIn } from '../support/harness.js';
import { failure, until } from '../support/waiting.js';

cleanUpAfterEach(60_000);

const MIB = 1024 * 1024;

async function storeOf(script: Script = {}): Promise<MCPStore> {
  const store = await openStore({ services: { a: scripted(script) } });
  await store.listTools();
  return store;
}

/** The tool writes these lines, `$ID` being the request's id; whatever settles the call is its answer. */
function raw(store: MCPStore, lines: string[], more: Record<string, unknown> = {}): Promise<CallToolResult> {
  const { timeoutMs, ...args } = more as { timeoutMs?: number };
  return store.callTool('a__raw', { lines, ...args }, { timeoutMs: timeoutMs ?? 10_000 });
}

const answer = (text: string, id = '"$ID"'): string =>
  `{"jsonrpc":"2.0","id":${id},"result":{"content":[{"type":"text","text":"${text}"}]}}`;

async function stillWorks(store: MCPStore): Promise<void> {
  expect(textIn(await store.callTool('a__echo', { text: 'still here' }))).toBe('still here');
  expect(Object.values(store.connectionStats()['a']!)[0]).toMatchObject({ created: 1, open: 1 });
}

describe('noise', () => {
  it('F7: lines on stdout that are no messages are skipped and told', async () => {
    const noise = [
      'Server listening on stdio',
      '',
      '{"half": ',
      '42',
      '"text"',
      '[]',
      'null',
      '\u001b[31mred\u001b[0m',
    ];
    const store = await openStore({ services: { a: scripted({ noise }) } });
    const seen: StoreEvents['output'][] = [];
    store.on('output', (event) => seen.push(event));
    for (const text of ['a', 'b']) expect(textIn(await store.callTool('a__echo', { text }))).toBe(text);
    await stillWorks(store);
    const lines = seen.filter((event) => event.stream === 'stdout').map((event) => event.text);
    expect(lines).toContain('Server listening on stdio');
    expect(seen[0]).toMatchObject({ service: 'a', stream: 'stdout' });
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(512);
  });

  it('F6: a flood on stderr blocks nobody and stays out of memory', async () => {
    const store = await storeOf();
    let bytes = 0;
    store.on('output', (event) => {
      if (event.stream === 'stderr') bytes += event.text.length;
    });
    globalThis.gc?.();
    const before = process.memoryUsage().rss;
    await store.callTool('a__flood', { bytes: 256 * MIB });
    await until(() => bytes >= 256 * MIB, 'stderr is drained', 30_000);
    await stillWorks(store);
    expect(process.memoryUsage().rss - before).toBeLessThan(128 * MIB);
    const error = await failure(store.callTool('a__exit', { code: 1, stderr: 'last words' }));
    expect(error.message).toContain('last words');
    expect(error.message.length).toBeLessThan(4_000);
  });
});

describe('bytes', () => {
  it('F8: half a line and then silence: the deadline of the call, and the rest of its line is no harm', async () => {
    const store = await storeOf();
    const error = await failure(raw(store, ['{"jsonrpc":"2.0","id":"$ID","resu'], { open: true, timeoutMs: 200 }));
    expect(error).toMatchObject({ code: 'TIMEOUT', executed: 'unknown' });
    // The next answer begins in the middle of that line; a call that is lost this way ends at its own deadline.
    await failure(store.callTool('a__echo', { text: 'lost' }, { timeoutMs: 200 }));
    await stillWorks(store);
  });

  it('F9: characters split over writes are put together again', async () => {
    const store = await storeOf({ stream: 'bytes' });
    const text = 'ä漢字🎉'.repeat(50);
    const calls = Array.from({ length: 20 }, (_, n) => store.callTool('a__echo', { text: `${text}${n}` }));
    for (const [n, result] of (await Promise.all(calls)).entries()) expect(textIn(result)).toBe(`${text}${n}`);
  });

  it('F9: CRLF, byte order marks, empty lines and NUL in a text', async () => {
    const store = await storeOf({ stream: 'crlf' });
    expect(textIn(await store.callTool('a__echo', { text: 'a\u0000b\r\nc' }))).toBe('a\u0000b\r\nc');
    expect((await store.listTools()).length).toBeGreaterThan(10);
    await stillWorks(store);
  });
});

describe('F10: an answer of 100 MB', () => {
  const BYTES = 100 * MIB;
  for (const id of ['first', 'last'] as const)
    it(`F10: whose id stands ${id} fails its call alone, in bounded memory, without a pause`, async () => {
      const store = await storeOf();
      const other = store.callTool('a__sleep', { ms: 20, text: 'other' });
      await other;
      const end = new AbortController();
      const beside = failure(store.callTool('a__hang', {}, { signal: end.signal }));
      globalThis.gc?.();
      const before = process.memoryUsage().rss;
      let peak = before;
      // What one turn of the event loop computes: on a busy machine the clock would also count others' work.
      let worst = 0;
      let since = process.cpuUsage();
      const watch = setInterval(() => {
        const { user, system } = process.cpuUsage(since);
        since = process.cpuUsage();
        worst = Math.max(worst, (user + system) / 1_000);
        peak = Math.max(peak, process.memoryUsage.rss());
      }, 1);
      const error = await failure(store.callTool('a__huge', { bytes: BYTES, id }, { timeoutMs: 40_000 }));
      clearInterval(watch);
      expect(error).toMatchObject({ code: 'MESSAGE_TOO_LARGE', executed: 'yes', tool: 'huge' });
      expect(peak - before).toBeLessThanOrEqual(3 * 10 * MIB + 16 * MIB);
      expect(worst).toBeGreaterThan(0);
      expect(worst).toBeLessThan(50);
      await stillWorks(store);
      end.abort();
      expect((await beside).code).toBe('CANCELLED');
    });

  it('F10: without an id fails the only call in flight', async () => {
    const store = await storeOf();
    const error = await failure(store.callTool('a__huge', { bytes: 20 * MIB }, { timeoutMs: 20_000 }));
    expect(error.code).toBe('MESSAGE_TOO_LARGE');
    await stillWorks(store);
  });
});

describe('answers that are none', () => {
  it('F15: an answer with an unknown id is ignored, of two the first counts', async () => {
    const store = await storeOf();
    const lines = [
      answer('stranger', '"c99999"'),
      answer('number', '7'),
      answer('null', 'null'),
      answer('first'),
      answer('second'),
    ];
    expect(textIn(await raw(store, lines))).toBe('first');
    await stillWorks(store);
  });

  it('F16: result and error both, or neither, is PROTOCOL_ERROR, and the connection is kept', async () => {
    const store = await storeOf();
    const odd = [
      '"result":{"content":[]},"error":{"code":1,"message":"both"}',
      '"nothing":1',
      '"result":null',
      '"result":"text"',
    ];
    for (const fields of odd) {
      const error = await failure(raw(store, [`{"jsonrpc":"2.0","id":"$ID",${fields}}`]));
      expect(error, fields).toMatchObject({ code: 'PROTOCOL_ERROR', executed: 'yes', tool: 'raw' });
    }
    await stillWorks(store);
  });

  it('F17: what comes after a cancel or a time-out is dropped', async () => {
    const store = await storeOf();
    const timedOut = await failure(store.callTool('a__after_cancel', {}, { timeoutMs: 100 }));
    expect(timedOut).toMatchObject({ code: 'TIMEOUT', executed: 'unknown' });
    const abort = new AbortController();
    const call = failure(store.callTool('a__after_cancel', {}, { signal: abort.signal }));
    await store.callTool('a__echo', { text: 'sent' });
    abort.abort();
    expect(await call).toMatchObject({ code: 'CANCELLED', executed: 'unknown' });
    await stillWorks(store);
  });

  it('F18: what the server asks and we do not offer is refused at once', async () => {
    const store = await storeOf();
    for (const method of ['sampling/createMessage', 'roots/list', 'elicitation/create', 'nobody/knows']) {
      const result = textIn(await store.callTool('a__ask', { method, params: {} }, { timeoutMs: 5_000 }));
      expect(JSON.parse(result), method).toMatchObject({ error: { code: -32601 } });
    }
    await stillWorks(store);
  });

  it('F19: progress without end does not stretch the whole call', async () => {
    const store = await storeOf();
    let steps = 0;
    const call = store.callTool(
      'a__progress',
      { steps: 100_000, everyMs: 10 },
      { timeoutMs: 400, onProgress: () => steps++ },
    );
    expect(await failure(call)).toMatchObject({ code: 'TIMEOUT', executed: 'unknown', figures: { timeoutMs: 400 } });
    expect(steps).toBeGreaterThan(3);
    await stillWorks(store);
  });

  it('readTimeoutMs bounds silence, and progress breaks it', async () => {
    const performance = { connectionPool: { readTimeoutMs: 400 } };
    const store = await openStore({ services: { a: scripted() }, performance });
    await store.listTools();
    expect(await failure(store.callTool('a__hang'))).toMatchObject({
      code: 'TIMEOUT',
      figures: { readTimeoutMs: 400 },
    });
    expect(textIn(await store.callTool('a__progress', { steps: 12, everyMs: 60 }))).toBe('done');
  });
});
