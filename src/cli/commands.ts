/** Knows the names of all commands, and which one a command line means; loads none of them. */

import type { CommandModule } from './command.js';

/** A command, or one of a group such as `resource`. */
export interface CommandEntry {
  readonly usage: string;
  readonly summary: string;
  readonly load: () => Promise<CommandModule>;
}

export const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  add: {
    usage: 'add <name> [url] [-- command args…]',
    summary: 'add a service to the configuration',
    load: async () => (await import('./commands/add.js')).add,
  },
  'add-json': {
    usage: 'add-json [name] <json>',
    summary: 'add services from JSON (text, @file, or - for stdin)',
    load: async () => (await import('./commands/add-json.js')).addJson,
  },
  list: {
    usage: 'list',
    summary: 'list the services; starts nothing',
    load: async () => (await import('./commands/list.js')).list,
  },
  get: {
    usage: 'get <service>',
    summary: 'show one service; starts nothing',
    load: async () => (await import('./commands/get.js')).get,
  },
  update: {
    usage: 'update <service> [url] [-- command args…]',
    summary: 'change a service of the configuration',
    load: async () => (await import('./commands/update.js')).update,
  },
  remove: {
    usage: 'remove <service…>',
    summary: 'remove services from the configuration',
    load: async () => (await import('./commands/remove.js')).remove,
  },
  check: {
    usage: 'check [service…]',
    summary: 'start the services and say which work, and why not',
    load: async () => (await import('./commands/check.js')).check,
  },
  tools: {
    usage: 'tools [service|url] [tool]',
    summary: 'list the tools, or describe one',
    load: async () => (await import('./commands/tools.js')).tools,
  },
  call: {
    usage: 'call [service|url] <tool> [key=value…]',
    summary: 'call a tool',
    load: async () => (await import('./commands/call.js')).call,
  },
  batch: {
    usage: 'batch <calls.jsonl>',
    summary: 'call many tools, many at a time',
    load: async () => (await import('./commands/batch.js')).batch,
  },
  run: {
    usage: 'run [url] <flow.json> [key=value…]',
    summary: 'run a workflow: calls that need each other',
    load: async () => (await import('./commands/run.js')).run,
  },
  bench: {
    usage: 'bench [service|url] <tool> [key=value…]',
    summary: 'measure a tool: latencies, throughput, failures',
    load: async () => (await import('./commands/bench.js')).bench,
  },
  'resource list': {
    usage: 'resource list [service|url]',
    summary: 'list the resources',
    load: async () => (await import('./commands/resource.js')).resourceList,
  },
  'resource read': {
    usage: 'resource read <service|url> <uri>',
    summary: 'read a resource',
    load: async () => (await import('./commands/resource.js')).resourceRead,
  },
  'resource templates': {
    usage: 'resource templates [service|url]',
    summary: 'list the resource templates',
    load: async () => (await import('./commands/resource.js')).resourceTemplates,
  },
  'prompt list': {
    usage: 'prompt list [service|url]',
    summary: 'list the prompts',
    load: async () => (await import('./commands/prompt.js')).promptList,
  },
  'prompt get': {
    usage: 'prompt get <service|url> <prompt> [key=value…]',
    summary: 'show a prompt filled in',
    load: async () => (await import('./commands/prompt.js')).promptGet,
  },
  'config show': {
    usage: 'config show',
    summary: 'show the configuration, secrets masked',
    load: async () => (await import('./commands/config.js')).configShow,
  },
  'config path': {
    usage: 'config path',
    summary: 'say which file is read',
    load: async () => (await import('./commands/config.js')).configPath,
  },
  'config check': {
    usage: 'config check [file]',
    summary: 'check the file; starts nothing',
    load: async () => (await import('./commands/config.js')).configCheck,
  },
  'config approve': {
    usage: 'config approve [file]',
    summary: "approve a project's file, so that its commands may run",
    load: async () => (await import('./commands/config.js')).configApprove,
  },
  'auth login': {
    usage: 'auth login <service|url>',
    summary: 'sign in to a service (OAuth), with a browser or its own credentials',
    load: async () => (await import('./commands/auth.js')).authLogin,
  },
  'auth status': {
    usage: 'auth status [service|url]',
    summary: 'say who is signed in where; asks nobody',
    load: async () => (await import('./commands/auth.js')).authStatus,
  },
  'auth logout': {
    usage: 'auth logout <service|url>',
    summary: 'forget the tokens of a service',
    load: async () => (await import('./commands/auth.js')).authLogout,
  },
  version: {
    usage: 'version',
    summary: 'print the version',
    load: async () => (await import('./commands/version.js')).version,
  },
};

/** The options that every command takes, as the help shows them. */
export const GLOBAL_OPTIONS: readonly (readonly [flags: string, text: string])[] = [
  ['--config <file>', 'the configuration file; default: ./mcp.json if you approved it, else ~/.mcpstore/mcp.json'],
  ['--agent <id>', 'see and change the services of this agent'],
  ['--input <id=value>', 'answer ${input:id} of the configuration; may be repeated'],
  ['--json', 'JSON on stdout; everything else goes to stderr'],
  ['--no-color', 'no colours, as with NO_COLOR'],
  ['--quiet', 'no notes on stderr, errors alone'],
];
const WITH_VALUE = ['--config', '--agent', '--input'];

/** What a command line asks for. */
export type Asked =
  | { kind: 'help'; group: string | undefined }
  | { kind: 'version'; json: boolean }
  /** `args`: everything but the command's own words. */
  | { kind: 'command'; name: string; args: string[] }
  | { kind: 'unknown'; words: string; args: string[] };

/** Options may stand before the command as well as after it. */
export function commandOf(argv: readonly string[]): Asked {
  const end = argv.indexOf('--');
  const limit = end < 0 ? argv.length : end;
  const at: number[] = [];
  for (let i = 0; i < limit && at.length < 2; i++) {
    const word = argv[i]!;
    if (WITH_VALUE.includes(word)) i++;
    else if (!word.startsWith('-') || word === '-') at.push(i);
    // After a command nothing else is of interest; after a group its command is.
    else if (at.length > 0 && !isGroup(argv[at[0]!]!)) break;
  }
  const first = at[0] === undefined ? undefined : argv[at[0]]!;
  const second = at[1] === undefined ? undefined : argv[at[1]]!;
  const without = (...drop: (number | undefined)[]): string[] => argv.filter((_, i) => !drop.includes(i));
  if (first === undefined) {
    if (argv.some((arg) => arg === '--version' || arg === '-V'))
      return { kind: 'version', json: argv.includes('--json') };
    const stray = argv.find((arg) => arg.startsWith('-') && !isKnownAlone(arg));
    if (stray !== undefined) return { kind: 'unknown', words: stray, args: [...argv] };
    return { kind: 'help', group: undefined };
  }
  if (first === 'help') {
    if (second === undefined) return { kind: 'help', group: undefined };
    return commandOf([...argv.slice(at[1]), '--help']);
  }
  if (isGroup(first)) {
    if (second !== undefined) {
      const name = `${first} ${second}`;
      if (Object.hasOwn(COMMANDS, name)) return { kind: 'command', name, args: without(at[0], at[1]) };
      return { kind: 'unknown', words: name, args: without(at[0], at[1]) };
    }
    return { kind: 'help', group: first };
  }
  if (Object.hasOwn(COMMANDS, first)) {
    const args = without(at[0]);
    if (first === 'version' && args.every((arg) => arg === '--json')) return { kind: 'version', json: args.length > 0 };
    return { kind: 'command', name: first, args };
  }
  return { kind: 'unknown', words: first, args: without(at[0]) };
}

function isKnownAlone(arg: string): boolean {
  if (arg === '--help' || arg === '-h') return true;
  return GLOBAL_OPTIONS.some(([flags]) => flags.split(' ')[0] === arg.split('=')[0]);
}

function isGroup(word: string): boolean {
  return Object.keys(COMMANDS).some((name) => name.startsWith(`${word} `));
}

/** The help of the whole, or of one group of commands. */
export function helpOf(group: string | undefined): string {
  const shown = Object.entries(COMMANDS).filter(([name]) => group === undefined || name.startsWith(`${group} `));
  const rows = shown.map(([, { usage, summary }]) => [usage, summary] as const);
  const width = Math.max(...[...rows, ...GLOBAL_OPTIONS].map(([left]) => left.length)) + 2;
  const lines = (list: readonly (readonly [string, string])[]): string =>
    list.map(([left, right]) => `  ${left.padEnd(width)}${right}\n`).join('');
  return [
    `Usage: mcpstore ${group ?? '<command>'} ${group === undefined ? '' : '<command> '}[options]\n\n`,
    group === undefined ? 'One store for many MCP servers: keeps them connected and calls their tools.\n\n' : '',
    `Commands:\n${lines(rows)}\nOptions of every command:\n${lines(GLOBAL_OPTIONS)}\n`,
    group === undefined ? EXAMPLES : '',
    'mcpstore help <command> tells more of one command.\n',
  ].join('');
}

const EXAMPLES = `Examples:
  mcpstore add files -- npx -y @modelcontextprotocol/server-filesystem ./notes
  mcpstore add wiki https://example.com/mcp --header 'Authorization: Bearer \${WIKI_TOKEN}'
  mcpstore call files read_file path=a.txt
  mcpstore tools https://example.com/mcp
  mcpstore call --stdio "npx -y @modelcontextprotocol/server-everything" echo message=hi

`;
