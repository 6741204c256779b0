/** Knows `mcpstore auth`: signs a person in and out of services that take OAuth, and says who is signed in. */

import type { Command } from 'commander';
import { safeLine } from '../../_util/terminal-safe.js';
import type { MCPStore, SignInStatus } from '../../index.js';
import { openBrowser } from '../browser.js';
import type { CommandModule } from '../command.js';
import { table } from '../render.js';
import type { Opened, Run } from '../session.js';
import { openTarget } from '../target.js';

/** As for a call that was refused for its credentials. */
const NOT_SIGNED_IN = 9;

const service = (command: Command): Command => command.argument('<service>', 'a service or a URL');

export const authLogin: CommandModule = {
  describe(command) {
    service(command)
      .option('--scope <names>', 'ask for these scopes too; names with spaces between them')
      .option('--no-browser', 'print the address alone');
  },
  async run(run, [word]: [string], options: { scope?: string; browser: boolean }) {
    const { store, name } = await openOne(run, word, [word]);
    await store.auth.login(name, {
      signal: run.signal,
      ...(options.scope !== undefined && { scope: options.scope }),
      onAuthorize({ url }) {
        run.out.error(`Sign in here: ${safeLine(url)}`);
        if (options.browser) openBrowser(url);
        run.out.note('waiting for the browser to come back; Ctrl-C gives up');
        return undefined;
      },
    });
    const statuses = await store.auth.status(name);
    await run.out.result({ services: statuses }, () => shown(run, statuses));
    return undefined;
  },
};

export const authStatus: CommandModule = {
  describe(command) {
    command.argument('[service]', 'a service or a URL; default: all that may sign in');
  },
  async run(run, [word]: [string | undefined]) {
    const { store, name } = await openOne(run, word, 'none');
    const statuses = await store.auth.status(name);
    await run.out.result({ services: statuses }, () => {
      if (statuses.length === 0) run.out.note('no service here signs in: that is for those with a URL');
      return statuses.length === 0 ? '' : shown(run, statuses);
    });
    return word !== undefined && statuses.some(({ signedIn }) => !signedIn) ? NOT_SIGNED_IN : undefined;
  },
};

export const authLogout: CommandModule = {
  describe(command) {
    service(command);
  },
  async run(run, [word]: [string]) {
    const { store, name } = await openOne(run, word, 'none');
    const signedOut = await store.auth.logout(name!, { signal: run.signal });
    await run.out.result({ service: word, signedOut }, () => '');
    run.out.note(signedOut ? `signed out of ${word}` : `nobody was signed in to ${word}`);
    return undefined;
  },
};

/** The store, and the service by the name that it has there. */
async function openOne<W extends string | undefined>(
  run: Run,
  word: W,
  wanted: 'none' | readonly string[],
): Promise<{ store: MCPStore; name: W extends string ? string : string | undefined }> {
  const target = await openTarget(run, word === undefined ? [] : [word], {}, () => wanted);
  const [named] = target.words;
  const name = target.given ?? (named === undefined ? undefined : fullName(run, target, named));
  return { store: target.store, name: name as W extends string ? string : string | undefined };
}

/** An agent's own service stands under its id. */
function fullName({ options }: Run, { scope, document }: Opened, name: string): string {
  const { agent } = options;
  scope.serviceInfo(name); // refuses an unknown name
  return agent !== undefined && document?.agents.get(agent)?.mcpServers.has(name) ? `${agent}.${name}` : name;
}

function shown(run: Run, statuses: readonly SignInStatus[]): string {
  const rows = statuses.map(({ service: name, signedIn, expiresAt, refreshable, scope = '', url }) => [
    name,
    !signedIn ? 'not signed in' : ended(expiresAt) && !refreshable ? 'ended' : 'signed in',
    signedIn && expiresAt !== undefined && !refreshable ? expiresAt : '',
    scope,
    url,
  ]);
  return table(run.out, ['SERVICE', 'STATE', 'UNTIL', 'SCOPE', 'WHERE'], rows);
}

function ended(expiresAt: string | undefined): boolean {
  return expiresAt !== undefined && Date.parse(expiresAt) <= Date.now();
}
