/** Knows how a failure is told on a terminal: its code, its message, the server's last words, and what to do. */

import { safeLine, safeText } from '../_util/terminal-safe.js';
import { GIVEN } from './given.js';
import type { Output } from './output.js';

/** What an error of ours has, whichever of our classes it is. */
export interface Failure {
  code: string;
  message: string;
  exitCode: number;
  service?: string | undefined;
  hint?: string | undefined;
  figures?: Readonly<Record<string, unknown>> | undefined;
  cause?: unknown;
  toJSON?: () => Record<string, unknown>;
}

/** Hints in the words of the command line; the library's own speak of its methods. */
const HINTS: Readonly<Record<string, string>> = {
  OPTION_INVALID: 'mcpstore help <command> shows what it takes.',
  ARGUMENTS_INVALID: 'mcpstore tools <service> <tool> shows its arguments.',
  FLOW_INVALID: 'mcpstore run --plan checks a flow and runs nothing.',
  CONFIG_INVALID: 'mcpstore config check tells what is wrong with the file.',
  SERVICE_UNKNOWN: 'mcpstore list shows all services; mcpstore add adds one.',
  TOOL_UNKNOWN: 'mcpstore tools --refresh shows all tools as they are now.',
  TOOL_AMBIGUOUS: 'Use one of these names, or put the service before the tool.',
  SERVICE_EXISTS: 'mcpstore update changes it; mcpstore remove removes it.',
  SPAWN_FAILED:
    'Check the command and PATH; only PATH and a few other variables reach a server unless --env names more.',
  START_FAILED: 'Run the command by hand to see what it says; mcpstore get <service> shows it.',
  CONNECT_FAILED: 'Check the address and that the server runs.',
  SERVICE_DOWN: 'mcpstore check <service> tells why.',
  TOOL_ERROR: 'The text above is what the tool says.',
  RPC_ERROR: 'The server answered with this error; check what was asked of it.',
  TIMEOUT: 'Give it more time with --timeout-ms.',
  CANCELLED: 'It was stopped before it was done.',
  LIMIT_EXCEEDED: 'Run fewer at a time, or raise calls.queueLimit.',
  RATE_LIMITED: 'The server asks for a pause; try again later.',
  AUTH_REQUIRED:
    "Give credentials: mcpstore update <service> --header 'Authorization: Bearer ${TOKEN}', or mcpstore auth login <service>",
  FORBIDDEN: 'These credentials do not suffice for this.',
  OUTCOME_UNKNOWN: 'It may have run: look before you repeat it.',
  PROTOCOL_ERROR: 'The server does not keep to MCP; its maker will want to know.',
  MESSAGE_TOO_LARGE: 'Ask for less at a time.',
  FILE_FAILED: 'Check the path and its permissions.',
  STORE_CLOSED: 'It was stopped before this was begun.',
};
const BUG = 'This is a mistake in mcpstore; please report it with this text.';
/** Codes whose own hints speak of methods of the library. */
const OURS_ALONE = [
  'SERVICE_UNKNOWN',
  'TOOL_UNKNOWN',
  'TOOL_AMBIGUOUS',
  'SERVICE_EXISTS',
  'SERVICE_DOWN',
  'SPAWN_FAILED',
  'AUTH_REQUIRED',
];

/** Any thrown value as a failure; what is not ours is a bug, told as `PROTOCOL_ERROR`. */
export function failureOf(thrown: unknown): Failure {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  if ('code' in error && 'exitCode' in error) return rootOf(error as unknown as Failure & Error);
  return { code: 'PROTOCOL_ERROR', message: `internal: ${error.stack ?? error.message}`, exitCode: 1, hint: BUG };
}

/** That a service is given up for now, and when it is tried again, means little to a process that ends: why it is does. */
function rootOf(error: Failure & Error): Failure {
  const cause = error.cause as (Failure & Error) | undefined;
  if (error.code !== 'SERVICE_DOWN' || !(cause instanceof Error) || !('exitCode' in cause)) return error;
  const service = cause.service ?? error.service;
  const step = error.figures?.['step'];
  const at = service === undefined || cause.message.startsWith(`${service}: `) ? '' : `${service}: `;
  const message = `${step === undefined ? '' : `step ${step}: `}${at}${cause.message}`;
  const json = { ...cause.toJSON?.(), message, ...(service !== undefined && { service }) };
  return {
    code: cause.code,
    message,
    exitCode: cause.exitCode,
    service,
    hint: cause.hint,
    figures: cause.figures,
    cause: cause.cause,
    toJSON: () => json,
  };
}

/** Says which service an error is about, where it does not. */
export function named<E extends Error>(error: E, service: string): E {
  if (!error.message.startsWith(`${service}:`)) error.message = `${service}: ${error.message}`;
  return error;
}

/** @param command - the one that failed, for the hint that names it */
export function hintOf(failure: Failure, command = '<command>'): string {
  const { service } = failure;
  const known = service === undefined || service === GIVEN ? '<service>' : service;
  return hintFor(failure).replaceAll('<service>', known).replaceAll('<command>', command);
}

/** The id of the `${input:id}` without which a service cannot be filled in, where this is what an error is about. */
export function inputWithoutAnswer(message: string): string | undefined {
  return /the input "([^"]*)" has no answer/.exec(message)?.[1];
}

function hintFor(failure: Failure): string {
  const { code, hint, message } = failure;
  if (code === 'CONFIG_INVALID') {
    const input = inputWithoutAnswer(message);
    if (input !== undefined) return `Give it with --input ${input}=…, or run this on a terminal, which asks.`;
  }
  const own = HINTS[code] ?? 'mcpstore check tells more.';
  if (code === 'SERVICE_DOWN' && / disabled$/.test(message))
    return 'mcpstore update <service> --enabled lets it start.';
  // That sign-in is a command speaks of the command line itself.
  if (failure.figures?.['signIn'] === true && hint !== undefined)
    return hint.replace(`auth login ${GIVEN}`, 'auth login <url>');
  return OURS_ALONE.includes(code) ? own : (hint ?? own);
}

/** `error CODE: message`, the end of the server's stderr where it is the cause, and `hint: …`. */
export function tellFailure(out: Output, failure: Failure, command?: string): void {
  const { red, dim } = out.errorColors;
  const [message, tail] = withoutTail(failure.message);
  const words = tail ?? tailOf(failure.cause);
  out.error(`${red(`error ${failure.code}`)}: ${safeLine(message)}`);
  for (const line of words === undefined ? [] : safeText(words).trimEnd().split('\n').slice(-10))
    out.error(dim(`  stderr | ${line}`));
  out.error(`${dim('hint:')} ${safeLine(hintOf(failure, command))}`);
}

/** With `--json`: the same on stdout, where nothing stands there yet. */
export function failureJson(failure: Failure, command?: string): Record<string, unknown> {
  const { code, message } = failure;
  return { error: { ...(failure.toJSON?.() ?? { code, message }), hint: hintOf(failure, command) } };
}

const MARK = '; stderr: ';

/** A message holds the server's last words after a mark of ours, since a log line needs both. */
export function withoutTail(message: string): [string, string | undefined] {
  const at = message.indexOf(MARK);
  return at < 0 ? [message, undefined] : [message.slice(0, at), message.slice(at + MARK.length)];
}

function tailOf(cause: unknown): string | undefined {
  for (let at = cause, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    const [, tail] = withoutTail(at.message);
    if (tail !== undefined) return tail;
  }
  return undefined;
}
