/** Knows `mcpstore check`: starts services and says which work, and what the file has that has no effect. */

import { safeLine } from '../../_util/terminal-safe.js';
import type { Scope, ServiceInfo, StoreError } from '../../index.js';
import type { CommandModule } from '../command.js';
import { foreignLines } from '../edit.js';
import { failureOf, hintOf, named, tellFailure, withoutTail } from '../failure.js';
import { table } from '../render.js';
import type { Run } from '../session.js';
import { describeTarget, openTarget, type TargetFlags } from '../target.js';
import { LIST_TIMEOUT_MS } from '../tool.js';
import { wholeNumber } from '../usage.js';

interface Checked {
  info: ServiceInfo;
  error: StoreError | undefined;
}

export const check: CommandModule = {
  describe(command) {
    command
      .argument('[service...]', 'services, or a URL; default: all')
      .option('--timeout-ms <n>', `longest wait for each; default ${LIST_TIMEOUT_MS}`, wholeNumber('--timeout-ms'));
    describeTarget(command);
  },
  async run(run, [words]: [string[]], flags: TargetFlags & { timeoutMs?: number }) {
    const target = await openTarget(run, words, flags, (own) => (own.length > 0 ? own : 'all'));
    const { scope, document, found } = target;
    const asked = target.given ? [target.given] : target.words.length > 0 ? [...new Set(target.words)] : undefined;
    for (const name of asked ?? []) scope.serviceInfo(name); // refuses an unknown name before any is started
    const names = asked ?? scope.listServices().map((info) => info.name);
    const timeoutMs = flags.timeoutMs ?? LIST_TIMEOUT_MS;
    const checked = await Promise.all(names.map((name) => checkOne(run, target.store, scope, name, timeoutMs)));
    const foreign = document?.foreign ?? [];
    const services = checked.map(({ info, error }) => ({
      name: info.name,
      status: statusText(info, error),
      kind: info.kind,
      era: info.era,
      protocolVersion: info.protocolVersion,
      server: info.server,
      tools: info.tools,
      problem: error && { ...error.toJSON(), message: error.message, hint: hintOf(failureOf(error)) },
    }));
    const bad = checked.filter(({ error }) => error !== undefined);
    await run.out.result({ file: found?.file, services, foreign }, () =>
      services.length === 0
        ? `no services${found ? ` in ${safeLine(found.file)}` : ''}`
        : table(
            run.out,
            ['SERVICE', 'STATUS', 'ERA', 'PROTOCOL', 'TOOLS', 'PROBLEM'],
            services.map(({ name, status, era, protocolVersion, tools, problem }) => [
              name,
              status,
              era ?? '',
              protocolVersion ?? '',
              tools === undefined ? '' : String(tools),
              problem ? withoutTail(problem.message)[0] : '',
            ]),
          ),
    );
    for (const { error } of bad) tellFailure(run.out, failureOf(error));
    if (document && foreign.length > 0) {
      run.out.note(`${found!.file}:`);
      for (const line of foreignLines(document)) run.out.note(`  ${line}`);
    }
    return bad[0]?.error?.exitCode;
  },
};

function statusText(info: ServiceInfo, error: StoreError | undefined): string {
  if (info.disabled) return 'disabled';
  return error === undefined ? 'ok' : info.status === 'ready' ? 'failing' : info.status;
}

/** Its first failure is what people want to hear, not that it is tried again. */
async function checkOne(
  run: Run,
  store: { on: import('../../index.js').MCPStore['on'] },
  scope: Scope,
  name: string,
  timeoutMs: number,
): Promise<Checked> {
  const { isStoreError } = await import('../../index.js');
  const before = scope.serviceInfo(name);
  if (before.disabled) return { info: before, error: undefined };
  const { agent } = run.options;
  let off = (): void => {};
  const failing = new Promise<never>((_, reject) => {
    off = store.on('state', (event) => {
      const mine = event.service === name || (agent !== undefined && event.service === `${agent}.${name}`);
      if (mine && event.error) reject(event.error);
    });
  });
  failing.catch(() => {});
  try {
    await Promise.race([scope.waitService(name, { timeoutMs, signal: run.signal }), failing]);
    await scope.listTools({ service: name, refresh: 'always', timeoutMs, signal: run.signal });
    const problem = scope.problems().find((entry) => entry.service === name);
    return { info: scope.serviceInfo(name), error: problem?.error };
  } catch (error) {
    if (!isStoreError(error) || (run.signal.aborted && error.code === 'CANCELLED')) throw error;
    return { info: scope.serviceInfo(name), error: named(error, name) };
  } finally {
    off();
  }
}
