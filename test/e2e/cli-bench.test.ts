/** `mcpstore bench` on real stdio servers: figures, rates, sweeps, baselines, reports, exit codes. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { BenchmarkResult } from '../../src/index.js';
import {
  addScripted,
  configOf,
  EVERYTHING,
  ended,
  inFolder,
  json,
  run,
  start,
  useCommandLine,
} from '../support/command-line.js';
import { scripted } from '../support/harness.js';

useCommandLine();

interface Report {
  tool: string;
  cache: boolean;
  results: BenchmarkResult[];
  comparison?: { slower: boolean; runs: object[] };
}

const everything = ['bench', '--stdio', EVERYTHING, 'echo', 'message=hi'];

describe('a bench', () => {
  it('of server-everything has the figures of its calls, as JSON and for people', async () => {
    const report: Report = await json(...everything, '-n', '60', '-c', '4', '--warmup', '5');
    expect(report).toMatchObject({ tool: 'echo', cache: false });
    const [result] = report.results;
    expect(result).toMatchObject({ name: 'server__echo', iterations: 60, concurrency: 4, warmup: 5, errors: 0 });
    expect(result).toMatchObject({ toolErrors: 0, successRate: 1, errorCodes: {} });
    const { minMs, p50Ms, p95Ms, p99Ms, maxMs, p50IntervalMs, callsPerSecond, histogram } = result!;
    const inOrder = [0, minMs, p50IntervalMs[0], p50Ms, p50IntervalMs[1], maxMs];
    expect(inOrder).toEqual([...inOrder].sort((a, b) => a - b));
    expect([p50Ms, p95Ms, p99Ms, maxMs]).toEqual([p50Ms, p95Ms, p99Ms, maxMs].sort((a, b) => a - b));
    expect(callsPerSecond).toBeGreaterThan(1);
    expect(histogram.reduce((sum, { count }) => sum + count, 0)).toBe(60);
    const { code, stdout } = await run([...everything, '-n', '20']);
    expect(code).toBe(0);
    for (const part of ['(closed loop, 1 at a time', '20: 20 ok, 0 tool errors', 'calls/s', '95 % interval', '│█'])
      expect(stdout).toContain(part);
  });

  it('takes 100 calls, 10 before, one at a time, unless performance.benchmark says otherwise', async () => {
    await addScripted('s');
    const { results }: Report = await json('bench', 's', 'echo', 'text=x');
    expect(results[0]).toMatchObject({ iterations: 100, warmup: 10, concurrency: 1 });
    const performance = { benchmark: { iterations: 7, warmup: 0, concurrency: 2 } };
    const config = configOf({ s: scripted() }, { performance });
    const own: Report = await json('bench', 's', 'echo', 'text=x', ...config);
    expect(own.results[0]).toMatchObject({ iterations: 7, warmup: 0, concurrency: 2 });
  });

  it('begins calls at a rate for a time, and counts the wait that a slow tool causes', async () => {
    await addScripted('s', { callDelayMs: 60 });
    const { results }: Report = await json('bench', 's__echo', 'text=x', '--rate', '50', '--duration', '400ms');
    expect(results[0]).toMatchObject({ iterations: 20, ratePerSecond: 50 });
    expect(results[0]!.concurrency).toBeUndefined();
    expect(results[0]!.minMs).toBeGreaterThanOrEqual(55);
    // Three are under way at a time: one after the other there cannot be more than 16.7 a second.
    expect(results[0]!.callsPerSecond).toBeGreaterThan(17.5);
  });

  it('sweeps over concurrencies, with a line for each', async () => {
    await addScripted('s', { callDelayMs: 100 });
    const words = ['bench', 's__echo', 'text=x', '-n', '16', '--warmup', '1', '--sweep', '1,8'];
    const { code, stdout } = await run([...words, '--html', 'r.html', '--save', 'r.json']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/1 at a time .*\n8 at a time /);
    const { results } = JSON.parse(readFileSync(inFolder('r.json'), 'utf8')) as Report;
    expect(results.map(({ concurrency }) => concurrency)).toEqual([1, 8]);
    // One after the other there cannot be more than ten a second, however busy the machine.
    expect(results[0]!.callsPerSecond).toBeLessThan(10.5);
    expect(results[1]!.callsPerSecond).toBeGreaterThan(10.5);
    const page = readFileSync(inFolder('r.html'), 'utf8');
    expect(page).toContain('By concurrency');
    expect(page).not.toMatch(/https?:|<script/);
  });
});

describe('a baseline', () => {
  it('is saved and compared with; what is slower than the bound exits with 8 and is not saved', async () => {
    await addScripted('s', { callDelayMs: 10 });
    const words = ['bench', 's', 'echo', 'text=x', '-n', '20'];
    expect(await run([...words, '--save', 'b.json'])).toMatchObject({ code: 0 });
    const saved = readFileSync(inFolder('b.json'), 'utf8');
    const same = await run([...words, '--baseline', 'b.json', '--max-slower', '900']);
    expect(same).toMatchObject({ code: 0, stdout: expect.stringContaining('against the baseline of ') });
    const fast = JSON.parse(saved) as Report;
    fast.results[0]!.p50Ms /= 10;
    writeFileSync(inFolder('fast.json'), JSON.stringify(fast));
    const slow = await run([...words, '--baseline', 'fast.json', '--save', 'b.json']);
    expect(slow).toMatchObject({ code: 8, stdout: expect.stringMatching(/slower\n*$/) });
    expect(slow.stderr).toMatch(
      /error LIMIT_EXCEEDED: s__echo: with 1 at a time, p50 is .* slower than the baseline; the bound is 10 %/,
    );
    expect(readFileSync(inFolder('b.json'), 'utf8')).toBe(saved);
    const told = await run([...words, '--baseline', 'fast.json', '--json']);
    expect(told.code).toBe(8);
    expect((JSON.parse(told.stdout) as Report).comparison).toMatchObject({ slower: true, runs: [{ slower: true }] });
  });

  it('of another load is refused before anything is measured', async () => {
    const ledger = inFolder('ledger');
    await addScripted('s', { ledger });
    await run(['bench', 's', 'echo', 'text=x', '-n', '6', '--save', 'b.json']);
    const failed = await run(['bench', 's', 'echo', 'text=x', '-c', '2', '--baseline', 'b.json']);
    expect(failed).toMatchObject({ code: 2, stdout: '' });
    expect(failed.stderr).toContain('error OPTION_INVALID: --baseline: b.json: it has no run with 2 at a time');
    const other = await run(['bench', 's', 'effect', '--baseline', 'b.json']);
    expect(other).toMatchObject({ code: 2, stderr: expect.stringContaining('it is of the tool echo, not of effect') });
    expect(existsSync(ledger)).toBe(false);
  });
});

describe('exit codes', () => {
  it('is 1 for a report that cannot be written, whose figures are shown all the same', async () => {
    await addScripted('s');
    const failed = await run(['bench', 's', 'echo', 'text=x', '-n', '6', '--html', 'nowhere/r.html']);
    expect(failed).toMatchObject({ code: 1, stdout: expect.stringContaining('6: 6 ok') });
    expect(failed.stderr).toContain('error FILE_FAILED: cannot write nowhere/r.html: ');
  });

  it('are 6 for results with isError, and that of the first error for errors', async () => {
    await addScripted('s');
    const tool = await run(['bench', 's', 'tool_error', '-n', '8', '--warmup', '0', '--json']);
    expect(tool).toMatchObject({ code: 6, stderr: expect.stringContaining('8 of 8 results report an error') });
    expect((JSON.parse(tool.stdout) as Report).results[0]).toMatchObject({ toolErrors: 8, errors: 0, p50Ms: null });
    const slow = ['bench', 's', 'sleep', 'ms:=5000', '-n', '2', '--warmup', '0', '--timeout-ms', '300', '--json'];
    const late = await run(slow);
    expect(late).toMatchObject({ code: 7, stderr: expect.stringContaining('error TIMEOUT') });
    expect((JSON.parse(late.stdout) as Report).results[0]).toMatchObject({ errors: 2, errorCodes: { TIMEOUT: 2 } });
  });

  it.each([
    [['--rate', '5', '-c', '2'], '--rate: does not go with --concurrency'],
    [['-n', '5', '--duration', '1s'], '--iterations: does not go with --duration'],
    [['--sweep', '1,x'], '--sweep: expected a whole number'],
    [['--rate', 'fast'], '--rate: expected a number'],
    [['--max-slower', '5'], '--max-slower: goes with --baseline'],
    [['--hurry'], "unknown option '--hurry'"],
  ])('are 2 for %j, and nothing is started', async (flags, message) => {
    const pidFile = await addScripted('s');
    const failed = await run(['bench', 's', 'echo', ...flags]);
    expect(failed).toMatchObject({ code: 2, stdout: '' });
    expect(failed.stderr).toContain(`error OPTION_INVALID: ${message}`);
    expect(existsSync(pidFile)).toBe(false);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('after %s is %d, soon, and no server is left', async (signal, code) => {
    const ledger = inFolder('ledger');
    await addScripted('s', { ledger });
    const child = start(['bench', 's', 'effect', '--duration', '60s']);
    const end = ended(child);
    await expect.poll(() => existsSync(ledger), { timeout: 20_000 }).toBe(true);
    child.kill(signal);
    const since = performance.now();
    const done = await end;
    expect(done).toMatchObject({ code, stdout: '' });
    // Calls in flight may go on for 8 s then; to begin others would take all of them.
    expect(performance.now() - since).toBeLessThan(6_000);
  });
});

it('reaches the server with every call though the result cache is on, unless --cache lets it answer', async () => {
  const performance = { resultCache: { enabled: true } };
  const config = configOf({ s: scripted({ callDelayMs: 40 }) }, { performance });
  const words = ['bench', 's', 'peek', 'n=1', '-n', '10', '--warmup', '1', ...config];
  const off: Report = await json(...words);
  expect(off).toMatchObject({ cache: false, results: [{ successRate: 1 }] });
  expect(off.results[0]!.minMs).toBeGreaterThanOrEqual(35);
  const on: Report = await json(...words, '--cache');
  expect(on).toMatchObject({ cache: true, results: [{ successRate: 1 }] });
  // The list of tools that arrives meanwhile may drop what was kept once.
  expect(on.results[0]!.p50Ms).toBeLessThan(35);
});
