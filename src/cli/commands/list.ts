/** Knows `mcpstore list`: which services there are. Starts nothing. */

import type { CommandModule } from '../command.js';
import { withoutTail } from '../failure.js';
import { maskConfig } from '../mask.js';
import { table } from '../render.js';
import { restingState } from '../service-state.js';
import { quoteWords } from '../words.js';

export const list: CommandModule = {
  describe() {},
  async run(run) {
    const { scope, found, document } = await run.open('none');
    // What earlier runs saw of the tools; nobody is asked.
    await scope.listTools({ refresh: 'never', signal: run.signal });
    const { mcpServers } = scope.showConfig();
    const services = scope.listServices().map((info) => {
      const own = mcpServers[info.name] ?? {};
      const { kind, disabled, needsInputs, problem } = restingState(
        info,
        own,
        run.options.inputs,
        document?.inputs ?? [],
      );
      const config = maskConfig(own);
      const [{ command, url, args = [] } = config] =
        (config.command ?? config.url) ? [config] : (config.mcpstore?.endpoints ?? []);
      const target = url ?? quoteWords([command ?? '', ...args]);
      return { name: info.name, kind, disabled, tools: info.tools, target, needsInputs, problem };
    });
    await run.out.result({ file: found?.file, services }, () => {
      if (services.length === 0) {
        run.out.note(`no services in ${found?.file}; mcpstore add adds one`);
        return '';
      }
      if (services.some(({ disabled, needsInputs }) => !disabled && needsInputs.length > 0))
        run.out.note('inputs are asked for when a service starts on a terminal; elsewhere --input <id>=… gives them');
      const rows = services.map(({ name, kind, disabled, tools, target, needsInputs, problem }) => [
        name,
        kind ?? '?',
        tools === undefined ? '' : String(tools),
        disabled
          ? 'disabled'
          : problem
            ? problem.code
            : needsInputs.length > 0
              ? `needs input ${needsInputs.join(', ')}`
              : '',
        problem ? withoutTail(problem.message)[0] : target,
      ]);
      return table(run.out, ['SERVICE', 'KIND', 'TOOLS', 'STATE', 'WHERE'], rows);
    });
    return undefined;
  },
};
