/** Faults of a server's process: it ends too early, never answers, does not want to end, leaves others behind. */

import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ServiceConfig, StoreEvents } from '../../src/index.js';
import {
  allGone,
  cleanUpAfterEach,
  gone,
  openStore,
  scripted,
  starts,
  temporaryPath,
  textIn,
} from '../support/harness.js';
import { failure, timed, until } from '../support/waiting.js';

cleanUpAfterEach();

/** Fails fast: for tests that are not about waiting. */
const QUICK = { connectionPool: { maxRetries: 0 } } as const;

describe('the end of a server', () => {
  it('F1: calls in flight are OUTCOME_UNKNOWN within 100 ms of the exit, and the next call works', async () => {
    const a = scripted();
    const store = await openStore({ services: { a, b: scripted() } });
    await store.listTools();
    const delays: number[] = [];
    for (let round = 0; round < 5 && !(Math.min(...delays) < 100); round++) {
      const { pids } = await store.waitService('a');
      const [pid] = pids as [number];
      const other = store.callTool('b__sleep', { ms: 300 });
      const stderr = store.callTool('a__flood', { bytes: 10 });
      await stderr;
      const calls = [1, 2, 3].map(() => failure(store.callTool('a__hang')));
      // What was asked is on its way once a later call has been answered.
      await store.callTool('a__echo', { text: 'sent' });
      const { ms, value: errors } = await timed(() => {
        process.kill(pid, 'SIGKILL');
        return Promise.all(calls);
      });
      delays.push(ms);
      for (const error of errors) {
        expect(error).toMatchObject({ code: 'OUTCOME_UNKNOWN', executed: 'unknown', service: 'a', tool: 'hang' });
        expect(String((error.cause as Error).message)).toMatch(/ended by SIGKILL; stderr: e+/);
      }
      expect(textIn(await other)).toBe('slept');
      expect(textIn(await store.callTool('a__echo', { text: 'again' }))).toBe('again');
      expect(gone(pid)).toBe(true);
    }
    // A machine that is busy elsewhere may miss some.
    expect(Math.min(...delays)).toBeLessThan(100);
    expect(Math.max(...delays)).toBeLessThan(2_000);
  });

  it('F1: the error names the exit code and has the tail of stderr', async () => {
    const store = await openStore({ services: { a: scripted() } });
    const error = await failure(store.callTool('a__exit', { code: 42, stderr: 'the disk is gone\n' }));
    expect(error).toMatchObject({ code: 'OUTCOME_UNKNOWN', executed: 'unknown', attempts: 1 });
    expect(error.message).toContain('exited with code 42');
    expect(error.message).toContain('the disk is gone');
  });

  it('F1: a call with a side effect is never sent again by itself', async () => {
    const ledger = temporaryPath('ledger');
    writeFileSync(ledger, '');
    const store = await openStore({ services: { a: scripted({ ledger }) } });
    const error = await failure(store.callTool('a__effect', { id: 'once', end: 'exit' }));
    expect(error).toMatchObject({ code: 'OUTCOME_UNKNOWN', attempts: 1 });
    await store.callTool('a__effect', { id: 'twice' });
    expect(readFileSync(ledger, 'utf8')).toBe('once\ntwice\n');
  });

  it('F1: a call that the user calls repeatable is sent again, and counts its attempts', async () => {
    const ledger = temporaryPath('ledger');
    const exits = scripted({ ledger, crashOnce: 'effect' }, { mcpstore: { tools: { effect: { repeatable: true } } } });
    const performance = { connectionPool: { retryDelayMs: 1 } };
    const store = await openStore({ services: { a: exits }, performance });
    const records: StoreEvents['call'][] = [];
    store.on('call', (record) => records.push(record));
    expect(textIn(await store.callTool('a__effect', { id: 'x' }))).toBe('x');
    expect(records.at(-1)).toMatchObject({ tool: 'effect', attempts: 2, outcome: 'ok' });
  });

  it('F2: an end before initialize is START_FAILED with the tail of stderr', async () => {
    const a = scripted({ exitAtStart: { code: 78, stderr: 'API_KEY is not set' } });
    const store = await openStore({ services: { a }, performance: QUICK });
    const error = await failure(store.callTool('a__echo', { text: 'x' }));
    expect(error).toMatchObject({ code: 'START_FAILED', executed: 'no', service: 'a' });
    expect(error.message).toContain('exited with code 78');
    expect(error.message).toContain('API_KEY is not set');
    expect(store.problems()).toMatchObject([{ service: 'a', code: 'START_FAILED' }]);
  });

  it('F2: a start that fails once is tried again within the call', async () => {
    const a = scripted({ exitAtStart: { code: 1, starts: 1 } });
    const performance = { connectionPool: { retryDelayMs: 1 } };
    const store = await openStore({ services: { a }, performance });
    expect(textIn(await store.callTool('a__echo', { text: 'second' }))).toBe('second');
    expect(starts(a.pidFile).length).toBe(2);
  });

  it('F3: a missing or not executable command is SPAWN_FAILED, without a loop', async () => {
    const file = temporaryPath('not-executable');
    writeFileSync(file, '#!/bin/sh\n', { mode: 0o644 });
    const services: Record<string, ServiceConfig> = {
      missing: { command: '/nowhere/mcp-server' },
      plain: { command: file },
      nowhere: { command: process.execPath, cwd: '/nowhere/at/all' },
    };
    const store = await openStore({ services });
    const failed: string[] = [];
    store.on('state', (event) => event.status === 'failed' && failed.push(event.service));
    for (const service of Object.keys(services)) {
      const { ms, value: error } = await timed(() => failure(store.callTool('echo', {}, { service })));
      expect(error, service).toMatchObject({ code: 'SPAWN_FAILED', executed: 'no', service });
      expect(ms).toBeLessThan(2_000);
      // Fails fast from now on, and is not started again.
      expect(await failure(store.callTool('echo', {}, { service }))).toMatchObject({ code: 'SPAWN_FAILED' });
    }
    expect(failed).toEqual(Object.keys(services));
    expect(store.serviceInfo('plain').problem?.message).toContain('not executable');
  });

  it('F4: a server that never answers initialize is ended with its whole group at the deadline', async () => {
    const a = scripted({ silent: ['initialize'], stubborn: true, fork: true });
    const mcpstore = { connectionPool: { connectionTimeoutMs: 1_500, maxRetries: 0 }, stopTimeoutMs: 200 };
    const store = await openStore({ services: { a: { ...a, mcpstore } } });
    const error = await failure(store.callTool('a__echo', { text: 'x' }, { timeoutMs: 20_000 }));
    expect(error).toMatchObject({ code: 'START_FAILED', executed: 'no', figures: { timeoutMs: 1_500 } });
    expect(error.message).toContain('does not answer initialize');
    await allGone(starts(a.pidFile)[0]!);
    expect(store.serviceInfo('a')).toMatchObject({ pids: [] });
    expect(['reconnecting', 'starting']).toContain(store.serviceInfo('a').status);
  });

  it('F4: closing does not wait for a start that hangs, and leaves nothing of it', async () => {
    const a = scripted({ silent: ['initialize'] });
    const store = await openStore({ services: { a }, start: 'eager' });
    const waiting = failure(store.callTool('a__echo', { text: 'x' }));
    const [pids] = await until(() => (starts(a.pidFile).length > 0 ? starts(a.pidFile) : undefined), 'it runs');
    const { ms } = await timed(() => store.close());
    expect(ms).toBeLessThan(3_000);
    expect(await waiting).toMatchObject({ executed: 'no' });
    await allGone(pids!, 0);
  });

  it('F12: a pipe that the server closed is as its end, and no exception', async () => {
    const store = await openStore({ services: { a: scripted() } });
    await store.listTools();
    await store.callTool('a__deaf', { ms: 300 });
    const calls = Array.from({ length: 20 }, (_, n) =>
      failure(store.callTool('a__mirror', { n, pad: 'x'.repeat(9_999) })),
    );
    for (const error of await Promise.all(calls)) {
      expect(error).toMatchObject({ code: 'OUTCOME_UNKNOWN', executed: 'unknown' });
      expect(error.message).toContain('exited with code 9');
    }
    expect(textIn(await store.callTool('a__echo', { text: 'back' }))).toBe('back');
  });
});

describe('what a process leaves behind', () => {
  it('F13: a server behind sh -c ends with its wrapper and all that it started', async () => {
    const inner = scripted({ fork: true });
    const a: ServiceConfig = { command: 'sh', args: ['-c', '"$0" "$@"; true', inner.command!, ...inner.args!] };
    const store = await openStore({ services: { a } });
    await store.callTool('a__echo', { text: 'x' });
    const [shell] = store.serviceInfo('a').pids as [number];
    const [server, child] = starts(inner.pidFile)[0] as [number, number];
    expect(server).not.toBe(shell);
    await store.close();
    expect([shell, server].map(gone)).toEqual([true, true]);
    await allGone([child], 500);
  });

  it('F13: the group ends also where the wrapper alone was killed', async () => {
    const inner = scripted({ stubborn: true, fork: true });
    const a: ServiceConfig = { command: 'sh', args: ['-c', '"$0" "$@"; true', inner.command!, ...inner.args!] };
    const store = await openStore({ services: { a } });
    await store.callTool('a__echo', { text: 'x' });
    const call = failure(store.callTool('a__hang'));
    await store.callTool('a__echo', { text: 'sent' });
    process.kill(store.serviceInfo('a').pids[0]!, 'SIGKILL');
    expect((await call).code).toBe('OUTCOME_UNKNOWN');
    await allGone(starts(inner.pidFile)[0]!);
  });

  it('F14: a server that ignores the end of stdin and SIGTERM is gone within 3 s', async () => {
    const a = scripted({ stubborn: true });
    const b = scripted({ stubborn: true, fork: true });
    const store = await openStore({ services: { a, b } });
    await store.listTools();
    const pids = [...starts(a.pidFile), ...starts(b.pidFile)].flat();
    expect(pids.length).toBe(3);
    const { ms } = await timed(() => store.close());
    expect(ms).toBeLessThan(3_000);
    await allGone(pids, 500);
  });

  it('F14: stopTimeoutMs stretches the patience with one service', async () => {
    const a = scripted({ stubborn: true }, { mcpstore: { stopTimeoutMs: 300 } });
    const store = await openStore({ services: { a } });
    await store.listTools();
    const { ms } = await timed(() => store.disconnectService('a', { drainMs: 0 }));
    expect(ms).toBeGreaterThanOrEqual(290);
    expect(ms).toBeLessThan(1_800);
    expect(store.serviceInfo('a').status).toBe('stopped');
  });
});
