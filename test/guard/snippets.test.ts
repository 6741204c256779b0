/**
 * Every example of the documentation runs. A block fenced as `ts` is compiled and run, `ts no-run` is only compiled, and
 * what stands behind `// →` has to be printed. In a block fenced as `sh` the lines that begin with `$ mcpstore` are run,
 * page by page in one folder, and the lines below each have to be in its output; `sh no-run` is text.
 */

import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const modules = join(root, 'node_modules', '@modelcontextprotocol');
/** Inside the checkout, so that `mcpstore` is the package itself and its dependencies are found. */
const work = join(root, '.cache', `snippets-${process.pid}`);

interface Block {
  page: string;
  /** 1-based line of the fence. */
  line: number;
  fence: string;
  text: string;
}

const pages = [
  ...['README.md', 'README.zh-CN.md', 'CONTRIBUTING.md', 'SECURITY.md'].filter((name) => existsSync(join(root, name))),
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .sort()
    .map((name) => join('docs', name)),
];
const blocks = pages.flatMap(blocksOf);
/** The flow that docs/flows.md shows is the one that its commands run. */
const flow = blocks.find(({ page, fence }) => page === join('docs', 'flows.md') && fence === 'json')!.text;
const typed = blocks.filter(({ fence }) => /^ts( no-run)?$/.test(fence));
function blocksOf(page: string): Block[] {
  const found: Block[] = [];
  let open: Block | undefined;
  for (const [i, line] of readFileSync(join(root, page), 'utf8').split('\n').entries()) {
    const fence = /^```(.*)$/.exec(line)?.[1];
    if (fence === undefined) {
      if (open) open.text += `${line}\n`;
    } else if (open) {
      found.push(open);
      open = undefined;
    } else open = { page, line: i + 1, fence: fence.trim(), text: '' };
  }
  return found;
}

function nameOf({ page, line }: Block): string {
  return `${page.replace(/[^A-Za-z0-9]+/g, '_')}_${line}`;
}

/** @returns everything that the program wrote; rejects with it where the program fails */
function run(command: string, args: string[], cwd: string, env: NodeJS.ProcessEnv): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { cwd, env, timeout: 60_000, maxBuffer: 8 << 20 }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${command} ${args.join(' ')}: ${error.message}\n${stdout}\n${stderr}`));
      else resolve(stdout + stderr);
    });
  });
}

/** Runs `work` in a reader's folder: notes, a configuration, and an `npx` that takes the servers from this checkout. */
async function inFolder(withConfig: boolean, work: (folder: string, env: NodeJS.ProcessEnv) => Promise<void>) {
  const home = await realpath(await mkdtemp(join(tmpdir(), 'mcpstore-snippet-')));
  try {
    await work(...prepare(home, withConfig));
  } finally {
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  }
}

function prepare(home: string, withConfig: boolean): [folder: string, env: NodeJS.ProcessEnv] {
  const folder = join(home, 'project');
  const bin = join(home, 'bin');
  for (const path of [join(folder, 'notes'), bin]) mkdirSync(path, { recursive: true });
  writeFileSync(join(folder, 'notes', 'a.txt'), 'the first note\n');
  writeFileSync(join(folder, 'notes', 'b.txt'), 'the second note\n');
  const calls = ['a.txt', 'b.txt'].map((path) => ({ tool: 'files__read_file', arguments: { path } }));
  writeFileSync(join(folder, 'calls.jsonl'), calls.map((call) => `${JSON.stringify(call)}\n`).join(''));
  writeFileSync(join(folder, 'flow.json'), flow);
  if (withConfig) {
    const memory = {
      command: 'npx',
      args: ['-y', '@modelcontextprotocol/server-memory'],
      env: { MEMORY_FILE_PATH: '${workspaceFolder}/memory.jsonl' },
    };
    writeFileSync(join(folder, 'mcp.json'), JSON.stringify({ mcpServers: { memory } }, null, 2));
  }
  const script = (name: string, body: string): void => {
    writeFileSync(join(bin, name), `#!/bin/sh\n${body}\n`);
    chmodSync(join(bin, name), 0o755);
  };
  script('mcpstore', `exec "${process.execPath}" "${join(root, 'dist', 'cli', 'main.js')}" "$@"`);
  script('npx', `shift; server="$1"; shift; exec "${process.execPath}" "${modules}/\${server##*/}/dist/index.js" "$@"`);
  const env = {
    PATH: `${bin}${delimiter}${process.env['PATH']}`,
    HOME: home,
    XDG_STATE_HOME: join(home, 'state'),
    TMPDIR: home,
    NO_COLOR: '1',
  };
  return [folder, env];
}

beforeAll(async () => {
  mkdirSync(join(work, 'src'), { recursive: true });
  for (const block of typed) writeFileSync(join(work, 'src', `${nameOf(block)}.ts`), `${block.text}\nexport {};\n`);
  const compilerOptions = {
    target: 'ES2022',
    lib: ['ES2023', 'ESNext.Disposable'],
    module: 'NodeNext',
    moduleResolution: 'NodeNext',
    types: ['node'],
    strict: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: true,
    rootDir: 'src',
    outDir: 'out',
  };
  writeFileSync(join(work, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['src'] }));
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  await run(process.execPath, [tsc, '-p', work], work, process.env);
}, 120_000);

afterAll(() => rmSync(work, { recursive: true, force: true }));

describe('the examples in TypeScript', () => {
  it('are there, and all of them compile', () => {
    expect(typed.length).toBeGreaterThan(0);
  });

  const runnable = typed.filter(({ fence }) => fence === 'ts');
  it.concurrent.each(runnable.map((block) => [`${block.page}:${block.line}`, block] as const))(
    '%s runs',
    { timeout: 60_000 },
    (_, block) =>
      inFolder(true, async (folder, env) => {
        const output = await run(process.execPath, [join(work, 'out', `${nameOf(block)}.js`)], folder, env);
        for (const [, shown] of block.text.matchAll(/\/\/ → (.*)$/gm))
          if (!output.includes(shown!)) throw new Error(`"${shown}" is not in:\n${output}`);
      }),
  );
});

describe('the examples on the command line', () => {
  const commands = blocks.filter(({ fence, text }) => fence === 'sh' && /^\$ mcpstore/m.test(text));
  it.concurrent.each([...new Set(commands.map(({ page }) => page))])('%s runs', { timeout: 120_000 }, (page) =>
    inFolder(false, async (folder, env) => {
      for (const block of commands.filter((own) => own.page === page)) await commandsRun(block, folder, env);
    }),
  );
});

async function commandsRun({ page, line, text }: Block, folder: string, env: NodeJS.ProcessEnv): Promise<void> {
  for (const step of text.split(/^(?=\$ )/m).filter((part) => part.startsWith('$ mcpstore'))) {
    const [command, ...shown] = step.trimEnd().split('\n');
    const output = await run('/bin/sh', ['-c', command!.slice(2)], folder, env).catch((error: Error) => {
      throw new Error(`${page}:${line}: ${error.message}`);
    });
    const written = output.replaceAll(env['HOME']!, '~');
    for (const own of shown.filter((entry) => entry !== '' && !entry.includes('…')))
      if (!written.includes(own)) throw new Error(`${page}:${line}: ${command}: "${own}" is not in:\n${written}`);
  }
}

describe('the pages', () => {
  it.each(pages)('%s has no line over 120 characters outside of code and tables', (page) => {
    const long = readFileSync(join(root, page), 'utf8')
      .replace(/^```[\s\S]*?^```$/gm, '')
      .split('\n')
      .filter((line) => line.length > 120 && !line.startsWith('|'));
    expect(long).toEqual([]);
  });

  it.each(pages)('%s links to files that are there', (page) => {
    const text = readFileSync(join(root, page), 'utf8').replace(/^```[\s\S]*?^```$/gm, '');
    const targets = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map((match) => match[1]!);
    const missing = targets.filter((target) => !/^[a-z]+:/.test(target) && !existsSync(join(root, page, '..', target)));
    expect(missing, basename(page)).toEqual([]);
  });
});
