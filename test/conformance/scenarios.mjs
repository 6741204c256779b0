/** Knows what a client has to do in each scenario of the suite, in the verbs of the store. The service is `peer`. */

/** A machine that is busy with other things is slow to start a client. */
const PATIENCE_MS = 60_000;

/** In most scenarios: lists the tools and calls each of them once. */
async function callEach(store) {
  for (const tool of await list(store)) await store.callTool(tool.name, argumentsFor(tool));
}

async function list(store) {
  // Where there is no list, this says why; the list alone would be empty.
  await store.waitService('peer', { timeoutMs: PATIENCE_MS });
  return store.listTools({ timeoutMs: PATIENCE_MS });
}

/** Each required property with a value of its type. */
function argumentsFor(tool) {
  return requiredBy(tool.inputSchema);
}

function requiredBy({ properties = {}, required = [] }) {
  return Object.fromEntries(required.map((name) => [name, EXAMPLES[properties[name]?.type] ?? 'text']));
}

const EXAMPLES = { number: 3, integer: 3, boolean: true, object: {}, array: [] };

/** What a server may ask its caller: a form, of which only what is required is filled in. */
const handlers = {
  onElicitation: { form: ({ requestedSchema }) => ({ action: 'accept', content: requiredBy(requestedSchema) }) },
};

const STEPS = {
  async 'sse-retry'(store) {
    // The suite gives the answer to the next GET, be it our standing stream, which may come after the first call.
    for (let call = 0; call < 2; call++) await callEach(store);
  },

  async 'http-standard-headers'(store) {
    await callEach(store);
    for (const { uri } of await store.listResources()) await store.readResource('peer', uri);
    for (const { name } of await store.listPrompts()) await store.getPrompt('peer', name);
  },

  async 'http-custom-headers'(store, { toolCalls }) {
    await list(store);
    for (const { name, arguments: args } of toolCalls) await store.callTool(name, args);
  },

  async 'json-schema-2020-12-preservation'(store) {
    const tool = (await list(store)).find((one) => one.tool === 'json_schema_2020_12_tool');
    await store.callTool('json_schema_echo', { schema: tool.inputSchema });
  },
};

/** What to do in a scenario: a function of the store and of what the suite gives along. */
export function stepsOf(scenario) {
  const steps = Object.hasOwn(STEPS, scenario) ? STEPS[scenario] : callEach;
  return (store, context) => steps(store.forAgent('caller', { services: ['peer'], ...handlers }), context);
}

/** Of a client that was registered beforehand, the suite tells how; a document of one lies at an address that it knows. */
const AUTH = {
  'auth/basic-cimd': () => ({
    type: 'authorization_code',
    clientMetadataUrl: 'https://conformance-test.local/client-metadata.json',
  }),
  'auth/pre-registration': ({ client_id: clientId, client_secret: clientSecret, issuer }) => ({
    type: 'authorization_code',
    clientId,
    clientSecret,
    issuer,
  }),
  'auth/client-credentials-basic': ({ client_id: clientId, client_secret: clientSecret }) => ({
    type: 'client_credentials',
    clientId,
    clientSecret,
  }),
  'auth/client-credentials-jwt': ({
    client_id: clientId,
    private_key_pem: privateKey,
    signing_algorithm: algorithm,
  }) => ({
    type: 'private_key_jwt',
    clientId,
    privateKey,
    algorithm,
  }),
};

/** What the service of a scenario has beside its address. */
export function serviceOf(scenario, context) {
  return Object.hasOwn(AUTH, scenario) ? { mcpstore: { auth: AUTH[scenario](context) } } : {};
}

/** A person who signs in at once. @returns where the browser is sent */
export async function agree({ url }) {
  const response = await fetch(url, { redirect: 'manual' });
  return response.headers.get('location');
}
