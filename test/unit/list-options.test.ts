/** Options of a list are checked before anybody is asked. */

import { expect, it } from 'vitest';
import { MCPStore } from '../../src/index.js';

it.each([
  ['refresh', 'sometimes'],
  ['timeoutMs', 0],
  ['service', 7],
  ['signal', {}],
  ['unknown', true],
])('refuses %s: %s, naming it', async (option, value) => {
  const store = await MCPStore.open({ services: {}, stateDir: null });
  const listed = store.listTools({ [option]: value });
  await expect(listed).rejects.toMatchObject({ code: 'OPTION_INVALID', message: expect.stringContaining(option) });
  await store.close();
});
