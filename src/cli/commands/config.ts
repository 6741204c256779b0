/** Knows `mcpstore config`: which file is read, what it says, whether it is good, and whether it may be used. */

import { resolve } from 'node:path';
import { safeLine } from '../../_util/terminal-safe.js';
import type { ConfigDocument, FoundConfig, ServiceConfig } from '../../index.js';
import { canAsk, confirm } from '../ask.js';
import type { CommandModule } from '../command.js';
import { foreignLines } from '../edit.js';
import { maskConfig, maskInput } from '../mask.js';
import type { Run } from '../session.js';
import { showWhatRuns } from '../trust.js';
import { UsageError } from '../usage.js';

export const configPath: CommandModule = {
  describe() {},
  async run(run) {
    const { findConfig, isConfigApproved, loadConfig } = await import('../../index.js');
    const found = await findConfig({ config: run.options.config });
    let approved = true;
    if (found.exists && found.source === 'project')
      // A file that is no config is not approved either; `config check` says more.
      approved = await loadConfig(found.file).then(isConfigApproved, () => false);
    await run.out.result({ ...found, approved }, () => safeLine(found.file));
    if (!found.exists) run.out.note('it does not exist yet; mcpstore add makes it');
    else if (!approved) run.out.note('it is not approved; mcpstore config approve shows what it runs');
    return undefined;
  },
};

export const configShow: CommandModule = {
  describe(command) {
    command.option('--show-secrets', 'show values of env, headers and the like as they are');
  },
  async run(run, _, options: { showSecrets?: boolean }) {
    const { found, document } = await readFound(run, undefined);
    run.out.note(found.file);
    const shown = (map: ReadonlyMap<string, ServiceConfig>): Record<string, ServiceConfig> =>
      Object.fromEntries([...map].map(([name, config]) => [name, options.showSecrets ? config : maskConfig(config)]));
    const agents = [...document.agents].map(([id, agent]) => [
      id,
      { ...(agent.services && { services: agent.services }), mcpServers: shown(agent.mcpServers) },
    ]);
    await run.out.json({
      [document.servicesKey]: shown(document.services),
      ...(document.inputs.length > 0 && {
        inputs: options.showSecrets ? document.inputs : document.inputs.map(maskInput),
      }),
      ...(document.performance && { performance: document.performance }),
      ...(agents.length > 0 && { mcpstore: { agents: Object.fromEntries(agents) } }),
    });
    return undefined;
  },
};

export const configCheck: CommandModule = {
  describe(command) {
    command.argument('[file]', 'default: the file that is read');
  },
  async run(run, [file]: [string | undefined]) {
    const { found, document } = await readFound(run, file);
    const keys = foreignLines(document);
    await run.out.result(
      {
        file: found.file,
        ok: true,
        services: document.services.size,
        agents: document.agents.size,
        foreign: document.foreign,
      },
      () =>
        [
          `${safeLine(found.file)}: good; services: ${document.services.size}`,
          ...keys.map((key) => `  ${safeLine(key)}`),
        ].join('\n'),
    );
    return undefined;
  },
};

export const configApprove: CommandModule = {
  describe(command) {
    command.argument('[file]', 'default: ./mcp.json').option('--yes', 'without asking');
  },
  async run(run, [file]: [string | undefined], options: { yes?: boolean }) {
    const { approveConfig, isConfigApproved, loadConfig } = await import('../../index.js');
    const document = await loadConfig(resolve(file ?? run.options.config ?? 'mcp.json'));
    if (!(await isConfigApproved(document))) {
      if (!options.yes) {
        if (!canAsk()) throw new UsageError('nobody is here to ask', 'Run it on a terminal, or add --yes.');
        showWhatRuns(run, document);
        if (!(await confirm(run.interrupts, 'Approve this content of the file?'))) {
          run.out.note('not approved');
          return 3;
        }
      }
      await approveConfig(document);
    }
    await run.out.result({ file: document.file, approved: true }, () => '');
    run.out.note(`approved ${document.file} as it is now`);
    return undefined;
  },
};

/** A file that is only read needs no approval. */
async function readFound(
  run: Run,
  file: string | undefined,
): Promise<{ found: FoundConfig; document: ConfigDocument }> {
  const { findConfig, loadConfig } = await import('../../index.js');
  const found = await findConfig({ config: file ?? run.options.config });
  return { found, document: await loadConfig(found.file) };
}
