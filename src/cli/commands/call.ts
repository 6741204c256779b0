/** Knows `mcpstore call`: one call of one tool. */

import { safeLine } from '../../_util/terminal-safe.js';
import type { FallbackMark, Progress, ToolInfo } from '../../index.js';
import type { CommandModule } from '../command.js';
import { Elicitor } from '../elicit.js';
import { line, resultText } from '../render.js';
import type { Run } from '../session.js';
import { describeTarget } from '../target.js';
import { describeToolCall, openTool, type ToolFlags } from '../tool-call.js';

interface Flags extends ToolFlags {
  progress?: boolean;
  validate?: boolean;
  raw?: boolean;
}

export const call: CommandModule = {
  describe(command) {
    describeToolCall(command);
    command
      .option('--validate', "check the arguments against the tool's schema before anything is sent")
      .option('--progress', 'show progress on stderr also where that is no terminal')
      .option('--raw', 'write text as the server sent it, control characters included');
    describeTarget(command);
    command.addHelpText('after', HELP);
  },
  async run(run, [all]: [string[]], flags: Flags) {
    const elicitor = new Elicitor(run);
    run.handlers = { onElicitation: elicitor.handler };
    const { target, tool, args } = await openTool(run, 'call', all, flags);
    const result = await target.scope.callTool(tool.tool, args, {
      service: tool.service,
      signal: run.signal,
      ...(flags.timeoutMs !== undefined && { timeoutMs: flags.timeoutMs }),
      ...(flags.validate && { validateArguments: true }),
      ...progressOf(run, tool, flags.progress ?? false, elicitor),
    });
    await run.out.result(result, () => (flags.raw ? rawText(result.content) : resultText(result)));
    const mark = (await import('../../index.js')).fallbackOf(result);
    if (mark) run.out.note(fallbackLine(tool.name, mark));
    if (!result.isError) return undefined;
    run.out.error(`${run.out.errorColors.red('error TOOL_ERROR')}: ${safeLine(tool.name)} reports an error`);
    run.out.error(
      `${run.out.errorColors.dim('hint:')} ${run.options.json ? 'The result says why.' : 'The text on stdout says why.'}`,
    );
    return 6;
  },
};

function fallbackLine(name: string, { code, from, ageMs, service, tool }: FallbackMark): string {
  const what =
    from === 'cached'
      ? `its last good result, ${Math.round(ageMs! / 1000)} s old`
      : from === 'value'
        ? 'the value that is configured'
        : `${service}: ${tool}`;
  return `${name} could not be reached (${code}); this is a fallback: ${what}`;
}

function rawText(content: readonly { type: string }[]): string {
  return content.map((block) => ('text' in block ? String(block.text) : '')).join('\n');
}

/** On a terminal one line that changes; with `--progress` elsewhere a line for each message. */
function progressOf(
  run: Run,
  tool: ToolInfo,
  wanted: boolean,
  elicitor: Elicitor,
): { onProgress?: (progress: Progress) => void } {
  const isTerminal = process.stderr.isTTY === true;
  if (!isTerminal && !wanted) return {};
  return {
    onProgress: ({ progress, total, message }) => {
      const share = total ? `${Math.min(100, Math.round((100 * progress) / total))} %` : String(progress);
      const text = `${tool.name}: ${share}${message ? ` ${line(message)}` : ''}`;
      // Where a person is typing, nothing is written in between.
      if (elicitor.busy) return;
      if (isTerminal) run.out.status(text);
      else run.out.error(safeLine(text));
    },
  };
}

const HELP = `
Examples:
  mcpstore call files read_file path=a.txt
  mcpstore call files__read_file --args '{"path":"a.txt"}'
  mcpstore call https://example.com/mcp search query=pools limit=5 tags:='["a","b"]'
  mcpstore call --stdio "npx -y @modelcontextprotocol/server-everything" echo message=hi

key=value becomes what the tool's schema says (number, true or false, JSON for objects and arrays); key:=json is JSON.
A key given twice becomes an array; a.b=value sets b within a. A result with isError exits with 6.
What the server asks you for is asked on the terminal; without one it is declined.`;
