/** What an mcp.json may say, and how a wrong one is told: by file, line, column and field. */

import fc from 'fast-check';
import { parse as oracle, type ParseError } from 'jsonc-parser';
import { describe, expect, it } from 'vitest';
import { JsonSyntaxError, parseTree, toValue } from '../../src/config/json-tree.js';
import { checkServiceConfig, parseConfig } from '../../src/config/load.js';
import { nameProblem } from '../../src/config/names.js';
import { isStoreError, type StoreError } from '../../src/errors.js';

function problem(text: string): StoreError {
  try {
    parseConfig(text, 'mcp.json');
  } catch (error) {
    if (isStoreError(error, 'CONFIG_INVALID')) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

const told = (text: string): string => problem(text).message;
const service = (body: string): string => `{\n  "mcpServers": {\n    "files": { ${body} }\n  }\n}`;

describe('a config as other programs write it', () => {
  it('is read with comments, trailing commas, a byte-order mark and Windows line ends', () => {
    const text =
      '\uFEFF{\r\n  // mine\r\n  "mcpServers": {\r\n    "a": { "command": "x", "args": ["1",], /* c */ },\r\n  },\r\n}\r\n';
    const document = parseConfig(text, 'mcp.json');
    expect(document.text).toBe(text);
    expect(document.services.get('a')).toEqual({ command: 'x', args: ['1'] });
    expect(document.foreign).toEqual([]);
  });

  it('has its services under "mcpServers" or "servers"', () => {
    expect(parseConfig('{"servers":{"a":{"url":"https://a.example","type":"http"}}}').servicesKey).toBe('servers');
    expect(parseConfig('{"mcpServers":{"a":{"command":"a"}}}').services.size).toBe(1);
    expect(parseConfig('{}')).toMatchObject({ servicesKey: 'mcpServers', performance: undefined, inputs: [] });
    expect(told('{\n"mcpServers": {},\n"servers": {}\n}')).toBe('mcp.json:3:1: servers: stands beside "mcpServers"');
  });

  it('keeps the keys of others and tells where they are', () => {
    const document = parseConfig(
      '{\n"$schema": "x",\n"theme": 1,\n"mcpServers": {\n"a": { "command": "x",\n"autoApprove": ["t"], "headers": {} },\n"b": { "url": "https://b.example", "env": {} } } }',
    );
    expect(document.services.get('a')).toEqual({ command: 'x', autoApprove: ['t'], headers: {} });
    expect(document.foreign).toEqual([
      { path: 'theme', line: 3, why: 'unknown' },
      { path: 'mcpServers.a.autoApprove', line: 6, why: 'unknown' },
      { path: 'mcpServers.a.headers', line: 6, why: 'unused' },
      { path: 'mcpServers.b.env', line: 7, why: 'unused' },
    ]);
  });

  it('has performance, agents and inputs', () => {
    const document = parseConfig(`{
      "performance": { "calls": { "callTimeoutMs": 5 } },
      "inputs": [{ "id": "k", "type": "promptString", "password": true }, { "id": "p", "options": ["a", { "label": "B", "value": "b" }] }],
      "mcpstore": { "agents": { "bob": { "services": ["files"], "mcpServers": { "own": { "command": "x" } } } } }
    }`);
    expect(document.performance).toEqual({ calls: { callTimeoutMs: 5 } });
    expect(document.inputs).toMatchObject([
      { id: 'k', password: true },
      { id: 'p', options: ['a', 'b'] },
    ]);
    expect(document.agents.get('bob')?.services).toEqual(['files']);
    expect(document.agents.get('bob')?.mcpServers.get('own')).toEqual({ command: 'x' });
  });
});

describe('a config that is wrong', () => {
  it('is refused with file, line, column and field', () => {
    expect({
      args: told(service('"command": "x",\n      "args": 5')),
      arg: told(service('"command": "x", "args": ["a", 5]')),
      env: told(service('"command": "x", "env": { "PORT": 80 }')),
      envNull: told(service('"command": "x", "env": { "PORT": null }')),
      envName: told(service('"command": "x", "env": { "A=B": "c" }')),
      header: told(service('"url": "https://x.example", "headers": { "a b": "c" }')),
      command: told(service('"command": ""')),
      disabled: told(service('"command": "x", "disabled": "yes"')),
      timeout: told(service('"command": "x", "timeout": 0')),
      timeoutText: told(service('"command": "x", "timeout": "30"')),
      type: told(service('"command": "x", "type": "tcp"')),
      typeMismatch: told(service('"url": "https://x.example", "type": "stdio"')),
      both: told(service('"command": "x", "url": "https://x.example"')),
      neither: told(service('"serverUrl": "https://x.example"')),
      option: told(service('"command": "x", "mcpstore": { "sharing": 1 }')),
      optionDeep: told(service('"command": "x", "mcpstore": { "tools": { "a.b": { "cache": 1 } } }')),
      servicesType: told('{ "mcpServers": [] }'),
      dotted: told('{ "mcpServers": { "a.b": 1 } }'),
      performance: told('{\n  "performance": { "calls": { "callTimeout": 1 } } }'),
      ours: told('{ "mcpstore": { "agent": {} } }'),
      agentKey: told('{ "mcpstore": { "agents": { "a": { "tools": [] } } } }'),
      agentName: told('{ "mcpstore": { "agents": { "a/b": {} } } }'),
      inputs: told('{ "inputs": [{ "id": "a" }, { "id": "a" }] }'),
      root: told('[]'),
      twice: told(
        '{\n  "mcpServers": {\n    "a": { "command": "x" },\n    "b": { "command": "x" },\n    "a": { "command": "y" }\n  }\n}',
      ),
      half: told('{\n  "mcpServers": {\n    "a": { "comm'),
      comma: told('{\n  "a": 1\n  "b": 2\n}'),
      single: told("{ 'a': 1 }"),
      after: told('{}\n}'),
      empty: told(' \n'),
      comment: told('{} /* x'),
      escape: told('{ "a": "\\x" }'),
      literal: told('{ "a": undefined }'),
    }).toMatchInlineSnapshot(`
      {
        "after": "mcp.json:2:1: expected the end of the file, found "}"",
        "agentKey": "mcp.json:1:36: mcpstore.agents.a.tools: unknown key; known here: services, mcpServers",
        "agentName": "mcp.json:1:29: mcpstore.agents["a/b"]: a name may have letters, digits, spaces and . - _ : @",
        "arg": "mcp.json:3:46: mcpServers.files.args[1]: expected a string, got number",
        "args": "mcp.json:4:7: mcpServers.files.args: expected an array of strings, got number",
        "both": "mcp.json:3:32: mcpServers.files.url: a service has either "command" or "url", not both",
        "comma": "mcp.json:3:3: expected "," or "}", found '"'",
        "command": "mcp.json:3:16: mcpServers.files.command: must not be empty",
        "comment": "mcp.json:1:4: a comment without its "*/"",
        "disabled": "mcp.json:3:32: mcpServers.files.disabled: expected true or false, got string",
        "dotted": "mcp.json:1:19: mcpServers["a.b"]: expected an object, got number",
        "empty": "mcp.json:1:1: the file is empty",
        "env": "mcp.json:3:41: mcpServers.files.env.PORT: expected a string, got number",
        "envName": "mcp.json:3:41: mcpServers.files.env["A=B"]: this is no name for an environment variable",
        "envNull": "mcp.json:3:41: mcpServers.files.env.PORT: expected a string, got null",
        "escape": "mcp.json:1:8: a: a string with a bad escape or a control character",
        "half": "mcp.json:3:12: mcpServers.a: a string without its closing quote",
        "header": "mcp.json:3:57: mcpServers.files.headers["a b"]: this is no name for an HTTP header",
        "inputs": "mcp.json:1:31: inputs[1].id: another input has this id",
        "literal": "mcp.json:1:8: a: expected a value, found "u"",
        "neither": "mcp.json:3:5: mcpServers.files: needs "command" or "url"",
        "option": "mcp.json:3:46: mcpServers.files.mcpstore.sharing: expected "shared", "agent", "call", got 1",
        "optionDeep": "mcp.json:3:66: mcpServers.files.mcpstore.tools["a.b"].cache: expected true or false, got 1",
        "ours": "mcp.json:1:17: mcpstore.agent: unknown key; known here: agents",
        "performance": "mcp.json:2:31: performance.calls.callTimeout: unknown option; known here: callTimeoutMs, maxConcurrentCalls, queueLimit, batchConcurrency, batchSize, maxWorkers, validateArguments, retry",
        "root": "mcp.json:1:1: expected an object, got an array",
        "servicesType": "mcp.json:1:3: mcpServers: expected an object, got an array",
        "single": "mcp.json:1:3: expected a key in double quotes or "}", found "'"",
        "timeout": "mcp.json:3:32: mcpServers.files.timeout: expected a number above 0, got 0",
        "timeoutText": "mcp.json:3:32: mcpServers.files.timeout: expected a number above 0, got string",
        "twice": "mcp.json:5:5: mcpServers.a: this key stands twice, first on line 3",
        "type": "mcp.json:3:32: mcpServers.files.type: expected "stdio", "http", "streamable-http" or "sse", got "tcp"",
        "typeMismatch": "mcp.json:3:44: mcpServers.files.type: "stdio" does not go with "url"",
      }
    `);
  });

  it('says in figures and hint what a program and a person need', () => {
    const error = problem(service('"command": "x",\n      "env": { "PORT": 80 }'));
    expect(error.figures).toEqual({ file: 'mcp.json', line: 4, column: 16, field: 'mcpServers.files.env.PORT' });
    expect(error.hint).toBe('Write it in quotes.');
    expect(problem(service('"serverUrl": "https://x.example"')).hint).toBe('Write "url" in place of "serverUrl".');
    expect(problem('').hint).toBe('Write { "mcpServers": {} } into it, or delete it.');
  });

  it('never overflows the stack or fills memory', () => {
    for (const open of ['[', '{"a":', '[{"a":']) expect(told(open.repeat(500_000))).toContain('nested deeper than 100');
    expect(told(`"${'x'.repeat(16 * 1024 * 1024)}"`)).toBe('mcp.json: larger than 16 MiB; this is no config');
  });

  it('pollutes nothing (A1)', () => {
    expect(told('{"mcpServers":{"__proto__":{"command":"x"}}}')).toContain('this name is reserved');
    expect(told('{"mcpServers":{"constructor":{"prototype":{"polluted":1}}}}')).toContain('this name is reserved');
    expect(told('{"mcpServers":{"a":{"command":"x","mcpstore":{"__proto__":{"trusted":true}}}}}')).toContain(
      'unknown option',
    );
    expect(told('{"performance":{"__proto__":{}}}')).toContain('unknown option');
    const document = parseConfig(
      '{"__proto__":{"polluted":1},"mcpServers":{"a":{"command":"x","__proto__":{"url":"y"},"env":{"__proto__":"1"}}}}',
    );
    expect(document.services.get('a')?.url).toBeUndefined();
    expect(Object.keys(document.services.get('a')!.env!)).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

describe('names (A6)', () => {
  it('are refused where a file system, a terminal or JavaScript would read something else', () => {
    const bad = [
      '',
      '.',
      '..',
      'a..b',
      'a/b',
      'a\\b',
      'a\0',
      'a\n',
      '\u001b[2J',
      'CON',
      'nul',
      'com1.txt',
      '__proto__',
      'constructor',
      'prototype',
      ' a',
      'a ',
      'a<b',
      '\u202Eabc',
      'x'.repeat(201),
    ];
    for (const name of bad) expect(nameProblem(name), JSON.stringify(name)).toBeDefined();
  });

  it('may have letters of any language, digits, spaces and . - _ : @', () => {
    for (const name of ['files', 'My Files 2', 'a.b-c_d:e@f', '文件', 'übung', 'console', 'x'.repeat(200)])
      expect(nameProblem(name), name).toBeUndefined();
  });
});

describe('a service given in code', () => {
  it('is checked by the same rules, as an option', () => {
    const say = (value: unknown, name = 'a'): string => {
      try {
        checkServiceConfig(name, value);
      } catch (error) {
        if (isStoreError(error, 'OPTION_INVALID')) return error.message;
        throw error;
      }
      return 'fine';
    };
    expect(say({ command: 'x', args: undefined })).toBe('fine');
    expect(say({ server: {}, mcpstore: { trusted: true } })).toBe('fine');
    expect(say(null)).toBe('services.a: expected an object, got null');
    expect(say({ command: 'x', args: 'y' })).toBe('services.a.args: expected an array of strings, got string');
    expect(say({ server: {}, url: 'x' })).toBe('services.a.url: does not go with "server"');
    expect(say({ server: {}, mcpstore: { x: 1 } })).toContain('services.a.mcpstore.x: unknown option');
    expect(say({ command: 'x' }, 'a/b')).toContain('services["a/b"]: a name may have');
  });
});

describe('the reader of JSON with comments', () => {
  const read = (text: string): unknown => {
    try {
      return { value: toValue(parseTree(text)) };
    } catch (error) {
      if (error instanceof JsonSyntaxError) return undefined;
      throw error;
    }
  };

  it('agrees with JSON.parse on every value', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(JSON.stringify(toValue(parseTree(text)))).toBe(JSON.stringify(JSON.parse(text)));
      }),
    );
  });

  it('accepts and refuses what an independent reader does', () => {
    const piece = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"b\\u00e9"',
      '1',
      '-0.5e3',
      '01',
      'true',
      'nul',
      ' ',
      '\n',
      '//c\n',
      '/*c*/',
      "'",
      '"',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12, size: 'max' }), (pieces) => {
        const text = pieces.join('');
        const errors: ParseError[] = [];
        const expected = oracle(text, errors, { allowTrailingComma: true });
        const found = read(text);
        // That reader takes keys that stand twice, and a lone comma in an empty list.
        if (errors.length > 0) expect(found).toBeUndefined();
        else if (found !== undefined) expect(found).toEqual({ value: expected });
        else expect(text).toMatch(/"[\s\S]*"[\s\S]*"[\s\S]*"|[[{](\s|\/\*c\*\/|\/\/c\n)*,|''/);
      }),
      { numRuns: 2_000 },
    );
  });
});
