/** Knows which arguments of a tool a modern HTTP server wants as headers too, and when a schema asks for that wrongly. */

/** One `x-mcp-header` of a tool's schema (MCP 2026-07-28, Streamable HTTP, "Schema Extension"). */
export interface HeaderParam {
  readonly path: readonly string[];
  readonly header: string;
}

const KEY = 'x-mcp-header';
/** A `token` of RFC 9110. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const TYPES: readonly unknown[] = ['string', 'integer', 'boolean'];
/** Keywords with a schema below, or a list of schemas, that an argument is not sure to be read by. */
const BRANCHES = [
  ...['items', 'prefixItems', 'contains', 'additionalProperties', 'unevaluatedProperties', 'unevaluatedItems'],
  ...['propertyNames', 'oneOf', 'anyOf', 'allOf', 'not', 'if', 'then', 'else'],
];
/** The same with schemas by name. */
const NAMED_BRANCHES = ['patternProperties', 'dependentSchemas', '$defs', 'definitions'];

/** A place in a schema. */
interface Place {
  readonly schema: unknown;
  readonly key: string;
  readonly parent: Place | undefined;
  /** Only `properties` lead there. */
  readonly reachable: boolean;
}

/**
 * The headers that a schema asks for. Undefined where it does so against the rules: then the protocol forbids to use
 * the tool. They are: the header's name is a token, no two are the same but for case, and the property is a string,
 * integer or boolean to which nothing but `properties` leads.
 */
export function headerParams(schema: unknown): HeaderParam[] | undefined {
  const found: HeaderParam[] = [];
  const names = new Set<string>();
  const places: Place[] = [{ schema, key: '', parent: undefined, reachable: true }];
  for (const place of places) {
    if (!isObject(place.schema)) continue;
    const header = place.schema[KEY];
    if (header !== undefined) {
      const allowed = place.parent !== undefined && place.reachable && TYPES.includes(place.schema['type']);
      if (!allowed || typeof header !== 'string' || !TOKEN.test(header)) return undefined;
      if (names.has(header.toLowerCase())) return undefined;
      names.add(header.toLowerCase());
      found.push({ path: pathOf(place), header });
    }
    places.push(...below(place, place.schema));
  }
  return found;
}

function below(place: Place, schema: Record<string, unknown>): Place[] {
  const at = (reachable: boolean, [key, child]: [string, unknown]): Place => ({
    schema: child,
    key,
    parent: place,
    reachable: place.reachable && reachable,
  });
  const { properties } = schema;
  const branches = BRANCHES.flatMap((key) => schema[key] ?? []);
  const named = NAMED_BRANCHES.flatMap((key) => (isObject(schema[key]) ? Object.values(schema[key]) : []));
  return [
    ...(isObject(properties) ? Object.entries(properties).map((entry) => at(true, entry)) : []),
    ...[...branches, ...named].map((child) => at(false, ['', child])),
  ];
}

function pathOf(place: Place): string[] {
  const path: string[] = [];
  for (let at: Place = place; at.parent !== undefined; at = at.parent) path.push(at.key);
  return path.reverse();
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
