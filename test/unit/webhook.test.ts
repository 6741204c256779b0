/** Knows how alerts are posted: to a server on this machine that answers as the test says. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import type { Alert, AlertRule } from '../../src/index.js';
import { FakeClock, settle } from '../support/fake-clock.js';
import { FakeServer, openStore } from '../support/fake-server.js';
import { until } from '../support/waiting.js';

interface Post {
  headers: IncomingMessage['headers'];
  url: string;
  alert: Alert;
}

/** Answers each post in turn; the last answer goes on to be given. */
async function site(
  ...answers: (number | ((response: ServerResponse) => void))[]
): Promise<{ url: string; posts: Post[] }> {
  const posts: Post[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    posts.push({ headers: request.headers, url: request.url!, alert: JSON.parse(body) });
    const answer = answers[Math.min(posts.length, answers.length) - 1] ?? 200;
    if (typeof answer === 'function') answer(response);
    else response.writeHead(answer, answer === 302 ? { location: '/elsewhere' } : {}).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(
    () =>
      new Promise<void>((done) => {
        server.closeAllConnections();
        server.close(() => done());
      }),
  );
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, posts };
}

const RULES: AlertRule[] = [{ name: 'used', when: { metric: 'calls', above: 0 }, cooldownMs: 0 }];

async function open(): Promise<{
  clock: FakeClock;
  store: Awaited<ReturnType<typeof openStore>>;
  logged: object[];
  /** Every time that was waited for, in milliseconds. */
  waits: number[];
  alert: () => Promise<void>;
}> {
  const clock = new FakeClock();
  const waits: number[] = [];
  const after = clock.after.bind(clock);
  clock.after = (ms, fn) => {
    waits.push(ms);
    return after(ms, fn);
  };
  const logged: object[] = [];
  const say = (fields: object, message: string): unknown => logged.push({ ...fields, message });
  const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: say };
  const performance = { monitoring: { rules: RULES, intervalMs: 100_000 } };
  const store = await openStore({ files: new FakeServer({ read: {} }, clock) }, clock, { performance, logger });
  onTestFinished(() => store.close());
  const alert = async (): Promise<void> => {
    await store.callTool('files__read');
    await clock.advance(100_000);
  };
  return { clock, store, logged, waits, alert };
}

it('posts every alert as JSON with the headers given, until that is ended', async () => {
  const { store, alert } = await open();
  const { url, posts } = await site(204);
  const end = store.alerts.webhook(`${url}/hook?key=secret`, { headers: { authorization: 'Bearer mine' } });
  await alert();
  await until(() => posts.length === 1, 'the alert');
  expect(posts[0]).toMatchObject({
    url: '/hook?key=secret',
    headers: { authorization: 'Bearer mine', 'content-type': 'application/json' },
    alert: { rule: 'used', service: 'files', state: 'firing', level: 'warning', health: { calls: 1 } },
  });
  end();
  await alert();
  await settle(20);
  expect(posts).toHaveLength(1);
});

it('tries again where that may help, in order', async () => {
  const { clock, store, logged, waits, alert } = await open();
  const { url, posts } = await site(500, 429, 200);
  // The clock jumps while an answer is on its way.
  store.alerts.webhook(`${url}/secret-path`, { timeoutMs: 1_000_000 });
  await alert();
  for (const [count, pause] of [
    [1, 1_000],
    [2, 2_000],
  ] as const) {
    await until(() => posts.length === count, `${count} posts`);
    await until(() => waits.at(-1) === pause, 'the pause');
    await clock.advance(pause - 1);
    await settle(20);
    expect(posts).toHaveLength(count);
    await clock.advance(1);
  }
  await until(() => posts.length === 3, 'the third post');
  await alert();
  await until(() => posts.length === 4, 'the second alert');
  expect(new Set(posts.slice(0, 3).map(({ alert: { at } }) => at)).size).toBe(1);
  expect(posts[3]!.alert.at).toBeGreaterThan(posts[0]!.alert.at);
  expect(logged).toEqual([]);
});

it('says so where no attempt helped, and shows nothing of the address but its origin', async () => {
  const { clock, store, logged, waits, alert } = await open();
  const { url, posts } = await site(503);
  store.alerts.webhook(`${url}/secret-path`);
  await alert();
  for (const [i, pause] of [1_000, 2_000, 4_000, 8_000].entries()) {
    await until(() => posts.length === i + 1, `${i + 1} posts`);
    await until(() => waits.at(-1) === pause, 'the pause');
    await clock.advance(pause);
  }
  await until(() => logged.length === 1, 'the log');
  expect(logged).toEqual([
    {
      ...{ webhook: url, rule: 'used', service: 'files', state: 'firing', problem: 'answered 503' },
      message: 'an alert did not reach its webhook',
    },
  ]);
  expect(posts).toHaveLength(5);
});

it('gives up at once where another attempt cannot help; follows no redirect', async () => {
  const { store, logged, alert } = await open();
  const { url, posts } = await site(404, 302);
  store.alerts.webhook(url);
  await alert();
  await until(() => logged.length === 1, 'the log');
  await alert();
  await until(() => logged.length === 2, 'the second log');
  expect(logged).toMatchObject([{ problem: 'answered 404' }, { problem: 'answered 302' }]);
  expect(posts.map((post) => post.url)).toEqual(['/', '/']);
});

it('waits no longer than its time-out, and ends with the store', async () => {
  const { clock, store, logged, waits, alert } = await open();
  const { url, posts } = await site(() => {});
  store.alerts.webhook(url, { timeoutMs: 700 });
  const refused = new URL(url);
  refused.port = '1';
  store.alerts.webhook(refused);
  await alert();
  await until(() => posts.length === 1, 'the post');
  await clock.advance(700);
  await until(() => waits.filter((ms) => ms === 1_000).length === 2, 'both pauses');
  await clock.advance(1_000);
  await until(() => posts.length === 2, 'the second attempt');
  await store.close();
  await settle(20);
  await clock.advance(100_000);
  expect([posts.length, clock.timers]).toEqual([2, 0]);
  expect(JSON.stringify(logged)).not.toContain('no answer');
});

it('takes http and https addresses alone, and options that it knows', async () => {
  const { store } = await open();
  const wrong: [unknown, object | undefined, string][] = [
    ['ftp://a/b', undefined, 'url: expected an http or https URL'],
    ['nowhere', undefined, 'url: expected'],
    [undefined, undefined, 'url: expected'],
    ['https://me:secret@a/b', undefined, 'credentials go into headers'],
    ['https://a', { timeoutMs: 0 }, 'timeoutMs: expected'],
    ['https://a', { headers: { a: 1 } }, 'headers.a: expected a string'],
    ['https://a', { headers: { a: 'secret\n1' } }, 'headers: expected names and values'],
    ['https://a', { retries: 1 }, 'retries: unknown option'],
  ];
  for (const [url, options, message] of wrong) {
    let thrown: Error | undefined;
    try {
      store.alerts.webhook(url as string, options);
    } catch (error) {
      thrown = error as Error;
    }
    expect(thrown?.message).toContain(message);
    expect(thrown?.message).not.toContain('secret');
  }
});
