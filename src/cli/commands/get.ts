/** Knows `mcpstore get`: one service as it is configured, and what is known of its tools. Starts nothing. */

import { safeLine } from '../../_util/terminal-safe.js';
import type { CommandModule } from '../command.js';
import { maskConfig } from '../mask.js';

export const get: CommandModule = {
  describe(command) {
    command.argument('<service>').option('--show-secrets', 'show values of env, headers and the like as they are');
  },
  async run(run, [name]: [string], options: { showSecrets?: boolean }) {
    const { scope, found } = await run.open('none');
    scope.serviceInfo(name); // refuses an unknown name
    const tools = await scope.listTools({ service: name, refresh: 'never', signal: run.signal });
    const info = scope.serviceInfo(name);
    const own = scope.showConfig().mcpServers[name] ?? {};
    const config = options.showSecrets ? own : maskConfig(own);
    const value = { name, file: found?.file, kind: info.kind, disabled: info.disabled, problem: info.problem, config };
    await run.out.result({ ...value, tools: tools.map((tool) => tool.name) }, () => {
      const fields: [string, string][] = [
        ['file', found?.file ?? ''],
        ['kind', info.kind ?? '?'],
        ...(info.disabled ? [['state', 'disabled'] as [string, string]] : []),
        ...(info.problem ? [['problem', `${info.problem.code}: ${info.problem.message}`] as [string, string]] : []),
        ['tools', tools.length > 0 ? tools.map((tool) => tool.tool).join(', ') : 'not known yet'],
      ];
      const lines = fields.map(([key, text]) => `${key.padEnd(8)}${safeLine(text)}`);
      const json = JSON.stringify(config, undefined, 2).split('\n').map(safeLine);
      return [run.out.colors.bold(safeLine(name)), ...lines, ...json].join('\n');
    });
    return undefined;
  },
};
