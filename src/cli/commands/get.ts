/** Knows `mcpstore get`: one service as it is configured, and what is known of its tools. Starts nothing. */

import { safeLine } from '../../_util/terminal-safe.js';
import type { CommandModule } from '../command.js';
import { maskConfig } from '../mask.js';
import { restingState } from '../service-state.js';

export const get: CommandModule = {
  describe(command) {
    command.argument('<service>').option('--show-secrets', 'show values of env, headers and the like as they are');
  },
  async run(run, [name]: [string], options: { showSecrets?: boolean }) {
    const { scope, found, document } = await run.open('none');
    scope.serviceInfo(name); // refuses an unknown name
    const tools = await scope.listTools({ service: name, refresh: 'never', signal: run.signal });
    const own = scope.showConfig().mcpServers[name] ?? {};
    const state = restingState(scope.serviceInfo(name), own, run.options.inputs, document?.inputs ?? []);
    const { kind, disabled, needsInputs, problem } = state;
    const config = options.showSecrets ? own : maskConfig(own);
    const value = { name, file: found?.file, ...state, config };
    await run.out.result({ ...value, tools: tools.map((tool) => tool.name) }, () => {
      const fields: [string, string][] = [
        ['file', found?.file ?? ''],
        ['kind', kind ?? '?'],
        ...(disabled ? [['state', 'disabled'] as [string, string]] : []),
        ...needsInputs.map((id): [string, string] => [
          'input',
          `${id}: asked for when it starts on a terminal; elsewhere --input ${id}=… gives it`,
        ]),
        ...(problem ? [['problem', `${problem.code}: ${problem.message}`] as [string, string]] : []),
        ['tools', tools.length > 0 ? tools.map((tool) => tool.tool).join(', ') : 'not known yet'],
      ];
      const lines = fields.map(([key, text]) => `${key.padEnd(8)}${safeLine(text)}`);
      const json = JSON.stringify(config, undefined, 2).split('\n').map(safeLine);
      return [run.out.colors.bold(safeLine(name)), ...lines, ...json].join('\n');
    });
    return undefined;
  },
};
