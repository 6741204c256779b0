/** `mcpstore run`: a flow from a file, its results and its failures, and signals in the middle of it. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  addScripted,
  EVERYTHING,
  ended,
  inFolder,
  json,
  ok,
  run,
  start,
  useCommandLine,
} from '../support/command-line.js';
import { scripted, temporaryPath } from '../support/harness.js';

useCommandLine();

const flowFile = (steps: object): string => {
  writeFileSync(inFolder('flow.json'), JSON.stringify(steps));
  return 'flow.json';
};
const echo = (from: string, more: object = {}): object => ({
  tool: 's__echo',
  arguments: { text: { $from: from } },
  ...more,
});

describe('a flow', () => {
  it('hands its input and its results on, and prints each step', async () => {
    await addScripted('s');
    const file = flowFile({
      last: echo('results.first.text', { when: { $from: 'input.loud', equals: true } }),
      first: echo('input.word'),
      off: echo('input.word', { when: { $from: 'input.loud', equals: false } }),
    });
    const { code, stdout, stderr } = await run(['run', file, 'word=hello', 'loud:=true']);
    expect({ code, stdout: stdout.replace(/[\d.]+ m?s/g, 'N ms') }).toEqual({
      code: 0,
      stdout: 'last (s__echo): N ms\nhello\n\nfirst (s__echo): N ms\nhello\n\noff (s__echo): skipped\n',
    });
    expect(stderr).toMatch(/^3 steps in .*: 2 ok, 1 skipped$/m);
    const args = '{"word":"x","loud":false}';
    const all: { results: object; steps: Record<string, object> } = await json(
      ...['run', file, '--args', args, '--concurrency', '1'],
    );
    expect(Object.keys(all.results)).toEqual(['first', 'off']);
    expect(all.results).toMatchObject({ off: { content: [{ type: 'text', text: 'x' }] } });
    expect(all.steps['last']).toMatchObject({ status: 'skipped', attempts: 0 });
  });

  it('of a server given on the command line, from stdin', async () => {
    const input = JSON.stringify({
      sum: { tool: 'get-sum', arguments: { a: 2, b: { $from: 'input.b' } } },
      say: { tool: 'echo', arguments: { message: { $from: 'results.sum.text' } } },
    });
    const { code, stdout } = await run(['run', '--stdio', EVERYTHING, '-', 'b:=3'], { input });
    expect({ code, said: stdout.includes('Echo: The sum of 2 and 3 is 5.') }).toEqual({ code: 0, said: true });
  });

  it('that is wrong is refused before anything starts, with the file and the place; --plan starts nothing either', async () => {
    const { command, args, pidFile } = scripted();
    await ok('add', 's', '--', command!, ...args!);
    const circle = flowFile({ a: { tool: 's__echo', needs: ['b'] }, b: echo('results.a.text') });
    expect(await run(['run', circle])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining(
        'error FLOW_INVALID: flow.json: steps need each other in a circle: a → b → a\nhint: mcpstore run --plan',
      ),
    });
    writeFileSync(inFolder('bad.json'), '{"a":');
    const bad = await run(['run', 'bad.json', '--json']);
    expect(bad.code).toBe(2);
    expect(JSON.parse(bad.stdout).error.code).toBe('FLOW_INVALID');
    for (const words of [['run'], ['run', 'none.json'], ['run', 'flow.json', 'word'], ['run', '-', '--args', '-']])
      expect(await run(words)).toMatchObject({ code: 2, stderr: expect.stringContaining('OPTION_INVALID') });

    const file = flowFile({ b: echo('results.a.text'), a: echo('input.word') });
    expect(await ok('run', file, '--plan')).toBe('1  a  s__echo\n2  b  s__echo  needs a\n');
    expect(await json('run', file, '--plan')).toEqual({
      levels: [[{ step: 'a', tool: 's__echo', needs: [] }], [{ step: 'b', tool: 's__echo', needs: ['a'] }]],
    });
    expect(existsSync(pidFile)).toBe(false);
    const lacks = await run(['run', flowFile({ a: echo('input.word') })]);
    expect(lacks).toMatchObject({ code: 2, stderr: expect.stringContaining('nothing at input.word: no "word"') });
  });

  it('that fails prints what was done, and exits with the code of its error', async () => {
    await addScripted('s');
    const file = flowFile({
      good: { tool: 's__echo', arguments: { text: 'so far' } },
      bad: { tool: 's__tool_error', needs: ['good'] },
      never: { tool: 's__echo', needs: ['bad'] },
    });
    const { code, stdout, stderr } = await run(['run', file]);
    expect(code).toBe(6);
    expect(stdout).toContain('so far');
    expect(stdout).not.toContain('never');
    expect(stderr).toMatch(/^3 steps in .*: 1 ok, 1 failed, 1 not run$/m);
    expect(stderr).toMatch(/^error TOOL_ERROR: step bad: s__tool_error: /m);
    const whole = await run(['run', file, '--json']);
    expect(whole.code).toBe(6);
    expect(JSON.parse(whole.stdout)).toMatchObject({
      error: { code: 'TOOL_ERROR', figures: { step: 'bad', done: ['good'], notRun: ['never'] } },
      results: { good: { content: [{ text: 'so far' }] } },
      steps: { never: { status: 'not_run' } },
    });
    const late = await run([
      'run',
      flowFile({ a: { tool: 's__sleep', arguments: { ms: 60_000 } } }),
      '--timeout-ms',
      '500',
    ]);
    expect(late).toMatchObject({ code: 7, stderr: expect.stringContaining('timed out after 500 ms, waiting for a') });
  });

  it('names the step whose service does not start', async () => {
    await ok('add', 'broken', '--', 'node', '-e', 'process.exit(3)');
    const file = flowFile({ only: { tool: 'broken__x' } });
    const { code, stderr } = await run(['run', file]);
    expect(code).toBe(5);
    expect(stderr).toMatch(/^error START_FAILED: step only: broken: /m);
  });
});

describe.skipIf(process.platform === 'win32')('a signal in the middle of a flow', () => {
  const steps = (tool: string, args: object): object => ({
    done: { tool: 's__echo', arguments: { text: 'so far' } },
    long: { tool: `s__${tool}`, arguments: args, needs: ['done'] },
    after: { tool: 's__echo', needs: ['long'] },
  });
  /** A flow in the middle of its second step: what was written to the server so far tells. */
  const running = async (tool: string, args: object) => {
    const { command, args: words } = scripted();
    const wire = temporaryPath('wire');
    const server = [command!, ...words!].map((word) => `'${word}'`).join(' ');
    await ok('add', 's', '--', 'sh', '-c', `tee ${wire} | ${server}`);
    const child = start(['run', flowFile(steps(tool, args))]);
    child.stdin!.end();
    const end = ended(child);
    const sent = (): string => (existsSync(wire) ? readFileSync(wire, 'utf8') : '');
    await expect.poll(sent, { timeout: 20_000 }).toContain(`"name":"${tool}"`);
    return { child, end };
  };

  it('cancels it and tells what was done', async () => {
    const { child, end } = await running('hang', {});
    child.kill('SIGINT');
    const { code, stdout, stderr } = await end;
    expect(code).toBe(130);
    expect(stdout).toContain('so far');
    expect(stderr).toMatch(/1 ok, 1 cancelled, 1 not run/);
  });

  it('lets what runs finish on SIGTERM, and begins nothing more', async () => {
    const { child, end } = await running('sleep', { ms: 2_000, text: 'woken' });
    child.kill('SIGTERM');
    const { code, stdout, stderr } = await end;
    expect(code).toBe(143);
    expect(stdout).toContain('woken');
    expect(stderr).toMatch(/2 ok, 1 failed/);
  });
});
