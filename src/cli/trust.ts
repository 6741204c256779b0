/** Knows how the user's word for a project's file is asked for: by showing everything that it would run. */

import { safeLine } from '../_util/terminal-safe.js';
import type { ConfigDocument, ServiceConfig } from '../index.js';
import { canAsk, confirm } from './ask.js';
import type { Run } from './session.js';
import { quoteWords } from './words.js';

/** @throws StoreError `NOT_TRUSTED` where this content was not approved, and is not now. */
export async function needApproval(run: Run, document: ConfigDocument): Promise<void> {
  const { isConfigApproved, StoreError } = await import('../index.js');
  if (await isConfigApproved(document)) return;
  if (canAsk()) {
    showWhatRuns(run, document);
    if (await confirm(run.interrupts, 'Approve this content of the file?')) {
      await remember(run, document);
      return;
    }
  }
  const file = document.file!;
  throw new StoreError('NOT_TRUSTED', `${file}: you have not approved what this file runs`, {
    figures: { file },
    hint: 'Look at it, then run: mcpstore config approve; or name a file with --config.',
  });
}

/** Approves; where that cannot be remembered, it holds for this once. */
async function remember(run: Run, document: ConfigDocument): Promise<void> {
  const { approveConfig, isStoreError } = await import('../index.js');
  try {
    await approveConfig(document);
  } catch (error) {
    if (!isStoreError(error)) throw error;
    run.out.note(`this is asked again next time: ${error.message}`);
  }
}

/** What each service of the file would start or reach, on stderr. Nothing is masked: who approves has to see it all. */
export function showWhatRuns(run: Run, document: ConfigDocument): void {
  const { out } = run;
  out.error(`${safeLine(document.file ?? '')} would start or reach:`);
  const agents = [...document.agents].flatMap(([agent, { mcpServers }]) =>
    [...mcpServers].map(([name, config]) => [`${agent}.${name}`, config] as const),
  );
  for (const [name, config] of [...document.services, ...agents]) {
    out.error(`  ${out.errorColors.bold(safeLine(name))}: ${safeLine(whatRuns(config))}`);
    for (const [key, value] of Object.entries(config.env ?? {})) out.error(`      ${safeLine(`${key}=${value}`)}`);
  }
}

function whatRuns(config: ServiceConfig): string {
  const own = config.command === undefined && config.url === undefined ? [] : [config];
  const where = [...own, ...(config.mcpstore?.endpoints ?? [])]
    .map(({ command, args = [], url }) => (command === undefined ? `${url}` : quoteWords([command, ...args])))
    .join(' | ');
  const more = [
    ...(config.cwd === undefined ? [] : [`in ${config.cwd}`]),
    ...(config.envFile === undefined ? [] : [`env file ${config.envFile}`]),
    ...(config.disabled ? ['disabled'] : []),
  ];
  return more.length === 0 ? where : `${where} (${more.join('; ')})`;
}
