/** The public surface: a change of it is to be meant. Update the snapshot with `npm test -- test/guard/exports -u`. */

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import * as mcpstore from '../../src/index.js';

const index = readFileSync(new URL('../../src/index.ts', import.meta.url), 'utf8');

it('exports these values and types', () => {
  const types = [...index.matchAll(/export type \{([^}]*)\}/g)].flatMap(([, names]) => names!.split(','));
  expect({
    values: Object.keys(mcpstore).sort(),
    types: types
      .map((name) => name.trim())
      .filter((name) => name !== '')
      .sort(),
  }).toMatchSnapshot();
});

it('names everything, and has no default', () => {
  expect(index).not.toMatch(/export \*|export default/);
});

it('shows these verbs on a store and on an agent’s view of it', () => {
  const verbsOf = (own: object): string[] =>
    Object.getOwnPropertyNames(own)
      .filter((name) => name !== 'constructor')
      .sort();
  const store = mcpstore.MCPStore.prototype;
  expect({ store: verbsOf(store), scope: verbsOf(Object.getPrototypeOf(store)) }).toMatchSnapshot();
});
