/** The contract that every transport keeps: one suite, run against each of them. */

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type MCPStore, type ServiceConfig, textOf } from '../../src/index.js';
import { allGone, cleanUp, openStore, textIn } from '../support/harness.js';
import { failure, until } from '../support/waiting.js';

/** What a transport cannot carry, by its specification. Default: everything. */
export interface Traits {
  era?: 'legacy' | 'modern';
  /** Notices that belong to a call (progress, log) come through. Not with plain JSON replies. */
  notices?: boolean;
  /** Log messages come unasked. In the modern era a client asks for them first. */
  logs?: boolean;
  /** The server can ask the client while it works. Not in the modern era, nor with plain JSON replies. */
  asks?: boolean;
  kind?: string;
}

/** @param makeService - starts what is needed (ended by `afterwards`) and says how it is reached */
export function describeTransport(
  name: string,
  makeService: () => Promise<ServiceConfig> | ServiceConfig,
  traits: Traits = {},
): void {
  const { era = 'legacy', notices = true, logs = notices, asks = true, kind } = traits;
  describe(name, () => {
    vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });
    let store: MCPStore;
    beforeAll(async () => {
      store = await openStore({ services: { t: await makeService() } });
    });
    afterAll(cleanUp);
    const state = async (): Promise<Record<string, number>> =>
      (await store.callTool('t__state')).structuredContent as Record<string, number>;

    it('shakes hands and tells what it learned', async () => {
      const info = await store.waitService('t');
      expect(info).toMatchObject({ status: 'ready', era, server: { version: '1.0.0' } });
      if (kind) expect(info.kind).toBe(kind);
      expect(info.protocolVersion).toMatch(/^20\d\d-\d\d-\d\d$/);
      expect(info.capabilities).toMatchObject({ tools: { listChanged: true } });
    });

    it('lists tools with all their fields', async () => {
      const tools = await store.listTools();
      expect(tools[0]).toMatchObject({
        name: 't__echo',
        service: 't',
        tool: 'echo',
        title: 'Echo',
        description: 'Gives its text back.',
        inputSchema: { type: 'object', required: ['text'] },
        annotations: { readOnlyHint: true },
      });
      expect(tools.map((tool) => tool.tool)).toContain('state');
    });

    it('calls a tool by its full and by its bare name', async () => {
      expect(textIn(await store.callTool('t__echo', { text: 'a' }))).toBe('a');
      expect(textOf(await store.callTool('echo', { text: 'b' }))).toBe('b');
    });

    it('leaves results untouched: structuredContent, _meta, isError', async () => {
      const args = { a: [1, 2.5, null, { b: false }], ö: '\u2028', empty: {} };
      const result = await store.callTool('t__mirror', args);
      expect(result.structuredContent).toEqual(args);
      expect(result._meta?.['test.example/mark']).toEqual({ deep: [1, null, 'ü'] });
      const failed = await store.callTool('t__tool_error');
      expect(failed).toMatchObject({ isError: true, content: [{ type: 'text', text: 'no such file' }] });
      const error = await failure(store.callTool('t__tool_error', {}, { throwOnToolError: true }));
      expect(error).toMatchObject({ code: 'TOOL_ERROR', executed: 'yes', message: 't__tool_error: no such file' });
    });

    it('gives an error answer as RPC_ERROR with its code and data', async () => {
      const error = await failure(store.callTool('t__rpc_error'));
      expect(error).toMatchObject({
        code: 'RPC_ERROR',
        executed: 'yes',
        rpcCode: -32050,
        data: { tray: 2 },
        service: 't',
        tool: 'rpc_error',
        attempts: 1,
      });
      expect(error.message).toContain('out of paper');
    });

    it.runIf(notices)('hands on progress in order', async () => {
      const seen: number[] = [];
      const onProgress = (progress: { progress: number; total?: number | undefined }): void => {
        seen.push(progress.progress);
        expect(progress.total).toBe(4);
      };
      await store.callTool('t__progress', { steps: 4 }, { onProgress });
      expect(seen).toEqual([1, 2, 3, 4]);
    });

    it('cancels: the caller is told at once, and the server too', async () => {
      const before = await state();
      const abort = new AbortController();
      const call = failure(store.callTool('t__hang', {}, { signal: abort.signal }));
      // The question itself counts too.
      const arrived = (now: Record<string, number>, asked: number): boolean => now['calls']! > before['calls']! + asked;
      for (let asked = 1; !arrived(await state(), asked); asked++)
        await new Promise((resolve) => setTimeout(resolve, 5));
      abort.abort(new Error('enough'));
      expect(await call).toMatchObject({ code: 'CANCELLED', executed: 'unknown' });
      await until(async () => (await state())['cancelled'] === before['cancelled']! + 1, 'the server was told');
    });

    it('times out with executed unknown, tells the server, and goes on', async () => {
      const before = (await state())['cancelled']!;
      const error = await failure(store.callTool('t__hang', {}, { timeoutMs: 150 }));
      expect(error).toMatchObject({ code: 'TIMEOUT', executed: 'unknown', attempts: 1 });
      await until(async () => (await state())['cancelled'] === before + 1, 'the server was told');
      expect(textIn(await store.callTool('t__echo', { text: 'still here' }))).toBe('still here');
    });

    it('never crosses answers: 1,000 calls at a time', async () => {
      const numbers = Array.from({ length: 1_000 }, (_, n) => n);
      const { results, totals } = await store.batchCall(
        numbers.map((n) => ({ tool: 't__echo', arguments: { text: `${n} ${'·'.repeat(n % 50)}` } })),
        { concurrency: 200 },
      );
      expect(totals).toMatchObject({ calls: 1_000, ok: 1_000 });
      for (const n of numbers) expect(textIn(results[n]!.result)).toBe(`${n} ${'·'.repeat(n % 50)}`);
    });

    it('carries 1 MB in both directions', async () => {
      const result = textIn(await store.callTool('t__big', { chars: 1_000_000 }));
      expect(result.length).toBe(1_000_000);
      expect(result.slice(-16)).toBe('0123456789abcdef');
      const text = 'é'.repeat(500_000);
      expect(textIn(await store.callTool('t__echo', { text })) === text).toBe(true);
    });

    it('carries every kind of character', async () => {
      const text = 'ä 漢字 🎉 \u0000 \u2028 \u2029 \r\n \\ " \t \ud83d\udc69\u200d\ud83d\udcbb end';
      expect(textIn(await store.callTool('t__echo', { text }))).toBe(text);
    });

    it('lists and reads resources and templates', async () => {
      expect(await store.listResources()).toMatchObject([{ uri: 'test://one', service: 't', mimeType: 'text/plain' }]);
      expect(await store.listResourceTemplates()).toMatchObject([{ uriTemplate: 'test://item/{id}', service: 't' }]);
      const read = await store.readResource('t', 'test://item/7');
      expect(read['contents']).toEqual([{ uri: 'test://item/7', mimeType: 'text/plain', text: 'read test://item/7' }]);
      const error = await failure(store.readResource('t', 'other://x'));
      expect(error).toMatchObject({ code: 'RPC_ERROR', executed: 'yes' });
    });

    it('lists and gets prompts, and completes', async () => {
      expect(await store.listPrompts()).toMatchObject([{ name: 'greet', service: 't' }]);
      const prompt = await store.getPrompt('t', 'greet', { who: 'you' });
      expect(prompt['messages']).toMatchObject([{ role: 'user', content: { text: 'Hello, you!' } }]);
      const ref = { type: 'ref/prompt', name: 'greet' } as const;
      const completion = await store.complete('t', ref, { name: 'who', value: 'b' });
      expect(completion['completion']).toMatchObject({ values: ['berta', 'bruno'] });
    });

    it.runIf(logs)('tells of log messages', async () => {
      const seen: unknown[] = [];
      store.on('log', (event) => seen.push(event));
      await store.callTool('t__log', { level: 'error', data: { disk: 'full' } });
      await until(() => seen.length > 0, 'log event');
      expect(seen).toEqual([{ service: 't', level: 'error', logger: 'test', data: { disk: 'full' } }]);
    });

    it.runIf(asks)('refuses what the server asks and it does not offer', async () => {
      for (const method of ['sampling/createMessage', 'roots/list']) {
        const params = method === 'roots/list' ? {} : { messages: [], maxTokens: 1 };
        const answer = textIn(await store.callTool('t__ask', { method, params }));
        expect(answer).toContain('"error"');
      }
      expect(textIn(await store.callTool('t__ask', { method: 'ping' }))).toContain('"result":{}');
    });

    it('fetches a changed list once, and tells of it', async () => {
      await store.listTools();
      await until(() => store.serviceInfo('t').status === 'ready');
      // A stream for notices may open a moment after the handshake.
      const changes: number[] = [];
      store.on('toolsChanged', (event) => changes.push(event.tools));
      const before = (await state())['lists']!;
      let grown = 0;
      await until(async () => {
        if (changes.length === 0 && grown < 5) await store.callTool('t__grow', { name: `extra_${grown++}`, storm: 20 });
        return until(() => changes.length > 0, 'toolsChanged', 1_500).catch(() => false);
      }, 'toolsChanged');
      expect((await store.listTools()).map((tool) => tool.tool)).toContain('extra_0');
      expect(textIn(await store.callTool('t__extra_0'))).toBe('extra_0');
      expect((await state())['lists']! - before).toBeLessThanOrEqual(grown + 1);
    });

    it('answers a health check', async () => {
      const [info] = await store.checkServices();
      expect(info).toMatchObject({ name: 't', status: 'ready', problem: undefined });
    });

    it('leaves nothing after close', async () => {
      await store.callTool('t__echo', { text: 'x' });
      const { pids } = store.serviceInfo('t');
      await store.close();
      await allGone(pids, 100);
      const left = store.connectionStats()['t']!;
      for (const figures of Object.values(left)) expect(figures).toMatchObject({ open: 0, inFlight: 0, waiting: 0 });
      expect(await failure(store.callTool('t__echo', { text: 'x' }))).toMatchObject({
        code: 'STORE_CLOSED',
        executed: 'no',
      });
    });
  });
}
