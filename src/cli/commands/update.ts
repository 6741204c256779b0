/** Knows `mcpstore update`: some keys of a service, or what it runs. */

import type { ServiceConfig } from '../../index.js';
import type { CommandModule } from '../command.js';
import { editConfig } from '../edit.js';
import { describeService, fieldsOf, type ServiceFlags, serviceOf } from '../target.js';
import { collect, UsageError } from '../usage.js';

interface Flags extends ServiceFlags {
  enabled?: boolean;
  removeEnv?: string[];
  removeHeader?: string[];
}

export const update: CommandModule = {
  describe(command) {
    command
      .argument('<service>')
      .argument('[target...]', 'a URL, or -- and a command with its arguments, in place of the old one')
      .option('--timeout <n>', 'longest time of one call: seconds below 1000, else milliseconds')
      .option('--disabled', 'do not start it any more')
      .option('--enabled', 'start it again')
      .option('--trusted', "believe its tools' hints on what may be repeated")
      .option('--no-trusted', 'believe them no more')
      .option('--remove-env <NAME>', 'take a variable out', collect)
      .option('--remove-header <Name>', 'take a header out', collect);
    describeService(command);
  },
  async run(run, [name, words]: [string, string[]], flags: Flags) {
    if (words.length === 0 && Object.keys(flags).length === 0)
      throw new UsageError('nothing to change', 'mcpstore help update shows what can be.');
    const file = await editConfig(run, false, async ({ scope, found, options }) => {
      scope.serviceInfo(name); // refuses an unknown name
      const old = scope.showConfig().mcpServers[name] ?? {};
      const fresh = words.length > 0 ? serviceOf(words, flags, found) : fieldsOf(flags, found);
      await scope.patchService(name, patchOf(old, fresh, flags, words.length > 0), options);
      return found.file;
    });
    await run.out.result({ updated: name, file }, () => '');
    run.out.note(`updated ${name} in ${file}`);
    return undefined;
  },
};

/** Variables and headers are joined with the old ones; another way to run it takes the old one's keys away. */
function patchOf(old: ServiceConfig, fresh: ServiceConfig, flags: Flags, isReplaced: boolean): ServiceConfig {
  const patch: Record<string, unknown> = { ...fresh };
  if (isReplaced) for (const key of goneBy(fresh)) patch[key] ??= undefined;
  const isOther = isReplaced && (old.url === undefined) !== (fresh.url === undefined);
  const join = (key: 'env' | 'headers', gone: readonly string[] | undefined): void => {
    if (isOther || (fresh[key] === undefined && gone === undefined)) return;
    const joined = { ...old[key], ...fresh[key] };
    for (const entry of gone ?? []) {
      if (!Object.hasOwn(joined, entry)) throw new UsageError(`${key} has no ${entry}`);
      delete joined[entry];
    }
    patch[key] = Object.keys(joined).length > 0 ? joined : undefined;
  };
  join('env', flags.removeEnv);
  join('headers', flags.removeHeader);
  if (flags.enabled) patch['disabled'] = undefined;
  if (flags.trusted !== undefined) patch['mcpstore'] = { ...old.mcpstore, trusted: flags.trusted };
  return patch as ServiceConfig;
}

function goneBy(fresh: ServiceConfig): string[] {
  return fresh.url === undefined
    ? ['url', 'headers', 'type', 'args', 'cwd']
    : ['command', 'args', 'env', 'envFile', 'cwd', 'type'];
}
