/** Knows replicas as real processes and sockets: one slow, one dead, one that dies, an outage; and who shares connections. */

import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { BalanceStrategy, EndpointOptions, MCPStore, ServiceConfig, ServiceOptions } from '../../src/index.js';
import {
  afterwards,
  cleanUpAfterEach,
  gone,
  openStore,
  type Script,
  scripted,
  starts,
  textIn,
} from '../support/harness.js';
import { HttpTestServer } from '../support/http-server.js';
import { failure, until } from '../support/waiting.js';

cleanUpAfterEach(60_000);

/** A service that runs once for each script. */
function replicas(scripts: readonly Script[], options: ServiceOptions = {}): ServiceConfig & { pidFiles: string[] } {
  const all = scripts.map((script) => scripted(script));
  const endpoints = all.map(({ command, args }): EndpointOptions => ({ command: command!, args: args! }));
  const config = { mcpstore: { trusted: true, ...options, endpoints } };
  Object.defineProperty(config, 'pidFiles', { value: all.map(({ pidFile }) => pidFile), enumerable: false });
  return config as unknown as ServiceConfig & { pidFiles: string[] };
}

/** So many calls, so many at a time; the time that each took, in milliseconds. */
async function load(store: MCPStore, calls: number, atATime: number, tool = 's__echo'): Promise<number[]> {
  const times: number[] = [];
  let left = calls;
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const since = performance.now();
      await store.callTool(tool, { text: 'x' });
      times.push(performance.now() - since);
    }
  };
  await Promise.all(Array.from({ length: atATime }, worker));
  return times;
}

const p99 = (times: readonly number[]): number => [...times].sort((a, b) => a - b)[Math.ceil(times.length * 0.99) - 1]!;

async function allReady(store: MCPStore, count: number): Promise<void> {
  await until(() => {
    const { endpoints } = store.serviceInfo('s');
    return endpoints.filter(({ status }) => status === 'ready').length >= count;
  }, 'replicas ready');
}

describe('replicas', () => {
  it('with 1 of 4 ten times as slow, p99 is within 1.5 times that of three good ones; with round-robin it is not', async () => {
    const once = async (delays: number[], balance: BalanceStrategy): Promise<number> => {
      const service = replicas(
        delays.map((callDelayMs) => ({ callDelayMs })),
        { balance },
      );
      const store = await openStore({ services: { s: service } });
      await load(store, 8, 4);
      await allReady(store, delays.length);
      await load(store, 100, 16);
      const found = p99(await load(store, 500, 16));
      await store.close();
      return found;
    };
    // Other work on the machine makes every answer late; a strategy that is no good is so each time.
    const figures: number[][] = [];
    for (let i = 0; i < 3; i++) {
      const good = await once([50, 50, 50], 'power-of-two');
      const one = await once([50, 50, 50, 500], 'power-of-two');
      const turns = await once([50, 50, 50, 500], 'round-robin');
      figures.push([good, one, turns]);
      if (one <= 1.5 * good && turns > 1.5 * good) return;
    }
    expect.fail(`p99 in ms of three good ones, with a slow one, with a slow one in turns: ${JSON.stringify(figures)}`);
  });

  it('with 1 of 4 dead from the start, no call fails', async () => {
    const dead = { exitAtStart: { code: 3, stderr: 'no licence' } };
    const store = await openStore({ services: { s: replicas([{}, {}, {}, dead]) } });
    expect(await load(store, 300, 32)).toHaveLength(300);
    const info = store.serviceInfo('s');
    expect(info.status).toBe('ready');
    const bad = info.endpoints[3]!;
    expect(['reconnecting', 'starting', 'failed']).toContain(bad.status);
    expect(bad.problem?.message ?? 'no licence').toContain('no licence');
  });

  it('when one dies under load, no call fails that may be repeated, and it comes back', async () => {
    const service = replicas([{ callDelayMs: 5 }, { callDelayMs: 5 }, { callDelayMs: 5 }, { callDelayMs: 5 }]);
    const store = await openStore({ services: { s: service } });
    await load(store, 8, 4);
    await allReady(store, 4);
    const loading = load(store, 3_000, 32);
    await new Promise((resolve) => setTimeout(resolve, 150));
    process.kill(starts(service.pidFiles[2]!)[0]![0]!, 'SIGKILL');
    expect(await loading).toHaveLength(3_000);
    await until(() => starts(service.pidFiles[2]!).length === 2, 'started again');
  });

  it('F36: in a full outage attempts stay within 1.2 × calls + 3 × seconds', async () => {
    let attempts = 0;
    const server = createServer((socket) => {
      attempts++;
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    afterwards(() => server.close());
    const { port } = server.address() as AddressInfo;
    const store = await openStore({ services: { s: { url: `http://127.0.0.1:${port}/mcp` } } });
    const since = performance.now();
    let calls = 0;
    while (performance.now() - since < 3_000) {
      const some = Array.from({ length: 10 }, () => failure(store.callTool('s__echo', {}, { timeoutMs: 2_000 })));
      calls += some.length;
      await Promise.race([Promise.all(some), new Promise((resolve) => setTimeout(resolve, 100))]);
    }
    expect(attempts).toBeLessThanOrEqual(1.2 * calls + (3 * (performance.now() - since)) / 1_000);
  });
});

describe('who shares connections', () => {
  const pids = (service: { pidFile: string }): number[] => starts(service.pidFile).map(([pid]) => pid!);

  it('agents share one process unless the service says that each has its own', async () => {
    for (const [sharing, processes, counts] of [
      ['shared', 1, ['1', '2', '3']],
      ['agent', 2, ['1', '1', '2']],
    ] as const) {
      const service = scripted({}, { mcpstore: { sharing } });
      const store = await openStore({ services: { s: service } });
      const a = store.forAgent('a', { services: ['s'] });
      const b = store.forAgent('b', { services: ['s'] });
      const count = async (scope: typeof a): Promise<string> => textIn(await scope.callTool('s__counter'));
      expect([await count(a), await count(b), await count(b)]).toEqual(counts);
      // The list was asked for by whoever came first, so nothing was started for it alone.
      expect(new Set(pids(service)).size).toBe(processes + (sharing === 'agent' ? 1 : 0));
      await store.close();
    }
  });

  it('a fresh process for each call, gone with it', async () => {
    const service = scripted({}, { mcpstore: { sharing: 'call', connectionPool: { maxConnections: 3 } } });
    const store = await openStore({ services: { s: service } });
    await store.listTools();
    const listed = pids(service).length;
    const batch = await store.batchCall(Array.from({ length: 5 }, () => ({ tool: 's__counter' })));
    expect(batch.results.map(({ result }) => textIn(result))).toEqual(['1', '1', '1', '1', '1']);
    expect(pids(service).length).toBe(listed + 5);
  });

  it('a fresh process takes the place of the one before only when that is gone', async () => {
    const service = scripted({ stubborn: true }, { mcpstore: { sharing: 'call', stopTimeoutMs: 1_500 } });
    const store = await openStore({ services: { s: service } });
    await store.listTools();
    await store.callTool('s__counter');
    await store.callTool('s__counter');
    const [, first, second] = pids(service);
    expect([gone(first!), gone(second!)]).toEqual([true, false]);
  });

  it('an agent whose session has expired goes on at one replica, not at both in turn', async () => {
    const servers = [await HttpTestServer.start(), await HttpTestServer.start()];
    for (const server of servers) afterwards(() => server.close());
    const endpoints = servers.map(({ url }) => ({ url: url.href }));
    const store = await openStore({ services: { s: { mcpstore: { sharing: 'agent', endpoints } } } });
    for (let i = 0; i < 3; i++) await store.callTool('s__echo', { text: 'x' });
    for (const server of servers) server.expireSessions();
    const before = servers.map(({ executed }) => executed);
    for (let i = 0; i < 5; i++) await store.callTool('s__echo', { text: 'x' });
    expect(servers.map(({ executed }, i) => executed - before[i]!).sort()).toEqual([0, 5]);
  });
});
