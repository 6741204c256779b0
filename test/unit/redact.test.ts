/** What is taken out of a server's words, and what stays readable. */

import { expect, it } from 'vitest';
import { processSecrets, redacting } from '../../src/connection/redact.js';

function shown(text: string, env: Record<string, string>, args: string[] = []): string {
  return redacting(processSecrets(env, args))(text);
}

it('takes values out that are secret by their name, wherever they stand', () => {
  const env = { API_KEY: 'abcdef1', GITHUB_TOKEN: 'ghp_123456', DB_PASSWORD: 'hunter22', NOTES: '/home/me/notes' };
  expect(shown('abcdef1 ghp_123456,hunter22 in /home/me/notes', env)).toBe('*** ***,*** in /home/me/notes');
});

it('takes the longest first, and leaves what is too short to be told apart', () => {
  expect(shown('secret-long secret', { A_TOKEN: 'secret', B_TOKEN: 'secret-long', C_TOKEN: 'a' })).toBe('*** ***');
});

it('knows arguments: --key value, --token=value, KEY=value', () => {
  const args = ['serve', '--api-key', 'value-one', '--token=value-two', 'MY_SECRET=value-six', '--port', '123456'];
  const text = 'serve value-one value-two value-six on 123456';
  expect(shown(text, {}, args)).toBe('serve *** *** *** on 123456');
});

it('knows the password of a URL under any name', () => {
  const url = 'postgres://me:s3cr3t-pw@db/notes';
  expect(shown(`cannot reach ${url} (s3cr3t-pw)`, { DATABASE_URL: url })).toBe('cannot reach *** (***)');
  expect(shown('postgres://db/notes', { DATABASE_URL: 'postgres://db/notes' })).toBe('postgres://db/notes');
});
