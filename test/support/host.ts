/** Runs a program with the built package in a process of its own, for what must not happen to the test's own process. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterwards } from './harness.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Host {
  child: ChildProcess;
  pid: number;
  /** The next line that it prints with `say(value)`. Rejects with its stderr where it ends before. */
  next<T>(): Promise<T>;
  /** What it was ended by, once it has. */
  ended: Promise<number | string>;
}

/**
 * Starts `program`, an ES module with `MCPStore`, `say`, and `input` that has what is given here. Killed after the test.
 * @param wrapper - a command line that the program's own is appended to
 */
export function host(program: string, input: unknown, wrapper: readonly string[] = []): Host {
  const code = `import { MCPStore } from 'mcpstore';
    const input = JSON.parse(process.argv[1]);
    const say = (value) => process.stdout.write(JSON.stringify(value ?? null) + '\\n');
    ${program}`;
  const line = [...wrapper, process.execPath, '--input-type=module', '-e', code, JSON.stringify(input)];
  const child = spawn(line[0]!, line.slice(1), { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const ended = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | string);
  afterwards(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return {
    child,
    pid: child.pid!,
    ended,
    async next<T>() {
      const { value, done } = await lines.next();
      if (done) throw new Error(`the program ended: ${await ended}\n${stderr}`);
      return JSON.parse(value) as T;
    },
  };
}

export interface ProcessEntry {
  pid: number;
  /** One letter of proc(5): `Z` is a zombie. */
  state: string;
  parent: number;
  group: number;
  command: string;
}

/** Every process of this machine. Linux alone. */
export function processes(): ProcessEntry[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
        const [state, parent, group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0').join(' ').trim();
        return [{ pid: Number(name), state: state!, parent: Number(parent), group: Number(group), command }];
      } catch {
        return [];
      }
    });
}

/** Living members of these groups. */
export function livingIn(groups: readonly number[]): ProcessEntry[] {
  return processes().filter((entry) => groups.includes(entry.group) && entry.state !== 'Z' && entry.state !== 'X');
}
