/** Knows `mcpstore list`: which services there are. Starts nothing. */

import type { CommandModule } from '../command.js';
import { withoutTail } from '../failure.js';
import { maskConfig } from '../mask.js';
import { table } from '../render.js';
import { quoteWords } from '../words.js';

export const list: CommandModule = {
  describe() {},
  async run(run) {
    const { scope, found } = await run.open('none');
    // What earlier runs saw of the tools; nobody is asked.
    await scope.listTools({ refresh: 'never', signal: run.signal });
    const { mcpServers } = scope.showConfig();
    const services = scope.listServices().map((info) => {
      const config = maskConfig(mcpServers[info.name] ?? {});
      const target = config.url ?? quoteWords([config.command ?? '', ...(config.args ?? [])]);
      const { name, kind, disabled, tools, problem } = info;
      return { name, kind, disabled, tools, target, problem };
    });
    await run.out.result({ file: found?.file, services }, () => {
      if (services.length === 0) {
        run.out.note(`no services in ${found?.file}; mcpstore add adds one`);
        return '';
      }
      const rows = services.map(({ name, kind, disabled, tools, target, problem }) => [
        name,
        kind ?? '?',
        tools === undefined ? '' : String(tools),
        disabled ? 'disabled' : problem ? problem.code : '',
        problem ? withoutTail(problem.message)[0] : target,
      ]);
      return table(run.out, ['SERVICE', 'KIND', 'TOOLS', 'STATE', 'WHERE'], rows);
    });
    return undefined;
  },
};
