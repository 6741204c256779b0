/** What is taken out of a server's words, and what stays readable. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  processSecrets,
  RedactedLines,
  redactedData,
  redactedError,
  redacting,
  redactorOf,
} from '../../src/connection/redact.js';
import { StoreError } from '../../src/errors.js';

function shown(text: string, env: Record<string, string>, args: string[] = []): string {
  return redacting(processSecrets(env, args))(text);
}

describe('a text', () => {
  it('loses values that are secret by their name, wherever they stand', () => {
    const env = { API_KEY: 'abcdef1', GITHUB_TOKEN: 'ghp_123456', DB_PASSWORD: 'hunter22', NOTES: '/home/me/notes' };
    expect(shown('abcdef1 ghp_123456,hunter22 in /home/me/notes', env)).toBe('*** ***,*** in /home/me/notes');
  });

  it('loses the longest first, and keeps what is too short to be told apart', () => {
    expect(shown('secret-long secret', { A_TOKEN: 'secret', B_TOKEN: 'secret-long', C_TOKEN: 'a' })).toBe('*** ***');
  });

  it('loses arguments: --key value, --token=value, KEY=value, a header, a query', () => {
    const args = ['serve', '--api-key', 'value-one', '--token=value-two', 'MY_SECRET=value-six', '--port', '123456'];
    const text = 'serve value-one value-two value-six on 123456';
    expect(shown(text, {}, args)).toBe('serve *** *** *** on 123456');
    const remote = [
      'mcp-remote',
      'https://a.b/mcp?api_key=value-one&mode=reading',
      '--header',
      'Authorization: Bearer value-two',
    ];
    expect(shown('https://a.b value-one reading: value-two', {}, remote)).toBe('https://a.b *** reading: ***');
  });

  it('loses the password of a URL under any name', () => {
    const url = 'postgres://me:s3cr3t-pw@db/notes';
    expect(shown(`cannot reach ${url} (s3cr3t-pw)`, { DATABASE_URL: url })).toBe('cannot reach *** (***)');
    expect(shown('postgres://db/notes', { DATABASE_URL: 'postgres://db/notes' })).toBe('postgres://db/notes');
  });

  it('loses them also as JSON and URLs write them, and each line of one that has several', () => {
    const env = { TOKEN: 'a"b\\c d/e', KEY: 'BEGIN KEY\nabcdefgh\nEND KEY' };
    const texts = [JSON.stringify({ t: env.TOKEN }), `?t=${encodeURIComponent(env.TOKEN)}&x`, 'line 2: abcdefgh'];
    expect(texts.map((text) => shown(text, env))).toEqual(['{"t":"***"}', '?t=***&x', 'line 2: ***']);
  });

  it('loses what an HTTP endpoint was given: headers, query, user and password', () => {
    const headers = { authorization: 'Bearer tok-123456', 'x-key': 'key-123456' };
    const redact = redactorOf({ kind: 'http', url: 'http://me:p%40ss-word@h/mcp?k=query-12', headers });
    const basic = Buffer.from('me:p@ss-word').toString('base64');
    for (const secret of [
      'Bearer tok-123456',
      'tok-123456',
      'key-123456',
      'p@ss-word',
      'p%40ss-word',
      'query-12',
      basic,
    ])
      expect(redact(`<${secret}>`)).toBe('<***>');
    expect(redact('http://h/mcp')).toBe('http://h/mcp');
    expect(redactorOf({ kind: 'sse', url: 'http://me:%@h/', headers: {} })('x')).toBe('x');
  });
});

describe('a stream of text', () => {
  const secrets = ['token-123456', '654321'];

  function told(pieces: readonly string[], maxHeld?: number): string[] {
    const out: string[] = [];
    const lines = new RedactedLines(redacting(secrets), (text) => out.push(text), maxHeld);
    for (const piece of pieces) lines.push(piece);
    lines.end();
    return out;
  }

  it('says the same however it is cut, and nothing of a secret', () => {
    const part = fc.oneof(fc.constantFrom(...secrets, '\n', 'token-', '12'), fc.string({ maxLength: 8 }));
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 20, size: 'max' }),
        fc.array(fc.nat(40), { maxLength: 20, size: 'max' }),
        (parts, cuts) => {
          const text = parts.join('');
          const pieces: string[] = [];
          let from = 0;
          for (const length of cuts) {
            pieces.push(text.slice(from, from + length));
            from += length;
          }
          pieces.push(text.slice(from));
          expect(told(pieces).join('')).toBe(redacting(secrets)(text));
        },
      ),
      { seed: 611, numRuns: 2_000 },
    );
  });

  it('is told line by line, and an unfinished line at its end', () => {
    expect(told(['a', 'b\nto', 'ken-123456\nlast'])).toEqual(['ab\n', '***\n', 'last']);
  });

  it('holds an endless line only so far, and no secret shows where it is cut', () => {
    const endless = `${'x'.repeat(95)}token-123456${'y'.repeat(100)}`;
    const out: string[] = [];
    const lines = new RedactedLines(redacting(secrets), (text) => out.push(text), 100);
    let most = 0;
    for (const char of endless) {
      lines.push(char);
      most = Math.max(most, lines.held);
    }
    expect(most).toBeLessThanOrEqual(100);
    lines.end();
    expect(out.join('')).toBe(`${'x'.repeat(95)}***${'y'.repeat(100)}`);
  });

  it('passes at once where there is no secret', () => {
    const out: string[] = [];
    new RedactedLines(redacting([]), (text) => out.push(text)).push('half a li');
    expect(out).toEqual(['half a li']);
  });
});

describe('an error', () => {
  const redact = redacting(['token-123456']);

  it('loses secrets in its message, data, figures, hint and causes, and keeps all else', () => {
    const inner = Object.assign(new TypeError('deep token-123456'), { code: 'EX', body: 'token-123456' });
    const error = new StoreError('RPC_ERROR', 'bad token-123456', {
      executed: 'yes',
      rpcCode: -1,
      data: { list: ['token-123456', 1], 'token-123456': true },
      figures: { status: 400, said: 'token-123456' },
      hint: 'not token-123456',
      cause: new Error('outer', { cause: inner }),
      service: 's',
    });
    const safe = redactedError(error, redact) as StoreError;
    expect(safe.toJSON()).toEqual({
      code: 'RPC_ERROR',
      message: 'bad ***',
      executed: 'yes',
      rpcCode: -1,
      data: { list: ['***', 1], '***': true },
      figures: { status: 400, said: '***' },
      hint: 'not ***',
      cause: 'outer',
      service: 's',
    });
    const cause = (safe.cause as Error).cause as Error & { code: string };
    expect([cause.name, cause.message, cause.code, 'body' in cause]).toEqual(['TypeError', 'deep ***', 'EX', false]);
    expect([safe.stack, cause.stack].join()).not.toContain('token-123456');
  });

  it('without one is the same object, and so is its cause', () => {
    const error = new StoreError('CANCELLED', 'cancelled', { cause: new Error('mine'), data: { a: [1, { b: 'x' }] } });
    expect(redactedError(error, redact)).toBe(error);
    expect(redactedData(error.data, redact)).toBe(error.data);
  });

  it('bears a cause that is its own, and data without end', () => {
    const loop = new Error('token-123456');
    loop.cause = loop;
    expect(redactedError(loop, redact).message).toBe('***');
    const data: Record<string, unknown> = {};
    data['self'] = data;
    expect(JSON.stringify(redactedData(data, redact))).toMatch(/^\{"self":/);
  });
});
