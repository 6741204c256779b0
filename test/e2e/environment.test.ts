/** A4: what of the parent's environment reaches a server, as the server's own process tells it. */

import { writeFileSync } from 'node:fs';
import { afterEach, expect, it } from 'vitest';
import { inFolder, run, useCommandLine } from '../support/command-line.js';
import { openStore, scripted, temporaryPath, textIn } from '../support/harness.js';

useCommandLine();

/** Of these a server gets the parent's value, where there is one; the list of the MCP SDK. */
const ALLOWED = ['HOME', 'LOGNAME', 'PATH', 'SHELL', 'TERM', 'USER', 'TMPDIR', 'LANG', 'LC_ALL'];
/** What the parent has: secrets, what makes a program load or do something else, and an exported shell function. */
const PARENT: Readonly<Record<string, string>> = {
  PARENT_TOKEN: 'canary-parent',
  AWS_SECRET_ACCESS_KEY: 'canary-aws',
  NODE_REPL_HISTORY: '/canary/history',
  LD_LIBRARY_PATH: '/canary/lib',
  HTTPS_PROXY: 'http://canary:1',
  MCPSTORE_ANYTHING: 'canary-own',
  LANG: 'C.UTF-8',
  LOGNAME: '() { canary; }',
};
const before = Object.fromEntries(Object.keys(PARENT).map((name) => [name, process.env[name]]));

afterEach(() => {
  for (const [name, value] of Object.entries(before))
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
});

/** All that may be there; the canary of the parent is in nothing of it. */
function expectAllowed(environment: Record<string, string>, parent: NodeJS.ProcessEnv, declared: object): void {
  const inherited = ALLOWED.filter((name) => parent[name] !== undefined && !parent[name].startsWith('()'));
  expect(environment).toEqual({ ...Object.fromEntries(inherited.map((name) => [name, parent[name]])), ...declared });
  expect(JSON.stringify(environment)).not.toContain('canary');
  expect(environment['LANG']).toBe('C.UTF-8');
}

const declared = { OWN: 'declared', FILLED: 'C.UTF-8', FILE: 'of the file', BOTH: 'env', TERM: 'declared-terminal' };
const written = { OWN: 'declared', FILLED: '${LANG}', BOTH: 'env', TERM: 'declared-terminal' };

it.skipIf(process.platform === 'win32')(
  'A4: of the environment the allow-list and what is declared, at each start, for every caller',
  async () => {
    Object.assign(process.env, PARENT);
    const envFile = temporaryPath('env');
    writeFileSync(envFile, 'FILE="of the file"\nBOTH=file\n');
    const store = await openStore({
      services: {
        plain: scripted(),
        own: scripted({}, { env: written, envFile }),
        alone: scripted({}, { mcpstore: { sharing: 'agent' } }),
        replicas: { env: { OWN: 'declared' }, mcpstore: { endpoints: [scripted() as never] } },
      },
    });
    const agent = store.forAgent('one', { services: ['alone'] });
    const all = async (scope: Pick<typeof store, 'callTool'>, service: string): Promise<Record<string, string>> =>
      JSON.parse(textIn(await scope.callTool(`${service}__env`)));
    expectAllowed(await all(store, 'plain'), process.env, {});
    await store.restartService('plain');
    expectAllowed(await all(store, 'plain'), process.env, {});
    expectAllowed(await all(store, 'own'), process.env, declared);
    expectAllowed(await all(agent as never, 'alone'), process.env, {});
    expectAllowed(await all(store, 'replicas'), process.env, { OWN: 'declared' });
    const leased = await store.lease('plain', (lease) => lease.callTool('env'));
    expectAllowed(JSON.parse(textIn(leased)), process.env, {});
  },
);

it.skipIf(process.platform === 'win32')('A4: the command line hands on no more', async () => {
  writeFileSync(inFolder('.env'), 'FILE=of the file\nBOTH=file\n');
  const { command, args } = scripted();
  const line = [command!, ...args!].map((word) => `'${word}'`).join(' ');
  const flags = [
    '--env-file=.env',
    ...Object.entries(written).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
  ];
  for (const [more, own] of [
    [[], {}],
    [flags, declared],
  ] as const) {
    const { code, stdout, stderr } = await run(['call', '--stdio', line, 'env', '--json', ...more], { env: PARENT });
    expect(code, stderr).toBe(0);
    const { HOME } = JSON.parse(textIn(JSON.parse(stdout)));
    expectAllowed(JSON.parse(textIn(JSON.parse(stdout))), { ...process.env, ...PARENT, HOME }, own);
  }
});
