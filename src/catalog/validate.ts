/** Knows how a tool's arguments are held against its schema; loads the validator at the first use. */

import type { RawTool } from './tool.js';

interface Problem {
  keyword: string;
  instancePath: string;
  message?: string;
  params: Record<string, unknown>;
}

type Check = ((args: unknown) => boolean) & { errors?: Problem[] | null };

/** By definition: a list that is fetched anew brings new objects, and with them new checks. */
const checks = new WeakMap<RawTool, Check | undefined>();
let compile: ((schema: object) => Check) | undefined;

/**
 * What is wrong with `args`, such as `"path" is required (string)`; undefined where nothing is. A schema that cannot
 * be compiled checks nothing: the server has the last word anyhow.
 */
export async function argumentProblem(tool: RawTool, args: Record<string, unknown>): Promise<string | undefined> {
  if (compile === undefined) {
    const { Ajv2020 } = await import('ajv/dist/2020.js');
    // Formats and unknown keywords are the server's affair; `$ref` to other documents is never fetched.
    const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: false, logger: false });
    compile = (schema) => {
      // Two tools may claim one $id, and the dialect that a server names need not be one that is known here.
      const { $id, $schema, ...own } = schema as Record<string, unknown>;
      return ajv.compile(own) as Check;
    };
  }
  if (!checks.has(tool)) checks.set(tool, tryCompile(tool));
  const check = checks.get(tool);
  if (check === undefined || check(args)) return undefined;
  const problem = check.errors?.[0];
  return problem ? describe(problem, tool.inputSchema) : 'the arguments do not fit the schema';
}

function tryCompile(tool: RawTool): Check | undefined {
  try {
    return compile!(tool.inputSchema);
  } catch {
    return undefined;
  }
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
    return `"${at}" must be one of ${(problem.params['allowedValues'] as unknown[]).map((value) => JSON.stringify(value)).join(', ')}`;
  return `"${at}" ${problem.message ?? 'does not fit the schema'}`;
}

/** ` (string)` for a property whose type the schema names. */
function typeText(schema: unknown, path: string): string {
  let at = schema as { properties?: Record<string, unknown>; type?: unknown } | undefined;
  for (const key of path.split('.')) at = at?.properties?.[key] as typeof at;
  return typeof at?.type === 'string' ? ` (${at.type})` : '';
}
