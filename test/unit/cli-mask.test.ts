/** What of a configuration may be shown (A3): templates, never values. */

import { expect, it } from 'vitest';
import { maskConfig, maskUrl, maskValue } from '../../src/cli/mask.js';

it.each([
  ['sk-canary', '***'],
  ['${TOKEN}', '${TOKEN}'],
  ['Bearer ${TOKEN}', 'Bearer ${TOKEN}'],
  ['Bearer canary', '***'],
  ['canary${TOKEN}', '***'],
  ['${TOKEN:-canary}', '${TOKEN:-***}'],
  ['', ''],
])('%s is shown as %s', (value, shown) => {
  expect(maskValue(value)).toBe(shown);
});

it('hides what an address holds', () => {
  expect(maskUrl('https://me:canary@example.com/mcp?key=canary&v=${V}')).toBe(
    'https://***@example.com/mcp?key=***&v=${V}',
  );
  expect(maskUrl('https://example.com/mcp')).toBe('https://example.com/mcp');
});

it('hides every place of a service', () => {
  const config = {
    command: 'x',
    args: ['--api-key', 'canary', '--token=canary', 'GITHUB_TOKEN=canary', '--port', '80', 'postgres://u:canary@h/db'],
    env: { A: 'canary', B: '${B}' },
  };
  const shown = JSON.stringify(maskConfig(config));
  expect(shown).not.toContain('canary');
  expect(maskConfig(config).args).toEqual([
    '--api-key',
    '***',
    '--token=***',
    'GITHUB_TOKEN=***',
    '--port',
    '80',
    'postgres://***@h/db',
  ]);
  expect(maskConfig({ url: 'https://h/', headers: { 'X-Key': 'canary' } }).headers).toEqual({ 'X-Key': '***' });
});
