/** Knows the forms that servers ask people to fill in: flat, of strings, numbers, yes and no, and choices. */

type Schema = Readonly<Record<string, unknown>>;

/** Values of a form, by field. */
export type FormContent = Record<string, string | number | boolean | string[]>;

const TYPES: readonly unknown[] = ['string', 'number', 'integer', 'boolean', 'array'];

/** Why a form cannot be shown: MCP allows flat objects of primitive values alone. Undefined where it can. */
export function schemaProblem(schema: unknown): string | undefined {
  if (!isObject(schema) || schema['type'] !== 'object') return 'requestedSchema is no object schema';
  const { properties = {}, required = [] } = schema as { properties?: unknown; required?: unknown };
  if (!isObject(properties)) return 'requestedSchema.properties is no object';
  if (!Array.isArray(required)) return 'requestedSchema.required is no array';
  for (const [name, field] of Object.entries(properties))
    if (!isObject(field) || !TYPES.includes(typeOf(field))) return `requestedSchema: "${name}" is no primitive value`;
  return undefined;
}

/** The content with the schema's defaults for what it leaves out (SEP-1034); a default that does not fit is none. */
export function withDefaults(schema: Schema, content: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entries = Object.entries(content).filter(([, value]) => value !== undefined);
  for (const [name, field] of fieldsOf(schema)) {
    const value = field['default'];
    if (value !== undefined && !given(content, name) && valueProblem(field, value) === undefined)
      entries.push([name, value]);
  }
  return Object.fromEntries(entries);
}

/**
 * What is wrong with the content of a form, such as `"age" must be at most 100`; undefined where nothing is. What the
 * schema has a default for may be left out.
 * @param requestedSchema - of the server's question, or one field of it alone
 */
export function elicitationProblem(
  requestedSchema: Readonly<Record<string, unknown>>,
  content: Readonly<Record<string, unknown>>,
): string | undefined {
  const filled = withDefaults(requestedSchema, content);
  const fields = new Map(fieldsOf(requestedSchema));
  for (const name of (requestedSchema['required'] ?? []) as string[])
    if (fields.has(name) && !given(filled, name)) return `"${name}" is required`;
  for (const [name, value] of Object.entries(filled)) {
    const field = fields.get(name);
    if (field === undefined) return `"${name}" is not asked for`;
    const problem = valueProblem(field, value);
    if (problem !== undefined) return `"${name}" ${problem}`;
  }
  return undefined;
}

function given(content: Readonly<Record<string, unknown>>, name: string): boolean {
  return Object.hasOwn(content, name) && content[name] !== undefined;
}

function fieldsOf(schema: Schema): [string, Schema][] {
  return Object.entries((schema['properties'] ?? {}) as Record<string, Schema>);
}

/** A choice need not say that it is of strings. */
function typeOf(field: Schema): unknown {
  return field['type'] ?? (field['enum'] !== undefined || field['oneOf'] !== undefined ? 'string' : undefined);
}

function valueProblem(field: Schema, value: unknown): string | undefined {
  switch (typeOf(field)) {
    case 'boolean':
      return typeof value === 'boolean' ? undefined : 'must be true or false';
    case 'integer':
      return Number.isInteger(value) ? rangeProblem(field, value as number) : 'must be a whole number';
    case 'number':
      return Number.isFinite(value) ? rangeProblem(field, value as number) : 'must be a number';
    case 'array':
      return choicesProblem(field, value);
    default:
      return typeof value === 'string' ? textProblem(field, value) : 'must be a text';
  }
}

function rangeProblem({ minimum, maximum }: Schema, value: number): string | undefined {
  if (typeof minimum === 'number' && value < minimum) return `must be at least ${minimum}`;
  return typeof maximum === 'number' && value > maximum ? `must be at most ${maximum}` : undefined;
}

function choicesProblem(field: Schema, value: unknown): string | undefined {
  if (!Array.isArray(value)) return 'must be a list';
  const { minItems, maxItems, items } = field;
  if (typeof minItems === 'number' && value.length < minItems) return `must have at least ${minItems} of its choices`;
  if (typeof maxItems === 'number' && value.length > maxItems) return `must have at most ${maxItems} of its choices`;
  if (value.some((item) => typeof item !== 'string')) return 'must be a list of texts';
  const choices = isObject(items) ? optionsOf(items) : undefined;
  return choices && value.some((item) => !choices.includes(item)) ? oneOf(choices) : undefined;
}

function textProblem(field: Schema, value: string): string | undefined {
  const choices = optionsOf(field);
  if (choices) return choices.includes(value) ? undefined : oneOf(choices);
  const { minLength, maxLength, format } = field;
  const length = [...value].length;
  if (typeof minLength === 'number' && length < minLength) return `must have at least ${minLength} characters`;
  if (typeof maxLength === 'number' && length > maxLength) return `must have at most ${maxLength} characters`;
  const known = typeof format === 'string' && Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined;
  return known && !known.fits(value) ? `must be ${known.name}` : undefined;
}

/** Values that a field allows; undefined where it is no choice. */
function optionsOf(field: Schema): unknown[] | undefined {
  const { enum: values, oneOf: titled = field['anyOf'] } = field;
  if (Array.isArray(values)) return values;
  return Array.isArray(titled) ? titled.map((one) => (isObject(one) ? one['const'] : undefined)) : undefined;
}

function oneOf(choices: readonly unknown[]): string {
  const shown = choices.slice(0, 20).map((choice) => JSON.stringify(choice));
  return `must be one of ${shown.join(', ')}${choices.length > shown.length ? ', …' : ''}`;
}

const DATE = /^\d{4}-\d{2}-\d{2}$/;
const DATE_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$/i;

/** The formats of MCP; patterns of a server's own are not run. */
const FORMATS: Readonly<Record<string, { name: string; fits: (text: string) => boolean }>> = {
  email: { name: 'an e-mail address', fits: (text) => text.length <= 320 && /^[^\s@]+@[^\s@]+$/.test(text) },
  uri: { name: 'a URL', fits: (text) => URL.canParse(text) },
  date: { name: 'a date such as 2026-07-28', fits: (text) => DATE.test(text) && isDay(text) },
  'date-time': {
    name: 'a time such as 2026-07-28T12:00:00Z',
    fits: (text) => DATE_TIME.test(text) && isDay(text.slice(0, 10)) && !Number.isNaN(Date.parse(text)),
  },
};

/** The 30th of February parses as a day in March. */
function isDay(text: string): boolean {
  const date = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
