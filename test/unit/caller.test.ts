/** Knows how every error has to say what it is about: subject, place, attempts, and whether the call may have run. */

import { describe, expect, it } from 'vitest';
import { NewRecord } from '../../src/call.js';
import { errorAt, outcomeOf, runCall } from '../../src/caller.js';
import { asError, ERROR_CODES, type Executed, isStoreError, StoreError } from '../../src/errors.js';
import { fakeCall } from '../support/fake-call.js';
import { FakeClock, failure } from '../support/fake-clock.js';

function run(
  outcome: unknown,
  attempts = 2,
): { clock: FakeClock; records: unknown[]; ended: Promise<Record<string, unknown>> } {
  const clock = new FakeClock();
  const records: unknown[] = [];
  const record = { ...new NewRecord('', 'files', 'read', clock.now()), attempts, endpoint: 'node' };
  const ended = runCall(
    fakeCall(clock, { record }),
    () => {
      clock.jump(30);
      return outcome instanceof Error ? Promise.reject(outcome) : Promise.resolve(outcome as Record<string, unknown>);
    },
    { clock, observe: (call) => records.push({ ...call.record }), trace: () => undefined },
  );
  return { clock, records, ended };
}

describe('a call that ends', () => {
  it('hands over the result untouched, and its record once', async () => {
    const result = { content: [], extra: { x: 1 } };
    const { ended, records } = run(result);
    expect(await ended).toBe(result);
    expect(records).toEqual([
      expect.objectContaining({ outcome: 'ok', executed: 'yes', totalMs: 30, code: undefined }),
    ]);
  });

  it('with isError has a result of its own kind', async () => {
    const { ended, records } = run({ content: [], isError: true });
    await ended;
    expect(records).toEqual([expect.objectContaining({ outcome: 'tool_error', executed: 'yes' })]);
  });

  it('with an error says in its record what it said to the caller', async () => {
    for (const [code, executed, outcome] of [
      ['RPC_ERROR', 'yes', 'failed'],
      ['OUTCOME_UNKNOWN', 'unknown', 'unknown'],
      ['LIMIT_EXCEEDED', 'no', 'not_sent'],
    ] as const) {
      const { ended, records } = run(new StoreError(code, 'x', { executed }));
      const error = await failure(ended);
      expect(error).toMatchObject({ code, executed, service: 'files', tool: 'read', endpoint: 'node', attempts: 2 });
      expect(records).toEqual([expect.objectContaining({ outcome, code, executed, totalMs: 30 })]);
      expect(outcomeOf(error as unknown as StoreError)).toBe(outcome);
    }
  });

  it('puts the tool before what is about the call, the service before what is about the service', async () => {
    const messages: Record<string, string> = {};
    for (const code of Object.keys(ERROR_CODES) as (keyof typeof ERROR_CODES)[])
      messages[code] = (await failure(run(new StoreError(code, 'x')).ended)).message;
    const about = (subject: string): string[] =>
      Object.keys(messages).filter((code) => messages[code] === `${subject}: x`);
    expect(about('files').sort()).toEqual([
      'AUTH_REQUIRED',
      'CONFIG_INVALID',
      'CONNECT_FAILED',
      'FORBIDDEN',
      'LIMIT_EXCEEDED',
      'RATE_LIMITED',
      'SERVICE_DOWN',
      'SPAWN_FAILED',
      'START_FAILED',
      'STORE_CLOSED',
    ]);
    expect(about('files').length + about('files__read').length).toBe(Object.keys(ERROR_CODES).length);
    // A time-out before any attempt was a wait for the service.
    expect((await failure(run(new StoreError('TIMEOUT', 'x'), 0).ended)).message).toBe('files: x');
    expect((await failure(run(new StoreError('TIMEOUT', 'x'), 1).ended)).message).toBe('files__read: x');
  });

  it('never names the subject twice', async () => {
    expect((await failure(run(new StoreError('RPC_ERROR', 'files__read: x')).ended)).message).toBe('files__read: x');
  });

  it('with a thing that is no error of ours is PROTOCOL_ERROR, and may have run', async () => {
    const thrown = new TypeError('oops');
    expect(await failure(run(thrown).ended)).toMatchObject({
      code: 'PROTOCOL_ERROR',
      executed: 'unknown',
      message: 'files__read: oops',
      cause: thrown,
    });
  });

  it('gives each caller an error of its own, with all that the first one knew', () => {
    const cause = new Error('deep');
    const first = new StoreError('RPC_ERROR', 'x', {
      executed: 'yes',
      figures: { n: 1 },
      hint: 'h',
      rpcCode: -1,
      data: { d: 1 },
      cause,
    });
    const second = errorAt(first, 'files', { service: 'files', attempts: 3 });
    expect(second).not.toBe(first);
    expect([first.message, first.service]).toEqual(['x', undefined]);
    expect(second).toMatchObject({
      message: 'files: x',
      executed: 'yes',
      figures: { n: 1 },
      hint: 'h',
      rpcCode: -1,
      data: { d: 1 },
      cause,
      attempts: 3,
    });
  });
});

describe('StoreError', () => {
  it('is plain in logs: empty fields left out, the cause by its message', () => {
    const bare = new StoreError('TIMEOUT', 'late');
    expect(bare.toJSON()).toEqual({ code: 'TIMEOUT', message: 'late', executed: 'no' });
    const full = new StoreError('RPC_ERROR', 'x', {
      service: 's',
      tool: 't',
      endpoint: 'e',
      attempts: 2,
      executed: 'yes' satisfies Executed,
      figures: { n: 1 },
      hint: 'h',
      rpcCode: 5,
      data: 0,
      cause: new Error('deep'),
    });
    expect(JSON.parse(JSON.stringify(full))).toEqual({
      code: 'RPC_ERROR',
      message: 'x',
      executed: 'yes',
      service: 's',
      tool: 't',
      endpoint: 'e',
      figures: { n: 1 },
      hint: 'h',
      rpcCode: 5,
      data: 0,
      attempts: 2,
      cause: 'deep',
    });
  });

  it('is recognised also from a second copy of the package, and by its code', () => {
    const foreign = Object.assign(new Error('x'), { name: 'StoreError', code: 'TIMEOUT' });
    expect([isStoreError(foreign), isStoreError(foreign, 'TIMEOUT'), isStoreError(foreign, 'CANCELLED')]).toEqual([
      true,
      true,
      false,
    ]);
    expect([isStoreError(new Error('x')), isStoreError({ name: 'StoreError' }), isStoreError(undefined)]).toEqual([
      false,
      false,
      false,
    ]);
  });

  it('has an HTTP status and an exit code for every code', () => {
    for (const code of Object.keys(ERROR_CODES) as (keyof typeof ERROR_CODES)[]) {
      const error = new StoreError(code, 'x');
      expect(error.httpStatus).toBeGreaterThanOrEqual(400);
      expect(error.exitCode).toBeGreaterThan(0);
    }
    expect(new StoreError('CANCELLED', 'x')).toMatchObject({ httpStatus: 499, exitCode: 130 });
  });

  it('makes an error of anything that was thrown', () => {
    const error = new Error('x');
    expect(asError(error)).toBe(error);
    expect([asError('text').message, asError(undefined).message, asError({ toString: () => 'odd' }).message]).toEqual([
      'text',
      'undefined',
      'odd',
    ]);
  });
});
