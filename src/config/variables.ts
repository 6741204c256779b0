/** Knows the variables of `mcp.json` and what each stands for; nothing of the fields that they are written in. */

import { basename, sep } from 'node:path';

/** Where the values of variables come from. */
export interface VariableSource {
  /** Environment, such as `process.env`. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `${workspaceFolder}` */
  readonly workspaceFolder: string;
  /** `${userHome}` */
  readonly userHome: string;
  /** `${input:id}`; `undefined`: there is no answer. */
  input(id: string): Promise<string | undefined>;
}

/** Why a text could not be expanded. Never holds a value, which may be a secret. */
export class VariableProblem extends Error {
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

const PLAIN = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s;
const ENVIRONMENT = /^env:([^:=]+?)(?::-(.*))?$/s;
const KINDS = 'Known are ${VAR}, ${VAR:-default}, ${env:VAR}, ${workspaceFolder}, ${userHome} and ${input:id}.';

/**
 * Fills in each `${…}` once: what a value contains is never read as a variable again. A `$` without a brace stays.
 * @throws VariableProblem
 */
export async function expandText(text: string, source: VariableSource): Promise<string> {
  let at = text.indexOf('${');
  if (at < 0) return text;
  let out = '';
  let from = 0;
  for (; at >= 0; at = text.indexOf('${', from)) {
    const end = text.indexOf('}', at);
    if (end < 0) throw new VariableProblem('"${" without its "}"');
    const inner = text.slice(at + 2, end);
    if (inner.includes('${')) throw new VariableProblem(`"\${${inner}}": variables cannot be nested`);
    out += text.slice(from, at) + (await resolve(inner, source));
    from = end + 1;
  }
  return out + text.slice(from);
}

async function resolve(inner: string, source: VariableSource): Promise<string> {
  switch (inner) {
    case 'workspaceFolder':
      return source.workspaceFolder;
    case 'workspaceFolderBasename':
      return basename(source.workspaceFolder);
    case 'userHome':
      return source.userHome;
    case 'pathSeparator':
    case '/':
      return sep;
  }
  if (inner.startsWith('input:')) return await answer(inner.slice('input:'.length), source);
  const found = PLAIN.exec(inner) ?? ENVIRONMENT.exec(inner);
  if (found === null) throw new VariableProblem(`"\${${inner}}": unknown kind of variable`, KINDS);
  const name = found[1]!;
  const value = Object.hasOwn(source.env, name) ? source.env[name] : undefined;
  const preset = found[2];
  // As in a shell, ":-" also stands in for a variable that is set to nothing.
  if (preset !== undefined && (value === undefined || value === '')) return preset;
  if (value !== undefined) return value;
  throw new VariableProblem(
    `the environment variable ${name} is not set`,
    `Set ${name}, or write \${${name}:-default} to give it a default.`,
  );
}

async function answer(id: string, source: VariableSource): Promise<string> {
  const value = await source.input(id);
  if (value === undefined)
    throw new VariableProblem(
      `the input "${id}" has no answer`,
      'Answer it with open({ inputs }), or on a terminal when the command line asks.',
    );
  return value;
}
