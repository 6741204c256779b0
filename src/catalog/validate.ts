/**
 * Knows how a tool's arguments are held against its schema, whatever the server put into it: bounded in size and in
 * time, and nothing is fetched. Loads the validator at the first use.
 */

import { type Context, createContext, Script } from 'node:vm';
import { StoreError } from '../errors.js';
import type { RawTool } from './tool.js';

interface Problem {
  keyword: string;
  instancePath: string;
  message?: string;
  params: Record<string, unknown>;
}

type Check = ((args: unknown) => boolean) & { errors?: Problem[] | null };

/** Compiling takes a fraction of a millisecond a value, on the thread that all calls share. */
const MAX_VALUES = 2_000;
/** An honest check takes microseconds; a pattern that blows up would take years. */
const CHECK_MS = 100;
/** Arguments so small (characters of JSON) that a check of them which runs out of time is the schema's fault. */
const SMALL_CHARS = 65_536;
const MAX_ATTEMPTS = 10;
const SHOWN_VALUES = 20;

/**
 * By definition: a list that is fetched anew brings new objects, and with them new checks. Undefined: it cannot be
 * compiled, and checks nothing; a text: why checking against it is not safe.
 */
const checks = new WeakMap<RawTool, Check | string | undefined>();
let compile: ((schema: object) => Check) | undefined;

/**
 * What is wrong with `args`, such as `"path" is required (string)`; undefined where nothing is. A schema that cannot
 * be compiled checks nothing: the server has the last word anyhow.
 * @throws StoreError `TOOL_BLOCKED` where they cannot be checked in bounded time
 */
export async function argumentProblem(tool: RawTool, args: Record<string, unknown>): Promise<string | undefined> {
  compile ??= await loadCompiler();
  if (!checks.has(tool)) checks.set(tool, prepared(tool));
  const check = checks.get(tool);
  if (check === undefined) return undefined;
  if (typeof check === 'string') throw blocked(tool, check);
  let fits: boolean;
  try {
    fits = inTime(() => check(args));
  } catch (error) {
    // Out of time or of stack: a schema that is made for that is not tried again.
    const why = `its schema cannot be checked: ${error instanceof OutOfTime ? error.message : 'it refers to itself'}`;
    if (JSON.stringify(args).length <= SMALL_CHARS) checks.set(tool, why);
    throw blocked(tool, why);
  }
  if (fits) return undefined;
  const problem = check.errors?.[0];
  return problem ? describe(problem, tool.inputSchema) : 'the arguments do not fit the schema';
}

async function loadCompiler(): Promise<(schema: object) => Check> {
  const { Ajv2020 } = await import('ajv/dist/2020.js');
  // Formats and unknown keywords are the server's affair; `$ref` to other documents is never fetched. A reference stays
  // a call, and code is not made smaller: both can take longer than the schema is long.
  const options = {
    strict: false,
    validateFormats: false,
    allErrors: false,
    logger: false,
    ownProperties: true,
    inlineRefs: false,
    code: { optimize: false },
  } as const;
  const dialect = new Ajv2020(options);
  dialect.validateSchema({});
  return (schema) => {
    // The dialect that a server names need not be one that is known here.
    const { $id, $schema, ...own } = schema as Record<string, unknown>;
    if (!dialect.validateSchema(own)) throw new Error('this is no schema');
    // One for each: two tools may claim one $id, and neither may refer to what is the other's.
    return new Ajv2020({ ...options, meta: false, validateSchema: false }).compile(own) as Check;
  };
}

function prepared(tool: RawTool): Check | string | undefined {
  if (countValues(tool.inputSchema) > MAX_VALUES) return `its schema has more than ${MAX_VALUES} values`;
  try {
    return compile!(tool.inputSchema);
  } catch {
    return undefined;
  }
}

/** Up to one more than is allowed. */
function countValues(schema: object): number {
  let values = 0;
  const left: object[] = [schema];
  for (let at = left.pop(); at !== undefined; at = left.pop())
    for (const key in at) {
      if (++values > MAX_VALUES) return values;
      const value = (at as Record<string, unknown>)[key];
      if (typeof value === 'object' && value !== null) left.push(value);
    }
  return values;
}

class OutOfTime extends Error {}

let context: Context | undefined;
const script = new Script('run()');

/**
 * Runs `fn`, which must not wait for anything, for `CHECK_MS` at most; regular expressions are interrupted as well. What
 * is measured is the time of the wall: where the process stood still meanwhile, it is tried again.
 */
function inTime<T>(fn: () => T): T {
  context ??= createContext({});
  for (let attempt = 1; ; attempt++) {
    const before = process.cpuUsage();
    try {
      context['run'] = fn;
      return script.runInContext(context, { timeout: CHECK_MS }) as T;
    } catch (error) {
      if ((error as NodeJS.ErrnoException | null)?.code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
      const { user, system } = process.cpuUsage(before);
      if ((user + system) / 1_000 > CHECK_MS / 2 || attempt === MAX_ATTEMPTS)
        throw new OutOfTime(`it takes longer than ${CHECK_MS} ms`);
    } finally {
      context['run'] = undefined;
    }
  }
}

function blocked(tool: RawTool, why: string): StoreError {
  return new StoreError('TOOL_BLOCKED', `${tool.name.slice(0, 200)}: ${why}`, {
    tool: tool.name,
    hint: 'The server may be hostile or broken. Without validateArguments the arguments are not checked here.',
  });
}

function describe(problem: Problem, schema: unknown): string {
  const at = problem.instancePath.slice(1).replaceAll('/', '.');
  if (problem.keyword === 'required') {
    const missing = String(problem.params['missingProperty']);
    const path = at === '' ? missing : `${at}.${missing}`;
    return `"${path}" is required${typeText(schema, path)}`;
  }
  if (problem.keyword === 'additionalProperties')
    return `"${problem.params['additionalProperty']}" is not an argument of this tool`;
  if (problem.keyword === 'enum')
    return `"${at}" must be one of ${listed(problem.params['allowedValues'] as unknown[])}`;
  return `"${at}" ${problem.message ?? 'does not fit the schema'}`;
}

function listed(values: readonly unknown[]): string {
  const shown = values.slice(0, SHOWN_VALUES).map((value) => JSON.stringify(value).slice(0, 100));
  return `${shown.join(', ')}${values.length > SHOWN_VALUES ? ` and ${values.length - SHOWN_VALUES} more` : ''}`;
}

/** ` (string)` for a property whose type the schema names. */
function typeText(schema: unknown, path: string): string {
  let at = schema as { properties?: Record<string, unknown>; type?: unknown } | undefined;
  for (const key of path.split('.')) at = at?.properties?.[key] as typeof at;
  return typeof at?.type === 'string' ? ` (${at.type})` : '';
}
